//! Placement: which node of a view owns a room. Pure.
//!
//! Invariants:
//! - PL-1: nodes with the same view name the same owner, in whichever order they hold it.
//! - PL-2: rendezvous hashing with equal weights: when a node comes, rooms move to it alone, about one in n of all; when one
//!   goes, its own rooms alone move.
//!
//! Deliberately absent: safety. An owner is a choice for speed ([ADR 0014](../../docs/adr/0014-a-rooms-owner-is-a-choice-for-speed.md)):
//! whoever appends, the timeline decides.

use xxhash_rust::xxh3::xxh3_64;

use crate::{NodeId, RoomId, port::NodeInfo};

/// Returns the owner of a room among nodes; none where there are none.
#[must_use]
pub fn owner(room: RoomId, nodes: &[NodeInfo]) -> Option<&NodeInfo> {
    let mut bytes = Vec::with_capacity(64);
    nodes
        .iter()
        .max_by_key(|node| (score(room, &node.node_id, &mut bytes), &node.node_id))
}

/// The score of a node for a room. The run does not count: a node that starts again gets its rooms back.
fn score(room: RoomId, node: &NodeId, bytes: &mut Vec<u8>) -> u64 {
    bytes.clear();
    // The room's id has a fixed length, so that no two pairs give the same bytes.
    bytes.extend_from_slice(&room.bytes());
    bytes.extend_from_slice(node.as_str().as_bytes());
    xxh3_64(bytes)
}
