//! Records: rows as the directory stores them. Neither frames nor envelopes.

use serde::{Deserialize, Serialize};

use crate::{DeviceId, LoginId, Role, RoomId, RoomKind, Seq, Timestamp, UserId};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// The account's id.
    pub user_id: UserId,
    /// The name shown.
    pub name: Option<String>,
    /// A reference to a picture.
    pub avatar: Option<String>,
    /// The argon2id hash in PHC form; none for users of an outside issuer.
    pub password_hash: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Set when an operator closed the account.
    pub disabled_at: Option<Timestamp>,
    /// When the user's last device left.
    pub last_seen: Option<Timestamp>,
}

/// What `user.update` changes: `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// The new name.
    pub name: Option<Option<String>>,
    /// The new avatar.
    pub avatar: Option<Option<String>>,
}

/// A login: what its refresh token stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginRecord {
    /// The login's id; access tokens carry it.
    pub login_id: LoginId,
    /// Whose it is.
    pub user_id: UserId,
    /// SHA-256 of the refresh token that is good now.
    pub refresh_hash: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
    /// When the refresh token ends.
    pub expires_at: Timestamp,
}

/// An installation of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// Whose it is.
    pub user_id: UserId,
    /// Which.
    pub device_id: DeviceId,
    /// The name its owner gave it.
    pub name: Option<String>,
    /// `ios`, `android`, `web`, …; as the client said.
    pub platform: Option<String>,
    /// When it was last seen.
    pub last_seen: Timestamp,
}

/// A room's own fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomRecord {
    /// The room's kind.
    pub kind: RoomKind,
    /// Its name.
    pub name: Option<String>,
    /// Its topic.
    pub topic: Option<String>,
    /// Whether anyone may read and join.
    pub public: bool,
    /// How long events are kept, in milliseconds.
    pub retention_ms: Option<u64>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A mute or a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restriction {
    /// Until when; none: for ever.
    pub until: Option<Timestamp>,
}

impl Restriction {
    /// Tells whether it holds at `now`.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// What a room knows of a user. A banned user who is no member has a record too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// Who.
    pub user_id: UserId,
    /// The role; none when the user is not a member.
    pub role: Option<Role>,
    /// When the user became a member.
    pub joined_at: Timestamp,
    /// The position at which the user became a member.
    pub joined_seq: Seq,
    /// Set while the user may not write.
    pub muted: Option<Restriction>,
    /// Set while the user may not come back.
    pub banned: Option<Restriction>,
}

/// A member's receipts; both positions only rise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptRecord {
    /// The room.
    pub room_id: RoomId,
    /// The member.
    pub user_id: UserId,
    /// Up to here events reached a device.
    pub delivered: Seq,
    /// Up to here the member has read.
    pub read: Seq,
}

/// The projection of a room's timeline up to `applied`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomSnapshot {
    /// The room's fields.
    pub room: RoomRecord,
    /// The position this projection has reached.
    pub applied: Seq,
    /// Members, and banned users, in id order.
    pub members: Vec<MemberRecord>,
}

/// A step of a room's projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomDelta {
    /// The position this step reaches.
    pub applied: Seq,
    /// The room's fields, when they changed.
    pub room: Option<RoomRecord>,
    /// Members, and banned users, that are new or changed.
    pub changed: Vec<MemberRecord>,
    /// Users nothing is left to know of.
    pub removed: Vec<UserId>,
}

/// What a `room.create` claimed before its first event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateClaim {
    /// The room that this create makes.
    pub room_id: RoomId,
    /// The fingerprint of the frame.
    pub fingerprint: u128,
}
