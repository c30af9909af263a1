//! A greeted connection: what comes in, what it does to positions and outbox, and when it is dead.

use std::time::Duration;

use parlor_schema::{
    MsgId,
    frame::{
        ClientFrame, Refusal,
        ack::SubscribedAck,
        client::AuthRefresh,
        hello::{RoomsWanted, RoomsWord},
        server::{RemovedReason, RoomAdded, RoomRemoved},
    },
    room::Mode,
};
use serde_json::value::RawValue;

use super::{Output, Phase, Purpose, Refused, State, Verdict};
use crate::{
    frame::{self, EventFrame, Frame, Incoming, Reply},
    notice::{Notice, RequestError},
    token::TokenNeed,
};

/// What a live connection knows of itself.
#[derive(Debug)]
pub(super) struct LiveState {
    since: Duration,
    heard: Duration,
    /// Silence after which the connection is dead; absent: never.
    silence: Option<Duration>,
    /// While the client itself does not read, silence says nothing.
    reading: Reading,
    /// When to leave a draining node.
    leave: Option<Duration>,
}

#[derive(Debug, PartialEq, Eq)]
enum Reading {
    On,
    Off,
}

impl LiveState {
    /// Begins at `now`; two and a half heartbeats without a frame are the end.
    pub(super) fn new(now: Duration, heartbeat_ms: u64) -> Self {
        let silence = Duration::from_millis(heartbeat_ms.saturating_mul(5) / 2);
        Self {
            since: now,
            heard: now,
            silence: (!silence.is_zero()).then_some(silence),
            reading: Reading::On,
            leave: None,
        }
    }

    pub(super) fn since(&self) -> Duration {
        self.since
    }

    fn dead_at(&self) -> Option<Duration> {
        match self.reading {
            Reading::On => self
                .silence
                .map(|silence| self.heard.saturating_add(silence)),
            Reading::Off => None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        [self.dead_at(), self.leave].into_iter().flatten().min()
    }
}

impl State {
    pub(super) fn heard(&mut self, now: Duration) {
        if let Phase::Live(live) = &mut self.phase {
            live.heard = now;
        }
    }

    pub(super) fn paused(&mut self) {
        if let Phase::Live(live) = &mut self.phase {
            live.reading = Reading::Off;
        }
    }

    pub(super) fn resumed(&mut self, now: Duration) {
        if let Phase::Live(live) = &mut self.phase {
            live.reading = Reading::On;
            live.heard = now;
        }
    }

    pub(super) fn tick_live(&mut self, now: Duration) {
        let Phase::Live(live) = &self.phase else {
            return;
        };
        let past = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        if past(live.dead_at()) {
            self.outputs.push_back(Output::DropSocket);
            self.lost(now, None, "the server is silent".into());
            return;
        }
        if past(live.leave) {
            self.move_on();
            return;
        }
        let due = self.outbox.due(now);
        self.send_due(due);
    }

    pub(super) fn text_came(&mut self, now: Duration, text: &str) {
        if !matches!(self.phase, Phase::Greeting { .. } | Phase::Live(_)) {
            return;
        }
        self.heard(now);
        match frame::read(text) {
            Err(error) => {
                tracing::warn!(%error, "unreadable frame");
                self.stats.unreadable += 1;
            }
            Ok(Incoming::Welcome(welcome)) => self.welcomed(now, welcome),
            Ok(Incoming::Reply(msg_id, Reply::Refused(refusal))) if self.is_hello(msg_id) => {
                self.hello_refused(now, refusal);
            }
            Ok(Incoming::Reply(msg_id, reply)) => self.reply_came(now, msg_id, reply),
            Ok(Incoming::Event(event)) => self.event_came(event),
            Ok(Incoming::Gap(gap)) => {
                self.stats.gaps += 1;
                match self.positions.gap(&gap) {
                    Verdict::Duplicate => return,
                    Verdict::Hole => self.stats.order_errors += 1,
                    Verdict::Next => {}
                }
                self.deliver(Notice::Gap(gap));
            }
            Ok(Incoming::Live(live)) => {
                if self.positions.live(live.room_id, live.seq) == Verdict::Hole {
                    self.stats.order_errors += 1;
                }
                self.deliver(Notice::Live(live));
            }
            Ok(Incoming::Other(other)) => self.other_came(now, other),
        }
    }

    fn event_came(&mut self, event: EventFrame) {
        match self.positions.event(event.room_id, event.seq) {
            Verdict::Duplicate => {
                self.stats.duplicates += 1;
                return;
            }
            Verdict::Hole => {
                tracing::warn!(room = %event.room_id, seq = %event.seq, "positions left out without a gap");
                self.stats.order_errors += 1;
            }
            Verdict::Next => {}
        }
        self.stats.events += 1;
        self.deliver(Notice::Event(event));
    }

