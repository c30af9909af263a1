//! The `Node` actor: one per process. It takes what other nodes say and tells the sessions it concerns.
//!
//! Its mailbox holds [`MAILBOX`] envelopes; when full an envelope is heard on the thread that brings it, so that no revocation is lost.
//!
//! Deliberately absent here: heartbeats, placement and links; they come with the cluster.

use actix::prelude::*;
use parlor_schema::{
    envelope::Envelope,
    port::{Inbound, Inbox, View},
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

/// What the bus handed up.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Arrived(Inbound);

/// Asks for the nodes thought alive.
#[derive(Debug, Message)]
#[rtype(result = "Arc<View>")]
pub struct GetView;

impl Node {
    /// Starts the node on this thread and attaches it to the bus.
    pub fn start_on(ports: &Ports, sessions: Arc<Sessions>) -> Addr<Self> {
        let node = Self::create(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            Self {
                ports: ports.clone(),
                sessions: sessions.clone(),
            }
        });
        let (inbox, outside) = (node.clone(), ports.clone());
        let inbox: Inbox = Arc::new(move |inbound| {
            // When full: heard on the sender's thread, as a revocation must not be lost (promise P-6).
            if let Err(SendError::Full(Arrived(inbound)) | SendError::Closed(Arrived(inbound))) =
                inbox.try_send(Arrived(inbound))
            {
                hear(&outside, &sessions, inbound);
            }
        });
        ports.bus.attach(inbox);
        node
    }
}

fn hear(ports: &Ports, sessions: &Sessions, inbound: Inbound) {
    let envelope = match inbound {
        Inbound::Envelope(envelope) => envelope,
        // A node that is alone has no peers that name heads or lose envelopes.
        Inbound::Heads(_) | Inbound::LinkLost(_) => return,
    };
    match envelope {
        Envelope::LoginEnded { user_id, login_id } => {
            ports.gate.login_ended(login_id);
            sessions.tell(&user_id, &Notice::LoginEnded(login_id));
        }
        Envelope::UserRevoked { user_id } => {
            ports.gate.user_revoked(&user_id);
            sessions.tell(&user_id, &Notice::Revoked);
        }
    }
}

impl Actor for Node {
    type Context = Context<Self>;
}

impl Handler<Arrived> for Node {
    type Result = ();

    fn handle(&mut self, Arrived(inbound): Arrived, _: &mut Self::Context) {
        hear(&self.ports, &self.sessions, inbound);
    }
}

impl Handler<GetView> for Node {
    type Result = MessageResult<GetView>;

    fn handle(&mut self, _: GetView, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.ports.membership.view())
    }
}
