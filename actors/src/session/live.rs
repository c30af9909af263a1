//! The state after `hello`, and serving its frames.

use std::{collections::HashMap, rc::Rc};

use actix::prelude::*;
use parlor_schema::{
    CloseCode, ErrorCode, RoomId, Seq, UserId,
    frame::{
        Ack, ClientFrame, Received, Refusal, ServerFrame,
        ack::RefreshedAck,
        client::{AuthRefresh, Caller},
    },
    room::{Mode, Room},
};

use super::{Phase as SessionPhase, Session, SessionEnv};
use crate::{
    answer::{Answer, Dropped, ToSession, Way},
    fanout::Fanout,
    fetch::fetch_text,
    front,
    line::{Line, Warned},
    map::IdMap,
    ports::Pass,
    subscription::{Phase, Subscription},
};

/// The state after `hello`.
pub(super) struct Live {
    /// Whose session it is.
    pub(super) caller: Caller,
    /// What its token says.
    pub(super) pass: Pass,
    /// Whether rooms to come are delivered too.
    pub(super) wants_all: bool,
    /// The subscriptions.
    pub(super) places: IdMap<RoomId, Place>,
    /// The users watched, and whether they are shown.
    pub(super) watched: HashMap<UserId, Shown>,
    /// Heads of the rooms in `welcome`, until notices from before it can no longer come.
    pub(super) greeted: Vec<(RoomId, Seq)>,
    /// Whether watched users are being looked at again.
    pub(super) rechecking: Rechecking,
}

/// A subscription, and what only its session knows of it.
pub(super) struct Place {
    /// The part the fan-out sees.
    pub(super) subscription: Rc<Subscription>,
    /// Whether `live` is to be sent when level.
    pub(super) owes_live: bool,
    /// Whether a page is under way.
    pub(super) pulling: bool,
    /// When the last `head` frame was sent.
    pub(super) head_sent: Option<u64>,
    /// When the next is due.
    pub(super) head_due: Option<u64>,
}

/// Whether a look at all watched users is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rechecking {
    /// None is.
    No,
    /// One is; another waits for it.
    Yes,
}

/// Whether a watched user may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// They share a room.
    Yes,
    /// They do not: offline, whatever is so.
    No,
}

impl Live {
    pub(super) fn new(caller: Caller, pass: Pass, wants_all: bool) -> Self {
        Self {
            caller,
            pass,
            wants_all,
            places: IdMap::default(),
            watched: HashMap::new(),
            greeted: Vec::new(),
            rechecking: Rechecking::No,
        }
    }

    /// Asks for the names of the caller.
    pub(super) fn fetch(&self) {
        fetch_text(self.caller.user_id.as_str());
        fetch_text(self.caller.device_id.as_str());
    }

    /// Lists a fresh subscription in the place of whatever was there.
    pub(super) fn subscribe(
        &mut self,
        room: RoomId,
        fanout: &Fanout,
        line: &Rc<Line>,
    ) -> Rc<Subscription> {
        let subscription = Rc::new(Subscription::new(room));
        fanout.subscribe(&subscription, line);
        self.adopt(&subscription, fanout);
        subscription
    }

    /// Puts a subscription that the fan-out has already into the place of whatever was there.
    pub(super) fn adopt(&mut self, subscription: &Rc<Subscription>, fanout: &Fanout) {
        let room = subscription.room;
        let head_sent = self.places.get(&room).and_then(|place| place.head_sent);
        let place = Place {
            subscription: subscription.clone(),
            owes_live: false,
            pulling: false,
            head_sent,
            head_due: None,
        };
        if let Some(old) = self.places.insert(room, place) {
            fanout.unsubscribe(&old.subscription);
        }
    }

    /// Ends a subscription; answers whether there was one.
    pub(super) fn unsubscribe(&mut self, room: RoomId, fanout: &Fanout) -> bool {
        let Some(place) = self.places.remove(&room) else {
            return false;
        };
        fanout.unsubscribe(&place.subscription);
        true
    }

    /// Says how a room is delivered to this session.
    pub(super) fn mode_of(&self, room: RoomId) -> Mode {
        match self
            .places
            .get(&room)
            .map(|place| place.subscription.phase.get())
        {
            None | Some(Phase::Closed) => Mode::None,
            Some(Phase::Passive) => Mode::Passive,
            Some(Phase::Joining | Phase::Live | Phase::Pulling) => Mode::Active,
        }
    }

    /// Writes into a room how it is delivered to this session.
    pub(super) fn put_mode(&self, room: &mut Room) {
        if let Some(own) = &mut room.own {
            own.mode = self.mode_of(room.room_id);
        }
    }

    /// Ends everything this session holds elsewhere.
    pub(super) fn end(&self, env: &SessionEnv, fanout: &Fanout, line: &Line) {
        for place in self.places.values() {
            fanout.unsubscribe(&place.subscription);
        }
        let (user, session) = (self.caller.user_id.clone(), line.session);
        env.sessions.leave(&user, session);
        env.front.presences.detach(&user, session);
        for user in self.watched.keys() {
            env.front.presences.unwatch(user, session);
        }
    }
}

