//! A timeline in memory that keeps no more than the heads of rooms, once these run, so that a bench which leaves the store out measures none.
#![allow(dead_code, reason = "each bench uses a part")]

use std::{
    collections::HashMap,
    future,
    sync::{Arc, Mutex, PoisonError},
};

use parlor_schema::{
    Event, RoomId, Seq, Timestamp,
    port::{Append, Direction, PortFuture, ReadRange, StoreError, Timeline},
};

/// Events of each room that are kept: those that a room which starts looks for. One that runs keeps its own at hand, and to hold them here once more,
/// in memory that nobody touches for long, would be the dearest part of a store that is to be left out.
const KEPT_EVENTS: u64 = 16;

/// The head of each room, and its events while they are no more than [`KEPT_EVENTS`].
#[derive(Debug, Default)]
pub(crate) struct HeadsTimeline(Mutex<HashMap<RoomId, Room>>);

#[derive(Debug, Default)]
struct Room {
    head: u64,
    events: Vec<Arc<Event>>,
}

impl HeadsTimeline {
    fn of<T>(
        &self,
        room: RoomId,
        look: impl FnOnce(&mut Room) -> T,
    ) -> PortFuture<'_, Result<T, StoreError>>
    where
        T: Send + 'static,
    {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(future::ready(Ok(look(rooms.entry(room).or_default()))))
    }
}

impl Timeline for HeadsTimeline {
    fn append(
        &self,
        room: RoomId,
        expected_head: Seq,
        events: Vec<Arc<Event>>,
    ) -> PortFuture<'_, Result<Append, StoreError>> {
        self.of(room, |held| {
            if held.head != expected_head.get() {
                return Append::Conflict {
                    head: Seq::new(held.head),
                };
            }
            held.head += events.len() as u64;
            if held.head <= KEPT_EVENTS {
                held.events.extend(events);
            } else {
                held.events.clear();
            }
            Append::Appended
        })
    }

    fn head(&self, room: RoomId) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.of(room, |held| Seq::new(held.head))
    }

    /// Panics where events are asked for that are gone: it is for cases in which nobody falls behind.
    fn read(
        &self,
        room: RoomId,
        range: ReadRange,
    ) -> PortFuture<'_, Result<Vec<Arc<Event>>, StoreError>> {
        self.of(room, |held| {
            let kept = held.head <= KEPT_EVENTS || range.from.get() > held.head;
            assert!(kept, "the events are kept");
            let wanted = held
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
        self.of(room, |held| {
            let later = held.events.iter().find(|event| event.sent_at >= at);
            later.map_or(Seq::new(held.head + 1), |event| event.seq)
        })
    }
}
