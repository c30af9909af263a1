//! The memory store: timeline and directory as maps under one lock.
//!
//! Invariant N-1: each call takes the lock once, so that its effect is one step, and never holds it over an await.

use std::{
    collections::{BTreeMap, HashMap},
    future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use parlor_schema::{
    DeviceId, Event, LoginId, MsgId, RoomId, Seq, UserId,
    port::{PortFuture, StoreError},
    record::{
        CreateClaim, DeviceRecord, LoginRecord, MemberRecord, ReceiptRecord, RoomRecord, UserRecord,
    },
};

/// A timeline and directory that end with the process.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

/// A room's projection.
pub(super) struct RoomState {
    pub(super) room: RoomRecord,
    pub(super) applied: Seq,
    pub(super) members: BTreeMap<UserId, MemberRecord>,
}

/// Everything that is kept.
#[derive(Default)]
pub(super) struct State {
    pub(super) timelines: HashMap<RoomId, Vec<Arc<Event>>>,
    pub(super) claims: HashMap<(UserId, MsgId), CreateClaim>,
    pub(super) rooms: BTreeMap<RoomId, RoomState>,
    /// The rooms, each with the highest position that brought the user in.
    pub(super) rooms_of: HashMap<UserId, BTreeMap<RoomId, Seq>>,
    pub(super) receipts: HashMap<RoomId, BTreeMap<UserId, ReceiptRecord>>,
    pub(super) users: BTreeMap<UserId, UserRecord>,
    pub(super) logins: BTreeMap<LoginId, LoginRecord>,
    pub(super) devices: HashMap<(UserId, DeviceId), DeviceRecord>,
}

impl MemoryStore {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer that is there already.
pub(super) fn ready<T: Send + 'static>(answer: T) -> PortFuture<'static, Result<T, StoreError>> {
    Box::pin(future::ready(Ok(answer)))
}
