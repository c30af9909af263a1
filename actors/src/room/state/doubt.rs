//! What a room tells of frames that it cannot append: `unavailable`, which says that nothing was stored, only where that is certain.
//!
//! An append that ended `Unknown` may be stored as long as the head is where it was expected, even after the tail was read without it. Once the head
//! has moved it is in the tail, or will never be stored.

use parlor_schema::{ErrorCode, frame::Refusal};

use super::{Effect, Flying, Key, Pending, RoomState};
use crate::room::reply;

impl RoomState {
    /// Remembers that an append of the frame, behind the present head, may yet be stored.
    pub(super) fn doubt(&self, pending: &mut Pending) {
        pending.facts.doubt = Some(self.head);
    }

    /// Returns what the frame is told in place of `refusal`.
    pub(super) fn told(&self, pending: &Pending, refusal: &Refusal) -> Refusal {
        let key = Key::new(&pending.caller.user_id, pending.msg_id);
        let window = self.window.as_ref();
        let took_effect = window.is_some_and(|window| window.find(key).is_some());
        let may_be_stored = took_effect || pending.facts.doubt == Some(self.head);
        if refusal.code == ErrorCode::Unavailable && may_be_stored {
            reply::unknown_outcome()
        } else {
            refusal.clone()
        }
    }

    /// Refuses a frame that flew, and its copies.
    pub(super) fn refuse(&self, flying: &Flying, refusal: &Refusal, effects: &mut Vec<Effect>) {
        let told = self.told(&flying.pending, refusal);
        let tickets = std::iter::once(&flying.pending.ticket).chain(&flying.followers);
        effects.extend(tickets.map(|ticket| Effect::Reply(*ticket, Err(told.clone()))));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;

    use parlor_schema::{
        Event, EventId, EventKind, MsgId, RoomId, RoomKind, Seq, Timestamp,
        event::RoomCreatedContent,
        frame::{
            ClientFrame,
            body::MessageBody,
            client::{Caller, MessageSend},
        },
        port::{Append, Ids, StoreError},
    };
    use uuid::Uuid;

    use super::*;
    use crate::room::{
        members::Members,
        state::{Facts, Found, KnownUsers, Moment, RoomRules, Ticket},
    };

    struct OneId;

    impl Ids for OneId {
        fn uuid(&self, _: Timestamp) -> Uuid {
            Uuid::from_u128(1)
        }
        fn secret(&self) -> [u8; 32] {
            [0; 32]
        }
        fn below(&self, _: u64) -> u64 {
            0
        }
    }

    fn at() -> Moment<'static> {
        Moment {
            now: Timestamp::from_millis(2),
            ids: &OneId,
        }
    }

    fn away() -> StoreError {
        StoreError::Unavailable("away".into())
    }

    fn event(seq: u64, kind: EventKind, content: String) -> Arc<Event> {
        Arc::new(Event {
            seq: Seq::new(seq),
            id: EventId::from([8; 16]),
            kind,
            sender: "ana".parse().unwrap(),
            sent_at: Timestamp::from_millis(1),
            msg_id: MsgId::from([8; 16]),
            fingerprint: 0,
            content: content.into(),
        })
    }

    fn message(room_id: RoomId) -> Pending {
        Pending {
            ticket: Ticket(1),
            caller: Caller {
                user_id: "ana".parse().unwrap(),
                device_id: "d".parse().unwrap(),
            },
            msg_id: MsgId::from([9; 16]),
            fingerprint: 1,
            frame: ClientFrame::MessageSend(MessageSend {
                room_id,
                body: MessageBody::text("text".to_owned()).into(),
                reply_to: None,
                thread: None,
                mentions: None,
                attachments: None,
                expires_in_ms: None,
            }),
            facts: Facts::default(),
        }
    }

    /// A room of Ana's, with an append of hers that ended unknown; the tail was read without it, and it is sent again.
    fn sends_again() -> RoomState {
        let created = RoomCreatedContent {
            kind: RoomKind::Group,
            name: None,
            topic: None,
            public: true,
            retention_ms: None,
            members: vec!["ana".parse().unwrap()],
        };
        let created = serde_json::to_string(&created).unwrap();
        let mut members = Members::default();
        members.apply(&event(1, EventKind::RoomCreated, created));
        let rules = RoomRules {
            dedupe_window_ms: 1_000_000,
            body_bytes: 1024,
            users: KnownUsers::All,
        };
        let id = RoomId::from([7; 16]);
        let mut room = RoomState::new(id, rules, members, Seq::FIRST, Timestamp::from_millis(1));
        room.submit(message(id), &at());
        let effects = room.found(Found::Window(Vec::new()), &at());
        assert!(matches!(effects[..], [Effect::Append { .. }]));
        let effects = room.appended(Ok(Append::Unknown), &at());
        assert!(matches!(effects[..], [Effect::Recover(Seq::FIRST)]));
        let effects = room.recovered(Ok(Vec::new()), &at());
        assert!(matches!(effects[..], [Effect::Append { .. }]));
        room
    }

    fn refused(effects: &[Effect]) -> ErrorCode {
        let [Effect::Reply(Ticket(1), Err(refusal)), ..] = effects else {
            panic!("{effects:?}");
        };
        refusal.code
    }

    #[test]
    fn what_may_yet_be_stored_is_not_refused_as_not_stored() {
        let effects = sends_again().appended(Err(away()), &at());
        assert_eq!(refused(&effects), ErrorCode::UnknownOutcome);
    }

    #[test]
    fn a_conflict_whose_tail_cannot_be_read_leaves_the_doubt() {
        let mut room = sends_again();
        let head = Seq::new(2);
        room.appended(Ok(Append::Conflict { head }), &at());
        let effects = room.recovered(Err(away()), &at());
        assert_eq!(refused(&effects), ErrorCode::UnknownOutcome);
    }

    #[test]
    fn the_doubt_ends_when_the_head_has_moved() {
        let mut room = sends_again();
        let head = Seq::new(2);
        room.appended(Ok(Append::Conflict { head }), &at());
        let other = event(2, EventKind::Message, "{}".to_owned());
        room.recovered(Ok(vec![other]), &at());
        let effects = room.appended(Err(away()), &at());
        assert_eq!(refused(&effects), ErrorCode::Unavailable);
    }
}
