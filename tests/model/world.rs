//! A state of the whole: the store, three nodes that may have the room running, and what clients were told.
//!
//! Owns what the checker compares. Nodes that differ in nothing are interchangeable: a state is hashed with its nodes sorted, so that of six
//! orders one is looked at.

use std::hash::{Hash, Hasher};

/// Nodes.
pub(crate) const NODES: usize = 3;
/// Frames there may be.
pub(crate) const FRAMES: usize = 3;

/// A frame's index, which stands for sender and `msg_id`.
pub(crate) type Id = u8;
/// A position; 0 is before the first event.
pub(crate) type Seq = u8;

/// What an append was answered, or that the store has not decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Answer {
    /// On its way to the store.
    None,
    /// `Append::Appended`.
    Appended,
    /// `Append::Conflict`.
    Conflict { head: Seq },
}

/// `Phase` of `actors/src/room/state.rs`, with the load before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    /// The head and the members are being read (`load::load`).
    Loading,
    /// Nothing in flight.
    Idle,
    /// The dedupe window is being read (`load::window`).
    Looking,
    /// An append is in flight, at the room's head.
    Appending { answer: Answer },
    /// The tail is being read (`load::tail`), after `Conflict` or `Unknown`.
    Recovering { is_conflict: bool },
    /// What a hint named is being read (`load::tail_to`).
    Following,
}

/// `RoomState`: the room as it runs on a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Room {
    /// What is in flight.
    pub(crate) phase: Phase,
    /// The durable head, as far as is known here.
    pub(crate) head: Seq,
    /// The highest head that was named.
    pub(crate) heard: Seq,
    /// Where each frame took effect, 0 for nowhere; none before it was read.
    pub(crate) window: Option<[Seq; FRAMES]>,
    /// Whether Bob is a member.
    pub(crate) has_bob: bool,
    /// Frames that wait.
    pub(crate) queue: Vec<Id>,
    /// Frames of the append in flight; each makes one event.
    pub(crate) batch: Vec<Id>,
    /// Frames of appends of unknown outcome at this head, one bit each: they may be stored until the head has moved.
    pub(crate) doubt: u8,
    /// The head the room started from.
    pub(crate) since: Seq,
    /// What sessions of this node were shown since then.
    pub(crate) published: Vec<Id>,
}

/// An append whose answer nobody waits for any more, and that the store may still decide.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Late {
    /// The expected head.
    pub(crate) expected: Seq,
    /// Its events.
    pub(crate) batch: Vec<Id>,
}

/// The stored projection of the room (`RoomDirectory`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Projection {
    /// The position it has reached.
    pub(crate) applied: Seq,
    /// Whether Bob is a member there.
    pub(crate) has_bob: bool,
}

/// The state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct World {
    /// The timeline: the event at each position, or a hole.
    pub(crate) rows: Vec<Option<Id>>,
    /// Appends that may yet be decided, sorted.
    pub(crate) late: Vec<Late>,
    /// The stored projection.
    pub(crate) projection: Projection,
    /// Heads that were named between nodes, one bit each: any node may hear any of them at any time, again, or never.
    pub(crate) named: u8,
    /// Positions each frame was acknowledged at, one bit each.
    pub(crate) acked: [u8; FRAMES],
    /// Frames that were refused `unavailable`, which says that nothing was stored; one bit each.
    pub(crate) refused: u8,
    /// How often each frame may still be sent.
    pub(crate) sends: [u8; FRAMES],
    /// The room on each node, where it runs.
    pub(crate) nodes: [Option<Room>; NODES],
}

impl World {
    /// Returns the timeline's head.
    pub(crate) fn head(&self) -> Seq {
        Seq::try_from(self.rows.len()).expect("few events")
    }

    /// Returns the event at a position, if there is one that is no hole.
    pub(crate) fn event(&self, seq: Seq) -> Option<Id> {
        self.rows.get(usize::from(seq).wrapping_sub(1)).copied()?
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut nodes: [&Option<Room>; NODES] = self.nodes.each_ref();
        nodes.sort_unstable();
        (&self.rows, &self.late, self.projection, self.named).hash(state);
        (self.acked, self.refused, self.sends, nodes).hash(state);
    }
}

/// The bit of a small number.
pub(crate) fn bit(of: u8) -> u8 {
    1 << of
}
