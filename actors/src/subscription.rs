//! A session's place in one room: the cursor, and whether events are pushed to it or it reads the log. Pure but for its cells.
//!
//! Invariants:
//! - SU-1: while live, the next event pushed is cursor + 1; anything else turns it into a reader of the log (promise P-4).
//! - SU-2: a closed one gets nothing more, whatever arrives (P-6).

use std::cell::Cell;

use parlor_schema::{RoomId, Seq, UserId};

use crate::room::packet::{Evicts, Packet};

/// How a subscription is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The room was asked; nothing is pushed yet.
    Joining,
    /// Events are pushed as they come.
    Live,
    /// The session reads the log up to where events come.
    Pulling,
    /// Only heads are told.
    Passive,
    /// Nothing more.
    Closed,
}

/// What becomes of an event offered to a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Push it.
    Push,
    /// Leave it.
    Skip,
    /// The session must read the log.
    Behind,
    /// The event puts the user out.
    Out,
}

/// Whether the user belongs to the room, or only reads along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A member.
    Member,
    /// A reader of a public room.
    Guest,
}

/// A session's place in one room.
#[derive(Debug)]
pub struct Subscription {
    /// The room.
    pub room: RoomId,
    /// How it is served.
    pub phase: Cell<Phase>,
    /// The last position pushed.
    pub cursor: Cell<Seq>,
    /// The highest position known to be in the room.
    pub seen: Cell<Seq>,
    /// What the user is there.
    pub standing: Cell<Standing>,
    /// Where it stands in its thread's list.
    pub slot: Cell<usize>,
}

impl Subscription {
    /// Makes one that is joining.
    #[must_use]
    pub fn new(room: RoomId) -> Self {
        Self {
            room,
            phase: Cell::new(Phase::Joining),
            cursor: Cell::new(Seq::ZERO),
            seen: Cell::new(Seq::ZERO),
            standing: Cell::new(Standing::Member),
            slot: Cell::new(0),
        }
    }

    /// Says what becomes of an event.
    #[must_use]
    pub fn offer(&self, packet: &Packet, user: &UserId) -> Offer {
        let seq = packet.seq();
        if self.phase.get() == Phase::Closed {
            return Offer::Skip;
        }
        self.seen.set(self.seen.get().max(seq));
        let out = match &packet.evicts {
            Evicts::Nobody => false,
            Evicts::User(gone) => gone == user,
            Evicts::NonMembers => self.standing.get() == Standing::Guest,
        };
        // A joiner's position is not known yet: the room says itself whether the user may see it.
        if out && self.phase.get() != Phase::Joining && seq > self.cursor.get() {
            return Offer::Out;
        }
        match self.phase.get() {
            Phase::Live if seq <= self.cursor.get() => Offer::Skip,
            Phase::Live if seq == self.cursor.get().next() => Offer::Push,
            Phase::Live => Offer::Behind,
            Phase::Joining | Phase::Pulling | Phase::Passive | Phase::Closed => Offer::Skip,
        }
    }

    /// Moves the cursor over an event that was pushed.
    pub fn pushed(&self, seq: Seq) {
        debug_assert_eq!(seq, self.cursor.get().next(), "SU-1: no silent gap");
        self.cursor.set(seq);
    }

    /// Moves the cursor over events that were pushed together.
    pub fn pushed_to(&self, first: Seq, last: Seq) {
        debug_assert_eq!(first, self.cursor.get().next(), "SU-1: no silent gap");
        self.seen.set(self.seen.get().max(last));
        self.cursor.set(last);
    }

    /// Tells whether a batch that begins at `first` may be pushed as one.
    #[must_use]
    pub fn takes(&self, first: Seq) -> bool {
        self.phase.get() == Phase::Live && self.cursor.get().next() == first
    }

    /// Tells whether everything known to be in the room has been pushed.
    #[must_use]
    pub fn is_level(&self, head: Seq) -> bool {
        self.cursor.get() >= head && self.cursor.get() >= self.seen.get()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;

    use parlor_schema::{Event, EventId, EventKind, MsgId, Timestamp};

    use super::*;
    use crate::ports::PlainWire;

    fn packet(seq: u64, evicts: Evicts) -> Packet {
        let event = Event {
            seq: Seq::new(seq),
            id: EventId::from([1; 16]),
            kind: EventKind::Message,
            sender: "ana".parse().unwrap(),
            sent_at: Timestamp::default(),
            msg_id: MsgId::from([2; 16]),
            fingerprint: 0,
            content: "{}".into(),
        };
        let mut packet = Packet::new(RoomId::from([3; 16]), Arc::new(event), &PlainWire);
        packet.evicts = evicts;
        packet
    }

    fn live_at(seq: u64) -> Subscription {
        let subscription = Subscription::new(RoomId::from([3; 16]));
        subscription.cursor.set(Seq::new(seq));
        subscription.phase.set(Phase::Live);
        subscription
    }

    #[test]
    fn only_the_next_event_is_pushed() {
        let ben: UserId = "ben".parse().unwrap();
        let subscription = live_at(4);
        assert_eq!(
            subscription.offer(&packet(4, Evicts::Nobody), &ben),
            Offer::Skip
        );
        assert_eq!(
            subscription.offer(&packet(6, Evicts::Nobody), &ben),
            Offer::Behind
        );
        assert_eq!(
            subscription.offer(&packet(5, Evicts::Nobody), &ben),
            Offer::Push
        );
        assert!(
            !subscription.is_level(Seq::new(4)),
            "6 was seen and not pushed"
        );
    }

    #[test]
    fn who_is_put_out_gets_nothing_from_there_on() {
        let ben: UserId = "ben".parse().unwrap();
        let out = packet(5, Evicts::User(ben.clone()));
        let subscription = live_at(4);
        assert_eq!(
            subscription.offer(&out, &"eva".parse().unwrap()),
            Offer::Push
        );
        assert_eq!(subscription.offer(&out, &ben), Offer::Out);
        subscription.phase.set(Phase::Closed);
        assert_eq!(
            subscription.offer(&packet(6, Evicts::Nobody), &ben),
            Offer::Skip
        );
    }

    #[test]
    fn a_room_that_turns_private_puts_out_readers_only() {
        let ben: UserId = "ben".parse().unwrap();
        let subscription = live_at(4);
        let private = packet(5, Evicts::NonMembers);
        assert_eq!(subscription.offer(&private, &ben), Offer::Push);
        subscription.standing.set(Standing::Guest);
        assert_eq!(subscription.offer(&private, &ben), Offer::Out);
    }

    #[test]
    fn what_comes_while_joining_is_only_noted() {
        let ben: UserId = "ben".parse().unwrap();
        let subscription = Subscription::new(RoomId::from([3; 16]));
        assert_eq!(
            subscription.offer(&packet(9, Evicts::Nobody), &ben),
            Offer::Skip
        );
        subscription.cursor.set(Seq::new(8));
        assert!(!subscription.is_level(Seq::new(8)), "9 must still be read");
    }
}
