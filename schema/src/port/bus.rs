//! The bus port: envelopes between nodes.

use std::sync::Arc;

use super::PortFuture;
use crate::{
    NodeId, RoomId, Seq,
    envelope::{Destination, Envelope},
};

/// What the bus hands up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// A node said something.
    Envelope(Envelope),
    /// A node names the heads of rooms that were active of late; the last value of each.
    Heads(Vec<(RoomId, Seq)>),
    /// Something that this node said did not arrive, or may not have: what depends on it is to be asked of the timeline.
    ///
    /// Ordering: comes before whatever that node said after what is missing.
    LinkLost(NodeId),
}

/// Takes what arrives; must not block.
pub type Inbox = Arc<dyn Fn(Inbound) + Send + Sync>;

/// Says that an envelope did not leave.
#[derive(Debug, Clone, thiserror::Error)]
#[error("bus unavailable: {0}")]
pub struct BusError(pub String);

/// Carries envelopes at most once, in order per sender and destination; may lose any (promise P-5).
///
/// A bus between nodes numbers what it sends, so that the receiver notices a loss, that of the last envelope too, within
/// a second of being able to hear again, and is told by [`Inbound::LinkLost`].
pub trait Bus: Send + Sync {
    /// Names where this node's envelopes go. Called once, before the first publish.
    fn attach(&self, inbox: Inbox);

    /// Queues an envelope. The future is ready at once: it never waits for the network.
    ///
    /// When full: the oldest envelope that waits for that destination is dropped and counted, and its receiver told of
    /// the loss.
    ///
    /// # Errors
    /// It certainly did not leave. Success does not mean it arrived.
    fn publish(&self, to: Destination, envelope: Envelope) -> PortFuture<'_, Result<(), BusError>>;

    /// Tells whether what others say can be expected to arrive here, and what is said here to leave. Cheap.
    fn is_hearing(&self) -> bool;

    /// Has the next heartbeat to `to` carry the head of a room; the highest named since the last one counts.
    ///
    /// When full: as if an envelope had been dropped.
    fn note_head(&self, to: &NodeId, room: RoomId, head: Seq);
}
