//! The receiving end of every link to this node.

use std::collections::HashMap;

use parlor_schema::{BootId, NodeId};

/// Peers remembered; above it the one heard longest ago is forgotten, and its return reported as a loss.
const PEERS_MAX: usize = 4096;
/// Runs of a peer that are over and still told from new ones.
const RUNS_REMEMBERED: usize = 4;
/// Packets in a row by which a run that was thought over shows that it is not.
const RUN_RETURNS: u32 = 3;

/// What a packet means for its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Something before it is missing (L-3); to be reported before it is handed up.
    pub lost: bool,
    /// It is to be handed up (L-2).
    pub fresh: bool,
}

const STALE: Heard = Heard {
    lost: false,
    fresh: false,
};

/// The positions of all links to this node.
#[derive(Debug, Default)]
pub struct Incoming {
    peers: HashMap<NodeId, Peer>,
    heard: u64,
}

#[derive(Debug)]
struct Peer {
    boot: BootId,
    /// The number that comes next.
    next: u64,
    /// Runs that are over and the number each would use next, the latest last.
    past: Vec<(BootId, u64)>,
    /// Packets in a row from runs that are over.
    from_past: u32,
    /// When it was last heard, in packets heard by this node.
    heard: u64,
}

impl Incoming {
    /// Takes the number of a packet that carries something.
    pub fn packet(&mut self, from: &NodeId, boot: BootId, number: u64) -> Heard {
        let Some((peer, first)) = self.peer(from, boot) else {
            return STALE;
        };
        let fresh = number >= peer.next;
        let lost = first || number > peer.next;
        if fresh {
            peer.next = number + 1;
        }
        Heard { lost, fresh }
    }

    /// Takes the number that a heartbeat names as the last one used.
    pub fn heartbeat(&mut self, from: &NodeId, boot: BootId, last: u64) -> Heard {
        let Some((peer, first)) = self.peer(from, boot) else {
            return STALE;
        };
        let lost = first || last >= peer.next;
        peer.next = peer.next.max(last + 1);
        Heard { lost, fresh: true }
    }

    /// Returns the present run of a peer, and whether it is heard for the first time; nothing for a run that is over.
    fn peer(&mut self, from: &NodeId, boot: BootId) -> Option<(&mut Peer, bool)> {
        self.heard += 1;
        if !self.peers.contains_key(from) && self.peers.len() >= PEERS_MAX {
            self.forget_one();
        }
        let mut first = false;
        let peer = self.peers.entry(from.clone()).or_insert_with(|| {
            first = true;
            Peer {
                boot,
                next: 1,
                past: Vec::new(),
                from_past: 0,
                heard: 0,
            }
        });
        peer.heard = self.heard;
        if peer.boot == boot {
            peer.from_past = 0;
            return Some((peer, first));
        }
        let mut next = 1;
        if let Some(at) = peer.past.iter().position(|(run, _)| *run == boot) {
            peer.from_past += 1;
            if peer.from_past < RUN_RETURNS {
                return None;
            }
            next = peer.past.remove(at).1;
        } else if peer.past.len() == RUNS_REMEMBERED {
            peer.past.remove(0);
        }
        peer.past.push((peer.boot, peer.next));
        (peer.boot, peer.next, peer.from_past) = (boot, next, 0);
        Some((peer, true))
    }

    fn forget_one(&mut self) {
        let oldest = self.peers.iter().min_by_key(|(_, peer)| peer.heard);
        if let Some(name) = oldest.map(|(name, _)| name.clone()) {
            self.peers.remove(&name);
        }
    }
}
