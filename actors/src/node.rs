//! The `Node` actor: one per process. It takes what other nodes say and tells the sessions it concerns.
//!
//! Its mailbox holds [`MAILBOX`] envelopes; when full one is dropped and counted, as an envelope is a hint (V-1). What a revocation must not lose
//! is checked again where it counts: a token whose login ended does not verify.
//!
//! Deliberately absent here: heartbeats, placement and links; they come with the cluster.

use actix::prelude::*;
use parlor_schema::{
    envelope::Envelope,
    port::{Inbox, View},
};
use std::sync::Arc;

use crate::{
    ports::Ports,
    registry::{Notice, Sessions},
};

/// Envelopes that may wait.
pub const MAILBOX: usize = 4096;

/// The process as a member of the cluster.
pub struct Node {
    ports: Ports,
    sessions: Arc<Sessions>,
}

/// An envelope that arrived.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Arrived(Envelope);

/// Asks for the nodes thought alive.
#[derive(Debug, Message)]
#[rtype(result = "Arc<View>")]
pub struct GetView;

impl Node {
    /// Starts the node on this thread and attaches it to the bus.
    pub fn start_on(ports: &Ports, sessions: Arc<Sessions>) -> Addr<Self> {
        let node = Self {
            ports: ports.clone(),
            sessions,
        }
        .start();
        let inbox = node.clone();
        let inbox: Inbox = Arc::new(move |envelope| {
            if inbox.try_send(Arrived(envelope)).is_err() {
                tracing::warn!("an envelope was dropped: the node is busy");
            }
        });
        ports.bus.attach(inbox);
        node
    }
}

impl Actor for Node {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Arrived> for Node {
    type Result = ();

    fn handle(&mut self, Arrived(envelope): Arrived, _: &mut Self::Context) {
        match envelope {
            Envelope::LoginEnded { user_id, login_id } => {
                self.ports.gate.login_ended(login_id);
                self.sessions.tell(&user_id, &Notice::LoginEnded(login_id));
            }
            Envelope::UserRevoked { user_id } => {
                self.ports.gate.user_revoked(&user_id);
                self.sessions.tell(&user_id, &Notice::Revoked);
            }
        }
    }
}

impl Handler<GetView> for Node {
    type Result = MessageResult<GetView>;

    fn handle(&mut self, _: GetView, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.ports.membership.view())
    }
}
