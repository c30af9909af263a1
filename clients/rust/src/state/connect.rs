//! From nothing to a greeted connection, and what follows when it is lost.
//!
//! Source: PROTOCOL sections 3 and 6.

use std::time::Duration;

use parlor_schema::{
    CloseCode, ErrorCode, MsgId,
    frame::{
        ClientFrame, Refusal,
        client::RoomSubscribe,
        hello::{Hello, Resume, Welcome},
    },
    room::Mode,
};

use super::{
    CONNECT_WITHIN, ConnectFailure, Output, Phase, Purpose, RESUME_MAX, Renewed, STABLE_AFTER,
    State, live::LiveState,
};
use crate::{
    frame,
    notice::{Notice, RequestError, StopReason},
    token::{TokenError, TokenNeed},
};

/// Time for the close that follows a refused `hello`.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

impl State {
    /// Asks for a token, the first step of each attempt.
    pub(super) fn begin_connect(&mut self) {
        self.phase = Phase::Authorizing;
        self.ask(self.need);
    }

    /// Asks the token source, unless it is asked: its answer will be as fresh.
    pub(super) fn ask(&mut self, need: TokenNeed) {
        if self.asking.is_none() {
            self.asking = Some(need);
            self.outputs.push_back(Output::AskToken(need));
        }
    }

    pub(super) fn token_came(&mut self, now: Duration, answer: Result<String, TokenError>) {
        let Some(asked) = self.asking.take() else {
            return;
        };
        match (&self.phase, answer) {
            (Phase::Authorizing, Ok(token)) => {
                self.token = token;
                self.need = TokenNeed::Connect;
                self.phase = Phase::Connecting {
                    deadline: now + CONNECT_WITHIN,
                };
                self.outputs.push_back(Output::Connect);
            }
            // A question from the live connection that was; the one for this attempt was not asked.
            (Phase::Authorizing, Err(_)) if asked == TokenNeed::Expiring => self.ask(self.need),
            (Phase::Authorizing, Err(TokenError::Temporary(why))) => {
                self.back_off(now, why, Duration::ZERO);
            }
            (Phase::Authorizing, Err(TokenError::Final(why))) => {
                let reason = match self.need {
                    TokenNeed::Rejected => StopReason::Unauthorized,
                    TokenNeed::Connect | TokenNeed::Expiring => StopReason::NoToken(why),
                };
                self.stop(reason);
            }
            (Phase::Live(_), Ok(token)) if asked == TokenNeed::Expiring => self.renew(token),
            _ => {}
        }
    }

    pub(super) fn connect_failed(&mut self, now: Duration, failure: &ConnectFailure) {
        if !matches!(self.phase, Phase::Connecting { .. }) {
            return;
        }
        self.stats.connect_failures += 1;
        match failure {
            // Too many from this address, or a server that is not ready: later.
            ConnectFailure::Status(408 | 425 | 429) => {}
            ConnectFailure::Status(401) => {
                self.unauthorized();
                return;
            }
            ConnectFailure::Status(status @ 400..=499) => {
                self.stop(StopReason::Refused(*status));
                return;
            }
            ConnectFailure::Status(_) | ConnectFailure::Transport(_) => {}
        }
        self.back_off(now, failure.to_string(), Duration::ZERO);
    }

    pub(super) fn greet(&mut self, now: Duration) {
        if !matches!(self.phase, Phase::Connecting { .. }) {
            return;
        }
        let id = self.new_id();
        let resume = self.positions.resume(RESUME_MAX);
        let hello = ClientFrame::Hello(Hello {
            token: Some(self.token.clone()),
            device: Some(self.settings.device.clone()),
            rooms: Some(self.settings.rooms.clone()),
            resume: (!resume.is_empty()).then_some(Resume {
                rooms: Some(resume),
                cursor: None,
            }),
            presence: self.settings.presence,
        });
        self.phase = Phase::Greeting {
            hello: id,
            deadline: now + CONNECT_WITHIN,
            refusal: None,
        };
        self.send(frame::write(&hello, Some(id)));
    }

    /// Takes the refusal of `hello`; what to do comes with the close, or is decided when none comes.
    pub(super) fn hello_refused(&mut self, now: Duration, refused: Refusal) {
        if let Phase::Greeting {
            refusal, deadline, ..
        } = &mut self.phase
        {
            *refusal = Some(refused);
            *deadline = now + CLOSE_WITHIN;
        }
    }

    /// Tells whether `msg_id` is that of the `hello` in flight.
    pub(super) fn is_hello(&self, msg_id: MsgId) -> bool {
        matches!(&self.phase, Phase::Greeting { hello, .. } if *hello == msg_id)
    }

    pub(super) fn welcomed(&mut self, now: Duration, welcome: Box<Welcome>) {
        if !matches!(self.phase, Phase::Greeting { .. }) {
            return;
        }
        self.phase = Phase::Live(LiveState::new(now, welcome.heartbeat_ms));
        self.renewed = Renewed::No;
        self.stats.connects += 1;
        // An id made up by the server is this installation's from now on.
        self.settings.device.id = Some(welcome.device_id.clone());
        for room in &welcome.rooms {
            if room.own.is_some_and(|own| own.mode == Mode::Active) {
                self.positions.begin(room.room_id, room.head);
            }
        }
        self.deliver(Notice::Connected(welcome));
        for (room_id, after) in self.positions.parked() {
            let subscribe = ClientFrame::RoomSubscribe(RoomSubscribe {
                room_id,
                after: Some(after),
                mode: None,
            });
            self.ask_server(&subscribe, Purpose::CatchUp(room_id, after));
        }
        let due = self.outbox.due(now);
        self.send_due(due);
        self.send_requests();
    }

