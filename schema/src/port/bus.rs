//! The bus port: envelopes between nodes.

use std::sync::Arc;

use super::PortFuture;
use crate::envelope::{Destination, Envelope};

/// Takes envelopes that arrive; must not block.
pub type Inbox = Arc<dyn Fn(Envelope) + Send + Sync>;

/// Says that an envelope did not leave.
#[derive(Debug, Clone, thiserror::Error)]
#[error("bus unavailable: {0}")]
pub struct BusError(pub String);

/// Carries envelopes at most once, in order per sender and destination; may lose any (promise P-5).
pub trait Bus: Send + Sync {
    /// Names where this node's envelopes go. Called once, before the first publish.
    fn attach(&self, inbox: Inbox);

    /// Sends an envelope.
    ///
    /// # Errors
    /// It certainly did not leave. Success does not mean it arrived.
    fn publish(&self, to: Destination, envelope: Envelope) -> PortFuture<'_, Result<(), BusError>>;
}
