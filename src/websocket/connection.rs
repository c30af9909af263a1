//! One connection after the handshake: one task that reads, decodes and hands over, until the end.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix::{
    Recipient,
    prelude::{RecipientRequest, SendError},
};
use bytes::Bytes;
use parlor_actors::{
    line::Line,
    pace::{self, Step},
    ports::Coding,
    session::{Gone, Inbound, Text},
};
use parlor_schema::CloseCode;
use tokio::io::ReadBuf;

use super::{
    decode::{Compression, Decoder, Incoming, Violation},
    intake::Intake,
    pack,
    socket::{Setup, Socket},
    stream::Stream,
};

/// Bytes read at a time, into a buffer that all connections of a thread share.
const READ_BYTES: usize = 16 * 1024;
/// Messages handed over at a time, and bytes of them, inflated, after which no more are.
const MESSAGES_PER_HAND: usize = 32;
const HAND_BYTES: usize = 16 * 1024;
/// The same of one who floods: fragments as small as can be, or so many messages, take some tens of microseconds.
const GREEDY_READ_BYTES: usize = 4 * 1024;
const GREEDY_MESSAGES: usize = 8;
/// Frames forgotten at a time when a connection has ended for which they wait.
const FORGOTTEN_TOGETHER: usize = 512;
/// Reads after which others on this thread have their turn, however much more there is.
const READS_PER_TURN: usize = 4;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// Who takes what a client says.
pub struct Taker {
    /// Takes messages; the line's hand says when it can take more.
    pub inbound: Recipient<Inbound>,
    /// Hears of the end, after all messages.
    pub gone: Recipient<Gone>,
}

/// Runs a connection to its end, and tells `end` how it ended. `first` is what came together with the handshake; `open` names who takes
/// what comes. All but the waiting is done before this returns, so that the task holds nothing it no longer needs.
pub fn run(
    stream: Stream,
    first: Bytes,
    setup: Setup,
    open: impl FnOnce(Rc<Line>) -> Taker,
    end: impl FnOnce(CloseCode),
) -> impl Future<Output = ()> {
    let compression = match setup.coding {
        Coding::Plain => Compression::Off,
        Coding::Deflate | Coding::DeflateSmall => Compression::On,
    };
    let decoder = Decoder::new(setup.frame_bytes, compression);
    let intake = Intake::new(setup.clock.monotonic_ms());
    let socket = Socket::new(stream, setup);
    let Taker { inbound, gone } = open(socket.line.clone());
    let mut connection = Connection {
        socket,
        decoder,
        held: first,
        inbound,
        unsent: None,
        ending: None,
        intake,
        step: Step::New,
    };
    async move {
        poll_fn(|cx| connection.poll(cx)).await;
        // A client that left takes nothing more in.
        let outlet = &connection.socket.line.outlet;
        outlet.close(CloseCode::Normal, CloseCode::Normal.reason());
        connection.socket.end();
        let _ = gone.send(Gone).await;
        end(outlet.closing().map_or(CloseCode::Normal, |end| end.code));
        while outlet.forget_some(FORGOTTEN_TOGETHER) {
            pace::step().await;
        }
    }
}

struct Connection {
    socket: Rc<Socket>,
    decoder: Decoder,
    /// Read, and not decoded yet: more messages than are handed over at a time.
    held: Bytes,
    inbound: Recipient<Inbound>,
    /// What is to be handed to a session whose mailbox was full.
    unsent: Option<Pin<Box<RecipientRequest<Inbound>>>>,
    /// How it ends once that is taken.
    ending: Option<CloseCode>,
    intake: Intake,
    /// The step that its next read waits for, where it does.
    step: Step,
}

