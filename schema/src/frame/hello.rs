//! The handshake: `hello` and `welcome`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::object;
use crate::{DeviceId, NodeId, RoomId, Seq, SessionId, Timestamp, UserId, room::Room};

/// The first frame of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hello {
    /// The access token, unless it came in the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The installation.
    #[serde(
        default,
        deserialize_with = "object::optional::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub device: Option<Device>,
    /// What to deliver; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rooms: Option<RoomsWanted>,
    /// Where to go on.
    #[serde(
        default,
        deserialize_with = "object::optional::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub resume: Option<Resume>,
    /// The device's presence; absent: online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<PresenceSetting>,
}

/// An installation as it presents itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Device {
    /// Its stable id; the server makes one up when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<DeviceId>,
    /// A name its owner knows it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `ios`, `android`, `web`, ….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

/// Which rooms a session wants delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RoomsWanted {
    /// `all` or `none`.
    Word(RoomsWord),
    /// These; ids the user can't see are ignored.
    List(Vec<RoomId>),
}

/// The words for [`RoomsWanted`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoomsWord {
    /// Every room the user is a member of, and every one to come.
    All,
    /// Nothing, until `room.subscribe`.
    None,
}

/// What the client already holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resume {
    /// Per room the highest contiguous seq; wins over the cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rooms: Option<BTreeMap<RoomId, Seq>>,
    /// A cursor from any transport.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A device's own presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PresenceSetting {
    /// Here.
    #[default]
    Online,
    /// Not at the keyboard.
    Away,
    /// Here, but not to be disturbed.
    Dnd,
    /// Here, shown as offline.
    Invisible,
}

/// The answer to `hello`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Welcome {
    /// This connection's session.
    pub session_id: SessionId,
    /// Who the token says it is.
    pub user_id: UserId,
    /// The installation.
    pub device_id: DeviceId,
    /// The node serving it.
    pub node: NodeId,
    /// The server's clock.
    pub server_time: Timestamp,
    /// Time between the server's pings.
    pub heartbeat_ms: u64,
    /// When the token ends.
    pub expires_at: Timestamp,
    /// Where this session starts, for any transport.
    pub cursor: String,
    /// What the server takes.
    pub limits: WelcomeLimits,
    /// The user's rooms.
    pub rooms: Vec<Room>,
    /// Where `room.list` goes on, when there are more rooms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The limits a client should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WelcomeLimits {
    /// Bytes of one frame after inflation.
    pub frame_bytes: u64,
    /// Bytes of one body as compact JSON.
    pub body_bytes: u64,
    /// Events in one history answer.
    pub history_limit: u32,
    /// Sends per second, sustained; 0: no limit.
    pub sends_per_s: u32,
    /// Sends at once.
    pub burst: u32,
}
