//! One connection after the handshake: reading into the decoder, writing from the lanes, and the end.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io::{ErrorKind, IoSlice},
    net::{IpAddr, Shutdown},
    rc::{Rc, Weak},
    time::Duration,
};

use actix::Addr;
use actix_rt::net::TcpStream;
use bytes::{Buf, Bytes};
use parlor_actors::{
    line::Line,
    outlet::Outlet,
    ports::Wire,
    session::{Gone, Inbound, Session, SessionEnv, Text},
};
use parlor_schema::{CloseCode, SessionId};
use socket2::SockRef;
use tokio::sync::Notify;

use super::{
    decode::{Decoder, Incoming, Violation},
    flush, pack,
    peers::Counted,
};

/// Time from the decision to close to the end of the connection.
pub(super) const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Bytes read at a time, into a buffer that all connections of a thread share.
const READ_BYTES: usize = 64 * 1024;
/// Bytes taken from the lanes for one write, and frames in it.
const WRITE_BYTES: usize = 256 * 1024;
const WRITE_FRAMES: usize = 64;
/// Frames an idle connection keeps room for: the busy one allocates nothing, the idle one little.
const KEPT_FRAMES: usize = 4;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// The socket of a connection.
pub(super) struct Socket {
    stream: TcpStream,
    line: Rc<Line>,
    wire: WebSocketClock,
    writing: RefCell<VecDeque<Bytes>>,
    dirty: Cell<bool>,
    waiting: Cell<bool>,
    close_sent: Cell<bool>,
    ending: Cell<bool>,
    end: Notify,
    over: Cell<bool>,
    gone: Notify,
}

/// What the socket needs of the outside.
struct WebSocketClock {
    env: SessionEnv,
}

impl WebSocketClock {
    fn now_ms(&self) -> u64 {
        self.env.front.ports.clock.monotonic_ms()
    }
}

/// Runs a connection to its end. `first` is what came together with the handshake.
pub(super) async fn run(
    stream: TcpStream,
    first: Bytes,
    env: SessionEnv,
    token: Option<String>,
    peer: IpAddr,
    limit: usize,
    counted: Counted,
) {
    let metrics = env.front.metrics.clone();
    metrics.connections.inc();
    let ports = &env.front.ports;
    let session = SessionId::new(ports.ids.uuid(ports.clock.now()));
    let now_ms = ports.clock.monotonic_ms();
    let socket = Rc::new_cyclic(|weak: &Weak<Socket>| {
        let weak = weak.clone();
        let outlet = Outlet::new(Box::new(move || {
            if let Some(socket) = weak.upgrade() {
                Socket::wake(&socket);
            }
        }));
        Socket {
            stream,
            line: Rc::new(Line::new(session, outlet, now_ms)),
            wire: WebSocketClock { env: env.clone() },
            writing: RefCell::default(),
            dirty: Cell::new(false),
            waiting: Cell::new(false),
            close_sent: Cell::new(false),
            ending: Cell::new(false),
            end: Notify::new(),
            over: Cell::new(false),
            gone: Notify::new(),
        }
    });
    let addr = Session::open(env, socket.line.clone(), peer, token);
    tokio::select! {
        () = socket.read(&addr, limit, &first) => {}
        () = socket.end.notified() => {}
    }
    // A client that left takes nothing more in; the session hears of it last, so that all it sent is taken first.
    socket
        .line
        .outlet
        .close(CloseCode::Normal, CloseCode::Normal.reason());
    if let Some(closing) = socket.line.outlet.closing() {
        metrics.closed(closing.code);
    }
    socket.over.set(true);
    socket.gone.notify_waiters();
    let _ = addr.send(Gone).await;
    metrics.connections.dec();
    drop(counted);
}

impl Socket {
    /// Has the socket written soon; called from deep inside the actors, so it only marks.
    fn wake(socket: &Rc<Self>) {
        if !socket.dirty.replace(true) {
            flush::mark(socket.clone());
        }
        if socket.line.outlet.is_closing() && !socket.ending.replace(true) {
            // A connection that is over sooner is not kept for this.
            let socket = Rc::downgrade(socket);
            actix_rt::spawn(async move {
                actix_rt::time::sleep(CLOSE_WITHIN).await;
                if let Some(socket) = socket.upgrade() {
                    socket.end.notify_one();
                }
            });
        }
    }

