//! The connection as a state machine: inputs and the time in, outputs out; no clock, no socket, no task.
//!
//! ```text
//!                 Start                 Connected            welcome
//!  Disconnected ─────────► Connecting ────────────► Greeting ────────► Live
//!                           ▲      │                   │               │
//!              time is up   │      │ no token,         │ lost,         │ lost, silent,
//!                           │      │ no socket         │ no welcome    │ 45xx
//!                           │      ▼                   ▼               │
//!                           └─── Backoff ◄─────────────┴───────────────┘
//!
//!  4401: once to Connecting with a fresh token, then Stopped.   44xx, Stop: Stopped.   goaway: to Connecting at its moment.
//! ```
//!
//! Owns the phases, and which output follows which input. Its parts: [`Backoff`], [`Outbox`], [`Positions`], [`Requests`].
//!
//! Invariants:
//! - ST-1: a socket is open in `Greeting` and `Live` only; nothing is sent in another phase.
//! - ST-2: at most one question to the token source is open.
//! - ST-3: every request and every frame of the outbox that somebody waits for is answered once.
//! - ST-4: after [`Notice::Stopped`] nothing is delivered.
//!
//! Deliberately absent: the socket and the timers (`shell`), and who waits for an answer (`client`).
//!
//! # Example
//! Whoever has another socket, or another runtime, does what the outputs say and reports what comes of it:
//! ```
//! use std::{collections::BTreeMap, time::Duration};
//! use parlor_client::{TokenNeed, state::{Input, OutboxLimits, Output, Settings, State}};
//! use parlor_schema::frame::hello::{Device, RoomsWanted, RoomsWord};
//!
//! let settings = Settings {
//!     device: Device::default(),
//!     rooms: RoomsWanted::Word(RoomsWord::All),
//!     presence: None,
//!     positions: BTreeMap::new(),
//!     outbox: OutboxLimits { bound: 100, window: 1, refusals_max: u32::MAX },
//!     requests_max: 10,
//!     attempts_max: None,
//!     wait_max: Duration::from_secs(30),
//! };
//! let mut state = State::new(settings, 1);
//! let at = Duration::from_millis;
//! state.step(at(0), Input::Start);
//! assert!(matches!(state.output(), Some(Output::AskToken(TokenNeed::Connect))));
//! state.step(at(5), Input::Token(Ok("a token".to_owned())));
//! assert!(matches!(state.output(), Some(Output::Connect)));
//! state.step(at(9), Input::Connected);
//! // Nothing goes out before `hello`.
//! let Some(Output::SendText(hello)) = state.output() else { panic!("no hello") };
//! assert!(hello.contains(r#""token":"a token""#));
//! ```

mod backoff;
mod connect;
mod live;
mod outbox;
mod positions;
mod requests;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use parlor_schema::{
    MsgId, RoomId, Seq,
    frame::{
        ClientFrame, Refusal,
        hello::{Device, PresenceSetting, RoomsWanted},
    },
};
use rand::{SeedableRng, rngs::StdRng};

pub use self::{
    backoff::{Backoff, WAIT_MAX},
    outbox::{Due, Entry, NotTaken, Origin, Outbox, OutboxLimits, Refused},
    positions::{Positions, Verdict},
    requests::{Purpose, Requests},
};
use crate::{
    notice::{Answer, Notice, PhaseName, RequestError, Stats, StopReason},
    token::{TokenError, TokenNeed},
};

/// Time for the socket to open, and for `welcome` after it.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A connection that lived this long counts as a success, so that the back-off begins anew.
pub const STABLE_AFTER: Duration = Duration::from_secs(1);
/// Positions in one `hello`: they stay below the 65,536 bytes of a frame; the other rooms follow by `room.subscribe`.
pub const RESUME_MAX: usize = 1000;

/// What a client is told once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The installation.
    pub device: Device,
    /// Which rooms to deliver.
    pub rooms: RoomsWanted,
    /// The device's presence.
    pub presence: Option<PresenceSetting>,
    /// Where to go on.
    pub positions: BTreeMap<RoomId, Seq>,
    /// The limits of the outbox.
    pub outbox: OutboxLimits,
    /// Requests without an answer at most.
    pub requests_max: usize,
    /// Failed attempts in a row after which the client stops; absent: never.
    pub attempts_max: Option<u32>,
    /// Longest wait before an attempt, unless the server asks for a longer one.
    pub wait_max: Duration,
}

/// Why a socket did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectFailure {
    /// The upgrade was answered with this status.
    #[error("status {0}")]
    Status(u16),
    /// Anything below.
    #[error("{0}")]
    Transport(String),
}

