//! The outside as the actors see it: the ports of `parlor-schema`, joined, and two of their own.

use std::sync::Arc;

use futures_util::FutureExt as _;
use parlor_schema::{
    CloseCode, LoginId, NodeId, Timestamp, UserId,
    envelope::{Destination, Envelope},
    frame::Refusal,
    port::{Bus, Clock, Directory, Ids, Membership, PortFuture, Timeline},
};

/// Who a token says is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// The user.
    pub user_id: UserId,
    /// The login behind the token; none for tokens of an outside issuer.
    pub login_id: Option<LoginId>,
    /// When the token ends.
    pub expires_at: Timestamp,
}

/// Reads tokens.
pub trait Gate: Send + Sync {
    /// Checks a token.
    ///
    /// # Errors
    /// `unauthorized`, or `unavailable` when it cannot be checked now.
    fn verify(&self, token: String) -> PortFuture<'static, Result<Pass, Refusal>>;

    /// Forgets what it remembers of a login that ended.
    fn login_ended(&self, login: LoginId);

    /// Forgets what it remembers of a user's logins.
    fn user_revoked(&self, user: &UserId);
}

/// How the frames of a connection are coded, as its handshake agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// As they are.
    Plain,
    /// Compressed where that helps, each on its own.
    Deflate,
    /// The same with the smallest window, for clients that asked for less than the whole.
    DeflateSmall,
}

impl Coding {
    /// Every one, at the place of its number.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Deflate, Self::DeflateSmall];
}

/// The bytes of one socket frame, or of several one after the other. Clones share them, and their count stands before the bytes: whoever
/// writes them has it at hand.
pub type Packed = Arc<[u8]>;

/// Packs text into the bytes of one socket frame, so that a frame is packed once for all its receivers.
pub trait Wire: Send + Sync {
    /// Packs a text frame, not compressed.
    fn text(&self, text: &str) -> Packed;

    /// Packs a text frame as `coding` says.
    fn coded(&self, text: &str, coding: Coding) -> Packed;

    /// Packs a frame that [`Wire::text`] made anew, as `coding` says.
    fn recoded(&self, plain: &Packed, coding: Coding) -> Packed;

    /// Packs a frame that [`Wire::text`] made anew, as `coding` says, with `more` put into its text before the byte `at`.
    fn with(&self, plain: &Packed, at: usize, more: &str, coding: Coding) -> Packed;

    /// Packs the server's heartbeat.
    fn ping(&self) -> Packed;

    /// Packs the closing frame.
    fn close(&self, code: CloseCode, reason: &str) -> Packed;
}

/// For tests: text packed as it is.
#[cfg(test)]
pub(crate) struct PlainWire;

#[cfg(test)]
impl Wire for PlainWire {
    fn text(&self, text: &str) -> Packed {
        text.as_bytes().into()
    }

    fn coded(&self, text: &str, _: Coding) -> Packed {
        self.text(text)
    }

    fn recoded(&self, plain: &Packed, _: Coding) -> Packed {
        plain.clone()
    }

    fn with(&self, plain: &Packed, at: usize, more: &str, _: Coding) -> Packed {
        [&plain[..at], more.as_bytes(), &plain[at..]]
            .concat()
            .into()
    }

    fn ping(&self) -> Packed {
        self.text("ping")
    }

    fn close(&self, _: CloseCode, _: &str) -> Packed {
        self.text("")
    }
}

/// Everything outside, chosen by the wiring.
#[derive(Clone)]
pub struct Ports {
    /// The rooms' events.
    pub timeline: Arc<dyn Timeline>,
    /// Projections, receipts, accounts.
    pub directory: Arc<dyn Directory>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Fresh ids and chance.
    pub ids: Arc<dyn Ids>,
    /// Other nodes.
    pub bus: Arc<dyn Bus>,
    /// Which nodes there are.
    pub membership: Arc<dyn Membership>,
    /// Tokens.
    pub gate: Arc<dyn Gate>,
    /// Socket frames.
    pub wire: Arc<dyn Wire>,
}

impl Ports {
    /// Returns the way to the other nodes.
    #[must_use]
    pub fn peers(&self) -> Peers {
        Peers {
            bus: self.bus.clone(),
            membership: self.membership.clone(),
        }
    }

    /// Tells whether no other node can have appended to a room: there is none, and the bus is not deaf, which could hide who is there. Cheap.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.membership.view().nodes.len() < 2 && self.bus.is_hearing()
    }
}

/// The other nodes.
#[derive(Clone)]
pub struct Peers {
    /// What carries envelopes.
    pub bus: Arc<dyn Bus>,
    /// Which nodes there are.
    pub membership: Arc<dyn Membership>,
}

impl Peers {
    /// Tells whether this node is the only one of its view. Cheap.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.membership.view().nodes.len() < 2
    }

    /// Calls `with` for every other node of the view.
    pub fn each(&self, mut with: impl FnMut(&NodeId)) {
        let view = self.membership.view();
        // Mostly a node is alone, or one of few.
        if view.nodes.len() < 2 {
            return;
        }
        let own = self.membership.own().node_id;
        for node in view.nodes.iter().filter(|node| node.node_id != own) {
            with(&node.node_id);
        }
    }

    /// Tells every other node of the view something; what does not leave is only late (promise P-5).
    pub fn tell_all(&self, envelope: impl FnOnce() -> Envelope) {
        let mut others = Vec::new();
        self.each(|node| others.push(node.clone()));
        if !others.is_empty() {
            self.tell_these(others, envelope());
        }
    }

    /// Tells one other node something.
    pub fn tell(&self, node: &NodeId, envelope: Envelope) {
        self.publish(Destination::Node(node.clone()), envelope);
    }

    /// Tells some other nodes something, each named once.
    pub fn tell_these(&self, nodes: Vec<NodeId>, envelope: Envelope) {
        self.publish(Destination::Nodes(nodes.into()), envelope);
    }

    fn publish(&self, to: Destination, envelope: Envelope) {
        let queued = self.bus.publish(to, envelope).now_or_never();
        if let Some(Err(error)) = queued {
            tracing::debug!(%error, "an envelope did not leave");
        }
    }
}
