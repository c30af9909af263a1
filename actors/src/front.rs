//! The front: what every frame meets first, whatever transport it came by.
//!
//! Owns rate limits, creating rooms, lists, profiles, and the way to a room's actor. A frame about a room is put into the room's mailbox before
//! [`Front::ask`] returns, so that frames of one connection take effect in the order sent.

mod create;
pub mod list;
pub mod people;

use std::sync::{Arc, Mutex, PoisonError};

use parlor_schema::{
    MsgId, Role, RoomId, UserId,
    frame::{Ack, ClientFrame, Refusal, client::Caller},
    port::PortFuture,
};
use tokio::sync::oneshot;

use crate::{
    answer::{Answer, Dropped},
    bucket::{Buckets, RetryAfterMs},
    metrics::Metrics,
    ports::Ports,
    presence::Presences,
    quota::SharedSends,
    room::{
        RoomEnv,
        ask::{Ask, Look, ReplyTo, RoleOf, Seen, Via},
        frames::room_of,
        rooms::Rooms,
        state::RoomRules,
    },
};

/// A reply on its way.
pub type Reply<T> = PortFuture<'static, Result<T, Refusal>>;

/// The front of a node.
#[derive(Clone)]
pub struct Front {
    /// The outside.
    pub ports: Ports,
    /// The rooms of this node.
    pub rooms: Arc<Rooms>,
    /// The presence records of this node.
    pub presences: Arc<Presences>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    rules: RoomRules,
    sends: Arc<Mutex<Buckets<UserId>>>,
    shared_sends: Option<Arc<SharedSends>>,
}

impl Front {
    /// Makes the front of a node.
    #[must_use]
    pub fn new(
        env: &RoomEnv,
        rooms: Arc<Rooms>,
        presences: Arc<Presences>,
        sends: Buckets<UserId>,
    ) -> Self {
        Self {
            ports: env.ports.clone(),
            rooms,
            presences,
            metrics: env.metrics.clone(),
            rules: env.rules,
            sends: Arc::new(Mutex::new(sends)),
            shared_sends: None,
        }
    }

    /// Has sends settled with the other nodes, too.
    #[must_use]
    pub fn sharing(mut self, sends: Option<Arc<SharedSends>>) -> Self {
        self.shared_sends = sends;
        self
    }

    /// Serves a frame. The frames that belong to a connection (`hello`, `auth.refresh`, `room.subscribe`, `room.unsubscribe`, `presence.watch`,
    /// `presence.unwatch`) are the session's.
    ///
    /// Cancellation: dropping the reply does not take the frame back.
    #[must_use]
    pub fn ask(&self, caller: &Caller, msg_id: Option<MsgId>, frame: ClientFrame) -> Reply<Ack> {
        let (to, from) = oneshot::channel();
        let dropped = dropped(&frame);
        self.hand_over(caller, msg_id, frame, || Answer::Once(to))
            .unwrap_or_else(|| wait(from, move || dropped.refusal()))
    }

    /// Serves a frame as [`ask`](Self::ask) does. Where a room is to answer, it is told to give `answer`, and nothing is returned here.
    pub fn hand_over(
        &self,
        caller: &Caller,
        msg_id: Option<MsgId>,
        frame: ClientFrame,
        answer: impl FnOnce() -> Answer,
    ) -> Option<Reply<Ack>> {
        if let Err(refusal) = self.admit(caller, &frame) {
            return Some(done(Err(refusal)));
        }
        let reply = match frame {
            ClientFrame::RoomCreate(create) => self.create(caller.clone(), msg_id, create),
            ClientFrame::RoomList(ask) => self.list(caller.user_id.clone(), ask),
            ClientFrame::PresenceSet(set) => self.set_presence(caller.clone(), set),
            ClientFrame::UserGet(ask) => self.profile(ask.user_id),
            ClientFrame::UserUpdate(update) => self.update_profile(caller.user_id.clone(), update),
            ClientFrame::Ping(_) => done(Ok(Ack::Pong(parlor_schema::frame::ack::Empty {}))),
            frame => match room_of(&frame) {
                Some(room) => {
                    self.tell_room(room, caller.clone(), msg_id, frame, answer());
                    return None;
                }
                None => done(Err(Refusal::not_served(frame.kind()))),
            },
        };
        Some(reply)
    }

