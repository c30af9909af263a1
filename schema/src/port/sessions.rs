//! The session registry port: which sessions a user has, on any node.

use super::PortFuture;
use crate::{BootId, NodeId, SessionId, Timestamp, UserId};

/// One session of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEntry {
    /// Its name.
    pub session_id: SessionId,
    /// The node it is connected to.
    pub node_id: NodeId,
    /// The run of that node; the entry is void when this run is over.
    pub boot_id: BootId,
    /// When it connected.
    pub connected_at: Timestamp,
    /// When its node last said that it is there, by the registry's own clock; what is written here is not read.
    pub last_ping: Timestamp,
}

/// Says that the registry could not be reached; what was asked may or may not have taken effect.
#[derive(Debug, Clone, thiserror::Error)]
#[error("session registry unavailable: {0}")]
pub struct RegistryError(pub String);

/// How long an entry holds without being put again; nodes put each of theirs a few times within it.
pub const ENTRY_HOLDS_MS: u64 = 3_600_000;

/// Remembers the sessions of users over all nodes. What it says is a hint: it may be empty after a failure, until nodes
/// put their sessions again.
pub trait SessionRegistry: Send + Sync {
    /// Writes a session of this node, or writes it again. Answers how many entries the user has now, some of which may be void.
    ///
    /// An entry ends with [`SessionRegistry::remove`], with the run of its node, or after [`ENTRY_HOLDS_MS`] without `put`.
    ///
    /// When full: a user has at most 256 entries; the one put longest ago leaves.
    ///
    /// # Errors
    /// The registry could not be reached.
    fn put<'a>(
        &'a self,
        user: &'a UserId,
        entry: &'a SessionEntry,
    ) -> PortFuture<'a, Result<usize, RegistryError>>;

    /// Removes a session; one that is not there is no error.
    ///
    /// # Errors
    /// The registry could not be reached.
    fn remove<'a>(
        &'a self,
        user: &'a UserId,
        session: SessionId,
    ) -> PortFuture<'a, Result<(), RegistryError>>;

    /// Rises when the registry may have forgotten what it was told: all is then to be put again. Cheap.
    fn epoch(&self) -> u64;

    /// Returns a user's sessions on runs of nodes that are in the view, in id order.
    ///
    /// # Errors
    /// The registry could not be reached.
    fn sessions<'a>(
        &'a self,
        user: &'a UserId,
    ) -> PortFuture<'a, Result<Vec<SessionEntry>, RegistryError>>;
}