    async fn read(self: &Rc<Self>, addr: &Addr<Session>, limit: usize, first: &[u8]) {
        let mut decoder = Decoder::new(limit);
        decoder.feed(first);
        if !self.take(addr, &mut decoder).await {
            return self.drain().await;
        }
        loop {
            if self.stream.readable().await.is_err() {
                return;
            }
            let read = READ.with_borrow_mut(|buffer| {
                let read = self.stream.try_read(buffer);
                if let Ok(bytes) = read {
                    decoder.feed(&buffer[..bytes]);
                }
                read
            });
            match read {
                Ok(0) => return,
                Ok(_) if self.line.outlet.is_closing() => return self.drain().await,
                Ok(_) => {
                    if !self.take(addr, &mut decoder).await {
                        return self.drain().await;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// Hands over what is decoded (W-3); answers whether the connection goes on.
    async fn take(&self, addr: &Addr<Session>, decoder: &mut Decoder) -> bool {
        let mut texts = Vec::new();
        let outcome = loop {
            match decoder.decode() {
                Ok(None) => break None,
                Ok(Some(incoming)) => {
                    self.line.last_in.set(self.wire.now_ms());
                    match incoming {
                        Incoming::Text(text) => texts.push(Text::Json(text)),
                        Incoming::Binary => texts.push(Text::Binary),
                        Incoming::Ping(payload) => self.line.outlet.push(pack::pong(&payload)),
                        Incoming::Pong => {}
                        Incoming::Close => break Some(CloseCode::Normal),
                    }
                }
                Err(violation) => break Some(close_code(violation)),
            }
        };
        if !texts.is_empty() && addr.send(Inbound(texts)).await.is_err() {
            self.line
                .outlet
                .close(CloseCode::Internal, CloseCode::Internal.reason());
        }
        if let Some(code) = outcome {
            self.line.outlet.close(code, code.reason());
        }
        !self.line.outlet.is_closing()
    }

    /// Reads and forgets until the client has gone too, or [`CLOSE_WITHIN`] is over: a close with unread bytes would be a reset, and
    /// the client might never see why.
    async fn drain(&self) {
        loop {
            if self.stream.readable().await.is_err() {
                return;
            }
            let read = READ.with_borrow_mut(|buffer| self.stream.try_read(buffer));
            match read {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// Writes what is in the lanes, as far as the socket takes it.
    pub(super) fn flush(self: Rc<Self>) {
        self.dirty.set(false);
        if self.waiting.get() {
            return;
        }
        match self.write() {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.line.outlet.set_stalled(Some(self.wire.now_ms()));
                self.waiting.set(true);
                actix_rt::spawn(async move {
                    // A client that never reads must not keep the socket open after its connection is over.
                    if self.over.get() {
                        return;
                    }
                    let writable = tokio::select! {
                        writable = self.stream.writable() => writable.is_ok(),
                        () = self.gone.notified() => false,
                    };
                    self.waiting.set(false);
                    if writable {
                        self.flush();
                    }
                });
            }
            Err(_) => self.end.notify_one(),
        }
    }

    fn write(&self) -> std::io::Result<()> {
        loop {
            self.fill();
            let mut writing = self.writing.borrow_mut();
            if writing.is_empty() {
                if self.close_sent.get() {
                    // The client sees the end, and need not wait for its own.
                    let _ = SockRef::from(&self.stream).shutdown(Shutdown::Write);
                }
                return Ok(());
            }
            let mut written = self.write_some(&writing)?;
            self.line.outlet.set_stalled(None);
            while let Some(frame) = writing.front_mut() {
                if written < frame.len() {
                    frame.advance(written);
                    break;
                }
                written -= frame.len();
                writing.pop_front();
            }
        }
    }

    /// Writes as many frames as one call takes.
    fn write_some(&self, frames: &VecDeque<Bytes>) -> std::io::Result<usize> {
        if let (Some(frame), 1) = (frames.front(), frames.len()) {
            return self.stream.try_write(frame);
        }
        let mut slices = [IoSlice::new(&[]); WRITE_FRAMES];
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(frames) {
            *slice = IoSlice::new(frame);
            count += 1;
        }
        self.stream.try_write_vectored(&slices[..count])
    }

    /// Takes more from the lanes when the last is written; after the last of all, the closing frame.
    fn fill(&self) {
        let mut writing = self.writing.borrow_mut();
        if !writing.is_empty() {
            return;
        }
        if self.line.outlet.take(WRITE_BYTES, &mut writing) {
            self.line.wake();
        }
        if writing.is_empty() {
            if writing.capacity() > KEPT_FRAMES {
                *writing = VecDeque::new();
            }
            if let Some(closing) = self.line.outlet.closing()
                && !self.close_sent.replace(true)
            {
                let wire = &self.wire.env.front.ports.wire;
                writing.push_back(Wire::close(&**wire, closing.code, &closing.reason));
            }
        }
    }
}

const fn close_code(violation: Violation) -> CloseCode {
    match violation {
        Violation::Protocol(_) => CloseCode::Protocol,
        Violation::Utf8 => CloseCode::InvalidUtf8,
        Violation::TooLarge => CloseCode::TooLarge,
    }
}
