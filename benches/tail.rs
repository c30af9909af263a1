//! A timeline in memory that keeps a room's last events only, so that a bench which leaves the store out does not measure memory that grows.
#![allow(dead_code, reason = "each bench uses a part")]

use std::{
    collections::{HashMap, VecDeque},
    future,
    sync::{Arc, Mutex, PoisonError},
};

use parlor_schema::{
    Event, RoomId, Seq, Timestamp,
    port::{Append, Direction, PortFuture, ReadRange, StoreError, Timeline},
};

/// Events of each room, far fewer than the room itself keeps ready: what is older lies in memory that nobody has touched for long, and to forget it
/// would be the dearest part of a store that is to be left out.
const KEPT_EVENTS: usize = 16;

/// The last [`KEPT_EVENTS`] events of each room.
#[derive(Debug, Default)]
pub(crate) struct TailTimeline(Mutex<HashMap<RoomId, Tail>>);

#[derive(Debug, Default)]
struct Tail {
    head: u64,
    events: VecDeque<Arc<Event>>,
}

impl TailTimeline {
    fn of<T>(
        &self,
        room: RoomId,
        look: impl FnOnce(&mut Tail) -> T,
    ) -> PortFuture<'_, Result<T, StoreError>>
    where
        T: Send + 'static,
    {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(future::ready(Ok(look(rooms.entry(room).or_default()))))
    }
}

impl Timeline for TailTimeline {
    fn append(
        &self,
        room: RoomId,
        expected_head: Seq,
        events: Vec<Event>,
    ) -> PortFuture<'_, Result<Append, StoreError>> {
        self.of(room, |tail| {
            if tail.head != expected_head.get() {
                return Append::Conflict {
                    head: Seq::new(tail.head),
                };
            }
            tail.head += events.len() as u64;
            tail.events.extend(events.into_iter().map(Arc::new));
            let beyond = tail.events.len().saturating_sub(KEPT_EVENTS);
            tail.events.drain(..beyond);
            Append::Appended
        })
    }

    fn head(&self, room: RoomId) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.of(room, |tail| Seq::new(tail.head))
    }

    /// Panics where events are asked for that are gone: it is for cases in which nobody falls behind.
    fn read(
        &self,
        room: RoomId,
        range: ReadRange,
    ) -> PortFuture<'_, Result<Vec<Arc<Event>>, StoreError>> {
        self.of(room, |tail| {
            let oldest = tail.events.front().map_or(Seq::FIRST, |event| event.seq);
            assert!(oldest <= range.from.max(Seq::FIRST), "the event is kept");
            let wanted = tail
                .events
                .iter()
                .filter(|event| range.from <= event.seq && event.seq <= range.to);
            let mut events: Vec<_> = match range.direction {
                Direction::Up => wanted.take(range.limit).cloned().collect(),
                Direction::Down => wanted.rev().take(range.limit).cloned().collect(),
            };
            events.sort_by_key(|event| event.seq);
            events
        })
    }

    fn seq_at(&self, room: RoomId, at: Timestamp) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.of(room, |tail| {
            let later = tail.events.iter().find(|event| event.sent_at >= at);
            later.map_or(Seq::new(tail.head + 1), |event| event.seq)
        })
    }
}
