//! The view of the cluster: who is thought alive, and when that is not believed.
//!
//! Invariants:
//! - VW-1: this node is in the view; nodes are in id order; the version rises with each change and only then.
//! - VW-2: while frozen nobody leaves the view. It is frozen from the moment Redis does not answer, answers as another
//!   process than before, or has lost most of the peers between two looks, until one lifetime of a node's key later: by then
//!   each node that lives has written its key again.
//! - VW-3: a node that says that it leaves is gone at once, frozen or not.
//!
//! Deliberately absent: evidence from links. A node that Redis alone cannot hear leaves the view, which costs a change of
//! owner and no event.

use std::{collections::BTreeMap, sync::Arc};

use parlor_schema::{
    NodeId,
    port::{NodeInfo, View},
};

/// What a look at the keys of the nodes showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Those whose key is there.
    pub nodes: Vec<NodeInfo>,
    /// Those who say that they leave.
    pub left: Vec<NodeId>,
    /// Redis says that it is another process than at the look before.
    pub restarted: bool,
}

/// The view and what it is made from.
#[derive(Debug)]
pub struct ViewState {
    own: NodeInfo,
    /// Peers, each with the last word about its key.
    peers: BTreeMap<NodeId, Peer>,
    view: Arc<View>,
    ttl_ms: u64,
    /// Redis did not answer since the last look.
    away: bool,
    frozen_until: u64,
}

#[derive(Debug)]
struct Peer {
    info: NodeInfo,
    /// Its key was there at the last look.
    seen: bool,
}

impl ViewState {
    /// Makes the view of a node that has not looked yet. `ttl_ms` is the lifetime of a node's key.
    #[must_use]
    pub fn new(own: NodeInfo, ttl_ms: u64) -> Self {
        let view = Arc::new(View {
            version: 1,
            nodes: vec![own.clone()],
        });
        Self {
            own,
            peers: BTreeMap::new(),
            view,
            ttl_ms,
            away: false,
            frozen_until: 0,
        }
    }

    /// Returns the present view.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }

    /// Tells whether nobody may leave (VW-2).
    #[must_use]
    pub const fn is_frozen(&self, now_ms: u64) -> bool {
        self.away || now_ms < self.frozen_until
    }

    /// Takes that Redis did not answer; tells whether the view was not frozen before.
    pub const fn unreachable(&mut self, now_ms: u64) -> bool {
        let begins = !self.is_frozen(now_ms);
        self.away = true;
        begins
    }

    /// Takes what a look showed; tells whether the view changed.
    pub fn look(&mut self, now_ms: u64, seen: Seen) -> bool {
        for name in &seen.left {
            self.peers.remove(name);
        }
        let before = self.peers.values().filter(|peer| peer.seen).count();
        let mut there = BTreeMap::new();
        for info in seen.nodes {
            if info.node_id != self.own.node_id && !seen.left.contains(&info.node_id) {
                there.insert(info.node_id.clone(), info);
            }
        }
        let vanished = self
            .peers
            .iter()
            .filter(|(name, peer)| peer.seen && !there.contains_key(*name))
            .count();
        let was_away = std::mem::take(&mut self.away);
        if was_away || seen.restarted || vanished * 2 > before {
            self.frozen_until = now_ms.saturating_add(self.ttl_ms);
        }
        for (name, peer) in &mut self.peers {
            peer.seen = there.contains_key(name);
        }
        for (name, info) in there {
            self.peers.insert(name, Peer { info, seen: true });
        }
        if !self.is_frozen(now_ms) {
            self.peers.retain(|_, peer| peer.seen);
        }
        self.renew()
    }

    fn renew(&mut self) -> bool {
        let mut nodes: Vec<NodeInfo> = self.peers.values().map(|peer| peer.info.clone()).collect();
        let at = nodes.partition_point(|node| node.node_id < self.own.node_id);
        nodes.insert(at, self.own.clone());
        if nodes == self.view.nodes {
            return false;
        }
        self.view = Arc::new(View {
            version: self.view.version + 1,
            nodes,
        });
        self.check_invariants();
        true
    }

    fn check_invariants(&self) {
        debug_assert!(
            self.view.nodes.is_sorted_by(|a, b| a.node_id < b.node_id),
            "VW-1: in id order, each once"
        );
        debug_assert!(
            self.view.is_alive(&self.own.node_id, self.own.boot_id),
            "VW-1: this node is in it"
        );
    }
}
