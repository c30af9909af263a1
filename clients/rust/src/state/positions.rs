//! How far the client has come in each room.
//!
//! Owns the highest contiguous seq per room, and the verdict on each event.
//!
//! Invariants:
//! - PO-1: a position moves by one per event, or by a `gap`; any other jump is a [`Verdict::Hole`].
//! - PO-2: a parked room takes no event, so its position is still where `room.subscribe` has to go on.

use std::collections::{BTreeMap, BTreeSet};

use parlor_schema::{RoomId, Seq, frame::server::Gap};

/// What an event is to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The next one.
    Next,
    /// One that is there already.
    Duplicate,
    /// One after positions that never came.
    Hole,
}

/// The positions of all rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions {
    held: BTreeMap<RoomId, Seq>,
    parked: BTreeSet<RoomId>,
}

impl Positions {
    /// Takes positions kept from before.
    #[must_use]
    pub fn new(held: BTreeMap<RoomId, Seq>) -> Self {
        Self {
            held,
            parked: BTreeSet::new(),
        }
    }

    /// Returns every position.
    #[must_use]
    pub fn all(&self) -> &BTreeMap<RoomId, Seq> {
        &self.held
    }

    /// Judges an event and takes its position, unless it is a duplicate. A room's first event begins the room.
    pub fn event(&mut self, room: RoomId, seq: Seq) -> Verdict {
        if self.parked.contains(&room) {
            return Verdict::Duplicate;
        }
        let verdict = match self.held.get(&room) {
            Some(held) if seq <= *held => return Verdict::Duplicate,
            Some(held) if seq > held.next() => Verdict::Hole,
            _ => Verdict::Next,
        };
        self.held.insert(room, seq);
        verdict
    }

    /// Judges a `gap` and goes on after it.
    pub fn gap(&mut self, gap: &Gap) -> Verdict {
        if self.parked.contains(&gap.room_id) {
            return Verdict::Duplicate;
        }
        let held = self.held.get(&gap.room_id).copied();
        if gap.reset {
            self.held.insert(gap.room_id, gap.to);
            return Verdict::Next;
        }
        let verdict = match held {
            Some(held) if gap.to <= held => return Verdict::Duplicate,
            Some(held) if gap.from > held.next() => Verdict::Hole,
            _ => Verdict::Next,
        };
        self.held.insert(gap.room_id, gap.to);
        verdict
    }

    /// Judges a `live`: what lies up to it must have come.
    pub fn live(&mut self, room: RoomId, seq: Seq) -> Verdict {
        match self.held.get(&room) {
            Some(held) if seq > *held && !self.parked.contains(&room) => {
                self.held.insert(room, seq);
                Verdict::Hole
            }
            Some(_) => Verdict::Next,
            None => {
                self.held.insert(room, seq);
                Verdict::Next
            }
        }
    }

    /// Begins a room at `head`, unless it has begun.
    pub fn begin(&mut self, room: RoomId, head: Seq) {
        self.held.entry(room).or_insert(head);
    }

    /// Puts a room at `seq`, wherever it was.
    pub fn put(&mut self, room: RoomId, seq: Seq) {
        self.parked.remove(&room);
        self.held.insert(room, seq);
    }

    /// Forgets a room.
    pub fn forget(&mut self, room: RoomId) {
        self.parked.remove(&room);
        self.held.remove(&room);
    }

    /// Splits the positions for a new connection: those for `hello`, at most `most`, and the rest, which are parked.
    pub fn resume(&mut self, most: usize) -> BTreeMap<RoomId, Seq> {
        self.parked = self.held.keys().skip(most).copied().collect();
        self.held
            .iter()
            .take(most)
            .map(|(room, seq)| (*room, *seq))
            .collect()
    }

    /// Returns the parked rooms, each with where to go on.
    #[must_use]
    pub fn parked(&self) -> Vec<(RoomId, Seq)> {
        let held = |room: &RoomId| self.held.get(room).map(|seq| (*room, *seq));
        self.parked.iter().filter_map(held).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: [u8; 16] = [1; 16];

    fn room() -> RoomId {
        RoomId::from(ROOM)
    }

    fn at(seq: u64) -> Positions {
        Positions::new([(room(), Seq::new(seq))].into())
    }

    fn gap(from: u64, to: u64) -> Gap {
        Gap {
            room_id: room(),
            from: Seq::new(from),
            to: Seq::new(to),
            head: Seq::new(99),
            reset: false,
        }
    }

    fn held(positions: &Positions) -> u64 {
        positions.all()[&room()].get()
    }

    #[test]
    fn events_are_next_duplicate_or_after_a_hole() {
        let mut positions = at(4);
        assert_eq!(positions.event(room(), Seq::new(4)), Verdict::Duplicate);
        assert_eq!(positions.event(room(), Seq::new(5)), Verdict::Next);
        assert_eq!(positions.event(room(), Seq::new(5)), Verdict::Duplicate);
        assert_eq!(positions.event(room(), Seq::new(8)), Verdict::Hole);
        assert_eq!(positions.event(room(), Seq::new(9)), Verdict::Next);
        let mut fresh = Positions::default();
        assert_eq!(fresh.event(room(), Seq::new(70)), Verdict::Next);
    }

    #[test]
    fn a_gap_moves_on_and_a_reset_moves_back() {
        let mut positions = at(4);
        assert_eq!(positions.gap(&gap(5, 9)), Verdict::Next);
        assert_eq!(held(&positions), 9);
        assert_eq!(positions.gap(&gap(12, 13)), Verdict::Hole);
        assert_eq!(positions.gap(&gap(5, 9)), Verdict::Duplicate);
        let reset = Gap {
            reset: true,
            ..gap(1, 3)
        };
        assert_eq!(positions.gap(&reset), Verdict::Next);
        assert_eq!(held(&positions), 3);
        assert_eq!(positions.event(room(), Seq::new(4)), Verdict::Next);
    }

    #[test]
    fn live_beyond_the_position_is_a_hole() {
        let mut positions = at(4);
        assert_eq!(positions.live(room(), Seq::new(4)), Verdict::Next);
        assert_eq!(positions.live(room(), Seq::new(6)), Verdict::Hole);
    }

    #[test]
    fn rooms_beyond_what_hello_carries_are_parked_until_they_are_put() {
        let mut positions = at(4);
        assert!(positions.resume(0).is_empty());
        assert_eq!(positions.parked(), [(room(), Seq::new(4))]);
        assert_eq!(positions.event(room(), Seq::new(9)), Verdict::Duplicate);
        assert_eq!(positions.live(room(), Seq::new(9)), Verdict::Next);
        assert_eq!(held(&positions), 4);
        positions.put(room(), Seq::new(4));
        assert_eq!(positions.event(room(), Seq::new(5)), Verdict::Next);
    }
}
