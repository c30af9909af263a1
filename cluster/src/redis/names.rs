//! The names of keys and channels.
//!
//! All begin with the prefix of the settings and `:`. No name holds braces, so that a Redis Cluster hashes each whole, and
//! keys of different users, and inboxes of different nodes, spread over its servers.

use parlor_schema::{NodeId, RoomId, UserId};

/// Makes names.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// The channel of what is for a node.
    pub(super) fn inbox(&self, node: &NodeId) -> String {
        format!("{}:inbox:{node}", self.prefix)
    }

    /// The key that lives as long as a node.
    pub(super) fn node(&self, node: &NodeId) -> String {
        format!("{}:node:{node}", self.prefix)
    }

    /// The key of the set of nodes whose keys are worth a look.
    pub(super) fn nodes(&self) -> String {
        format!("{}:nodes", self.prefix)
    }

    /// The key of a user's sessions.
    pub(super) fn sessions(&self, user: &UserId) -> String {
        format!("{}:sessions:{user}", self.prefix)
    }

    /// The key of the newest events of a room.
    pub(super) fn tail(&self, room: RoomId) -> String {
        format!("{}:tail:{room}", self.prefix)
    }

    /// The key of a token bucket.
    pub(super) fn bucket(&self, key: &str) -> String {
        format!("{}:bucket:{key}", self.prefix)
    }

    /// The key of a counter.
    pub(super) fn count(&self, key: &str) -> String {
        format!("{}:count:{key}", self.prefix)
    }
}
