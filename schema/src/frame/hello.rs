//! The handshake: `hello` and `welcome`.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, IntoDeserializer, MapAccess, SeqAccess, Visitor},
};

use super::{object, word};
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
    #[serde(
        default,
        deserialize_with = "word::optional::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RoomsWanted {
    /// `all` or `none`.
    Word(RoomsWord),
    /// These; ids the user can't see are ignored.
    List(Vec<RoomId>),
}

impl<'de> Deserialize<'de> for RoomsWanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WantedVisitor)
    }
}

/// Reads [`RoomsWanted`] by what it is, so that the blame falls on the entry that is wrong.
struct WantedVisitor;

impl<'de> Visitor<'de> for WantedVisitor {
    type Value = RoomsWanted;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all, none or a list of room ids")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RoomsWanted, E> {
        RoomsWord::deserialize(text.into_deserializer()).map(RoomsWanted::Word)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RoomsWanted, A::Error> {
        let mut rooms = Vec::new();
        while let Some(room) = list.next_element()? {
            rooms.push(room);
        }
        Ok(RoomsWanted::List(rooms))
    }
}

/// Reads a position per room or `null`; a position that is `null` is absent.
fn positions<'de, D>(deserializer: D) -> Result<Option<BTreeMap<RoomId, Seq>>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(Option::<Positions>::deserialize(deserializer)?.map(|positions| positions.0))
}

struct Positions(BTreeMap<RoomId, Seq>);

impl<'de> Deserialize<'de> for Positions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PositionsVisitor).map(Self)
    }
}

struct PositionsVisitor;

impl<'de> Visitor<'de> for PositionsVisitor {
    type Value = BTreeMap<RoomId, Seq>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of positions by room id")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut rooms = BTreeMap::new();
        while let Some((room, position)) = map.next_entry::<RoomId, Option<Seq>>()? {
            // The same room in other letters too: which of the two the client means is not for the server to guess.
            if rooms.insert(room, position).is_some() {
                return Err(A::Error::custom("a room is there twice"));
            }
        }
        Ok(rooms
            .into_iter()
            .filter_map(|(room, position)| Some((room, position?)))
            .collect())
    }
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
    #[serde(
        default,
        deserialize_with = "positions",
        skip_serializing_if = "Option::is_none"
    )]
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
