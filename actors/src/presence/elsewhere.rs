//! What the actor hears of a user's devices on other nodes, and what it tells of those here.

use std::sync::Arc;

use actix::{AsyncContext, Context, Handler, Message, MessageResult};
use parlor_schema::{
    BootId, NodeId,
    envelope::{Envelope, Part, Sight},
    port::View,
};

use super::{Presence, others, state::Shown};

/// Has the actor ask other nodes for their parts, unless it did; answers whether it did just now.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Asked")]
pub(super) struct Ask;

/// Whether other nodes were asked just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Now,
    Before,
}

/// Says what happened on other nodes.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(super) enum Elsewhere {
    /// A node wants to know what the devices here come to.
    Asked(NodeId),
    /// A node says what the devices there come to.
    Part(NodeId, BootId, Part),
    /// There are other nodes than before.
    Changed(Arc<View>),
    /// Something a node said may have been lost.
    Lost(NodeId),
}

impl Presence {
    fn own_part(&self) -> Part {
        let shown = self.state.shown();
        others::part(shown, others::sight(shown.status, self.state.is_hidden()))
    }

    pub(super) fn merged(&self) -> Shown {
        self.others.merge(self.state.shown(), self.own_part().sight)
    }

    pub(super) fn announce(&mut self, ctx: &mut Context<Self>) {
        let shown = self.merged();
        if shown == self.announced {
            return;
        }
        self.announced = shown;
        let (entry, now_ms) = (self.entry(), self.now_ms());
        self.watchers.announce(&entry, now_ms);
        self.pay_later(ctx);
    }

    /// Tells other nodes what the devices here come to, when it is something else than before.
    pub(super) fn tell_part(&mut self) {
        let part = self.own_part();
        if part.sight == self.told.sight && part.text == self.told.text {
            return;
        }
        self.told = part;
        self.outside.peers.tell_all(|| self.said());
    }

    fn said(&self) -> Envelope {
        let own = self.outside.peers.membership.own();
        Envelope::PresencePart {
            user_id: self.user.clone(),
            node_id: own.node_id,
            boot_id: own.boot_id,
            part: self.told.clone(),
        }
    }

    fn ask_others(&self) {
        self.outside.peers.tell_all(|| self.question());
    }

    fn question(&self) -> Envelope {
        Envelope::PresenceAsked {
            user_id: self.user.clone(),
            by: self.outside.peers.membership.own().node_id,
        }
    }

    /// Asks a node again. One where the user is offline by now does not answer: what it said before is forgotten then.
    fn doubt(&mut self, node: NodeId, ctx: &mut Context<Self>) {
        self.outside.peers.tell(&node, self.question());
        if self.others.doubt(&node) {
            ctx.run_later(self.outside.pace.doubt, move |act, ctx| {
                act.others.forget_doubtful(&node);
                act.announce(ctx);
            });
        }
    }
}

impl Handler<Ask> for Presence {
    type Result = MessageResult<Ask>;

    fn handle(&mut self, _: Ask, _: &mut Context<Self>) -> Self::Result {
        let asked = std::mem::replace(&mut self.asked, Asked::Before);
        if asked == Asked::Now {
            self.ask_others();
        }
        MessageResult(asked)
    }
}

impl Handler<Elsewhere> for Presence {
    type Result = ();

    fn handle(&mut self, elsewhere: Elsewhere, ctx: &mut Context<Self>) {
        match elsewhere {
            Elsewhere::Asked(node) => {
                if self.told.sight != Sight::Offline {
                    self.outside.peers.tell(&node, self.said());
                }
            }
            Elsewhere::Part(node, boot, part) => self.others.take(node, boot, part),
            Elsewhere::Changed(view) => self.others.keep_alive(&view),
            // Nobody here looks: who does first has all asked.
            Elsewhere::Lost(node) if self.asked == Asked::Now => self.others.forget(&node),
            Elsewhere::Lost(node) => self.doubt(node, ctx),
        }
        self.announce(ctx);
    }
}
