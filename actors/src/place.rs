//! Places: who owns a room, who wants to hear of it, and the way of what is told about it between the nodes.
//!
//! What is told of a room goes to the nodes that have it running. Its owner knows them by [`leases`]; any other node tells the
//! owner, which hears it and hands it on ([`Envelope::Relay`]).
//!
//! Invariants:
//! - PC-1: nothing here is needed for an event to arrive, only for it to arrive at once: each node is told the heads of all rooms
//!   that moved with the heartbeats (promise P-5).
//! - PC-2: a relay is handed on once: who gets it from an owner hands it to nobody.
//!
//! Deliberately absent: locks, and anything that an append hangs on.

pub mod leases;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use parlor_schema::{
    BootId, NodeId, RoomId,
    envelope::{Envelope, Forward},
    port::{Clock, NodeInfo, View},
};

use crate::{
    metrics::Metrics,
    ports::{Peers, Ports},
};
use leases::Leases;

/// How long no frames are forwarded to a node that was silent.
const SUSPECT_MS: u64 = 2_000;
/// Forwards in flight to one node, of as many rooms. When full: frames are decided here.
const FORWARDS_MAX: usize = 4096;

/// Rooms in one envelope of interest: about 40 KB.
const NAMED_MAX: usize = 1024;

/// Who owns a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// There is no other node.
    Alone,
    /// This node.
    Here,
    /// This other node.
    There(NodeInfo),
}

/// Whether frames are decided by the owners of their rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarding {
    /// They are, where there is another.
    On,
    /// Each node decides those of its own sessions.
    Off,
}

/// Counts one forward in flight until it is dropped.
pub struct Passage {
    places: Arc<Places>,
    to: NodeId,
}

impl Drop for Passage {
    fn drop(&mut self) {
        let mut owners = self.places.owners();
        if let Some(owner) = owners.get_mut(&self.to) {
            owner.in_flight -= 1;
        }
    }
}

/// What is known of another node as an owner.
#[derive(Debug, Default)]
struct OwnerState {
    in_flight: usize,
    /// The run that was silent, and until when nothing is forwarded to it.
    suspect: Option<(BootId, u64)>,
}

/// The places of rooms, as one node sees them.
pub struct Places {
    peers: Peers,
    own: NodeId,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    leases: Mutex<Leases>,
    forwarding: Forwarding,
    owners: Mutex<BTreeMap<NodeId, OwnerState>>,
    /// Set once this node leaves, and takes no frames of others any more.
    leaves: AtomicBool,
}

impl Places {
    /// Makes an empty table.
    #[must_use]
    pub fn new(ports: &Ports, metrics: Arc<Metrics>, forwarding: Forwarding) -> Arc<Self> {
        Arc::new(Self {
            peers: ports.peers(),
            own: ports.membership.own().node_id,
            clock: ports.clock.clone(),
            metrics,
            leases: Mutex::default(),
            forwarding,
            owners: Mutex::default(),
            leaves: AtomicBool::new(false),
        })
    }

    /// Returns who owns a room in the present view.
    #[must_use]
    pub fn owner(&self, room: RoomId) -> Owner {
        let view = self.peers.membership.view();
        self.owner_in(&view, room)
    }

    fn owner_in(&self, view: &View, room: RoomId) -> Owner {
        if view.nodes.len() < 2 {
            return Owner::Alone;
        }
        match view.owner(room) {
            Some(node) if node.node_id != self.own => Owner::There(node.clone()),
            _ => Owner::Here,
        }
    }

    /// Returns the owner that is to decide the frames of a room's sessions here; none: this node.
    #[must_use]
    pub fn forward_to(&self, room: RoomId) -> Option<NodeInfo> {
        if self.forwarding == Forwarding::Off {
            return None;
        }
        let Owner::There(node) = self.owner(room) else {
            return None;
        };
        let in_flight = self
            .owners()
            .get(&node.node_id)
            .map_or(0, |owner| owner.in_flight);
        (in_flight < FORWARDS_MAX && !self.is_suspect(&node)).then_some(node)
    }

    fn is_suspect(&self, node: &NodeInfo) -> bool {
        let now = self.clock.monotonic_ms();
        self.owners()
            .get(&node.node_id)
            .and_then(|owner| owner.suspect)
            .is_some_and(|(boot, until)| boot == node.boot_id && now < until)
    }

    /// Takes that a node did not answer in time: for a while nothing is forwarded to it.
    pub fn suspect(&self, node: &NodeInfo) {
        let until = self.clock.monotonic_ms().saturating_add(SUSPECT_MS);
        let mut owners = self.owners();
        let owner = owners.entry(node.node_id.clone()).or_default();
        owner.suspect = Some((node.boot_id, until));
    }