    /// Asks something for the client itself.
    pub(super) fn ask_server(&mut self, frame: &ClientFrame, purpose: Purpose) {
        let id = self.new_id();
        let text = frame::write(frame, Some(id));
        let taken = self.requests.push(id, text, purpose);
        debug_assert!(taken.is_ok(), "the client's own requests are few and new");
        self.send_requests();
    }

    /// Takes the end of the socket, whoever ended it.
    pub(super) fn lost(&mut self, now: Duration, code: Option<u16>, reason: String) {
        let refusal = match &mut self.phase {
            Phase::Greeting { refusal, .. } => refusal.take(),
            Phase::Live(live) => {
                if now.saturating_sub(live.since()) >= STABLE_AFTER {
                    self.backoff.reset();
                }
                None
            }
            _ => return,
        };
        self.disconnected(code, &reason);
        match code {
            Some(code) if code == CloseCode::Unauthorized.number() => self.unauthorized(),
            Some(code @ 4400..=4499) => self.stop(StopReason::Closed { code, reason }),
            Some(_) => self.back_off(now, reason.clone(), retry_after(&reason)),
            None => self.lost_without_code(now, reason, refusal),
        }
    }

    fn lost_without_code(&mut self, now: Duration, reason: String, refusal: Option<Refusal>) {
        match refusal {
            None => self.back_off(now, reason, Duration::ZERO),
            Some(refusal) if refusal.code == ErrorCode::Unauthorized => self.unauthorized(),
            Some(refusal) if refusal.code.is_temporary() => {
                let least = Duration::from_millis(refusal.retry_after_ms.unwrap_or(0));
                self.back_off(now, refusal.to_string(), least);
            }
            Some(refusal) => self.stop(StopReason::Hello(refusal)),
        }
    }

    /// Cuts the connection as a fault would, or gives up the attempt.
    pub(super) fn abort(&mut self, now: Duration) {
        match self.phase {
            Phase::Greeting { .. } | Phase::Live(_) => {
                self.outputs.push_back(Output::DropSocket);
                self.lost(now, None, "cut".into());
            }
            Phase::Connecting { .. } => {
                self.outputs.push_back(Output::DropSocket);
                self.back_off(now, "cut".into(), Duration::ZERO);
            }
            _ => {}
        }
    }

    /// Leaves a draining node at the moment it gave, and comes back at once.
    pub(super) fn move_on(&mut self) {
        self.outputs.push_back(Output::CloseSocket);
        self.disconnected(None, "the node is draining");
        self.backoff.reset();
        self.begin_connect();
    }

    /// Takes the end of time in a phase that has one.
    pub(super) fn tick(&mut self, now: Duration) {
        match &self.phase {
            Phase::Backoff { until } if *until <= now => self.begin_connect(),
            Phase::Connecting { deadline } if *deadline <= now => {
                self.outputs.push_back(Output::DropSocket);
                let failure = ConnectFailure::Transport("the connection took too long".into());
                self.connect_failed(now, &failure);
            }
            Phase::Greeting { deadline, .. } if *deadline <= now => {
                self.outputs.push_back(Output::DropSocket);
                self.lost(now, None, "no welcome in time".into());
            }
            Phase::Live(_) => self.tick_live(now),
            _ => {}
        }
    }

    pub(super) fn stop(&mut self, reason: StopReason) {
        if matches!(self.phase, Phase::Greeting { .. } | Phase::Live(_)) {
            self.outputs.push_back(Output::CloseSocket);
        } else {
            self.outputs.push_back(Output::DropSocket);
        }
        for msg_id in self.requests.fail() {
            self.answer(msg_id, Err(RequestError::Stopped(reason.clone())));
        }
        self.outbox.connection_lost();
        for entry in self.outbox.entries() {
            // Nobody waits for a restored one; it stays in the outbox like the others.
            self.answer(entry.msg_id, Err(RequestError::Stopped(reason.clone())));
        }
        self.deliver(Notice::Stopped(reason.clone()));
        self.phase = Phase::Stopped(reason);
    }

    /// Does what every loss of an open socket asks for.
    fn disconnected(&mut self, code: Option<u16>, reason: &str) {
        self.stats.disconnects += 1;
        self.fail_requests();
        self.outbox.connection_lost();
        self.phase = Phase::Disconnected;
        self.deliver(Notice::Disconnected {
            code,
            reason: reason.to_owned(),
        });
    }

    fn fail_requests(&mut self) {
        for msg_id in self.requests.fail() {
            self.answer(msg_id, Err(RequestError::Disconnected));
        }
    }

    /// Fetches one fresh token, then gives up.
    fn unauthorized(&mut self) {
        if self.renewed == Renewed::Yes {
            self.stop(StopReason::Unauthorized);
            return;
        }
        self.renewed = Renewed::Yes;
        self.need = TokenNeed::Rejected;
        self.begin_connect();
    }

    fn back_off(&mut self, now: Duration, why: String, least: Duration) {
        self.last_failure = Some(why.clone());
        self.fail_requests();
        let wait = self
            .backoff
            .next(&mut self.rng, self.settings.wait_max)
            .max(least);
        if self
            .settings
            .attempts_max
            .is_some_and(|max| self.backoff.failed() >= max)
        {
            self.stop(StopReason::Unreachable(why));
            return;
        }
        self.stats.backoff_max = self.stats.backoff_max.max(wait);
        self.phase = Phase::Backoff { until: now + wait };
    }
}

/// Reads the `retry_after_ms=N` of a close reason; the wait is bounded, whatever the server says.
fn retry_after(reason: &str) -> Duration {
    let number = reason.split_once("retry_after_ms=").and_then(|(_, rest)| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
        digits?.parse().ok()
    });
    Duration::from_millis(number.unwrap_or(0)).min(Duration::from_secs(300))
}
