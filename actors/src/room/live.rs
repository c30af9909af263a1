//! What lives beside a room's timeline: receipts that wait to be written, and who is typing. Pure.
//!
//! Invariants:
//! - L-1: positions only rise, `read` implies `delivered`, and none is above the head.
//! - L-2: a receipt stays marked until the store has it.
//! - L-3: whoever started typing is stopped within [`TYPING_MS`], whatever the client does.

use std::collections::{BTreeMap, BTreeSet};

use parlor_schema::{
    RoomId, Seq, UserId,
    envelope::Place,
    frame::server::{ReceiptFrame, Typing, TypingState},
    limits::TYPING_MS,
    record::ReceiptRecord,
};

use super::members::Members;

/// Which receipt a frame moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptKind {
    /// Events reached a device.
    Delivered,
    /// The user has read.
    Read,
}

/// Receipts and typing of one room.
#[derive(Debug, Default)]
pub struct Live {
    unsaved: BTreeSet<UserId>,
    typing: BTreeMap<UserId, u64>,
}

impl Live {
    /// Moves a member's receipt; answers the position kept, and the frame to send when it moved.
    pub fn receipt(
        &mut self,
        room_id: RoomId,
        members: &mut Members,
        head: Seq,
        user: &UserId,
        kind: ReceiptKind,
        seq: Seq,
    ) -> Option<(Seq, Option<ReceiptFrame>)> {
        let person = members.member_mut(user)?;
        let seq = seq.min(head);
        let before = (person.delivered, person.read);
        if kind == ReceiptKind::Read {
            person.read = person.read.max(seq);
        }
        person.delivered = person.delivered.max(seq).max(person.read);
        let after = (person.delivered, person.read);
        let kept = if kind == ReceiptKind::Read {
            after.1
        } else {
            after.0
        };
        if before == after {
            return Some((kept, None));
        }
        self.unsaved.insert(user.clone());
        let frame = ReceiptFrame {
            room_id,
            user_id: user.clone(),
            delivered: (before.0 != after.0).then_some(after.0),
            read: (before.1 != after.1).then_some(after.1),
        };
        Some((kept, Some(frame)))
    }

    /// Moves a member's place to what another node says of it, which that node writes; answers the frame to send when it moved.
    ///
    /// A place above the head is none yet: give it again when the head is there.
    pub fn hear_place(
        room_id: RoomId,
        members: &mut Members,
        head: Seq,
        place: &Place,
    ) -> Option<ReceiptFrame> {
        let person = members.member_mut(&place.user_id)?;
        let before = (person.delivered, person.read);
        person.read = person.read.max(place.read.min(head));
        person.delivered = person
            .delivered
            .max(place.delivered.min(head))
            .max(person.read);
        let after = (person.delivered, person.read);
        (before != after).then(|| ReceiptFrame {
            room_id,
            user_id: place.user_id.clone(),
            delivered: Some(after.0),
            read: Some(after.1),
        })
    }

    /// Tells whether receipts wait to be written.
    #[must_use]
    pub fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Takes the receipts to write; put them back with [`Live::not_saved`] when that fails (L-2).
    pub fn take_unsaved(&mut self, room: RoomId, members: &Members) -> Vec<ReceiptRecord> {
        std::mem::take(&mut self.unsaved)
            .iter()
            .filter_map(|user| members.receipt(room, user))
            .collect()
    }

    /// Marks receipts again whose write failed.
    pub fn not_saved(&mut self, records: Vec<ReceiptRecord>) {
        self.unsaved
            .extend(records.into_iter().map(|record| record.user_id));
    }

    /// Notes that a user types; answers the frame to send.
    pub fn typing_start(&mut self, room_id: RoomId, user: &UserId, now_ms: u64) -> Typing {
        self.typing.insert(user.clone(), now_ms + TYPING_MS);
        Typing {
            room_id,
            user_id: user.clone(),
            state: TypingState::Start,
            expires_in_ms: Some(TYPING_MS),
        }
    }

