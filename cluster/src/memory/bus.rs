//! The bus of a node that is alone: what goes to all, or to itself, comes straight back.

use std::{
    future,
    sync::{Arc, OnceLock},
};

use parlor_schema::{
    NodeId, RoomId, Seq,
    envelope::{Destination, Envelope},
    port::{Bus, BusError, Inbound, Inbox, PortFuture},
};

/// Carries a node's envelopes to its own inbox, before `publish` returns.
pub struct MemoryBus {
    own: NodeId,
    inbox: OnceLock<Inbox>,
}

impl MemoryBus {
    /// Makes the bus of the node `own`.
    #[must_use]
    pub fn new(own: NodeId) -> Arc<Self> {
        Arc::new(Self {
            own,
            inbox: OnceLock::new(),
        })
    }
}

impl Bus for MemoryBus {
    /// A second inbox is not taken.
    fn attach(&self, inbox: Inbox) {
        let attached = self.inbox.set(inbox);
        debug_assert!(attached.is_ok(), "attach is called once");
    }

    fn publish(&self, to: Destination, envelope: Envelope) -> PortFuture<'_, Result<(), BusError>> {
        let sent = match (to, self.inbox.get()) {
            (_, None) => Err(BusError("no inbox is attached".into())),
            (Destination::Node(node), _) if node != self.own => {
                Err(BusError(format!("there is no node {node}")))
            }
            (Destination::Nodes(nodes), _) => Err(BusError(format!("there are no {nodes:?}"))),
            (_, Some(inbox)) => {
                inbox(Inbound::Envelope(envelope));
                Ok(())
            }
        };
        Box::pin(future::ready(sent))
    }

    /// There is nobody to hear of.
    fn is_hearing(&self) -> bool {
        true
    }

    /// There is no other node to tell.
    fn note_head(&self, _: &NodeId, _: RoomId, _: Seq) {}
}
