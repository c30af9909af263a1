//! Replies to frames that append, made from the event alone, so that the first and every later one say the same.

use parlor_schema::{
    ErrorCode, Event, Role, RoomId, RoomKind, Seq,
    event::RoomCreatedContent,
    frame::{
        Ack, ClientFrame, Refusal,
        ack::{CreatedAck, Duplicate, SentAck, SeqAck},
    },
    room::{Mode, OwnState, Room},
};

/// Makes the reply to the frame that took effect.
#[must_use]
pub fn first(room: RoomId, frame: &ClientFrame, event: &Event) -> Ack {
    reply(room, frame, event, Duplicate::No)
}

/// Makes the reply to a copy of it.
#[must_use]
pub fn duplicate(room: RoomId, frame: &ClientFrame, event: &Event) -> Ack {
    reply(room, frame, event, Duplicate::Yes)
}

fn reply(room_id: RoomId, frame: &ClientFrame, event: &Event, duplicate: Duplicate) -> Ack {
    match frame {
        ClientFrame::MessageSend(_) => Ack::Sent(SentAck {
            room_id,
            seq: event.seq,
            id: event.id,
            sent_at: event.sent_at,
            duplicate,
        }),
        ClientFrame::RoomCreate(_) => match created_room(room_id, event) {
            Some(room) => Ack::Created(CreatedAck { room, duplicate }),
            None => Ack::Seq(SeqAck {
                seq: event.seq,
                duplicate,
            }),
        },
        _ => Ack::Seq(SeqAck {
            seq: event.seq,
            duplicate,
        }),
    }
}

/// Describes a room to its creator as it was when it began.
fn created_room(room_id: RoomId, event: &Event) -> Option<Room> {
    let content: RoomCreatedContent = event.content().ok()?;
    let peer = match content.kind {
        RoomKind::Direct => content
            .members
            .iter()
            .find(|user| **user != event.sender)
            .cloned(),
        RoomKind::Group | RoomKind::Channel => None,
    };
    Some(Room {
        room_id,
        kind: content.kind,
        name: content.name,
        topic: content.topic,
        public: content.public,
        retention_ms: content.retention_ms,
        created_at: event.sent_at,
        head: event.seq,
        peer,
        own: Some(OwnState {
            role: Role::Owner,
            read: Seq::ZERO,
            delivered: Seq::ZERO,
            unread: 0,
            mentions: 0,
            mode: Mode::None,
        }),
    })
}

/// Makes the refusal of a `msg_id` that was used for something else.
#[must_use]
pub fn other_payload() -> Refusal {
    Refusal::new(
        ErrorCode::Conflict,
        "this msg_id was used for another frame",
    )
    .at("msg_id")
}

/// Makes the refusal that cannot say whether the frame took effect.
#[must_use]
pub fn unknown_outcome() -> Refusal {
    Refusal {
        retry_after_ms: Some(1_000),
        ..Refusal::new(ErrorCode::UnknownOutcome, "it may have been stored")
    }
}
