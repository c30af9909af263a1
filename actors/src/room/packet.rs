//! Events packed for the socket: once per event, shared by all its receivers.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use parlor_schema::{
    Event, EventKind, RoomId, Seq, UserId,
    event::{MemberContent, RoomUpdatedContent},
    limits::{JOINED_BYTES_MAX, RING_BYTES_MAX, RING_EVENTS_MAX},
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    coded::Coded,
    fetch::{fetch, fetch_bytes},
    ports::{Coding, Packed, Wire},
    scratch,
};

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

/// An event, and its socket frame. The frame for the sender's own sessions, with `client_msg_id`, is made of that one for each of them: they are
/// few, and a room that kept both would keep half as many events in the same memory.
#[derive(Debug)]
pub struct Packet {
    /// The event.
    pub event: Arc<Event>,
    /// The frame for everyone but the sender.
    public: Coded,
    /// Where in the text of that frame the sender's own field goes.
    own_at: usize,
    /// Whom it puts out.
    pub evicts: Evicts,
}

impl Packet {
    /// Packs an event.
    #[must_use]
    pub fn new(room: RoomId, event: Arc<Event>, wire: &dyn Wire) -> Self {
        let (own_at, public) = scratch::text(|text| {
            let own_at = event.write(room, text);
            (own_at, wire.text(text))
        });
        Self {
            public: Coded::new(public),
            own_at,
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
    pub fn for_user(&self, user: &UserId, coding: Coding, wire: &dyn Wire) -> Packed {
        if self.event.sender != *user {
            return self.public.bytes(coding, wire).clone();
        }
        scratch::text(|field| {
            self.event.write_own_field(field);
            wire.with(self.public.plain(), self.own_at, field, coding)
        })
    }

    /// Returns the bytes of the frame for others, not compressed.
    #[must_use]
    pub fn frame_len(&self) -> usize {
        self.public.plain().len()
    }

    fn weight(&self) -> usize {
        self.event.weight() + self.frame_len()
    }

    /// Asks for the packet itself.
    pub(super) fn fetch(&self) {
        fetch(&self.event);
        fetch(&self.public);
        fetch(&self.evicts);
    }

    /// Asks for what its end takes, once the packet is there.
    pub(super) fn fetch_parts(&self) {
        fetch(&*self.event);
        fetch_bytes(self.public.plain());
    }

    /// Asks for the last of it, once its parts are there.
    pub(super) fn fetch_content(&self) {
        fetch_bytes(self.event.content.as_bytes());
    }
}

/// A user as one of 64 bits: who is not among the bits of some users is not among the users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks(u64);

impl Marks {
    /// Marks one user.
    #[must_use]
    pub fn of(user: &UserId) -> Self {
        Self(1 << (xxh3_64(user.as_str().as_bytes()) % 64))
    }

    /// Tells whether a user with these marks may be among those with the others.
    #[must_use]
    pub const fn may_meet(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

/// Events that became durable together, in order.
#[derive(Debug)]
pub struct Batch {
    /// The room.
    pub room: RoomId,
    /// The events; never empty.
    pub packets: Vec<Arc<Packet>>,
    senders: Marks,
    joins: Joins,
    joined: [OnceLock<Packed>; Coding::ALL.len()],
}

/// Whether a batch may go to a session as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joins {
    /// It changes nothing and fits the lane.
    Yes,
    /// Its events are looked at one by one.
    No,
}

impl Batch {
    /// Makes a batch of events in order, at least one.
    #[must_use]
    pub fn new(room: RoomId, packets: Vec<Arc<Packet>>) -> Self {
        debug_assert!(!packets.is_empty(), "a batch has events");
        let bytes: usize = packets.iter().map(|packet| packet.frame_len()).sum();
        let plain = packets
            .iter()
            .all(|packet| packet.evicts == Evicts::Nobody && !packet.event.kind.changes_room());
        let fits = packets.len() == 1 || bytes <= JOINED_BYTES_MAX;
        let senders = packets.iter().fold(Marks::default(), |all, packet| {
            Marks(all.0 | Marks::of(&packet.event.sender).0)
        });
        Self {
            room,
            senders,
            joins: if plain && fits { Joins::Yes } else { Joins::No },
            packets,
            joined: [const { OnceLock::new() }; Coding::ALL.len()],
        }
    }

    /// Returns the first and the last position.
    #[must_use]
    pub fn span(&self) -> Option<(Seq, Seq)> {
        Some((self.packets.first()?.seq(), self.packets.last()?.seq()))
    }

    /// Returns all the frames one after the other, for a user who sent none of them; none: they must be looked at one by one.
    #[must_use]
    pub fn whole(
        &self,
        user: &UserId,
        marks: Marks,
        coding: Coding,
        wire: &dyn Wire,
    ) -> Option<&Packed> {
        let sent = || {
            marks.may_meet(self.senders)
                && self
                    .packets
                    .iter()
                    .any(|packet| packet.event.sender == *user)
        };
        if self.joins == Joins::No || sent() {
            return None;
        }
        if let [only] = &self.packets[..] {
            return Some(only.public.bytes(coding, wire));
        }
        Some(self.joined[coding as usize].get_or_init(|| {
            let mut all = Vec::new();
            for packet in &self.packets {
                all.extend_from_slice(packet.public.bytes(coding, wire));
            }
            all.into()
        }))
    }
}

/// The last events of a room, packed. Bounded in number and bytes; the oldest go first.
#[derive(Debug, Default)]
pub struct Ring {
    packets: VecDeque<Arc<Packet>>,
    bytes: usize,
}

impl Ring {
    /// Adds the next event.
    pub fn push(&mut self, packet: Arc<Packet>) {
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

    /// Returns the packet that the next event puts out by number; a ring that is full by bytes is not foreseen.
    #[must_use]
    pub(super) fn leaving(&self) -> Option<&Packet> {
        let is_full = self.packets.len() >= RING_EVENTS_MAX;
        self.packets
            .front()
            .filter(|_| is_full)
            .map(|packet| &**packet)
    }

    /// Returns the first position held.
    #[must_use]
    pub fn first(&self) -> Option<Seq> {
        self.packets.front().map(|packet| packet.seq())
    }

    /// Finds the event at `seq`.
    #[must_use]
    pub fn get(&self, seq: Seq) -> Option<&Packet> {
        let first = self.first()?;
        if seq < first {
            return None;
        }
        let packet = self.packets.get(usize::try_from(seq.since(first)).ok()?)?;
        Some(packet)
    }

    /// Returns the packets after `after`, when all of them are held.
    #[must_use]
    pub fn after(&self, after: Seq) -> Option<impl DoubleEndedIterator<Item = &Arc<Packet>>> {
        let first = self.first()?;
        if after.next() < first {
            return None;
        }
        let skip = usize::try_from(after.next().since(first)).unwrap_or(usize::MAX);
        Some(self.packets.iter().skip(skip))
    }
}
