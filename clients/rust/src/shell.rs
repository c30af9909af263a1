//! The shell of the state: one task that owns the socket, the timer and the way to the application.
//!
//! Invariants:
//! - SH-1: while a notice waits for the application, the socket is not read; what is to be sent still goes out.
//! - SH-2: the lock on the core is never held across an await.
//!
//! When full: a batch of at most [`socket::BATCH_MAX`] frames beyond the bound of the channel waits in `undelivered`.

mod socket;

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::http::Uri;

use self::socket::{Happened, Read, Reading, Transport};
use crate::{
    Notice, PhaseName, StopReason, TokenError, TokenNeed, TokenSource,
    client::Shared,
    state::{Input, Output},
};

/// Time for the close frame to go out.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

type Tokens = Box<dyn TokenSource>;
type Asked = BoxFuture<'static, (Tokens, Result<String, TokenError>)>;

/// What the token source is doing; it is handed to its question and comes back with the answer.
enum Source {
    Idle(Tokens),
    Asked(Asked),
    /// Between the two.
    Moving,
}

/// The task behind a client.
pub(crate) struct Shell {
    shared: Arc<Shared>,
    uri: Uri,
    source: Source,
    transport: Transport,
    notices: mpsc::Sender<Notice>,
    undelivered: VecDeque<Notice>,
    phase: watch::Sender<PhaseName>,
    timer: Timer,
    reading: Reading,
    closing: Option<JoinHandle<()>>,
}

/// What ended a wait.
enum Woken {
    Handle,
    Socket(Happened),
    Token(Tokens, Result<String, TokenError>),
    Space,
    Time,
}

impl Shell {
    pub(crate) fn new(
        shared: Arc<Shared>,
        uri: Uri,
        tokens: Tokens,
        notices: mpsc::Sender<Notice>,
        phase: watch::Sender<PhaseName>,
    ) -> Self {
        Self {
            shared,
            uri,
            source: Source::Idle(tokens),
            transport: Transport::Idle,
            notices,
            undelivered: VecDeque::new(),
            phase,
            timer: Timer::default(),
            reading: Reading::On,
            closing: None,
        }
    }

    /// Runs until the client has stopped and the application knows.
    pub(crate) async fn run(mut self) {
        loop {
            self.perform();
            self.hand_over();
            let reason = self.shared.core().state.stop_reason().cloned();
            if let Some(reason) = reason {
                self.end(reason).await;
                return;
            }
            self.wait().await;
        }
    }

    /// Does everything the state has asked for.
    fn perform(&mut self) {
        loop {
            let Some(output) = self.shared.core().output() else {
                break;
            };
            match output {
                Output::AskToken(need) => self.ask(need),
                Output::Connect => self.transport = Transport::connect(self.uri.clone()),
                Output::SendText(text) => self.transport.send(text),
                Output::CloseSocket => self.close_socket(),
                Output::DropSocket => self.transport = Transport::Idle,
                Output::Deliver(notice) => self.undelivered.push_back(notice),
                Output::Answer(..) => unreachable!("invariant: the core keeps the answers"),
            }
        }
        let (phase, deadline) = {
            let core = self.shared.core();
            (core.state.phase(), core.deadline())
        };
        self.phase.send_if_modified(|known| {
            let changed = *known != phase;
            *known = phase;
            changed
        });
        self.timer.set(deadline);
    }

    /// Closes in a task of its own, so that a peer that has gone silent keeps nobody waiting.
    fn close_socket(&mut self) {
        let transport = std::mem::replace(&mut self.transport, Transport::Idle);
        self.closing = Some(tokio::spawn(async move {
            // After that time the socket goes without a farewell.
            let _ = timeout(CLOSE_WITHIN, transport.close()).await;
        }));
    }

