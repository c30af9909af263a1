//! The outbox: frames that append, kept until the server has answered for good.
//!
//! Invariants:
//! - O-1: an entry leaves only by an `ack`, a refusal that is not temporary, or too many temporary ones; whenever it is sent, it is sent with the same `msg_id`.
//! - O-2: within a room entries are sent in the order they came; at most `window` of them are in flight.
//! - O-3: there are never more than `bound` entries. When full: the frame is handed back.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use parlor_schema::{MsgId, RoomId, frame::Refusal};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Backoff, WAIT_MAX};
use crate::frame;

/// One frame of the outbox, fit to be kept on a disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Its idempotency key.
    pub msg_id: MsgId,
    /// The whole frame.
    pub frame: Box<RawValue>,
}

/// Whether somebody waits for an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Appended in this run; its handle gets the answer.
    Appended,
    /// Taken from an earlier run; a notice carries the answer.
    Restored,
}

/// Why an entry was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// The outbox is full.
    Full,
    /// An entry with this `msg_id` is there.
    InUse,
}

/// What becomes of a refused entry.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// It goes out again later.
    Kept,
    /// It has left the outbox.
    Gone(Origin),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Queued,
    Flying,
    Held { until: Duration },
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    origin: Origin,
    stage: Stage,
    sends: u32,
    refusals: Backoff,
}

/// What to send, and whether it was sent before.
#[derive(Debug, PartialEq, Eq)]
pub struct Due {
    /// The frame.
    pub text: String,
    /// How often it was sent before.
    pub sends_before: u32,
}

/// The limits of an outbox.
#[derive(Debug, Clone, Copy)]
pub struct OutboxLimits {
    /// Entries at most.
    pub bound: usize,
    /// Entries of one room in flight at most; with more than one, a later frame may overtake one that was refused for now.
    pub window: usize,
    /// Temporary refusals of one entry after which it fails.
    pub refusals_max: u32,
}

/// Entries by room, in order.
#[derive(Debug)]
pub struct Outbox {
    limits: OutboxLimits,
    lanes: BTreeMap<Option<RoomId>, VecDeque<Slot>>,
    rooms: HashMap<MsgId, Option<RoomId>>,
}

impl Outbox {
    /// Makes an empty outbox.
    #[must_use]
    pub fn new(limits: OutboxLimits) -> Self {
        Self {
            limits,
            lanes: BTreeMap::new(),
            rooms: HashMap::new(),
        }
    }

    /// Takes an entry, behind all others of its room.
    ///
    /// # Errors
    /// [`NotTaken`]: nothing has changed.
    pub fn push(&mut self, entry: Entry, origin: Origin) -> Result<(), NotTaken> {
        if self.rooms.contains_key(&entry.msg_id) {
            return Err(NotTaken::InUse);
        }
        if self.rooms.len() >= self.limits.bound {
            return Err(NotTaken::Full);
        }
        let room = frame::room_of(entry.frame.get());
        self.rooms.insert(entry.msg_id, room);
        self.lanes.entry(room).or_default().push_back(Slot {
            entry,
            origin,
            stage: Stage::Queued,
            sends: 0,
            refusals: Backoff::default(),
        });
        Ok(())
    }

