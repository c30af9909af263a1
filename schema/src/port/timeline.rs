//! The timeline port: compare-and-append, the one idea everything rests on.

use std::sync::Arc;

use super::{PortFuture, StoreError};
use crate::{Event, RoomId, Seq, Timestamp};

/// The answer to an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Append {
    /// All events are durable, at the positions they carry.
    Appended,
    /// The room's head is another; nothing was stored.
    Conflict {
        /// The head there is.
        head: Seq,
    },
    /// All may be stored or none: read the tail from the expected head to know.
    Unknown,
}

/// Which way a read goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From `from` upwards.
    Up,
    /// From `to` downwards; the answer still rises.
    Down,
}

/// A range of positions, both ends included, and how much of it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadRange {
    /// The lowest position.
    pub from: Seq,
    /// The highest position.
    pub to: Seq,
    /// Which end comes first when the limits cut the range.
    pub direction: Direction,
    /// At most this many events.
    pub limit: usize,
    /// At most this many bytes ([`Event::weight`]), but always one event where there is one.
    pub bytes: usize,
}

/// Keeps every room's events.
///
/// Promises, checked by the contract suite for every adapter:
/// - T-1 an append whose `expected_head` is the room's head stores all its events or none; any other stores none.
/// - T-2 of two appends with the same `expected_head` at most one is `Appended`.
/// - T-3 after `Appended` the events survive the death of any process at any moment.
/// - T-4 a read after `Appended` sees the events; what a read has seen, every later read sees.
/// - T-5 positions are 1 … head without holes, or begin higher where [`Timeline::forget`] took the beginning.
/// - T-6 `Unknown` and an abandoned future leave T-1 to T-5 true.
pub trait Timeline: Send + Sync {
    /// Appends `events`, whose positions are `expected_head + 1` and on, if the room's head is `expected_head`.
    ///
    /// Ordering: appends to different rooms are independent. When full: `Unavailable`, nothing stored.
    ///
    /// # Errors
    /// `Unavailable`: nothing was stored. `Damaged`: nothing was stored, and an operator is needed.
    fn append(
        &self,
        room: RoomId,
        expected_head: Seq,
        events: Vec<Arc<Event>>,
    ) -> PortFuture<'_, Result<Append, StoreError>>;

    /// Reads the room's highest position; zero for a room without events.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn head(&self, room: RoomId) -> PortFuture<'_, Result<Seq, StoreError>>;

    /// Reads events, seq rising; what lies beyond the head is simply not there.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn read(
        &self,
        room: RoomId,
        range: ReadRange,
    ) -> PortFuture<'_, Result<Vec<Arc<Event>>, StoreError>>;

    /// Reads as [`Timeline::read`] does, for somebody to look at: `range.to` is at most a head that the caller knows to be durable. A store may
    /// answer it from a copy of the newest events, so nothing is decided by it: no append, no takeover, no window of repeats (rules A and B).
    ///
    /// # Errors
    /// The store is away or damaged.
    fn recent(
        &self,
        room: RoomId,
        range: ReadRange,
    ) -> PortFuture<'_, Result<Vec<Arc<Event>>, StoreError>> {
        self.read(room, range)
    }

    /// Finds the first position whose event was sent at `at` or later; head + 1 when there is none.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn seq_at(&self, room: RoomId, at: Timestamp) -> PortFuture<'_, Result<Seq, StoreError>>;

    /// Removes events from the room's beginning, as far as the store can do so cheaply: only such as are not above `to` and were sent before
    /// `before`. Answers the first position that is kept. A read that begins below it begins there; so does [`Timeline::seq_at`].
    ///
    /// The caller answers for it that nobody needs them. A store that keeps rooms whole, as this default does, removes nothing.
    ///
    /// # Errors
    /// The store is away or damaged; what was removed stays removed.
    fn forget(
        &self,
        room: RoomId,
        before: Timestamp,
        to: Seq,
    ) -> PortFuture<'_, Result<Seq, StoreError>> {
        let _ = (room, before, to);
        Box::pin(std::future::ready(Ok(Seq::FIRST)))
    }

    /// Finds the first position that is kept; what [`Timeline::forget`] answered last.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn first(&self, room: RoomId) -> PortFuture<'_, Result<Seq, StoreError>> {
        let _ = room;
        Box::pin(std::future::ready(Ok(Seq::FIRST)))
    }
}
