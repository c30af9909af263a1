//! Server frames: the table of types, the payload of each, and writing them.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    Ack, Refusal,
    ack::{Duplicate, SentAck},
    hello::Welcome,
    text::push_string,
};
use crate::{
    EventKind, RoomId, Seq, Timestamp, UserId,
    event::{MemberContent, MessageContent, RoomCreatedContent, RoomUpdatedContent},
    room::Room,
};

macro_rules! server_frames {
    ($($(#[$doc:meta])* $text:literal => $name:ident($payload:ty);)*) => {
        /// What the server says besides timeline events, which [`crate::Event::frame`] writes.
        #[derive(Debug, Clone)]
        pub enum ServerFrame { $($(#[$doc])* $name($payload),)* }

        impl ServerFrame {
            /// Every `type` but those of timeline events.
            pub const TYPES: &'static [&'static str] = &[$($text,)*];

            /// Returns the `type`.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self { $(Self::$name(_) => $text,)* }
            }

            /// Writes the frame; `echo` is the `msg_id` it answers.
            #[must_use]
            pub fn write(&self, echo: Option<&str>) -> String {
                let mut out = String::new();
                self.write_into(echo, &mut out);
                out
            }

            /// Writes the frame behind what is in `out`.
            pub fn write_into(&self, echo: Option<&str>, out: &mut String) {
                if let Self::Ack(Ack::Sent(sent)) = self {
                    return write_sent(echo, sent, out);
                }
                match self { $(Self::$name(payload) => write($text, echo, payload, out),)* }
            }

            /// Returns the JSON Schema of each payload, by type.
            pub fn schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
                vec![$(($text, generator.subschema_for::<$payload>()),)*]
            }
        }
    };
}

server_frames! {
    /// The answer to `hello`.
    "welcome" => Welcome(Box<Welcome>);
    /// A frame took effect.
    "ack" => Ack(Ack);
    /// A frame was refused.
    "error" => Error(Refusal);
    /// The answer to `ping`.
    "pong" => Pong(super::ack::Empty);
    /// The user is in a room from now on.
    "room.added" => RoomAdded(RoomAdded);
    /// The user, or this session, is out of a room from now on.
    "room.removed" => RoomRemoved(RoomRemoved);
    /// A resumed room has caught up.
    "live" => Live(Live);
    /// Positions that will not be delivered.
    "gap" => Gap(Gap);
    /// There is something new in a passive room.
    "head" => Head(Head);
    /// Somebody's receipts moved.
    "receipt" => Receipt(ReceiptFrame);
    /// Somebody types, or stopped.
    "typing" => Typing(Typing);
    /// Somebody's presence changed.
    "presence" => Presence(PresenceEntry);
    /// A message was deleted for this user only.
    "message.hidden" => MessageHidden(MessageHidden);
    /// The token ends soon.
    "auth.expiring" => AuthExpiring(AuthExpiring);
    /// The node is draining.
    "goaway" => Goaway(Goaway);
}

/// Bytes that nearly every answer fits in.
const ANSWER_BYTES: usize = 320;

fn write<T: Serialize>(kind: &str, echo: Option<&str>, payload: &T, out: &mut String) {
    begin(kind, echo, out);
    let mut bytes = std::mem::take(out).into_bytes();
    serde_json::to_writer(&mut bytes, payload).expect("server payloads are plain data");
    bytes.push(b'}');
    *out = String::from_utf8(bytes).expect("JSON is text");
}

/// Writes what [`write`] does, without a serializer between, since each message has one of these. Ids and times need no escapes.
fn write_sent(echo: Option<&str>, sent: &SentAck, out: &mut String) {
    let mut uuid = Uuid::encode_buffer();
    begin("ack", echo, out);
    out.push_str(r#"{"room_id":""#);
    out.push_str(sent.room_id.encode(&mut uuid));
    out.push_str(r#"","seq":"#);
    sent.seq.push(out);
    out.push_str(r#","id":""#);
    out.push_str(sent.id.encode(&mut uuid));
    out.push_str(r#"","sent_at":""#);
    out.push_str(sent.sent_at.encode(&mut [0; Timestamp::TEXT_BYTES]));
    out.push_str(match sent.duplicate {
        Duplicate::No => r#""}}"#,
        Duplicate::Yes => r#"","duplicate":true}}"#,
    });
}

/// Begins a frame, up to its payload.
fn begin(kind: &str, echo: Option<&str>, out: &mut String) {
    out.reserve(ANSWER_BYTES);
    out.push_str(r#"{"type":""#);
    out.push_str(kind);
    out.push('"');
    if let Some(echo) = echo {
        out.push_str(r#","msg_id":"#);
        push_string(out, echo);
    }
    out.push_str(r#","payload":"#);
}

/// Returns the JSON Schema of the content of each timeline event, by type.
pub fn event_schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
    EventKind::ALL
        .iter()
        .map(|kind| {
            let schema = match kind {
                EventKind::Message => generator.subschema_for::<MessageContent>(),
                EventKind::MessageEdited => generator.subschema_for::<EditedContent>(),
                EventKind::MessageDeleted
                | EventKind::MessagePinned
                | EventKind::MessageUnpinned => generator.subschema_for::<TargetContent>(),
                EventKind::MessageReacted | EventKind::MessageUnreacted => {
                    generator.subschema_for::<ReactionContent>()
                }
                EventKind::RoomCreated => generator.subschema_for::<RoomCreatedContent>(),
                EventKind::RoomUpdated => generator.subschema_for::<RoomUpdatedContent>(),
                _ => generator.subschema_for::<MemberContent>(),
            };
            (kind.as_str(), schema)
        })
        .collect()
}

macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }
    )*};
}

payloads! {
    /// The content of `message.edited`.
    EditedContent {
        /// The message.
        target: Seq,
        /// What it says now.
        body: super::body::MessageBody,
    }

    /// The content of events that only name a message.
    TargetContent {
        /// The message.
        target: Seq,
    }

    /// The content of `message.reacted` and `message.unreacted`.
    ReactionContent {
        /// The message.
        target: Seq,
        /// The reaction.
        emoji: String,
    }

    /// The payload of `room.added`.
    RoomAdded {
        /// The room; delivery starts at its `head` + 1.
        room: Room,
    }

    /// The payload of `room.removed`.
    RoomRemoved {
        /// The room.
        room_id: RoomId,
        /// Why.
        reason: RemovedReason,
    }

    /// The payload of `live`.
    Live {
        /// The room.
        room_id: RoomId,
        /// The position reached.
        seq: Seq,
    }

    /// The payload of `gap`; both ends included.
    Gap {
        /// The room.
        room_id: RoomId,
        /// The first position left out.
        from: Seq,
        /// The last position left out.
        to: Seq,
        /// The room's head.
        head: Seq,
        /// Set when the client's position was above the head: what it holds is of another past.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        reset: bool,
    }

    /// The payload of `head`.
    Head {
        /// The room.
        room_id: RoomId,
        /// Its head.
        head: Seq,
        /// Messages by others after the read position.
        unread: u32,
        /// Those of them that name the user or `@room`.
        mentions: u32,
        /// The payload of the last message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<serde_json::Value>")]
        last: Option<Box<RawValue>>,
    }

    /// The payload of `receipt`.
    ReceiptFrame {
        /// The room.
        room_id: RoomId,
        /// Whose.
        user_id: UserId,
        /// Up to here events reached a device.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delivered: Option<Seq>,
        /// Up to here the user has read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        read: Option<Seq>,
    }

    /// The payload of `typing`.
    Typing {
        /// The room.
        room_id: RoomId,
        /// Who.
        user_id: UserId,
        /// Whether it begins or ends.
        state: TypingState,
        /// How long a start holds, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_in_ms: Option<u64>,
    }

    /// The payload of `presence`, and an entry of its list.
    PresenceEntry {
        /// Who.
        user_id: UserId,
        /// As others see it.
        status: PresenceStatus,
        /// A few words beside it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// When the user was last there, while offline.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_seen: Option<Timestamp>,
    }

    /// The payload of `message.hidden`.
    MessageHidden {
        /// The room.
        room_id: RoomId,
        /// The message.
        target: Seq,
    }

    /// The payload of `auth.expiring`.
    AuthExpiring {
        /// When the token ends.
        expires_at: Timestamp,
    }

    /// The payload of `goaway`.
    Goaway {
        /// Why.
        reason: String,
        /// When this client should reconnect, in milliseconds.
        reconnect_in_ms: u64,
        /// When the server closes, in milliseconds.
        close_in_ms: u64,
    }
}

/// Why a room is gone from a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RemovedReason {
    /// The user left.
    Left,
    /// Somebody put the user out.
    Removed,
    /// Somebody banned the user.
    Banned,
    /// The room is no more.
    Deleted,
    /// The user is no member, and may no longer see it.
    NotMember,
}

/// Whether typing begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TypingState {
    /// Begins.
    Start,
    /// Ends.
    Stop,
}

/// Presence as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PresenceStatus {
    /// Here.
    Online,
    /// Not at the keyboard.
    Away,
    /// Here, but not to be disturbed.
    Dnd,
    /// Gone, or hidden.
    #[default]
    Offline,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;
    use crate::EventId;

    #[test]
    fn a_frame_is_what_its_parts_say() {
        for duplicate in [Duplicate::No, Duplicate::Yes] {
            for echo in [None, Some("0190-a"), Some("say \"no\"\n")] {
                let sent = SentAck {
                    room_id: RoomId::from([3; 16]),
                    seq: Seq::new(9_007_199_254_740_991),
                    id: EventId::from([1; 16]),
                    sent_at: Timestamp::from_millis(1_700_000_000_123),
                    duplicate,
                };
                let mut wanted = json!({ "type": "ack", "payload": sent });
                if let Some(echo) = echo {
                    wanted["msg_id"] = echo.into();
                }
                let written = ServerFrame::Ack(Ack::Sent(sent.clone())).write(echo);
                let read: serde_json::Value = serde_json::from_str(&written).unwrap();
                assert_eq!(read, wanted);
                // By hand and by the serializer it is the same text.
                let mut serialized = String::new();
                write("ack", echo, &Ack::Sent(sent), &mut serialized);
                assert_eq!(written, serialized);
            }
        }
    }
}
