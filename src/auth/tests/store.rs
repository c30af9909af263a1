//! A store that can be away, and counts how often it is asked.

use std::{
    future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use parlor_cluster::MemoryStore;
use parlor_schema::{
    DeviceId, LoginId, MsgId, RoomId, Seq, Timestamp, UserId,
    port::{
        PortFuture, RoomDirectory, StoreError, UserDirectory,
        directory::{CreateUser, RoomPage, RotateLogin},
    },
    record::{
        CreateClaim, DeviceRecord, LoginRecord, ProfileChange, ReceiptRecord, RoomDelta,
        RoomSnapshot, UserRecord,
    },
};

/// The memory store, which a test can take away.
pub(super) struct TestStore {
    inner: Arc<MemoryStore>,
    pub(super) is_away: AtomicBool,
    pub(super) asked: AtomicUsize,
}

impl TestStore {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryStore::new(),
            is_away: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
        })
    }

    fn is_away(&self) -> bool {
        self.asked.fetch_add(1, SeqCst);
        self.is_away.load(SeqCst)
    }
}

macro_rules! pass_on {
    ($(fn $name:ident($($arg:ident: $of:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($arg: $of),*) -> PortFuture<'_, Result<$answer, StoreError>> {
            if self.is_away() {
                return Box::pin(future::ready(Err(StoreError::Unavailable("away".to_owned()))));
            }
            self.inner.$name($($arg),*)
        })*
    };
}

impl UserDirectory for TestStore {
    pass_on! {
        fn create_user(user: UserRecord) -> CreateUser;
        fn user(user: &UserId) -> Option<UserRecord>;
        fn missing_users(users: Vec<UserId>) -> Vec<UserId>;
        fn update_profile(user: &UserId, change: ProfileChange, now: Timestamp) -> UserRecord;
        fn set_password(user: &UserId, hash: String) -> bool;
        fn set_disabled(user: &UserId, at: Option<Timestamp>) -> bool;
        fn set_last_seen(user: &UserId, at: Timestamp) -> ();
        fn users(after: Option<UserId>, limit: usize) -> Vec<UserRecord>;
        fn put_login(login: LoginRecord) -> ();
        fn login(login: LoginId) -> Option<LoginRecord>;
        fn logins_of(user: &UserId) -> Vec<LoginRecord>;
        fn rotate_login(login: LoginId, spent: [u8; 32], fresh: [u8; 32], now: Timestamp, expires_at: Timestamp) -> RotateLogin;
        fn remove_login(login: LoginId) -> Option<UserId>;
        fn put_device(device: DeviceRecord) -> ();
        fn device(user: &UserId, device: &DeviceId) -> Option<DeviceRecord>;
    }
}

impl RoomDirectory for TestStore {
    pass_on! {
        fn claim_create(user: &UserId, msg_id: MsgId, claim: CreateClaim) -> Option<CreateClaim>;
        fn replace_claim(user: &UserId, msg_id: MsgId, stale: CreateClaim, claim: CreateClaim) -> ();
        fn snapshot(room: RoomId) -> Option<RoomSnapshot>;
        fn apply(room: RoomId, delta: RoomDelta) -> ();
        fn rooms_of(user: &UserId, after: Option<RoomId>, limit: usize) -> RoomPage;
        fn index(room: RoomId, users: Vec<UserId>, seq: Seq) -> ();
        fn unindex(room: RoomId, users: Vec<UserId>, seq: Seq) -> ();
        fn public_rooms(after: Option<RoomId>, limit: usize) -> RoomPage;
        fn receipts(room: RoomId) -> Vec<ReceiptRecord>;
        fn put_receipts(receipts: Vec<ReceiptRecord>) -> ();
    }
}