    /// Returns every entry, in order within each room.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let slots = self.lanes.values().flatten();
        slots.map(|slot| slot.entry.clone()).collect()
    }

    /// Returns how many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Tells whether an entry has this `msg_id`.
    #[must_use]
    pub fn contains(&self, msg_id: MsgId) -> bool {
        self.rooms.contains_key(&msg_id)
    }

    /// Takes what may be sent now, of every room.
    pub fn due(&mut self, now: Duration) -> Vec<Due> {
        let window = self.limits.window;
        let lanes = self.lanes.values_mut();
        lanes.flat_map(|lane| due_in(lane, window, now)).collect()
    }

    /// Takes what may be sent now, of one room.
    pub fn due_in_room(&mut self, room: Option<RoomId>, now: Duration) -> Vec<Due> {
        let window = self.limits.window;
        let lane = self.lanes.get_mut(&room);
        lane.map(|lane| due_in(lane, window, now))
            .unwrap_or_default()
    }

    /// Returns the room of an entry.
    #[must_use]
    pub fn room(&self, msg_id: MsgId) -> Option<RoomId> {
        self.rooms.get(&msg_id).copied().flatten()
    }

    /// Returns when the next held entry may go out.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let first_held = |lane: &VecDeque<Slot>| {
            lane.iter().find_map(|slot| match slot.stage {
                Stage::Held { until } => Some(until),
                Stage::Queued | Stage::Flying => None,
            })
        };
        self.lanes.values().filter_map(first_held).min()
    }

    /// Settles an acknowledged entry.
    pub fn acked(&mut self, msg_id: MsgId) -> Option<Origin> {
        self.remove(msg_id)
    }

    /// Settles a refused entry, or keeps it for later.
    pub fn refused(
        &mut self,
        msg_id: MsgId,
        refusal: &Refusal,
        now: Duration,
        rng: &mut StdRng,
    ) -> Option<Refused> {
        let refusals_max = self.limits.refusals_max;
        let slot = self.slot(msg_id)?;
        let jitter = slot.refusals.next(rng, WAIT_MAX);
        if !refusal.code.is_temporary() || slot.refusals.failed() > refusals_max {
            return self.remove(msg_id).map(Refused::Gone);
        }
        let wait = refusal.retry_after_ms.map_or(jitter, Duration::from_millis);
        slot.stage = Stage::Held { until: now + wait };
        Some(Refused::Kept)
    }

    /// Takes back what was in flight: it goes out again, in order, on the next connection.
    pub fn connection_lost(&mut self) {
        for slot in self.lanes.values_mut().flatten() {
            if slot.stage == Stage::Flying {
                slot.stage = Stage::Queued;
            }
        }
    }

    /// Checks O-2 and O-3.
    ///
    /// # Panics
    /// One of them does not hold.
    pub fn check_invariants(&self) {
        let slots: usize = self.lanes.values().map(VecDeque::len).sum();
        assert_eq!(slots, self.rooms.len(), "every entry is in one lane");
        assert!(slots <= self.limits.bound, "O-3");
        for lane in self.lanes.values() {
            let flying = lane.iter().filter(|slot| slot.stage == Stage::Flying);
            assert!(flying.count() <= self.limits.window, "O-2");
        }
    }

    fn slot(&mut self, msg_id: MsgId) -> Option<&mut Slot> {
        let room = self.rooms.get(&msg_id)?;
        let lane = self.lanes.get_mut(room)?;
        lane.iter_mut().find(|slot| slot.entry.msg_id == msg_id)
    }

    fn remove(&mut self, msg_id: MsgId) -> Option<Origin> {
        let room = self.rooms.remove(&msg_id)?;
        let lane = self.lanes.get_mut(&room)?;
        let at = lane.iter().position(|slot| slot.entry.msg_id == msg_id)?;
        let slot = lane.remove(at)?;
        if lane.is_empty() {
            self.lanes.remove(&room);
        }
        Some(slot.origin)
    }
}

fn due_in(lane: &mut VecDeque<Slot>, window: usize, now: Duration) -> Vec<Due> {
    let flying = lane.iter().filter(|slot| slot.stage == Stage::Flying);
    let mut room_left = window.saturating_sub(flying.count());
    let mut due = Vec::new();
    for slot in lane.iter_mut() {
        match slot.stage {
            Stage::Flying => continue,
            // Nothing of the room overtakes it.
            Stage::Held { until } if until > now => break,
            Stage::Held { .. } | Stage::Queued => {}
        }
        if room_left == 0 {
            break;
        }
        room_left -= 1;
        slot.stage = Stage::Flying;
        due.push(Due {
            text: slot.entry.frame.get().to_owned(),
            sends_before: slot.sends,
        });
        slot.sends = slot.sends.saturating_add(1);
    }
    due
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