impl Connection {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.attend(cx.waker());
        for _ in 0..READS_PER_TURN {
            if self.socket.is_over() {
                return Poll::Ready(());
            }
            ready!(self.poll_taken(cx));
            if let Some(code) = self.ending.take() {
                self.close(code);
            }
            let closing = self.socket.line.outlet.is_closing();
            if self.step != Step::Taken {
                if closing || self.held.is_empty() {
                    ready!(self.socket.stream().borrow().poll_readable(cx));
                }
                ready!(self.step.poll(cx));
            }
            if closing {
                // Reads and forgets until the client has gone too, or its time is over: a close with unread bytes would be a
                // reset, and the client might never see why.
                if ready!(self.read(cx, |_, _| {})).is_break() {
                    return Poll::Ready(());
                }
            } else if self.held.is_empty() {
                if ready!(self.read(cx, Self::take)).is_break() {
                    return Poll::Ready(());
                }
            } else {
                let held = std::mem::take(&mut self.held);
                self.take(&held);
            }
            if self.intake.is_greedy() {
                self.step = Step::New;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits until the session has taken what it was handed (W-3). As long as nothing more has come it is not asked, and need wake nobody.
    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(unsent) = &mut self.unsent {
            let sent = ready!(unsent.as_mut().poll(cx));
            self.unsent = None;
            if sent.is_err() {
                self.close(CloseCode::Internal);
            }
        }
        let line = &self.socket.line;
        if !line.hand.is_given() || line.outlet.is_closing() {
            return Poll::Ready(());
        }
        if self.held.is_empty() && self.ending.is_none() {
            ready!(self.socket.stream().borrow().poll_readable(cx));
        }
        line.hand.poll_taken(cx)
    }

    /// Reads once; the end, or an error, breaks.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut Self, &[u8]),
    ) -> Poll<std::ops::ControlFlow<()>> {
        let most = if self.intake.is_greedy() {
            GREEDY_READ_BYTES
        } else {
            READ_BYTES
        };
        READ.with_borrow_mut(|buffer| {
            let mut into = ReadBuf::new(&mut buffer[..most]);
            let read = self.socket.stream().borrow_mut().poll_read(cx, &mut into);
            match ready!(read) {
                Ok(()) if into.filled().is_empty() => Poll::Ready(std::ops::ControlFlow::Break(())),
                Ok(()) => {
                    let bytes = into.filled().len();
                    self.intake.add(bytes, 0, self.socket.now_ms());
                    take(self, into.filled());
                    Poll::Ready(std::ops::ControlFlow::Continue(()))
                }
                Err(_) => Poll::Ready(std::ops::ControlFlow::Break(())),
            }
        })
    }

    /// Decodes, answers pings, and hands messages over; what is too much for one hand is held.
    fn take(&mut self, mut input: &[u8]) {
        let line = self.socket.line.clone();
        let most = if self.intake.is_greedy() {
            GREEDY_MESSAGES
        } else {
            MESSAGES_PER_HAND
        };
        let (mut texts, mut answered, mut bytes) = (Vec::new(), 0, 0);
        while texts.len() + answered < most && bytes < HAND_BYTES {
            match self.decoder.decode(&mut input) {
                Ok(None) => break,
                Ok(Some(incoming)) => {
                    line.last_in.set(self.socket.now_ms());
                    if !self.decoder.is_midway() {
                        // The next one has its own time.
                        line.partial_since.set(None);
                    }
                    match incoming {
                        Incoming::Text(text) => {
                            bytes += text.len();
                            texts.push(Text::Json(text));
                        }
                        Incoming::Binary(data) => {
                            bytes += data.len();
                            texts.push(Text::Binary(data));
                        }
                        Incoming::Ping(payload) => {
                            answered += 1;
                            line.outlet.push(pack::pong(&payload));
                        }
                        Incoming::Pong => answered += 1,
                        Incoming::Close(_) => {
                            self.ending = Some(CloseCode::Normal);
                            break;
                        }
                    }
                }
                Err(violation) => {
                    self.ending = Some(close_code(violation));
                    break;
                }
            }
        }
        if self.decoder.is_midway() {
            if line.partial_since.get().is_none() {
                line.partial_since.set(Some(self.socket.now_ms()));
            }
        } else {
            line.partial_since.set(None);
        }
        // What was inflated is counted beside what came.
        let messages = texts.len() + answered;
        self.intake.add(bytes, messages, self.socket.now_ms());
        if !input.is_empty() && self.ending.is_none() {
            self.held = Bytes::copy_from_slice(input);
        }
        if !texts.is_empty() {
            line.hand.give();
            match self.inbound.try_send(Inbound(texts)) {
                Ok(()) => {}
                Err(SendError::Full(texts)) => {
                    self.unsent = Some(Box::pin(self.inbound.send(texts)));
                }
                Err(SendError::Closed(_)) => self.close(CloseCode::Internal),
            }
        }
    }

    fn close(&self, code: CloseCode) {
        self.socket.line.outlet.close(code, code.reason());
    }
}

const fn close_code(violation: Violation) -> CloseCode {
    match violation {
        Violation::Protocol(_) => CloseCode::Protocol,
        Violation::Data => CloseCode::InvalidUtf8,
        Violation::TooLarge => CloseCode::TooLarge,
    }
}
