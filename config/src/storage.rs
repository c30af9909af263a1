//! The `[storage]` sections: where timelines and records are kept.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    HostPort, Refusal,
    error::{check_not_empty, refuse},
};

/// Less than this helps nobody: a few transactions need it.
const CACHE_BYTES_MIN: usize = 1 << 20;

/// Names the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StorageBackend {
    /// A file of this process.
    #[default]
    Embedded,
    /// ScyllaDB or Cassandra.
    Cql,
}

/// Holds the settings of `[storage]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The store: `"embedded"` (a folder of this process) or `"cql"` (ScyllaDB or Cassandra, shared by all nodes).
    pub backend: StorageBackend,
    /// The folder of the embedded store, made when missing; relative to the working directory. One process at a time.
    pub path: PathBuf,
    /// Memory in which the embedded store keeps parts of its file, in bytes; at least 1048576. It fills up with use, and is beside
    /// what `limits.queue_bytes` bounds.
    pub cache_bytes: usize,
    /// The CQL store.
    pub cql: Cql,
}

/// Holds the settings of `[storage.cql]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cql {
    /// Some nodes of the CQL cluster, as `host` or `host:port`, such as `["scylla1:9042"]`; the others are found through
    /// them. Needed by the backend `"cql"`.
    pub nodes: Vec<String>,
    /// The keyspace of the tables.
    pub keyspace: String,
    /// Copies of each row, per datacenter; used when the keyspace is made. 3 survives the loss of a node.
    pub replication: u32,
    /// The datacenter whose nodes are asked first; found from the nodes when absent.
    #[schemars(example = &"dc1")]
    pub datacenter: Option<String>,
    /// The user to log in as; needs `storage.cql.password_file`. No login when absent.
    #[schemars(example = &"parlor")]
    pub user: Option<String>,
    /// A file with that user's password.
    #[schemars(example = &"/run/secrets/cql")]
    pub password_file: Option<PathBuf>,
    /// Whether the keyspace and its tables are made and brought up to date at start.
    pub migrate: bool,
    /// Which replicas decide who appends: `"global"` (a majority of all; safe everywhere) or `"local"` (a majority of one datacenter;
    /// faster, and right only when every node of Parlor writes through that same datacenter).
    pub serial: SerialScope,
    /// Time for one request. After it the outcome of an append is unknown and is read back. Keep it above the servers' own deadlines
    /// (2000 ms by default).
    pub request_timeout_ms: u64,
}

/// Names the replicas that decide conditional writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SerialScope {
    /// A majority of all replicas (`SERIAL`, `QUORUM`).
    #[default]
    Global,
    /// A majority of the replicas in one datacenter (`LOCAL_SERIAL`, `LOCAL_QUORUM`).
    Local,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            backend: StorageBackend::default(),
            path: PathBuf::from("./data"),
            cache_bytes: 128 << 20,
            cql: Cql::default(),
        }
    }
}

impl Default for Cql {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            keyspace: "parlor".to_owned(),
            replication: 1,
            datacenter: None,
            user: None,
            password_file: None,
            migrate: true,
            serial: SerialScope::default(),
            request_timeout_ms: 3000,
        }
    }
}

impl Storage {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        check_not_empty("storage.path", Some(self.path.as_os_str()))?;
        if self.cache_bytes < CACHE_BYTES_MIN {
            return refuse(
                "storage.cache_bytes",
                format!("must be at least {CACHE_BYTES_MIN}"),
            );
        }
        if self.backend == StorageBackend::Cql && self.cql.nodes.is_empty() {
            return refuse(
                "storage.cql.nodes",
                "must name at least one node, because storage.backend is \"cql\"",
            );
        }
        self.cql.check()
    }
}

impl Cql {
    fn check(&self) -> Result<(), Refusal> {
        if let Some(node) = self.nodes.iter().find(|node| !is_node(node)) {
            return refuse(
                "storage.cql.nodes",
                format!("\"{node}\" is not host or host:port"),
            );
        }
        if !is_keyspace(&self.keyspace) {
            return refuse(
                "storage.cql.keyspace",
                "must be 1 to 48 characters of a-z0-9_, beginning with a letter",
            );
        }
        if self.replication == 0 {
            return refuse("storage.cql.replication", "must be above 0");
        }
        if self.request_timeout_ms == 0 {
            return refuse("storage.cql.request_timeout_ms", "must be above 0");
        }
        if self.serial == SerialScope::Local && self.datacenter.is_none() {
            return refuse(
                "storage.cql.datacenter",
                "must be set, because storage.cql.serial is \"local\"",
            );
        }
        check_not_empty(
            "storage.cql.datacenter",
            self.datacenter.as_deref().map(AsRef::as_ref),
        )?;
        check_not_empty("storage.cql.user", self.user.as_deref().map(AsRef::as_ref))?;
        check_not_empty(
            "storage.cql.password_file",
            self.password_file.as_deref().map(AsRef::as_ref),
        )?;
        match (&self.user, &self.password_file) {
            (Some(_), None) => refuse(
                "storage.cql.password_file",
                "must be set, because storage.cql.user is",
            ),
            (None, Some(_)) => refuse(
                "storage.cql.user",
                "must be set, because storage.cql.password_file is",
            ),
            _ => Ok(()),
        }
    }
}

fn is_node(text: &str) -> bool {
    text.parse::<HostPort>().is_ok() || format!("{text}:9042").parse::<HostPort>().is_ok()
}

/// Tells whether `text` is a keyspace name that needs no quotes (Cassandra allows 48 characters).
fn is_keyspace(text: &str) -> bool {
    text.len() <= 48
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