impl Session {
    /// Serves a frame. Whatever is about a room reaches the room's mailbox before this returns, so that frames take effect in the order sent.
    pub(super) fn serve(&mut self, received: Received, ctx: &mut Context<Self>) {
        let Received {
            msg_id,
            echo,
            frame,
        } = received;
        let SessionPhase::Live(live) = &self.phase else {
            return;
        };
        if live.pass.expires_at <= self.env.front.ports.clock.now() {
            return self.close(CloseCode::Unauthorized);
        }
        match frame {
            ClientFrame::Hello(_) => {
                let refusal = Refusal::new(ErrorCode::Conflict, "hello was said already");
                self.refuse(refusal, echo.as_deref());
            }
            ClientFrame::Ping(_) => self.send(
                &ServerFrame::Pong(parlor_schema::frame::ack::Empty {}),
                echo.as_deref(),
            ),
            ClientFrame::AuthRefresh(refresh) => self.refresh(refresh, echo, ctx),
            ClientFrame::RoomSubscribe(ask) => self.subscribe(ask, echo, ctx),
            ClientFrame::RoomUnsubscribe(ask) => self.unsubscribe(ask.room_id, echo.as_deref()),
            ClientFrame::PresenceWatch(users) => self.watch(users.user_ids, echo, ctx),
            ClientFrame::PresenceUnwatch(users) => self.unwatch(&users.user_ids, echo.as_deref()),
            frame => {
                self.line.hand.begin();
                let mut echo = echo;
                let dropped = front::dropped(&frame);
                let answer = || self.answer(echo.take(), dropped);
                let reply = self
                    .env
                    .front
                    .hand_over(&live.caller, msg_id, frame, answer);
                let Some(reply) = reply else { return };
                ctx.spawn(reply.into_actor(self).map(move |reply, session, _| {
                    session.line.hand.served();
                    session.reply(reply, echo.as_deref());
                }));
            }
        }
    }

    /// Says where a room is to give the answer to a frame of this session.
    fn answer(&self, echo: Option<String>, dropped: Dropped) -> Answer {
        Answer::Session(ToSession::new(Way {
            worker: self.fanout.worker(),
            slot: self.line.slot.get(),
            session: self.line.session,
            echo,
            dropped,
            mailbox: self.mailbox.clone(),
        }))
    }

    /// Answers a frame; one without `msg_id` wants no reply.
    pub(super) fn reply(&mut self, reply: Result<Ack, Refusal>, echo: Option<&str>) {
        match reply {
            Ok(mut ack) => {
                if echo.is_some() {
                    self.put_modes(&mut ack);
                    self.send(&ServerFrame::Ack(ack), echo);
                }
            }
            Err(refusal) if echo.is_some() => self.refuse(refusal, echo),
            Err(refusal) => self.env.front.metrics.refused(refusal.code),
        }
    }

    fn put_modes(&self, ack: &mut Ack) {
        let SessionPhase::Live(live) = &self.phase else {
            return;
        };
        match ack {
            Ack::Room(ack) => live.put_mode(&mut ack.room),
            Ack::Rooms(ack) => ack.rooms.iter_mut().for_each(|room| live.put_mode(room)),
            Ack::Created(ack) => {
                live.put_mode(&mut ack.room);
                // The notice that subscribes the creator may still be on its way.
                if let Some(own) = ack.room.own.as_mut().filter(|own| own.mode == Mode::None) {
                    own.mode = super::greeting::default_mode(live.wants_all);
                }
            }
            _ => {}
        }
    }

    fn refresh(&mut self, refresh: AuthRefresh, echo: Option<String>, ctx: &mut Context<Self>) {
        let gate = self.env.front.ports.gate.clone();
        let verify = gate.verify(refresh.token.clone());
        self.line.hand.begin();
        ctx.spawn(verify.into_actor(self).map(move |verified, session, ctx| {
            session.line.hand.served();
            let reply = session.refreshed(verified);
            let installed = reply.is_ok();
            session.reply(reply, echo.as_deref());
            if installed {
                // Once more, now that notices find this login here: it may have ended in between.
                let again = gate.verify(refresh.token);
                ctx.spawn(again.into_actor(session).map(|verified, session, _| {
                    if verified.is_err_and(|refusal| refusal.code == ErrorCode::Unauthorized) {
                        session.close(CloseCode::Revoked);
                    }
                }));
            }
        }));
    }

    fn refreshed(&mut self, verified: Result<Pass, Refusal>) -> Result<Ack, Refusal> {
        let pass = verified.map_err(|refusal| refusal.at("token"))?;
        let SessionPhase::Live(live) = &mut self.phase else {
            return Err(Refusal::unavailable("closing"));
        };
        if pass.user_id != live.pass.user_id {
            return Err(
                Refusal::new(ErrorCode::Unauthorized, "a token of another user").at("token"),
            );
        }
        let expires_at = pass.expires_at;
        if let Some(person) = &mut *self.line.person.borrow_mut() {
            person.expires_at = expires_at;
            person.warned = Warned::No;
        }
        live.pass = pass;
        Ok(Ack::Refreshed(RefreshedAck { expires_at }))
    }
}