    /// Spends a token for frames that append.
    fn admit(&self, caller: &Caller, frame: &ClientFrame) -> Result<(), Refusal> {
        if !frame.needs_msg_id() {
            return Ok(());
        }
        let now = self.ports.clock.monotonic_ms();
        let mut sends = self.sends.lock().unwrap_or_else(PoisonError::into_inner);
        let own = sends.take(&caller.user_id, now);
        drop(sends);
        own.and_then(|()| match &self.shared_sends {
            Some(shared) => shared.take(&caller.user_id, now),
            None => Ok(()),
        })
        .map_err(|RetryAfterMs(wait)| Refusal::rate_limited(wait))
    }

    fn ask_room(
        &self,
        room: RoomId,
        caller: Caller,
        msg_id: Option<MsgId>,
        frame: ClientFrame,
    ) -> Reply<Ack> {
        let (to, from) = oneshot::channel();
        let dropped = dropped(&frame);
        self.tell_room(room, caller, msg_id, frame, Answer::Once(to));
        wait(from, move || dropped.refusal())
    }

    fn tell_room(
        &self,
        room: RoomId,
        caller: Caller,
        msg_id: Option<MsgId>,
        frame: ClientFrame,
        reply: Answer,
    ) {
        let ask = Ask {
            caller,
            msg_id,
            frame,
            via: Via::Session,
            reply,
        };
        if let Err(ask) = self.rooms.tell(room, ask) {
            ask.reply.give(Err(too_busy()));
        }
    }

    /// Describes a room to a user.
    #[must_use]
    pub fn look(&self, room: RoomId, user: &UserId) -> Reply<Seen> {
        let (to, from) = oneshot::channel();
        self.send(
            room,
            Look {
                user: user.clone(),
                reply: to,
            },
            |look| look.reply,
        );
        wait(from, room_ended)
    }

    /// Tells a member's role to somebody who may see the room.
    #[must_use]
    pub fn role_of(&self, room: RoomId, caller: &UserId, user: &UserId) -> Reply<Option<Role>> {
        let (to, from) = oneshot::channel();
        let ask = RoleOf {
            caller: caller.clone(),
            user: user.clone(),
            reply: to,
        };
        self.send(room, ask, |ask| ask.reply);
        wait(from, room_ended)
    }

    fn send<M, T>(&self, room: RoomId, message: M, reply_of: impl FnOnce(M) -> ReplyTo<T>)
    where
        M: actix::Message + Send + 'static,
        M::Result: Send,
        crate::room::Room: actix::Handler<M>,
        actix::Context<crate::room::Room>: actix::dev::ToEnvelope<crate::room::Room, M>,
    {
        if let Err(message) = self.rooms.tell(room, message) {
            let _ = reply_of(message).send(Err(too_busy()));
        }
    }
}

/// Says what becomes of a frame that a room drops: whoever waits in vain for one that appends cannot know whether it took effect.
pub(crate) const fn dropped(frame: &ClientFrame) -> Dropped {
    if frame.needs_msg_id() {
        Dropped::Unknown
    } else {
        Dropped::Again
    }
}

pub(crate) fn room_ended() -> Refusal {
    Refusal::unavailable("the room ended, ask again")
}

fn too_busy() -> Refusal {
    Refusal::unavailable("the room is too busy")
}

pub(crate) fn done<T: Send + 'static>(result: Result<T, Refusal>) -> Reply<T> {
    Box::pin(std::future::ready(result))
}

fn wait<T: Send + 'static>(
    from: oneshot::Receiver<Result<T, Refusal>>,
    lost: impl FnOnce() -> Refusal + Send + 'static,
) -> Reply<T> {
    Box::pin(async move { from.await.unwrap_or_else(|_| Err(lost())) })
}