    /// Counts a forward to a node.
    #[must_use]
    pub fn pass_to(self: &Arc<Self>, node: &NodeId) -> Passage {
        self.owners().entry(node.clone()).or_default().in_flight += 1;
        Passage {
            places: self.clone(),
            to: node.clone(),
        }
    }

    /// Tells whether a forward to this run may be taken.
    #[must_use]
    pub fn takes(&self, forward: &Forward) -> bool {
        !self.leaves.load(Relaxed)
            && self.clock.now() <= forward.until
            && self.owner(forward.room_id) == Owner::Here
    }

    /// Has no frames of other nodes be taken any more, as this one leaves.
    pub fn leave(&self) {
        self.leaves.store(true, Relaxed);
    }

    /// Tells the owner of a room that it starts to run here.
    pub fn want(&self, room: RoomId) {
        if let Owner::There(node) = self.owner(room) {
            self.name_to(&node.node_id, vec![room]);
        }
    }

    /// Tells the owners of rooms that those run here, and forgets what is over; answers how many of them this node owns.
    pub fn renew(&self, rooms: &[RoomId]) -> usize {
        let view = self.peers.membership.view();
        let mut owned = 0;
        let mut others: BTreeMap<NodeId, Vec<RoomId>> = BTreeMap::new();
        for room in rooms {
            match self.owner_in(&view, *room) {
                Owner::There(node) => others.entry(node.node_id).or_default().push(*room),
                Owner::Alone | Owner::Here => owned += 1,
            }
        }
        for (node, rooms) in others {
            for some in rooms.chunks(NAMED_MAX) {
                self.name_to(&node, some.to_vec());
            }
        }
        let now = self.clock.monotonic_ms();
        let mut leases = self.leases();
        leases.expire(now, |node| view.node(node).is_some());
        self.count(&leases);
        drop(leases);
        self.owners()
            .retain(|node, owner| owner.in_flight > 0 || view.node(node).is_some());
        owned
    }

    fn name_to(&self, node: &NodeId, rooms: Vec<RoomId>) {
        let by = self.own.clone();
        self.peers.tell(node, Envelope::Interest { by, rooms });
    }

    /// Takes that a node has rooms running.
    pub fn hear_interest(&self, by: &NodeId, rooms: &[RoomId]) {
        let now = self.clock.monotonic_ms();
        let mut leases = self.leases();
        leases.name(by, rooms, now);
        self.count(&leases);
    }

    /// Takes that something a node said was lost: what it wants may have been among it.
    pub fn lost(&self, node: &NodeId) {
        self.leases().doubt(node, self.clock.monotonic_ms());
    }

    /// Takes that the view changed: this node may own rooms now, and not know yet who wants them.
    pub fn view_changed(&self, view: &View) {
        let now = self.clock.monotonic_ms();
        let mut leases = self.leases();
        for node in view.nodes.iter().filter(|node| node.node_id != self.own) {
            leases.doubt(&node.node_id, now);
        }
    }

    /// Tells something about a room to those who want it.
    pub fn tell(&self, room: RoomId, envelope: impl FnOnce() -> Envelope) {
        match self.owner(room) {
            Owner::Alone => {}
            Owner::Here => self.hand_on(room, None, envelope),
            // Who is silent hands nothing on.
            Owner::There(node) if self.is_suspect(&node) => self.peers.tell_all(envelope),
            Owner::There(node) => {
                let relay = Envelope::Relay {
                    by: self.own.clone(),
                    room_id: room,
                    envelope: Box::new(envelope()),
                };
                self.peers.tell(&node.node_id, relay);
            }
        }
    }

    /// Hands a relay on.
    pub fn hear_relay(&self, by: &NodeId, room: RoomId, envelope: &Envelope) {
        self.hand_on(room, Some(by), || envelope.clone());
    }

    /// Tells those who want a room, but the one who said it.
    fn hand_on(&self, room: RoomId, by: Option<&NodeId>, envelope: impl FnOnce() -> Envelope) {
        let mut to = self.leases().wanting(room, self.clock.monotonic_ms());
        to.retain(|node| Some(node) != by);
        if !to.is_empty() {
            self.peers.tell_these(to, envelope());
        }
    }

    fn count(&self, leases: &Leases) {
        let held = i64::try_from(leases.len()).unwrap_or(i64::MAX);
        self.metrics.interests.set(held);
    }

    fn owners(&self) -> MutexGuard<'_, BTreeMap<NodeId, OwnerState>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
