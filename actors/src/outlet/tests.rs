//! Tests of the way out.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::ledger::Budget;

fn outlet() -> Outlet {
    within(0)
}

fn packed(bytes: &[u8]) -> Packed {
    bytes.into()
}

/// Takes what would be written next.
fn front(outlet: &Outlet) -> Option<Vec<u8>> {
    outlet.front(|queue| queue.pieces().collect::<Vec<_>>().concat())
}

fn within(budget: usize) -> Outlet {
    let ledger = Rc::new(Ledger::new(Budget::new(budget)));
    Outlet::new(ledger, nobody())
}

#[test]
fn what_a_gone_socket_leaves_is_forgotten_bit_by_bit() {
    let ledger = Rc::new(Ledger::new(Budget::new(0)));
    let outlet = Outlet::new(ledger.clone(), nobody());
    for _ in 0..5 {
        outlet.push(packed(b"123"));
    }
    outlet.written(4);
    for (more, bytes) in [(true, 6), (false, 0), (false, 0)] {
        assert_eq!(outlet.forget_some(2), more);
        assert_eq!((outlet.pending(), ledger.held()), (bytes, bytes as i64));
    }
}

#[test]
fn the_ordered_lane_comes_first_and_in_order() {
    let outlet = outlet();
    let key = EphemeralKey::Head(RoomId::from([1; 16]));
    outlet.push_ephemeral(&key, packed(b"e"));
    outlet.push(packed(b"1"));
    outlet.push(packed(b"2"));
    outlet.push_ephemeral(&key, packed(b"f"));
    assert_eq!(front(&outlet).unwrap(), b"12f");
    assert!(!outlet.written(2).is_empty);
    assert_eq!(outlet.pending(), 1);
    assert!(outlet.written(1).is_empty);
    assert_eq!(front(&outlet), None);
}

#[test]
fn what_is_written_in_part_goes_on_where_it_stopped() {
    let outlet = outlet();
    outlet.push(packed(b"123"));
    outlet.push(packed(b"45"));
    for (bytes, rest) in [(1, "2345"), (3, "5")] {
        outlet.written(bytes);
        assert_eq!(front(&outlet).unwrap(), rest.as_bytes());
        assert_eq!(outlet.pending(), rest.len());
    }
}

#[test]
fn above_the_lane_bound_there_is_no_room_for_events_until_half_is_gone() {
    let outlet = outlet();
    for _ in 0..5 {
        outlet.push(Packed::from(vec![0; LANE_BYTES_MAX / 4]));
    }
    assert!(!outlet.has_room());
    assert!(!outlet.written(LANE_BYTES_MAX / 4).is_wanted);
    assert!(!outlet.written(LANE_BYTES_MAX / 2 - 1).is_wanted);
    assert!(outlet.written(1).is_wanted, "woken at half");
    assert!(outlet.has_room());
}

#[test]
fn the_account_holds_what_waits_and_a_node_above_its_limit_gives_the_small_lane() {
    let outlet = within(LANE_BYTES_MAX / 2);
    let ledger = outlet.ledger.clone();
    let key = EphemeralKey::Head(RoomId::from([1; 16]));
    outlet.push(Packed::from(vec![0; LANE_BYTES_MAX / 2]));
    outlet.push_ephemeral(&key, packed(b"four"));
    outlet.push_ephemeral(&key, packed(b"seventh"));
    ledger.tell();
    assert_eq!(ledger.held(), LANE_BYTES_MAX as i64 / 2 + 7);
    assert!(!outlet.has_room() && outlet.is_scarce());
    outlet.written(LANE_BYTES_MAX / 2);
    assert!(outlet.has_room());
    drop(outlet);
    assert_eq!(ledger.held(), 0);
}

#[test]
fn replies_nobody_reads_close_the_connection() {
    let outlet = outlet();
    for _ in 0..5 {
        outlet.push(Packed::from(vec![0; REPLY_BYTES_MAX / 4]));
    }
    assert_eq!(outlet.closing().unwrap().code, CloseCode::TooSlow);
}

#[test]
fn so_do_many_small_ones() {
    let outlet = outlet();
    for _ in 0..=REPLY_FRAMES_MAX {
        assert!(!outlet.is_closing());
        outlet.push(packed(&[0x8A, 0]));
    }
    assert_eq!(outlet.closing().unwrap().code, CloseCode::TooSlow);
}

#[test]
fn what_is_forgotten_or_given_back_leaves_the_account() {
    let outlet = within(1 << 20);
    let [mine, other] = [1, 2].map(|n| RoomId::from([n; 16]));
    outlet.forget(mine);
    for room in [mine, other] {
        outlet.push_ephemeral(&EphemeralKey::Head(room), packed(b"1234"));
    }
    outlet.forget(mine);
    outlet.rest();
    assert_eq!((outlet.pending(), outlet.ledger.held()), (4, 4));
    assert_eq!(front(&outlet).unwrap(), b"1234");
    outlet.written(4);
    outlet.rest();
    assert!(outlet.lanes.borrow().ephemeral.is_none());
    assert_eq!(outlet.ledger.held(), 0);
}

#[test]
fn the_ephemeral_lane_is_bounded() {
    let outlet = outlet();
    let mut dropped = 0;
    for n in 0..100 {
        let key = EphemeralKey::Head(RoomId::from([n; 16]));
        dropped += outlet.push_ephemeral(&key, Packed::from(vec![0; EPHEMERAL_BYTES_MAX / 10]));
    }
    assert_eq!(dropped, 90);
    assert!(outlet.pending() <= EPHEMERAL_BYTES_MAX);
}
