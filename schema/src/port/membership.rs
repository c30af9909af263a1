//! The membership port: which nodes there are.

use std::sync::Arc;

use crate::{BootId, NodeId};

/// One live node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its name.
    pub node_id: NodeId,
    /// Its present run.
    pub boot_id: BootId,
}

/// The nodes thought alive; a higher version is newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Rises with each change.
    pub version: u64,
    /// In id order.
    pub nodes: Vec<NodeInfo>,
}

/// Knows the live nodes. A view is an opinion, never a lock: the timeline decides races.
pub trait Membership: Send + Sync {
    /// Returns this node.
    fn own(&self) -> NodeInfo;

    /// Returns the present view; this node is in it.
    fn view(&self) -> Arc<View>;
}
