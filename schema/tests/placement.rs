//! Placement: one owner for a room and a view, and few rooms that move.
#![allow(clippy::unwrap_used, reason = "tests")]

use parlor_schema::{BootId, NodeId, RoomId, placement::owner, port::NodeInfo};
use proptest::prelude::*;

const ROOMS: u64 = 4_000;

fn node(name: &str, boot: u8) -> NodeInfo {
    NodeInfo {
        node_id: name.parse().unwrap(),
        boot_id: BootId::from([boot; 16]),
        internal_address: None,
    }
}

fn room(number: u64) -> RoomId {
    // As ids of UUID version 7 are: alike at the front.
    RoomId::from(
        (0x0191_f0c2_0000_7000_8000_0000_0000_0000_u128 | u128::from(number)).to_be_bytes(),
    )
}

fn owners(nodes: &[NodeInfo]) -> Vec<NodeId> {
    (0..ROOMS)
        .map(|number| owner(room(number), nodes).unwrap().node_id.clone())
        .collect()
}

fn names() -> impl Strategy<Value = Vec<NodeInfo>> {
    prop::collection::btree_set("[a-z0-9]{1,8}(-[0-9]{1,5})?", 2..12)
        .prop_map(|names| names.iter().map(|name| node(name, 1)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_agree_in_whichever_order_they_hold_the_nodes(nodes in names(), turn in 0..12_usize) {
        let mut other = nodes.clone();
        let count = other.len();
        other.rotate_left(turn % count);
        other.reverse();
        for node in &mut other {
            node.boot_id = BootId::from([2; 16]);
        }
        prop_assert_eq!(owners(&nodes), owners(&other), "PL-1");
    }

    #[test]
    fn one_that_goes_moves_its_own_rooms_alone(nodes in names(), which in 0..12_usize) {
        let gone = which % nodes.len();
        let mut left = nodes.clone();
        let gone = left.remove(gone).node_id;
        let (before, after) = (owners(&nodes), owners(&left));
        let mut moved = 0_u64;
        for (before, after) in before.iter().zip(&after) {
            if *before == gone {
                moved += 1;
                prop_assert_ne!(after, &gone);
            } else {
                prop_assert_eq!(before, after, "PL-2");
            }
        }
        // The share of one in n, with six standard deviations of room.
        let mean = ROOMS / nodes.len() as u64;
        let spread = 6 * mean.isqrt();
        prop_assert!(moved.abs_diff(mean) <= spread, "{} of {} moved among {}", moved, ROOMS, nodes.len());
    }
}

#[test]
fn nobody_owns_a_room_where_nobody_is() {
    assert!(owner(room(1), &[]).is_none());
}

#[test]
fn owners_stay_what_they_are_over_versions() {
    let nodes = [node("n1", 1), node("n2", 1), node("n3", 1)];
    let named: Vec<&str> = (0..12)
        .map(|number| owner(room(number), &nodes).unwrap().node_id.as_str())
        .collect();
    assert_eq!(named.join(" "), "n3 n2 n3 n1 n1 n3 n3 n3 n3 n1 n2 n3");
}
