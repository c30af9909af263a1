//! The rooms of this node: finds a room's actor, or starts it.
//!
//! Invariant RS-1: a message is put into a mailbox while the registry's lock is held, and a room retires under the same lock only when it has
//! handled every message put there; so no message is lost to a room that ends in peace.

use std::{
    collections::hash_map,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use actix::{dev::ToEnvelope, prelude::*};
use parlor_schema::{RoomId, limits::ROOMS_MAX};

use super::{
    Room, RoomEnv,
    ask::{Interest, WorkerId},
    hear::Hear,
    pages::Space,
};
use crate::{map::IdMap, place::Places};

/// Locks, so that threads seldom meet.
const SHARDS: usize = 64;

struct Entry {
    addr: Addr<Room>,
    generation: u64,
    /// Messages put into the mailbox.
    sent: u64,
}

impl Entry {
    fn take(&mut self, message: Hear) -> Result<(), Hear> {
        match self.addr.try_send(message) {
            Ok(()) => {
                self.sent += 1;
                Ok(())
            }
            Err(SendError::Full(message) | SendError::Closed(message)) => Err(message),
        }
    }
}

/// The rooms of this node.
pub struct Rooms {
    env: RoomEnv,
    shards: Vec<Mutex<IdMap<RoomId, Entry>>>,
    generations: AtomicU64,
    held: AtomicUsize,
    pages: Arc<Space>,
}

impl Rooms {
    /// Makes an empty registry.
    #[must_use]
    pub fn new(env: RoomEnv) -> Arc<Self> {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Arc::new(Self {
            env,
            shards,
            generations: AtomicU64::new(1),
            held: AtomicUsize::new(0),
            pages: Arc::default(),
        })
    }

    /// Returns who owns rooms, and who hears of them.
    #[must_use]
    pub fn places(&self) -> Arc<Places> {
        self.env.places.clone()
    }

    /// Lists the rooms that run now.
    #[must_use]
    pub fn list(&self) -> Vec<RoomId> {
        let mut rooms = Vec::with_capacity(self.len());
        for shard in &self.shards {
            let shard = shard
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            rooms.extend(shard.keys());
        }
        rooms
    }

    /// Returns what the pages of all rooms take.
    pub(super) fn pages(&self) -> Arc<Space> {
        self.pages.clone()
    }

    fn shard(&self, room: RoomId) -> MutexGuard<'_, IdMap<RoomId, Entry>> {
        let at = usize::from(room.bytes()[15]) % SHARDS;
        self.shards[at]
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Sends a message to a room, starting it on this thread when it is not there; answers which run of the room took it.
    ///
    /// # Errors
    /// The room's mailbox is full, or the node holds [`ROOMS_MAX`] rooms and this is none of them: the message comes back.
    pub fn tell<M>(self: &Arc<Self>, room: RoomId, message: M) -> Result<u64, M>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Room: Handler<M>,
        <Room as Actor>::Context: ToEnvelope<Room, M>,
    {
        let mut shard = self.shard(room);
        let entry = match shard.entry(room) {
            hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hash_map::Entry::Vacant(_) if self.held.load(Ordering::Relaxed) >= ROOMS_MAX => {
                return Err(message);
            }
            hash_map::Entry::Vacant(vacant) => {
                self.held.fetch_add(1, Ordering::Relaxed);
                vacant.insert(self.start(room))
            }
        };
        if !entry.addr.connected() {
            *entry = self.start(room);
        }
        let generation = entry.generation;
        match entry.addr.try_send(message) {
            Ok(()) => {
                entry.sent += 1;
                Ok(generation)
            }
            Err(SendError::Full(message) | SendError::Closed(message)) => Err(message),
        }
    }

    /// Gives a message to a room that is there, and to none that is not; answers whether it was there.
    ///
    /// # Errors
    /// The room's mailbox is full: the message comes back.
    pub fn tell_running(&self, room: RoomId, message: Hear) -> Result<bool, Hear> {
        let mut shard = self.shard(room);
        match shard.get_mut(&room) {
            Some(entry) if entry.addr.connected() => entry.take(message).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Has rooms look how far their timelines are. One whose mailbox is full is passed over.
    pub fn check(&self, rooms: &[RoomId]) {
        for room in rooms {
            if let Some(entry) = self.shard(*room).get_mut(room) {
                let _ = entry.take(Hear::Check);
            }
        }
    }

    /// Tells a room that a thread wants no more of it. One that is not there need not know, and is not started for it.
    pub fn withdraw(&self, room: RoomId, worker: WorkerId) {
        let mut shard = self.shard(room);
        if let Some(entry) = shard.get_mut(&room) {
            // When full: the room keeps delivering to a thread that ignores it, until the room ends.
            if entry.addr.try_send(Interest { worker, to: None }).is_ok() {
                entry.sent += 1;
            }
        }
    }

    fn start(self: &Arc<Self>, room: RoomId) -> Entry {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let addr = Room::launch(room, generation, self.env.clone(), self.clone());
        Entry {
            addr,
            generation,
            sent: 0,
        }
    }

    /// Returns the run of a room that is there now.
    #[must_use]
    pub fn generation(&self, room: RoomId) -> Option<u64> {
        self.shard(room)
            .get(&room)
            .filter(|entry| entry.addr.connected())
            .map(|entry| entry.generation)
    }

    /// Takes a room out that ends for good or ill; a newer run of it stays.
    pub fn forget(&self, room: RoomId, generation: u64) {
        let mut shard = self.shard(room);
        if shard
            .get(&room)
            .is_some_and(|entry| entry.generation == generation)
        {
            shard.remove(&room);
            self.held.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes a room out that nobody needs and that has handled `handled` messages; answers whether that were all (RS-1).
    pub fn retire(&self, room: RoomId, generation: u64, handled: u64) -> bool {
        let mut shard = self.shard(room);
        let all = shard
            .get(&room)
            .is_none_or(|entry| entry.generation != generation || entry.sent == handled);
        if all
            && shard
                .get(&room)
                .is_some_and(|entry| entry.generation == generation)
        {
            shard.remove(&room);
            self.held.fetch_sub(1, Ordering::Relaxed);
        }
        all
    }

    /// Counts the rooms.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
