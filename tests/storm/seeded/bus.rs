//! The bus of a changed node: what is forgotten on its way in and out, and the deaths around a forward.

use std::sync::Arc;

use parlor_schema::{
    NodeId, RoomId, Seq,
    envelope::{Destination, Envelope},
    port::{Bus, BusError, Inbound, Inbox, PortFuture},
};

use super::{Bug, Orders, Step};

/// A bus over another.
pub(super) struct ChangedBus {
    pub(super) inner: Arc<dyn Bus>,
    pub(super) orders: Arc<Orders>,
}

/// Tells whether a node with this bug hears something.
fn is_heard(bug: Bug, inbound: &Inbound) -> bool {
    match bug {
        Bug::HintsForgotten => match inbound {
            Inbound::Heads(_) | Inbound::LinkLost(_) => false,
            Inbound::Envelope(envelope) => !matches!(
                envelope,
                Envelope::RoomMoved { .. } | Envelope::Relay { .. }
            ),
        },
        Bug::RevocationsForgotten => !matches!(
            inbound,
            Inbound::Envelope(Envelope::LoginEnded { .. } | Envelope::UserRevoked { .. })
        ),
        _ => true,
    }
}

impl Bus for ChangedBus {
    fn attach(&self, inbox: Inbox) {
        let orders = self.orders.clone();
        self.inner.attach(Arc::new(move |inbound| {
            match &inbound {
                Inbound::Envelope(Envelope::Forward(_)) => orders.at(Step::Heard),
                Inbound::Envelope(Envelope::Forwarded(_)) => orders.at(Step::BeforeAck),
                _ => {}
            }
            if is_heard(orders.bug(), &inbound) {
                inbox(inbound);
            }
        }));
    }

    fn publish(&self, to: Destination, envelope: Envelope) -> PortFuture<'_, Result<(), BusError>> {
        let (before, after) = match &envelope {
            Envelope::Forward(_) => (Some(Step::BeforeForward), Some(Step::AfterForward)),
            Envelope::Forwarded(_) => (Some(Step::BeforeAnswer), Some(Step::AfterAnswer)),
            Envelope::RoomMoved { .. } | Envelope::Relay { .. } => {
                (Some(Step::BeforeTelling), None)
            }
            Envelope::Interest { .. } if self.orders.bug() == Bug::InterestForgotten => {
                return Box::pin(async { Ok(()) });
            }
            _ => (None, None),
        };
        if let Some(step) = before {
            self.orders.at(step);
        }
        let queued = self.inner.publish(to, envelope);
        if let Some(step) = after {
            self.orders.after(step);
        }
        queued
    }

    fn is_hearing(&self) -> bool {
        self.inner.is_hearing()
    }

    fn note_head(&self, to: &NodeId, room: RoomId, head: Seq) {
        self.inner.note_head(to, room, head);
    }
}