    /// Notes that a user stopped; answers the frame to send, if the user was typing.
    pub fn typing_stop(&mut self, room_id: RoomId, user: &UserId) -> Option<Typing> {
        self.typing.remove(user).map(|_| stop(room_id, user))
    }

    /// Stops those whose time is over.
    pub fn tick(&mut self, room_id: RoomId, now_ms: u64) -> Vec<Typing> {
        let over: Vec<UserId> = self
            .typing
            .iter()
            .filter(|(_, until)| **until <= now_ms)
            .map(|(user, _)| user.clone())
            .collect();
        over.iter()
            .filter_map(|user| self.typing_stop(room_id, user))
            .collect()
    }

    /// Returns when [`Live::tick`] has something to do.
    #[must_use]
    pub fn next_tick(&self) -> Option<u64> {
        self.typing.values().min().copied()
    }
}

fn stop(room_id: RoomId, user: &UserId) -> Typing {
    Typing {
        room_id,
        user_id: user.clone(),
        state: TypingState::Stop,
        expires_in_ms: None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use parlor_schema::{Event, EventId, EventKind, MsgId, Timestamp};

    use super::*;

    const ROOM: [u8; 16] = [7; 16];

    fn room_of_ana() -> Members {
        let mut members = Members::default();
        members.apply(&Event {
            seq: Seq::FIRST,
            id: EventId::from([1; 16]),
            kind: EventKind::RoomCreated,
            sender: "ana".parse().unwrap(),
            sent_at: Timestamp::default(),
            msg_id: MsgId::from([2; 16]),
            fingerprint: 0,
            content: r#"{"kind":"group","public":false,"members":["ana"]}"#.into(),
        });
        members
    }

    #[test]
    fn receipts_only_rise_and_stay_below_the_head() {
        let (mut live, mut members) = (Live::default(), room_of_ana());
        let ana: UserId = "ana".parse().unwrap();
        let mut move_to = |kind, seq| {
            let (kept, frame) = live
                .receipt(
                    RoomId::from(ROOM),
                    &mut members,
                    Seq::new(10),
                    &ana,
                    kind,
                    Seq::new(seq),
                )
                .unwrap();
            (
                kept.get(),
                frame.map(|frame| (frame.delivered.map(Seq::get), frame.read.map(Seq::get))),
            )
        };
        assert_eq!(
            move_to(ReceiptKind::Read, 4),
            (4, Some((Some(4), Some(4)))),
            "read implies delivered"
        );
        assert_eq!(move_to(ReceiptKind::Read, 2), (4, None), "never back");
        assert_eq!(
            move_to(ReceiptKind::Delivered, 99),
            (10, Some((Some(10), None))),
            "never above the head"
        );
        assert_eq!(move_to(ReceiptKind::Delivered, 10), (10, None));
    }

    #[test]
    fn a_receipt_stays_marked_until_it_is_saved() {
        let (mut live, mut members) = (Live::default(), room_of_ana());
        let ana: UserId = "ana".parse().unwrap();
        let room = RoomId::from(ROOM);
        live.receipt(
            room,
            &mut members,
            Seq::new(5),
            &ana,
            ReceiptKind::Read,
            Seq::new(5),
        )
        .unwrap();
        let records = live.take_unsaved(room, &members);
        assert_eq!(records.len(), 1);
        assert!(!live.has_unsaved());
        live.not_saved(records);
        assert!(live.has_unsaved());
    }

    #[test]
    fn typing_ends_by_itself() {
        let mut live = Live::default();
        let (room, ana): (RoomId, UserId) = (RoomId::from(ROOM), "ana".parse().unwrap());
        assert_eq!(live.typing_start(room, &ana, 100).state, TypingState::Start);
        assert!(live.tick(room, 100 + TYPING_MS - 1).is_empty());
        assert_eq!(live.tick(room, 100 + TYPING_MS).len(), 1);
        assert!(live.typing_stop(room, &ana).is_none());
    }
}
