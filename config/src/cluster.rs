//! The `[cluster]` sections: how the nodes find and reach each other.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    RedisUrl, Refusal,
    error::{check_not_empty, refuse},
};

/// Names what connects the nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClusterBackend {
    /// Nothing: there is one node.
    #[default]
    Single,
    /// Redis or Valkey.
    Redis,
}

/// Names the arrangement of several Redis servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RedisMode {
    /// Redis Cluster.
    Cluster,
    /// A master watched by Sentinels.
    Sentinel,
}

/// Holds the settings of `[cluster]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// What connects the nodes: `"single"` (there is one) or `"redis"`.
    pub backend: ClusterBackend,
    /// A file with a secret shared by the nodes, which also signs the cursors of clients. A single node makes and keeps
    /// its own when absent.
    #[schemars(example = &"/run/secrets/parlor")]
    pub secret_file: Option<PathBuf>,
    /// Whether what people send into a room is decided on the node that owns the room, so that nodes do not compete for its next
    /// position. Without it each node decides for its own clients; both are safe, and nodes may differ.
    pub forward: bool,
    /// The Redis or Valkey between the nodes.
    pub redis: Redis,
}

/// Holds the settings of `[cluster.redis]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// One Redis server, as a URL (`rediss://` for TLS) or `host:port`. The backend `"redis"` needs this or
    /// `cluster.redis.nodes`.
    #[schemars(example = &"redis://localhost:6379")]
    pub url: Option<RedisUrl>,
    /// Several servers: nodes of a Redis Cluster, or Sentinels; needs `cluster.redis.mode`.
    pub nodes: Vec<RedisUrl>,
    /// What `cluster.redis.nodes` are: `"cluster"` or `"sentinel"`.
    #[schemars(example = &"cluster")]
    pub mode: Option<RedisMode>,
    /// The name under which the Sentinels know the master; needed by the mode `"sentinel"`.
    #[schemars(example = &"mymaster")]
    pub master: Option<String>,
    /// A file with the PEM certificates of the authorities that `rediss://` servers are checked against, instead of those
    /// of the system.
    #[schemars(example = &"/etc/parlor/redis-ca.pem")]
    pub ca_file: Option<PathBuf>,
    /// The first part of every key and channel; lets several clusters of Parlor share one Redis.
    pub prefix: String,
    /// Whether the newest events of each room are kept in Redis too, at most 64 and 128 KiB for 10 minutes after the last, so that a node that does
    /// not have the room in memory need not read the store for a first page. They are sealed with the secret of the cluster, and in the clear.
    pub tail_cache: bool,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: None,
            nodes: Vec::new(),
            mode: None,
            master: None,
            ca_file: None,
            prefix: "parlor".to_owned(),
            tail_cache: false,
        }
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            backend: ClusterBackend::default(),
            secret_file: None,
            forward: true,
            redis: Redis::default(),
        }
    }
}

impl Cluster {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        check_not_empty(
            "cluster.secret_file",
            self.secret_file.as_deref().map(AsRef::as_ref),
        )?;
        self.redis.check()
    }
}

impl Redis {
    /// Tells whether no server is named.
    pub(crate) const fn is_unset(&self) -> bool {
        self.url.is_none() && self.nodes.is_empty()
    }

    fn check(&self) -> Result<(), Refusal> {
        check_not_empty(
            "cluster.redis.master",
            self.master.as_deref().map(AsRef::as_ref),
        )?;
        check_not_empty(
            "cluster.redis.ca_file",
            self.ca_file.as_deref().map(AsRef::as_ref),
        )?;
        // Braces would change which part of a key Redis Cluster hashes.
        if self.prefix.is_empty()
            || !self
                .prefix
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"{}*?[]\\".contains(&b))
        {
            return refuse(
                "cluster.redis.prefix",
                "must be visible ASCII characters other than {}*?[]\\, at least one",
            );
        }
        if self.url.is_some() && !self.nodes.is_empty() {
            return refuse(
                "cluster.redis.nodes",
                "must be left out, because cluster.redis.url is set",
            );
        }
        match (self.nodes.is_empty(), self.mode) {
            (false, None) => refuse(
                "cluster.redis.mode",
                "must be set, because cluster.redis.nodes is",
            ),
            (true, Some(_)) => refuse(
                "cluster.redis.nodes",
                "must be set, because cluster.redis.mode is",
            ),
            _ => Ok(()),
        }?;
        match (self.mode == Some(RedisMode::Sentinel), &self.master) {
            (true, None) => refuse(
                "cluster.redis.master",
                "must be set, because cluster.redis.mode is \"sentinel\"",
            ),
            (false, Some(_)) => refuse(
                "cluster.redis.master",
                "is for cluster.redis.mode \"sentinel\" only",
            ),
            _ => Ok(()),
        }
    }
}
