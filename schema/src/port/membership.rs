//! The membership port: which nodes there are.

use std::sync::Arc;

use crate::{BootId, NodeId, RoomId, placement};

/// One live node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its name.
    pub node_id: NodeId,
    /// Its present run.
    pub boot_id: BootId,
    /// Where its internal listener is, as `host:port`; absent when it has none.
    pub internal_address: Option<Arc<str>>,
}

/// What a node carries, as it last said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Sessions.
    pub sessions: u32,
    /// Rooms in memory.
    pub rooms: u32,
    /// Those of them that it owns in its own view.
    pub owned_rooms: u32,
}

/// The nodes thought alive; a higher version is newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Rises with each change.
    pub version: u64,
    /// In id order.
    pub nodes: Vec<NodeInfo>,
}

impl View {
    /// Returns the node of this name.
    #[must_use]
    pub fn node(&self, node_id: &NodeId) -> Option<&NodeInfo> {
        let at = self
            .nodes
            .binary_search_by(|node| node.node_id.cmp(node_id));
        at.ok().map(|at| &self.nodes[at])
    }

    /// Returns the node that owns a room in this view.
    #[must_use]
    pub fn owner(&self, room: RoomId) -> Option<&NodeInfo> {
        placement::owner(room, &self.nodes)
    }

    /// Tells whether this run of the node is alive.
    #[must_use]
    pub fn is_alive(&self, node_id: &NodeId, boot_id: BootId) -> bool {
        self.node(node_id)
            .is_some_and(|node| node.boot_id == boot_id)
    }
}

/// Knows the live nodes. A view is an opinion, never a lock: the timeline decides races.
pub trait Membership: Send + Sync {
    /// Returns this node.
    fn own(&self) -> NodeInfo;

    /// Returns the present view; this node is in it. Cheap.
    fn view(&self) -> Arc<View>;

    /// Says what this node carries, for others to see within seconds. Cheap.
    fn report(&self, load: Load);

    /// Returns what the nodes of the view last said they carry, in id order.
    fn loads(&self) -> Vec<(NodeId, Load)>;
}
