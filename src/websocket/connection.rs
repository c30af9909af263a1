//! One connection after the handshake: the stream of what its client says, read and decoded when its session asks for more, until the end.

use std::{
    cell::RefCell,
    ops::ControlFlow,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::Stream as Frames;
use parlor_actors::{
    line::Line,
    pace::{self, Step},
    ports::Coding,
    session::{Inbound, Text},
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
const FORGOTTEN_TOGETHER: usize = 64;
/// Reads after which others on this thread have their turn, however much more there is.
const READS_PER_TURN: usize = 4;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// A connection. It yields what its client says, and ends with it; dropped, it ends too.
pub struct Connection {
    socket: Rc<Socket>,
    decoder: Decoder,
    /// Read, and not decoded yet: more messages than are handed over at a time.
    held: Bytes,
    /// How it ends once that is taken.
    ending: Option<CloseCode>,
    intake: Intake,
    /// The step that its next read waits for, where it does.
    step: Step,
    /// Reads of this turn.
    reads: usize,
    end: Option<Box<dyn FnOnce(CloseCode)>>,
}

impl Connection {
    /// Takes a socket over whose handshake is done. `first` is what came together with it; `end` hears how the connection ended.
    pub fn new(
        stream: Stream,
        first: Bytes,
        setup: Setup,
        end: impl FnOnce(CloseCode) + 'static,
    ) -> Self {
        let compression = match setup.coding {
            Coding::Plain => Compression::Off,
            Coding::Deflate | Coding::DeflateSmall => Compression::On,
        };
        Self {
            decoder: Decoder::new(setup.frame_bytes, compression),
            intake: Intake::new(setup.clock.monotonic_ms()),
            socket: Socket::new(stream, setup),
            held: first,
            ending: None,
            step: Step::New,
            reads: 0,
            end: Some(Box::new(end)),
        }
    }

    /// Returns the line of its session.
    #[must_use]
    pub fn line(&self) -> Rc<Line> {
        self.socket.line.clone()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Inbound>> {
        self.socket.attend(cx.waker());
        while self.reads < READS_PER_TURN {
            if self.socket.is_over() {
                return Poll::Ready(None);
            }
            ready!(self.poll_room(cx));
            if let Some(code) = self.ending.take() {
                self.close(code);
            }
            let closing = self.socket.line.outlet.is_closing();
            if self.step != Step::Taken {
                if closing || self.held.is_empty() {
                    ready!(self.socket.poll_readable(cx));
                }
                ready!(self.step.poll(cx));
            }
            self.reads += 1;
            let took = if closing {
                // Reads and forgets until the client has gone too, or its time is over: a close with unread bytes would be a
                // reset, and the client might never see why.
                ready!(self.read(cx, |_, _, _| None))
            } else if self.held.is_empty() {
                ready!(self.read(cx, Self::take))
            } else {
                let held = std::mem::take(&mut self.held);
                let now_ms = self.socket.now_ms();
                ControlFlow::Continue(self.take(&held, now_ms))
            };
            if self.intake.is_greedy() {
                self.step = Step::New;
            }
            match took {
                ControlFlow::Break(()) => return Poll::Ready(None),
                ControlFlow::Continue(Some(inbound)) => return Poll::Ready(Some(inbound)),
                ControlFlow::Continue(None) => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits until the session can take more (W-3). As long as nothing has come it is not asked, and need wake nobody.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let line = &self.socket.line;
        if !line.hand.is_full() || line.outlet.is_closing() {
            return Poll::Ready(());
        }
        if self.held.is_empty() && self.ending.is_none() {
            ready!(self.socket.poll_readable(cx));
        }
        line.hand.poll_room(cx)
    }

    /// Reads once; the end, or an error, breaks.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut Self, &[u8], u64) -> Option<Inbound>,
    ) -> Poll<ControlFlow<(), Option<Inbound>>> {
        let most = if self.intake.is_greedy() {
            GREEDY_READ_BYTES
        } else {
            READ_BYTES
        };
        READ.with_borrow_mut(|buffer| {
            let mut into = ReadBuf::new(&mut buffer[..most]);
            match ready!(self.socket.poll_read(cx, &mut into)) {
                Ok(()) if !into.filled().is_empty() => {
                    let now_ms = self.socket.now_ms();
                    self.intake.add(into.filled().len(), 0, now_ms);
                    Poll::Ready(ControlFlow::Continue(take(self, into.filled(), now_ms)))
                }
                Ok(()) | Err(_) => Poll::Ready(ControlFlow::Break(())),
            }
        })
    }

    /// Decodes, answers pings, and returns messages; what is too much for one hand is held.
    fn take(&mut self, mut input: &[u8], now_ms: u64) -> Option<Inbound> {
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
                    line.last_in.set(now_ms);
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
                line.partial_since.set(Some(now_ms));
            }
        } else {
            line.partial_since.set(None);
        }
        // What was inflated is counted beside what came.
        let messages = texts.len() + answered;
        self.intake.add(bytes, messages, now_ms);
        if !input.is_empty() && self.ending.is_none() {
            self.held = Bytes::copy_from_slice(input);
        }
        (!texts.is_empty()).then_some(Inbound(texts))
    }

    fn close(&self, code: CloseCode) {
        self.socket.line.outlet.close(code, code.reason());
    }
}

impl Frames for Connection {
    type Item = Inbound;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Inbound>> {
        let next = self.poll(cx);
        if next.is_pending() {
            self.reads = 0;
        }
        next
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let line = self.socket.line.clone();
        let fell = |end: parlor_actors::outlet::Closing| end.code == CloseCode::Internal;
        if line.outlet.closing().is_some_and(fell) {
            // The client still hears why.
            self.socket.flush();
        }
        // A client that left takes nothing more in.
        line.outlet
            .close(CloseCode::Normal, CloseCode::Normal.reason());
        self.socket.end();
        let end = self.end.take();
        let over = move || {
            let code = line
                .outlet
                .closing()
                .map_or(CloseCode::Normal, |end| end.code);
            if let Some(end) = end {
                end(code);
            }
        };
        if !self.socket.line.outlet.forget_some(FORGOTTEN_TOGETHER) {
            return over();
        }
        let line = self.socket.line.clone();
        actix_rt::spawn(async move {
            over();
            while line.outlet.forget_some(FORGOTTEN_TOGETHER) {
                pace::step().await;
            }
        });
    }
}

const fn close_code(violation: Violation) -> CloseCode {
    match violation {
        Violation::Protocol(_) => CloseCode::Protocol,
        Violation::Data => CloseCode::InvalidUtf8,
        Violation::TooLarge => CloseCode::TooLarge,
    }
}
