//! What a room is: its kind, the roles in it, and its public description.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{RoomId, Seq, Timestamp, UserId};

/// The kinds of room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoomKind {
    /// Exactly two members, one room per pair.
    Direct,
    /// Every member may send.
    Group,
    /// Only some may send; when public, anyone may read and join.
    Channel,
}

/// What a member may do; a higher role may do all that a lower one may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads, and gives receipts.
    Reader,
    /// Sends; edits and deletes its own; invites in groups.
    Member,
    /// Deletes others' messages, pins, mutes, removes and bans those below.
    Moderator,
    /// Updates the room, invites, sets roles below admin.
    Admin,
    /// Everything.
    Owner,
}

/// How a subscription is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Every event is delivered.
    Active,
    /// `head` frames tell that there is something new.
    Passive,
    /// Nothing is delivered.
    #[default]
    None,
}

/// A room as a client sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Room {
    /// The room's id.
    pub room_id: RoomId,
    /// Its kind.
    pub kind: RoomKind,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is talked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Whether anyone may read and join.
    pub public: bool,
    /// How long events are kept, in milliseconds; absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<u64>,
    /// When the room was created.
    pub created_at: Timestamp,
    /// The highest seq.
    pub head: Seq,
    /// The other member of a direct room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<UserId>,
    /// What only a member has.
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub own: Option<OwnState>,
}

/// A member's own place in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnState {
    /// The member's role.
    pub role: Role,
    /// The position up to which the member has read.
    pub read: Seq,
    /// The position up to which events reached a device of the member.
    pub delivered: Seq,
    /// Messages by others after `read`; exact up to 999, 1000 means more.
    pub unread: u32,
    /// Those of them that name the member or `@room`; exact up to 999, 1000 means more.
    pub mentions: u32,
    /// How the asking session is served.
    pub mode: Mode,
}

/// A member as listed by `room.members`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// Who.
    pub user_id: UserId,
    /// What the member may do.
    pub role: Role,
    /// Since when.
    pub joined_at: Timestamp,
    /// Until when the member is muted; for ever where the mute has no end, see `muted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Timestamp>,
    /// Whether the member is muted now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub muted: bool,
}