/// What happens to the client.
#[derive(Debug)]
pub enum Input<'a> {
    /// It is to begin.
    Start,
    /// The token source has answered.
    Token(Result<String, TokenError>),
    /// The socket is open.
    Connected,
    /// The socket did not open.
    ConnectFailed(ConnectFailure),
    /// A text came.
    Text(&'a str),
    /// Something else came that shows life.
    Alive,
    /// Nothing is read any more, since the application takes nothing.
    Paused,
    /// Reading goes on.
    Resumed,
    /// The socket is closed or broken.
    Closed {
        /// The close code.
        code: Option<u16>,
        /// The reason beside it, or the fault.
        reason: String,
    },
    /// Time has gone by.
    Tick,
    /// A frame for the outbox.
    Append(Entry, Origin),
    /// A frame that asks.
    Request(MsgId, &'a ClientFrame),
    /// A frame without `msg_id`, sent now or never.
    Tell(&'a ClientFrame),
    /// The connection is to be cut, as a fault would.
    Abort,
    /// The end.
    Stop,
}

/// What the shell is to do.
#[derive(Debug)]
pub enum Output {
    /// Ask the token source; the answer is [`Input::Token`].
    AskToken(TokenNeed),
    /// Open a socket, giving up what was open or opening.
    Connect,
    /// Send a text.
    SendText(String),
    /// Close the socket with a close frame.
    CloseSocket,
    /// Let go of the socket without one.
    DropSocket,
    /// Tell the application.
    Deliver(Notice),
    /// Answer who waits for this frame.
    Answer(MsgId, Answer),
}

#[derive(Debug)]
enum Phase {
    Disconnected,
    /// The token source is asked.
    Authorizing,
    Connecting {
        deadline: Duration,
    },
    Greeting {
        hello: MsgId,
        deadline: Duration,
        /// Why `hello` was refused; the close that follows says what to do.
        refusal: Option<Refusal>,
    },
    Live(live::LiveState),
    Backoff {
        until: Duration,
    },
    Stopped(StopReason),
}

/// The whole state of a client.
#[derive(Debug)]
pub struct State {
    settings: Settings,
    phase: Phase,
    positions: Positions,
    outbox: Outbox,
    requests: Requests,
    backoff: Backoff,
    /// The question the token source has not answered.
    asking: Option<TokenNeed>,
    /// What to ask for before the next connection.
    need: TokenNeed,
    /// Whether a fresh token was fetched since the last `welcome`.
    renewed: Renewed,
    token: String,
    last_failure: Option<String>,
    stats: Stats,
    rng: StdRng,
    outputs: VecDeque<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renewed {
    No,
    Yes,
}

impl State {
    /// Makes the state of a client that has not begun; `seed` decides the jitter and the ids of its own frames.
    #[must_use]
    pub fn new(mut settings: Settings, seed: u64) -> Self {
        let positions = Positions::new(std::mem::take(&mut settings.positions));
        Self {
            phase: Phase::Disconnected,
            positions,
            outbox: Outbox::new(settings.outbox),
            requests: Requests::new(settings.requests_max),
            backoff: Backoff::default(),
            asking: None,
            need: TokenNeed::Connect,
            renewed: Renewed::No,
            token: String::new(),
            last_failure: None,
            stats: Stats::default(),
            rng: StdRng::seed_from_u64(seed),
            outputs: VecDeque::new(),
            settings,
        }
    }

    /// Takes an input at `now`, a time that never goes back; the outputs wait in [`State::output`].
    pub fn step(&mut self, now: Duration, input: Input<'_>) {
        if let Phase::Stopped(reason) = &self.phase {
            let reason = reason.clone();
            self.step_stopped(reason, input);
            return;
        }
        match input {
            Input::Start => self.begin_connect(),
            Input::Token(answer) => self.token_came(now, answer),
            Input::Connected => self.greet(now),
            Input::ConnectFailed(failure) => self.connect_failed(now, &failure),
            Input::Text(text) => self.text_came(now, text),
            Input::Alive => self.heard(now),
            Input::Paused => self.paused(),
            Input::Resumed => self.resumed(now),
            Input::Closed { code, reason } => self.lost(now, code, reason),
            Input::Tick => self.tick(now),
            Input::Append(entry, origin) => self.append(now, entry, origin),
            Input::Request(msg_id, frame) => self.request(msg_id, frame),
            Input::Tell(frame) => self.tell(frame),
            Input::Abort => self.abort(now),
            Input::Stop => self.stop(StopReason::Requested),
        }
    }

    /// Takes the next output.
    pub fn output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns when [`Input::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Connecting { deadline } | Phase::Greeting { deadline, .. } => Some(*deadline),
            Phase::Backoff { until } => Some(*until),
            Phase::Live(live) => [live.deadline(), self.outbox.deadline()]
                .into_iter()
                .flatten()
                .min(),
            Phase::Disconnected | Phase::Authorizing | Phase::Stopped(_) => None,
        }
    }

    /// Returns where the connection stands.
    #[must_use]
    pub fn phase(&self) -> PhaseName {
        match self.phase {
            Phase::Disconnected => PhaseName::Disconnected,
            Phase::Authorizing | Phase::Connecting { .. } => PhaseName::Connecting,
            Phase::Greeting { .. } => PhaseName::Greeting,
            Phase::Live(_) => PhaseName::Live,
            Phase::Backoff { .. } => PhaseName::Backoff,
            Phase::Stopped(_) => PhaseName::Stopped,
        }
    }

    /// Returns why it has stopped, if it has.
    #[must_use]
    pub fn stop_reason(&self) -> Option<&StopReason> {
        match &self.phase {
            Phase::Stopped(reason) => Some(reason),
            _ => None,
        }
    }

    /// Returns the positions reached, which the next `hello` carries.
    #[must_use]
    pub fn positions(&self) -> &Positions {
        &self.positions
    }

    /// Returns the outbox.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Returns the counts.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Returns why the last attempt or connection failed.
    #[must_use]
    pub fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    /// Checks the invariants of the parts.
    ///
    /// # Panics
    /// One of them does not hold.
    pub fn check_invariants(&self) {
        self.outbox.check_invariants();
    }

    fn step_stopped(&mut self, reason: StopReason, input: Input<'_>) {
        let msg_id = match input {
            Input::Append(entry, Origin::Appended) => entry.msg_id,
            Input::Request(msg_id, _) => msg_id,
            _ => return,
        };
        self.answer(msg_id, Err(RequestError::Stopped(reason)));
    }

    fn append(&mut self, now: Duration, entry: Entry, origin: Origin) {
        let msg_id = entry.msg_id;
        let taken = if self.requests.contains(msg_id) {
            Err(NotTaken::InUse)
        } else {
            self.outbox.push(entry, origin)
        };
        if let Err(why) = taken {
            self.settle(msg_id, origin, Err(not_taken(why)));
            return;
        }
        if matches!(self.phase, Phase::Live(_)) {
            let room = self.outbox.room(msg_id);
            let due = self.outbox.due_in_room(room, now);
            self.send_due(due);
        }
    }

    fn request(&mut self, msg_id: MsgId, frame: &ClientFrame) {
        if matches!(self.phase, Phase::Backoff { .. }) {
            self.answer(msg_id, Err(RequestError::Disconnected));
            return;
        }
        let text = crate::frame::write(frame, Some(msg_id));
        let taken = if self.outbox.contains(msg_id) {
            Err(NotTaken::InUse)
        } else {
            self.requests.push(msg_id, text, Purpose::of(frame))
        };
        match taken {
            Err(why) => self.answer(msg_id, Err(not_taken(why))),
            Ok(()) => self.send_requests(),
        }
    }

    fn tell(&mut self, frame: &ClientFrame) {
        if matches!(self.phase, Phase::Live(_)) {
            self.send(crate::frame::write(frame, None));
        }
    }

    /// Sends the requests that wait, where there is a live connection.
    fn send_requests(&mut self) {
        if !matches!(self.phase, Phase::Live(_)) {
            return;
        }
        for text in self.requests.take_waiting() {
            self.send(text);
        }
    }

    fn send_due(&mut self, due: Vec<Due>) {
        for due in due {
            if due.sends_before == 0 {
                self.stats.sent += 1;
            } else {
                self.stats.resent += 1;
            }
            self.send(due.text);
        }
    }

    fn send(&mut self, text: String) {
        debug_assert!(
            matches!(self.phase, Phase::Greeting { .. } | Phase::Live(_)),
            "ST-1"
        );
        self.outputs.push_back(Output::SendText(text));
    }

    fn deliver(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Deliver(notice));
    }

    fn answer(&mut self, msg_id: MsgId, answer: Answer) {
        self.outputs.push_back(Output::Answer(msg_id, answer));
    }

    fn settle(&mut self, msg_id: MsgId, origin: Origin, answer: Answer) {
        match origin {
            Origin::Appended => self.answer(msg_id, answer),
            Origin::Restored => self.deliver(Notice::Settled { msg_id, answer }),
        }
    }

    fn new_id(&mut self) -> MsgId {
        use rand::RngExt;
        MsgId::new(uuid::Builder::from_random_bytes(self.rng.random()).into_uuid())
    }
}

fn not_taken(why: NotTaken) -> RequestError {
    match why {
        NotTaken::Full => RequestError::Full,
        NotTaken::InUse => RequestError::InUse,
    }
}