    fn other_came(&mut self, now: Duration, other: Frame) {
        match &other {
            Frame::RoomAdded(added) => self.room_added(added),
            Frame::RoomRemoved(removed) => self.positions.forget(removed.room_id),
            Frame::AuthExpiring(_) => self.ask(TokenNeed::Expiring),
            Frame::Goaway(goaway) => {
                if let Phase::Live(live) = &mut self.phase {
                    live.leave = Some(now + Duration::from_millis(goaway.reconnect_in_ms));
                }
            }
            // Before the welcome it is about `hello`, whose id could not be read.
            Frame::Error(refusal) if matches!(self.phase, Phase::Greeting { .. }) => {
                let refusal = refusal.clone();
                self.hello_refused(now, refusal);
            }
            _ => {}
        }
        self.deliver(Notice::Frame(other));
    }

    fn room_added(&mut self, added: &RoomAdded) {
        if self.settings.rooms == RoomsWanted::Word(RoomsWord::All) {
            self.positions.begin(added.room.room_id, added.room.head);
        }
    }

    pub(super) fn renew(&mut self, token: String) {
        self.token.clone_from(&token);
        let refresh = ClientFrame::AuthRefresh(AuthRefresh { token });
        self.ask_server(&refresh, Purpose::Refresh);
    }

    fn reply_came(&mut self, now: Duration, msg_id: MsgId, reply: Reply) {
        if self.outbox.contains(msg_id) {
            self.outbox_reply(now, msg_id, reply);
            return;
        }
        let Some(purpose) = self.requests.settle(msg_id) else {
            return;
        };
        let answer = match reply {
            Reply::Done(payload) => {
                self.request_done(purpose, &payload);
                Ok(payload)
            }
            Reply::Refused(refusal) => {
                self.own_request_refused(now, purpose, &refusal);
                Err(RequestError::Refused(refusal))
            }
        };
        if purpose.is_the_applications() {
            self.answer(msg_id, answer);
        }
    }

    fn outbox_reply(&mut self, now: Duration, msg_id: MsgId, reply: Reply) {
        let room = self.outbox.room(msg_id);
        match reply {
            Reply::Done(payload) => {
                self.stats.acked += 1;
                if let Some(origin) = self.outbox.acked(msg_id) {
                    self.settle(msg_id, origin, Ok(payload));
                }
            }
            Reply::Refused(refusal) => {
                self.stats.refused += 1;
                let outcome = self.outbox.refused(msg_id, &refusal, now, &mut self.rng);
                if let Some(Refused::Gone(origin)) = outcome {
                    self.settle(msg_id, origin, Err(RequestError::Refused(refusal)));
                }
            }
        }
        let due = self.outbox.due_in_room(room, now);
        self.send_due(due);
    }

    fn request_done(&mut self, purpose: Purpose, payload: &RawValue) {
        match purpose {
            Purpose::Asked | Purpose::Refresh => {}
            Purpose::CatchUp(room, after) => self.positions.put(room, after),
            // What a passive room says is no event; after a reconnect it would be active if it had a position.
            Purpose::Unsubscribe(room)
            | Purpose::Subscribe {
                room,
                mode: Mode::Passive | Mode::None,
                ..
            } => self.positions.forget(room),
            Purpose::Subscribe {
                room,
                after: Some(after),
                ..
            } => self.positions.put(room, after),
            Purpose::Subscribe { room, .. } => {
                if let Ok(ack) = serde_json::from_str::<SubscribedAck>(payload.get()) {
                    self.positions.begin(room, ack.head);
                }
            }
        }
    }

    fn own_request_refused(&mut self, now: Duration, purpose: Purpose, refusal: &Refusal) {
        match purpose {
            Purpose::CatchUp(..) if refusal.code.is_temporary() => {
                self.outputs.push_back(Output::DropSocket);
                self.lost(now, None, refusal.to_string());
            }
            Purpose::CatchUp(room_id, _) => {
                self.positions.forget(room_id);
                self.deliver(Notice::Frame(Frame::RoomRemoved(RoomRemoved {
                    room_id,
                    reason: RemovedReason::NotMember,
                })));
            }
            // The token in use holds until it ends; then the close asks for a fresh one.
            Purpose::Refresh => tracing::warn!(%refusal, "the fresh token is refused"),
            Purpose::Asked | Purpose::Subscribe { .. } | Purpose::Unsubscribe(_) => {}
        }
    }
}
