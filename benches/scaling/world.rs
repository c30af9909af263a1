//! Who is in which room, and where: the rooms and members, and their places on the nodes.
//!
//! Invariants:
//! - WO-1: rooms, members and what is said do not depend on the number of nodes.
//! - WO-2: owners are those that the server's own placement names.

use std::sync::Arc;

use parlor_schema::{BootId, NodeId, RoomId, placement, port::NodeInfo};
use uuid::Uuid;

use crate::{chance::Chance, load::KINDS};

/// A room.
pub(crate) struct Room {
    pub(crate) id: RoomId,
    members: std::ops::Range<usize>,
}

/// Rooms and who is in them, each member with one session.
pub(crate) struct World {
    pub(crate) sessions: usize,
    pub(crate) rooms: Vec<Room>,
    members: Vec<u32>,
    /// The other in each direct room of each session: whose presence the session watches.
    pub(crate) friends: Vec<Vec<u32>>,
}

impl World {
    /// Makes rooms of every kind for so many sessions, with members by chance.
    pub(crate) fn new(sessions: usize, chance: &mut Chance) -> Self {
        let mut all: Vec<u32> = (0..u32::try_from(sessions).unwrap()).collect();
        let (mut rooms, mut members) = (Vec::new(), Vec::new());
        let mut friends = vec![Vec::new(); sessions];
        for kind in &KINDS {
            let size = kind.members_of(sessions);
            for _ in 0..kind.rooms(sessions) {
                chance.shuffle(&mut all, size);
                let from = members.len();
                members.extend_from_slice(&all[..size]);
                if let (2, [one, two]) = (kind.members, &all[..size]) {
                    friends[*one as usize].push(*two);
                    friends[*two as usize].push(*one);
                }
                let id = u128::from(chance.next()) << 64 | u128::from(chance.next());
                rooms.push(Room {
                    id: RoomId::new(Uuid::from_u128(id)),
                    members: from..members.len(),
                });
            }
        }
        Self {
            sessions,
            rooms,
            members,
            friends,
        }
    }

    /// Returns the members of a room.
    pub(crate) fn members(&self, room: &Room) -> &[u32] {
        &self.members[room.members.clone()]
    }
}

/// Makes the nodes 0 to `count`, without that.
pub(crate) fn nodes(count: usize) -> Vec<NodeInfo> {
    let node = |number: usize| NodeInfo {
        node_id: format!("node-{number:04}").parse::<NodeId>().unwrap(),
        boot_id: BootId::new(Uuid::from_u128(number as u128)),
        internal_address: None::<Arc<str>>,
    };
    (0..count).map(node).collect()
}

/// Returns the number in a node's name.
fn number(node: &NodeInfo) -> u16 {
    let name = node.node_id.as_str();
    name.trim_start_matches("node-").parse().unwrap()
}

/// Returns the owner of a room (WO-2).
pub(crate) fn owner(room: &Room, nodes: &[NodeInfo]) -> u16 {
    number(placement::owner(room.id, nodes).unwrap())
}

/// Where everything is.
pub(crate) struct Places {
    pub(crate) nodes: Vec<NodeInfo>,
    /// The node of each session.
    pub(crate) of: Vec<u16>,
    /// The owner of each room.
    pub(crate) owners: Vec<u16>,
    starts: Vec<usize>,
    there: Vec<u16>,
}

impl Places {
    /// Places sessions on the nodes, always on one of those that have least, and rooms.
    pub(crate) fn new(world: &World, count: usize, chance: &mut Chance) -> Self {
        let nodes = nodes(count);
        let mut order: Vec<usize> = (0..world.sessions).collect();
        chance.shuffle(&mut order, world.sessions);
        let mut of = vec![0; world.sessions];
        for (turn, session) in order.into_iter().enumerate() {
            of[session] = u16::try_from(turn % count).unwrap();
        }
        let owners = world.rooms.iter().map(|room| owner(room, &nodes)).collect();
        let (mut starts, mut there) = (vec![0], Vec::new());
        let mut seen = vec![usize::MAX; count];
        for (at, room) in world.rooms.iter().enumerate() {
            for member in world.members(room) {
                let node = of[*member as usize];
                if seen[usize::from(node)] != at {
                    seen[usize::from(node)] = at;
                    there.push(node);
                }
            }
            starts.push(there.len());
        }
        Self {
            nodes,
            of,
            owners,
            starts,
            there,
        }
    }

    /// Returns the nodes on which a room has members.
    pub(crate) fn there(&self, room: usize) -> &[u16] {
        &self.there[self.starts[room]..self.starts[room + 1]]
    }
}