    fn ask(&mut self, need: TokenNeed) {
        match std::mem::replace(&mut self.source, Source::Moving) {
            Source::Idle(mut tokens) => {
                self.source = Source::Asked(Box::pin(async move {
                    let answer = tokens.token(need).await;
                    (tokens, answer)
                }));
            }
            other => self.source = other,
        }
    }

    /// Gives the application what it has room for, and notes whether it keeps up.
    fn hand_over(&mut self) {
        while let Some(notice) = self.undelivered.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(notice)) = self.notices.try_send(notice) {
                self.undelivered.push_front(notice);
                break;
            }
        }
        let reading = if self.undelivered.is_empty() {
            Reading::On
        } else {
            Reading::Off
        };
        if reading != self.reading {
            self.reading = reading;
            let mut core = self.shared.core();
            core.step(match reading {
                Reading::On => Input::Resumed,
                Reading::Off => Input::Paused,
            });
            self.timer.set(core.deadline());
        }
    }

    /// Waits for one thing to happen and tells the state.
    async fn wait(&mut self) {
        let woken = tokio::select! {
            () = self.shared.wake.notified() => Woken::Handle,
            happened = self.transport.happening(self.reading) => Woken::Socket(happened),
            (tokens, answer) = answered(&mut self.source) => Woken::Token(tokens, answer),
            permit = self.notices.reserve(), if self.reading == Reading::Off => {
                // Without a receiver the handles are gone, and with them goes the client.
                if let (Ok(permit), Some(notice)) = (permit, self.undelivered.pop_front()) {
                    permit.send(notice);
                }
                Woken::Space
            }
            () = self.timer.due() => Woken::Time,
        };
        match woken {
            Woken::Handle | Woken::Space => {}
            Woken::Socket(happened) => self.tell(happened),
            Woken::Token(tokens, answer) => {
                self.source = Source::Idle(tokens);
                self.shared.core().step(Input::Token(answer));
            }
            Woken::Time => self.shared.core().step(Input::Tick),
        }
    }

    fn tell(&mut self, happened: Happened) {
        let batch = match happened {
            Happened::Opened => return self.shared.core().step(Input::Connected),
            Happened::NotOpened(failure) => {
                return self.shared.core().step(Input::ConnectFailed(failure));
            }
            Happened::Read(batch) => batch,
        };
        if matches!(batch.last(), Some(Read::Closed { .. })) {
            self.close_socket();
        }
        let mut core = self.shared.core();
        for read in batch {
            core.step(read.input());
        }
    }

    /// Hands over what is left, and waits for the application unless it was the one to stop.
    async fn end(&mut self, reason: StopReason) {
        if let Some(closing) = self.closing.take() {
            // It ends by itself, within its time.
            let _ = closing.await;
        }
        if reason == StopReason::Requested {
            return;
        }
        while let Some(notice) = self.undelivered.pop_front() {
            if self.notices.send(notice).await.is_err() {
                return;
            }
        }
    }
}

/// Waits for the token source, which comes back with its answer.
async fn answered(source: &mut Source) -> (Tokens, Result<String, TokenError>) {
    match source {
        Source::Asked(asked) => asked.await,
        Source::Idle(_) | Source::Moving => std::future::pending().await,
    }
}

/// A timer that is set often and seldom due: it is moved only to come earlier, or once it has fired.
#[derive(Default)]
struct Timer {
    wanted: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    fn set(&mut self, wanted: Option<Instant>) {
        self.wanted = wanted;
        let Some(wanted) = wanted else { return };
        match &mut self.sleep {
            None => self.sleep = Some(Box::pin(sleep_until(wanted))),
            Some(sleep) if sleep.is_elapsed() || wanted < sleep.deadline() => {
                sleep.as_mut().reset(wanted);
            }
            Some(_) => {}
        }
    }

    async fn due(&mut self) {
        match (self.wanted, &mut self.sleep) {
            (Some(_), Some(sleep)) => sleep.as_mut().await,
            _ => std::future::pending().await,
        }
    }
}
