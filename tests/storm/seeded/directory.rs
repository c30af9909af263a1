//! The directory of a changed node: everything goes through, but whom a room's stored members lose.

use std::sync::Arc;

use parlor_schema::{
    DeviceId, LoginId, MsgId, RoomId, Seq, Timestamp, UserId,
    port::{
        Directory, PortFuture, RoomDirectory, StoreError, UserDirectory,
        directory::{CreateUser, RoomPage, RotateLogin},
    },
    record::{
        CreateClaim, DeviceRecord, LoginRecord, ProfileChange, ReceiptRecord, RoomDelta,
        RoomSnapshot, UserRecord,
    },
};

use super::{Bug, Orders};

/// A directory over another.
pub(super) struct ChangedDirectory {
    pub(super) inner: Arc<dyn Directory>,
    pub(super) orders: Arc<Orders>,
}

/// Writes methods that only go through.
macro_rules! through {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {$(
        fn $name(&self, $($arg: $type),*) -> PortFuture<'_, Result<$answer, StoreError>> {
            self.inner.$name($($arg),*)
        }
    )*};
}

impl RoomDirectory for ChangedDirectory {
    fn apply(&self, room: RoomId, mut delta: RoomDelta) -> PortFuture<'_, Result<(), StoreError>> {
        if self.orders.bug() == Bug::MembersStale {
            delta.removed.clear();
            delta.changed.retain(|member| member.role.is_some());
        }
        self.inner.apply(room, delta)
    }

    through! {
        fn claim_create(user: &UserId, msg_id: MsgId, claim: CreateClaim) -> Option<CreateClaim>;
        fn replace_claim(user: &UserId, msg_id: MsgId, stale: CreateClaim, claim: CreateClaim) -> ();
        fn snapshot(room: RoomId) -> Option<RoomSnapshot>;
        fn rooms_of(user: &UserId, after: Option<RoomId>, limit: usize) -> RoomPage;
        fn index(room: RoomId, users: Vec<UserId>, seq: Seq) -> ();
        fn unindex(room: RoomId, users: Vec<UserId>, seq: Seq) -> ();
        fn public_rooms(after: Option<RoomId>, limit: usize) -> RoomPage;
        fn receipts(room: RoomId) -> Vec<ReceiptRecord>;
        fn put_receipts(receipts: Vec<ReceiptRecord>) -> ();
    }
}

impl UserDirectory for ChangedDirectory {
    through! {
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
        fn rotate_login(
            login: LoginId,
            spent: [u8; 32],
            fresh: [u8; 32],
            now: Timestamp,
            expires_at: Timestamp
        ) -> RotateLogin;
        fn remove_login(login: LoginId) -> Option<UserId>;
        fn put_device(device: DeviceRecord) -> ();
        fn device(user: &UserId, device: &DeviceId) -> Option<DeviceRecord>;
    }
}
