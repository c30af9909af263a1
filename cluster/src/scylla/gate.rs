//! How much is asked of the store at one time, and that a room's appends come one after the other.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parlor_schema::{RoomId, port::StoreError};
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard, Semaphore, SemaphorePermit},
    time::timeout,
};

/// Calls that run at one time; each has one request or a few under way.
const RUNNING_MAX: usize = 1024;
/// Calls that wait or run; one more is `Unavailable`.
const PLACES_MAX: usize = 16 * 1024;

/// Bounds the calls that wait and that run.
pub(super) struct Gate {
    turns: Semaphore,
    places: Arc<AtomicUsize>,
    closed: AtomicBool,
}

/// A place among the calls that wait or run.
pub(super) struct Place(Arc<AtomicUsize>);

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            turns: Semaphore::new(RUNNING_MAX),
            places: Arc::default(),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Returns how many calls wait or run.
    pub(super) fn places(&self) -> usize {
        self.places.load(Ordering::SeqCst)
    }

    /// Takes a place; none when all are taken or the store is closed.
    pub(super) fn place(&self) -> Option<Place> {
        let place = Place(Arc::clone(&self.places));
        let taken = self.places.fetch_add(1, Ordering::SeqCst);
        // Looked at after the place was counted, so that closing waits for it or it is refused.
        (taken < PLACES_MAX && !self.closed.load(Ordering::SeqCst)).then_some(place)
    }

    /// Waits for the turn of a place.
    pub(super) async fn turn(
        &self,
        _: &Place,
        within: Duration,
    ) -> Result<SemaphorePermit<'_>, StoreError> {
        if let Ok(turn) = self.turns.try_acquire() {
            return Ok(turn);
        }
        match timeout(within, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(StoreError::Unavailable("no turn in time".into())),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One lock per room that something is appended to now.
///
/// Servers run conditional writes of a partition one by one anyway, and answer those that meet with timeouts of unknown outcome.
#[derive(Default)]
pub(super) struct RoomLocks(Mutex<HashMap<RoomId, Arc<AsyncMutex<()>>>>);

/// The right to append to a room, among this store's callers.
pub(super) struct RoomLock<'a> {
    locks: &'a RoomLocks,
    room: RoomId,
    held: Option<OwnedMutexGuard<()>>,
}

impl RoomLocks {
    /// Waits for the lock of `room`.
    pub(super) async fn lock(
        &self,
        room: RoomId,
        within: Duration,
    ) -> Result<RoomLock<'_>, StoreError> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(room).or_default())
        };
        let mut wanted = RoomLock {
            locks: self,
            room,
            held: None,
        };
        match timeout(within, lock.lock_owned()).await {
            Ok(held) => {
                wanted.held = Some(held);
                Ok(wanted)
            }
            Err(_) => Err(StoreError::Unavailable(
                "an earlier append to the room takes too long".into(),
            )),
        }
    }
}

impl Drop for RoomLock<'_> {
    fn drop(&mut self) {
        self.held.take();
        let mut locks = self.locks.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Others clone the lock under the same mutex, so that one alone is nobody's.
        if locks
            .get(&self.room)
            .is_some_and(|lock| Arc::strong_count(lock) == 1)
        {
            locks.remove(&self.room);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_room_is_one_after_the_other_and_leaves_nothing_behind() {
        let locks = RoomLocks::default();
        let (room, other) = (RoomId::from([1; 16]), RoomId::from([2; 16]));
        let second = Duration::from_secs(1);
        let first = locks.lock(room, second).await.unwrap();
        drop(locks.lock(other, second).await.unwrap());
        assert!(locks.lock(room, second).await.is_err());
        assert_eq!(locks.0.lock().unwrap().len(), 1);
        drop(first);
        drop(locks.lock(room, second).await.unwrap());
        assert!(locks.0.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn places_and_turns_have_bounds() {
        let gate = Gate::new();
        let places: Vec<Place> = (0..PLACES_MAX).map(|_| gate.place().unwrap()).collect();
        assert!(gate.place().is_none());
        assert_eq!(gate.places(), PLACES_MAX);
        let second = Duration::from_secs(1);
        let mut turns = Vec::new();
        for place in &places[..RUNNING_MAX] {
            turns.push(gate.turn(place, second).await.unwrap());
        }
        assert!(gate.turn(&places[RUNNING_MAX], second).await.is_err());
        turns.pop();
        assert!(gate.turn(&places[RUNNING_MAX], second).await.is_ok());
        drop((turns, places));
        assert_eq!(gate.places(), 0);
        gate.close();
        assert!(gate.place().is_none());
    }
}
