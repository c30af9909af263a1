//! Which nodes want which rooms, as they told this one, who owns those rooms. Pure.
//!
//! Invariants:
//! - LE-1: a lease ends [`LEASE_MS`] after its node last named the room.
//! - LE-2: who may have named a room that was not heard is told of every room ([`Leases::doubt`]), until it has had the time
//!   to name all of them again twice.
//! - LE-3: what is held is bounded by [`Limits`]; what does not fit makes its node one that is told of every room.
//!
//! Deliberately absent: positions. Where a room's timeline is, the heartbeats tell everybody.

use std::collections::{BTreeMap, HashMap};

use parlor_schema::{NodeId, RoomId};

/// How often a node names the rooms that it wants.
pub const RENEW_MS: u64 = 5_000;
/// How long a node is told of a room after it named it: two renewals may be lost.
pub const LEASE_MS: u64 = 3 * RENEW_MS;
/// How long a node in doubt is told of every room.
const DOUBT_MS: u64 = 2 * RENEW_MS;

/// What is held at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Leases, a room and a node each.
    pub leases: usize,
    /// Nodes that are told of every room. When full: the one whose time ends first leaves.
    pub doubts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            leases: 1 << 20,
            doubts: 4096,
        }
    }
}

/// The leases, and the nodes in doubt.
#[derive(Debug, Default)]
pub struct Leases {
    limits: Limits,
    rooms: HashMap<RoomId, Vec<Lease>>,
    held: usize,
    /// Until when each is told of every room.
    doubts: BTreeMap<NodeId, u64>,
}

#[derive(Debug)]
struct Lease {
    node: NodeId,
    until_ms: u64,
}

impl Leases {
    /// Makes an empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Takes that a node wants these rooms.
    pub fn name(&mut self, node: &NodeId, rooms: &[RoomId], now_ms: u64) {
        let until_ms = now_ms.saturating_add(LEASE_MS);
        for room in rooms {
            let leases = self.rooms.entry(*room).or_default();
            if let Some(lease) = leases.iter_mut().find(|lease| lease.node == *node) {
                lease.until_ms = until_ms;
            } else if self.held < self.limits.leases {
                let node = node.clone();
                leases.push(Lease { node, until_ms });
                self.held += 1;
            } else {
                if leases.is_empty() {
                    self.rooms.remove(room);
                }
                return self.doubt(node, now_ms);
            }
        }
    }

    /// Takes that something a node said may have been missed, or that it may have told another owner so far.
    pub fn doubt(&mut self, node: &NodeId, now_ms: u64) {
        let until_ms = now_ms.saturating_add(DOUBT_MS);
        if !self.doubts.contains_key(node) && self.doubts.len() >= self.limits.doubts {
            let first = self.doubts.iter().min_by_key(|(_, until)| **until);
            if let Some(first) = first.map(|(node, _)| node.clone()) {
                self.doubts.remove(&first);
            }
        }
        self.doubts.insert(node.clone(), until_ms);
    }

    /// Returns who is to be told of a room, each once.
    #[must_use]
    pub fn wanting(&self, room: RoomId, now_ms: u64) -> Vec<NodeId> {
        let in_doubt = |node: &NodeId| self.doubts.get(node).is_some_and(|until| now_ms < *until);
        let leases = self.rooms.get(&room).map_or(&[][..], Vec::as_slice);
        let named = leases
            .iter()
            .filter(|lease| now_ms < lease.until_ms && !in_doubt(&lease.node))
            .map(|lease| &lease.node);
        let doubted = self.doubts.keys().filter(|node| in_doubt(node));
        named.chain(doubted).cloned().collect()
    }

    /// Forgets what is over, and nodes that are not `there`.
    pub fn expire(&mut self, now_ms: u64, there: impl Fn(&NodeId) -> bool) {
        self.rooms.retain(|_, leases| {
            leases.retain(|lease| now_ms < lease.until_ms && there(&lease.node));
            !leases.is_empty()
        });
        self.held = self.rooms.values().map(Vec::len).sum();
        self.doubts
            .retain(|node, until| now_ms < *until && there(node));
        self.check_invariants();
    }

    /// Counts the leases.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Checks LE-3.
    pub fn check_invariants(&self) {
        debug_assert!(self.held <= self.limits.leases, "LE-3");
        debug_assert!(self.doubts.len() <= self.limits.doubts, "LE-3");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn name(name: &str) -> NodeId {
        name.parse().unwrap()
    }

    fn room(number: u8) -> RoomId {
        RoomId::from([number; 16])
    }

    fn wanting(leases: &Leases, number: u8, now: u64) -> String {
        let names: Vec<String> = leases
            .wanting(room(number), now)
            .iter()
            .map(ToString::to_string)
            .collect();
        names.join(" ")
    }

    #[test]
    fn a_lease_ends_unless_it_is_renewed() {
        let mut leases = Leases::default();
        leases.name(&name("b"), &[room(1), room(2)], 0);
        leases.name(&name("c"), &[room(1)], 0);
        leases.name(&name("c"), &[room(1)], RENEW_MS);
        assert_eq!(wanting(&leases, 1, LEASE_MS - 1), "b c");
        assert_eq!(wanting(&leases, 1, LEASE_MS), "c", "LE-1");
        assert_eq!(wanting(&leases, 3, 0), "");
        assert_eq!(leases.len(), 3);
        leases.expire(LEASE_MS, |_| true);
        assert_eq!(leases.len(), 1);
        leases.expire(LEASE_MS, |node| *node != name("c"));
        assert!(leases.is_empty());
    }

    #[test]
    fn one_in_doubt_is_told_of_every_room_for_a_while() {
        let mut leases = Leases::default();
        leases.name(&name("b"), &[room(1)], 0);
        leases.doubt(&name("b"), 0);
        leases.doubt(&name("c"), 0);
        assert_eq!(wanting(&leases, 1, 1), "b c", "each once");
        assert_eq!(wanting(&leases, 9, 1), "b c", "LE-2");
        assert_eq!(wanting(&leases, 1, DOUBT_MS), "b");
        assert_eq!(wanting(&leases, 9, DOUBT_MS), "");
    }

    #[test]
    fn who_names_more_than_is_held_is_told_of_all() {
        let mut leases = Leases::new(Limits {
            leases: 2,
            doubts: 1,
        });
        leases.name(&name("b"), &[room(1), room(2), room(3)], 0);
        assert_eq!(leases.len(), 2);
        assert_eq!(wanting(&leases, 3, 1), "b", "LE-3");
        leases.name(&name("c"), &[room(4)], 1);
        assert_eq!(wanting(&leases, 4, 2), "c", "the younger doubt counts");
        leases.check_invariants();
        leases.expire(LEASE_MS + 1, |_| true);
        leases.name(&name("c"), &[room(4)], LEASE_MS + 1);
        assert_eq!(leases.len(), 1, "there is space again");
    }
}
