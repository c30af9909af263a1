//! Joins the front of HTTP to the actors.

use std::sync::Arc;

use parlor_actors::{drain::Drain, front::Front as Actors};
use parlor_schema::{
    MsgId, Role, RoomId, UserId,
    frame::{Ack, ClientFrame, Refusal, ack::PresenceAck, client::Caller},
    port::PortFuture,
};

use super::Watch;
use crate::http::Front;

/// The actors as HTTP sees them.
pub(super) struct ActorFront {
    pub(super) front: Actors,
    pub(super) drain: Arc<Drain>,
    pub(super) watch: Arc<Watch>,
}

impl Front for ActorFront {
    fn ask(
        &self,
        caller: Caller,
        msg_id: Option<MsgId>,
        frame: ClientFrame,
    ) -> PortFuture<'_, Result<Ack, Refusal>> {
        match frame {
            ClientFrame::PresenceWatch(users) => Box::pin(async move {
                let presence = self
                    .front
                    .presence_of(&caller.user_id, users.user_ids)
                    .await?;
                Ok(Ack::Presence(PresenceAck { presence }))
            }),
            frame => self.front.ask(&caller, msg_id, frame),
        }
    }

    fn member_role(
        &self,
        caller: Caller,
        room: RoomId,
        user: UserId,
    ) -> PortFuture<'_, Result<Option<Role>, Refusal>> {
        self.front.role_of(room, &caller.user_id, &user)
    }

    fn readiness(&self) -> Vec<String> {
        let draining = self
            .drain
            .left_ms(self.front.ports.clock.monotonic_ms())
            .is_some();
        let mut reasons = self.watch.reasons();
        if draining {
            reasons.insert(0, "draining".to_owned());
        }
        reasons
    }

    fn troubles(&self) -> Vec<String> {
        self.watch.troubles()
    }

    fn refresh_metrics(&self) {
        self.watch.copy_counts();
    }
}
