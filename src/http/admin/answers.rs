//! What the admin API answers.

use parlor_schema::{BootId, NodeId, SessionId, Timestamp, UserId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::auth::Secret;

/// This node, and the others as it sees them.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ClusterAnswer {
    /// This node.
    pub node_id: NodeId,
    /// Its present run.
    pub boot_id: BootId,
    /// For how long its clients may still stay; absent while it is not leaving.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draining_ms: Option<u64>,
    /// Rises with each change of the nodes below.
    pub view_version: u64,
    /// Whether nobody leaves the view, because Redis rather than the nodes vanished.
    pub view_frozen: bool,
    /// The nodes of the view, this one among them, in id order.
    pub nodes: Vec<NodeAnswer>,
    /// How the talk with Redis is; absent without Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisAnswer>,
    /// How the store is.
    pub store: StoreAnswer,
    /// Why this node should get no traffic.
    pub reasons: Vec<String>,
    /// What does not work besides.
    pub troubles: Vec<String>,
}

/// One node of the view.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NodeAnswer {
    /// Its name.
    pub node_id: NodeId,
    /// Its present run.
    pub boot_id: BootId,
    /// Where the others call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_address: Option<String>,
    /// Its sessions, as it last said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u32>,
    /// The rooms it has in memory, as it last said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rooms: Option<u32>,
    /// Those of them that it owned within the 5 s before it last said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owned_rooms: Option<u32>,
    /// How this node reaches it; absent for this node itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkAnswer>,
}

/// How another node is reached.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LinkAnswer {
    /// `redis`, or `http` while it is called around Redis.
    pub carrier: &'static str,
    /// Whether what is said arrives.
    pub reached: bool,
}

/// How the talk with Redis is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RedisAnswer {
    /// Commands.
    pub commands: TalkAnswer,
    /// The subscription to this node's inbox.
    pub subscription: TalkAnswer,
}

/// How one direction of the talk with Redis is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TalkAnswer {
    /// Whether it works.
    pub up: bool,
    /// For how long it has been so.
    pub for_ms: u64,
    /// Connections made.
    pub connects: u64,
    /// Connections lost, and tries that failed.
    pub failures: u64,
}

/// How the store is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StoreAnswer {
    /// `embedded` or `cql`.
    pub backend: &'static str,
    /// Whether it answered when it was last asked.
    pub up: bool,
    /// When that was.
    pub answered_ago_ms: u64,
}

/// Accounts.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UsersAnswer {
    /// In id order.
    pub users: Vec<UserAnswer>,
    /// The `after` of the next page; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<UserId>,
}

/// One account.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UserAnswer {
    /// Its id.
    pub user_id: UserId,
    /// The name shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
}

/// An account that was made.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Added {
    /// Its id.
    pub(crate) user_id: UserId,
}

/// A user's sessions on all nodes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SessionsAnswer {
    /// In id order.
    pub sessions: Vec<SessionAnswer>,
    /// Whether the registry of all nodes could be asked; if not, these are the sessions of this node alone.
    pub complete: bool,
}

/// One session.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SessionAnswer {
    /// Its name.
    pub session_id: SessionId,
    /// The node it is connected to.
    pub node_id: NodeId,
    /// The run of that node.
    pub boot_id: BootId,
    /// When it connected.
    pub connected_at: Timestamp,
    /// When its node last said that it is there; up to 20 minutes ago for a quiet session.
    pub last_ping: Timestamp,
}

/// Sockets that were told to close.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Disconnected {
    /// How many are known of; those of other nodes close within a second.
    pub sessions: usize,
}

/// A fresh access token; there is no refresh token to it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IssuedAnswer {
    /// The token.
    #[schemars(with = "String")]
    pub token: Secret,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A node that leaves.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Draining {
    /// Within this time, and about a second, the process has ended.
    pub drain_ms: u64,
}
