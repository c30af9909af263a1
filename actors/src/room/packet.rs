//! Events packed for the socket: once per event, shared by all its receivers.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use parlor_schema::{
    Event, EventKind, RoomId, Seq, UserId,
    event::{MemberContent, RoomUpdatedContent, Viewer},
    limits::{RING_BYTES_MAX, RING_EVENTS_MAX},
};

use crate::ports::Wire;

/// Whom an event puts out of the room, at its own position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evicts {
    /// Nobody.
    Nobody,
    /// This user, member or reader.
    User(UserId),
    /// Everyone who is no member: the room turned private.
    NonMembers,
}

impl Evicts {
    /// Reads it off the event.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        match event.kind {
            EventKind::MemberLeft | EventKind::MemberRemoved | EventKind::MemberBanned => event
                .content::<MemberContent>()
                .map_or(Self::Nobody, |content| Self::User(content.user_id)),
            EventKind::RoomUpdated => match event.content::<RoomUpdatedContent>() {
                Ok(RoomUpdatedContent {
                    public: Some(false),
                    ..
                }) => Self::NonMembers,
                _ => Self::Nobody,
            },
            _ => Self::Nobody,
        }
    }
}

/// An event, and its two socket frames.
#[derive(Debug, Clone)]
pub struct Packet {
    /// The event.
    pub event: Arc<Event>,
    /// The frame for everyone but the sender.
    pub public: Bytes,
    /// The frame for the sender's own sessions, with `client_msg_id`.
    pub own: Bytes,
    /// Whom it puts out.
    pub evicts: Evicts,
}

impl Packet {
    /// Packs an event.
    #[must_use]
    pub fn new(room: RoomId, event: Arc<Event>, wire: &dyn Wire) -> Self {
        Self {
            public: wire.text(&event.frame(room, Viewer::Other)),
            own: wire.text(&event.frame(room, Viewer::Sender)),
            evicts: Evicts::of(&event),
            event,
        }
    }

    /// Returns the position.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.event.seq
    }

    /// Returns the frame for `user`.
    #[must_use]
    pub fn for_user(&self, user: &UserId) -> &Bytes {
        if self.event.sender == *user {
            &self.own
        } else {
            &self.public
        }
    }

    fn weight(&self) -> usize {
        self.event.weight() + self.public.len() + self.own.len()
    }
}

/// Events that became durable together, in order.
#[derive(Debug)]
pub struct Batch {
    /// The room.
    pub room: RoomId,
    /// The events; never empty.
    pub packets: Vec<Packet>,
}

/// The last events of a room, packed. Bounded in number and bytes; the oldest go first.
#[derive(Debug, Default)]
pub struct Ring {
    packets: VecDeque<Packet>,
    bytes: usize,
}

impl Ring {
    /// Adds the next event.
    pub fn push(&mut self, packet: Packet) {
        debug_assert!(
            self.packets
                .back()
                .is_none_or(|last| last.seq().next() == packet.seq()),
            "P-2: the ring has no holes"
        );
        self.bytes += packet.weight();
        self.packets.push_back(packet);
        while self.packets.len() > RING_EVENTS_MAX
            || (self.bytes > RING_BYTES_MAX && self.packets.len() > 1)
        {
            if let Some(old) = self.packets.pop_front() {
                self.bytes -= old.weight();
            }
        }
    }

    /// Returns the first position held.
    #[must_use]
    pub fn first(&self) -> Option<Seq> {
        self.packets.front().map(Packet::seq)
    }

    /// Finds the event at `seq`.
    #[must_use]
    pub fn get(&self, seq: Seq) -> Option<&Packet> {
        let first = self.first()?;
        if seq < first {
            return None;
        }
        self.packets.get(usize::try_from(seq.since(first)).ok()?)
    }

    /// Returns the packets after `after`, when all of them are held.
    #[must_use]
    pub fn after(&self, after: Seq) -> Option<impl DoubleEndedIterator<Item = &Packet>> {
        let first = self.first()?;
        if after.next() < first {
            return None;
        }
        let skip = usize::try_from(after.next().since(first)).unwrap_or(usize::MAX);
        Some(self.packets.iter().skip(skip))
    }
}
