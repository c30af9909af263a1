//! The directory port: projections of timelines (rooms, members, rooms of a user), receipts, and accounts.
//!
//! Every write is durable when it is answered, and may be repeated without harm.

use super::{PortFuture, StoreError};
use crate::{
    DeviceId, LoginId, MsgId, RoomId, Seq, Timestamp, UserId,
    record::{
        CreateClaim, DeviceRecord, LoginRecord, ProfileChange, ReceiptRecord, RoomDelta,
        RoomSnapshot, UserRecord,
    },
};

/// The answer to making an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateUser {
    /// The account is there now.
    Created,
    /// The id is in use; nothing changed.
    Taken,
}

/// The answer to spending a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RotateLogin {
    /// The new token holds now; the login it belongs to.
    Rotated(LoginRecord),
    /// The token was spent before: the login is gone now; the login it belonged to.
    Reused(LoginRecord),
    /// There is no such login, or it has expired.
    Gone,
}

/// A page of ids and where the next one starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomPage {
    /// Rooms in id order.
    pub rooms: Vec<RoomId>,
    /// Pass it as `after` to go on; none at the end.
    pub next: Option<RoomId>,
}

/// Rooms and who is in them. All but the receipts and claims is a projection of timelines and can be made again from them.
pub trait RoomDirectory: Send + Sync {
    /// Remembers that `user`'s `room.create` with `msg_id` makes `claim.room_id`, unless another claim is there: that one is returned then.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn claim_create(
        &self,
        user: &UserId,
        msg_id: MsgId,
        claim: CreateClaim,
    ) -> PortFuture<'_, Result<Option<CreateClaim>, StoreError>>;

    /// Puts `claim` in the place of `stale`, a claim whose room was never made; does nothing when `stale` is no longer there.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn replace_claim(
        &self,
        user: &UserId,
        msg_id: MsgId,
        stale: CreateClaim,
        claim: CreateClaim,
    ) -> PortFuture<'_, Result<(), StoreError>>;

    /// Reads a room's projection; none when it was never applied.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn snapshot(&self, room: RoomId) -> PortFuture<'_, Result<Option<RoomSnapshot>, StoreError>>;

    /// Moves a room's projection on. A delta whose `applied` is not above what is stored changes nothing.
    /// Also keeps the list of public rooms.
    ///
    /// # Errors
    /// The store is away or damaged; nothing changed.
    fn apply(&self, room: RoomId, delta: RoomDelta) -> PortFuture<'_, Result<(), StoreError>>;

    /// Lists the rooms `user` may be a member of, in id order. The list may hold rooms the user is not (or no longer) in, never lack one:
    /// it is written before a membership event is appended, and cleaned after one that ends it.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn rooms_of(
        &self,
        user: &UserId,
        after: Option<RoomId>,
        limit: usize,
    ) -> PortFuture<'_, Result<RoomPage, StoreError>>;

    /// Adds the room to the lists of `users`, whom an event brings in that is to be at `seq` or below.
    ///
    /// Ordering: in any order with others; the highest position counts.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn index(
        &self,
        room: RoomId,
        users: Vec<UserId>,
        seq: Seq,
    ) -> PortFuture<'_, Result<(), StoreError>>;

    /// Takes the room from the lists of `users`, whom an event put out that is at `seq`. A list that the room came into at a higher
    /// position keeps it, however late this call is.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn unindex(
        &self,
        room: RoomId,
        users: Vec<UserId>,
        seq: Seq,
    ) -> PortFuture<'_, Result<(), StoreError>>;

    /// Lists public rooms in id order.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn public_rooms(
        &self,
        after: Option<RoomId>,
        limit: usize,
    ) -> PortFuture<'_, Result<RoomPage, StoreError>>;

    /// Reads the receipts of a room's members.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn receipts(&self, room: RoomId) -> PortFuture<'_, Result<Vec<ReceiptRecord>, StoreError>>;

    /// Moves receipts forward; each position becomes the higher of what is stored and what is given.
    ///
    /// # Errors
    /// The store is away or damaged; nothing changed.
    fn put_receipts(&self, receipts: Vec<ReceiptRecord>) -> PortFuture<'_, Result<(), StoreError>>;
}

/// Accounts, logins and devices.
pub trait UserDirectory: Send + Sync {
    /// Makes an account.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn create_user(&self, user: UserRecord) -> PortFuture<'_, Result<CreateUser, StoreError>>;

    /// Reads an account.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn user(&self, user: &UserId) -> PortFuture<'_, Result<Option<UserRecord>, StoreError>>;

    /// Tells which of `users` have no account, in the order given.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn missing_users(&self, users: Vec<UserId>) -> PortFuture<'_, Result<Vec<UserId>, StoreError>>;

    /// Changes name and avatar; makes the account first where there is none (users of an outside issuer). Answers the account as it is then.
    ///
    /// # Errors
    /// The store is away or damaged; nothing changed.
    fn update_profile(
        &self,
        user: &UserId,
        change: ProfileChange,
        now: Timestamp,
    ) -> PortFuture<'_, Result<UserRecord, StoreError>>;

    /// Sets the password hash; `false` when there is no such account.
    ///
    /// # Errors
    /// The store is away or damaged; nothing changed.
    fn set_password(&self, user: &UserId, hash: String)
    -> PortFuture<'_, Result<bool, StoreError>>;

    /// Closes an account at a time, or opens it again (`None`); `false` when there is no such account.
    ///
    /// # Errors
    /// The store is away or damaged; nothing changed.
    fn set_disabled(
        &self,
        user: &UserId,
        at: Option<Timestamp>,
    ) -> PortFuture<'_, Result<bool, StoreError>>;

    /// Moves `last_seen` forward; makes the account first where there is none.
    ///
    /// # Errors
    /// The store is away or damaged; nothing changed.
    fn set_last_seen(&self, user: &UserId, at: Timestamp)
    -> PortFuture<'_, Result<(), StoreError>>;

    /// Lists accounts in id order.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn users(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> PortFuture<'_, Result<Vec<UserRecord>, StoreError>>;

    /// Writes a login.
    ///
    /// # Errors
    /// The store is away or damaged; nothing changed.
    fn put_login(&self, login: LoginRecord) -> PortFuture<'_, Result<(), StoreError>>;

    /// Reads a login.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn login(&self, login: LoginId) -> PortFuture<'_, Result<Option<LoginRecord>, StoreError>>;

    /// Lists a user's logins.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn logins_of(&self, user: &UserId) -> PortFuture<'_, Result<Vec<LoginRecord>, StoreError>>;

    /// Spends the refresh token whose hash is `spent` and puts `fresh` in its place, in one step: of two calls with the same token at
    /// most one is `Rotated`. A hash that is not the good one ends the login. A login that has expired at `now` is `Gone`.
    ///
    /// # Errors
    /// The store is away or damaged; nothing changed.
    fn rotate_login(
        &self,
        login: LoginId,
        spent: [u8; 32],
        fresh: [u8; 32],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> PortFuture<'_, Result<RotateLogin, StoreError>>;

    /// Ends a login; answers whose it was.
    ///
    /// # Errors
    /// The store is away or damaged; nothing changed.
    fn remove_login(&self, login: LoginId) -> PortFuture<'_, Result<Option<UserId>, StoreError>>;

    /// Writes a device.
    ///
    /// # Errors
    /// The store is away or damaged; nothing changed.
    fn put_device(&self, device: DeviceRecord) -> PortFuture<'_, Result<(), StoreError>>;

    /// Reads a device.
    ///
    /// # Errors
    /// The store is away or damaged.
    fn device(
        &self,
        user: &UserId,
        device: &DeviceId,
    ) -> PortFuture<'_, Result<Option<DeviceRecord>, StoreError>>;
}

/// Everything a node keeps beside timelines.
pub trait Directory: RoomDirectory + UserDirectory {}

impl<T: RoomDirectory + UserDirectory> Directory for T {}

/// A projection step that only tells how far it has come.
impl RoomDelta {
    /// Makes a step without changes.
    #[must_use]
    pub const fn reached(applied: Seq) -> Self {
        Self {
            applied,
            room: None,
            changed: Vec::new(),
            removed: Vec::new(),
        }
    }
}
