//! The way out of a connection: from the lanes of its session to the bytes under it.

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice},
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use parlor_actors::{
    fetch::{LINE_BYTES, fetch_from},
    ledger::Ledger,
    line::Line,
    outlet::{Outlet, Wakes},
    ports::{Coding, Wire},
    queue::Queue,
};
use parlor_schema::{SessionId, limits::WRITE_BYTES, port::Clock};
use tokio::io::ReadBuf;

use super::{flush, stream::Stream};

/// Time from the decision to close to the end of the connection.
pub(super) const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Frames in one write.
const WRITE_FRAMES: usize = 64;
/// Frames, and bytes of them all, that are copied for a write of one piece: an `ack` and the event behind it, which are nearly every
/// write of more than one frame. The copy costs less than what the system does for a list.
const COPIED_FRAMES: usize = 4;
const COPIED_BYTES: usize = 2048;

/// What a socket needs to begin.
pub struct Setup {
    /// The session's id.
    pub session: SessionId,
    /// The account of its thread.
    pub ledger: Rc<Ledger>,
    /// How its frames are coded.
    pub coding: Coding,
    /// Bytes of one client message.
    pub frame_bytes: usize,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Packs the closing frame.
    pub wire: Arc<dyn Wire>,
}

/// The socket of a connection. What each flush needs stands first.
#[repr(C)]
pub(super) struct Socket {
    dirty: Cell<bool>,
    /// The stream is full; the task goes on when it takes more.
    waiting: Cell<bool>,
    close_sent: Cell<bool>,
    ending: Cell<bool>,
    pub(super) line: Rc<Line>,
    /// None once it is over.
    stream: RefCell<Option<Stream>>,
    /// The task that reads: woken when the stream takes more, and for the end.
    task: RefCell<Waker>,
    clock: Arc<dyn Clock>,
    wire: Arc<dyn Wire>,
}

impl Socket {
    pub(super) fn new(stream: Stream, setup: Setup) -> Rc<Self> {
        let Setup {
            session,
            ledger,
            coding,
            clock,
            wire,
            ..
        } = setup;
        let now_ms = clock.monotonic_ms();
        Rc::new_cyclic(|weak: &Weak<Self>| {
            let outlet = Outlet::new(ledger, weak.clone());
            Self {
                line: Rc::new(Line::new(session, outlet, coding, now_ms)),
                stream: RefCell::new(Some(stream)),
                clock,
                wire,
                task: RefCell::new(Waker::noop().clone()),
                dirty: Cell::new(false),
                waiting: Cell::new(false),
                close_sent: Cell::new(false),
                ending: Cell::new(false),
            }
        })
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.clock.monotonic_ms()
    }

    /// Ends the connection, whatever waits, and whether or not anybody looks.
    pub(super) fn end(&self) {
        self.stream.replace(None);
        self.task.borrow().wake_by_ref();
    }

    pub(super) fn is_over(&self) -> bool {
        self.stream.borrow().is_none()
    }

    /// Waits until there may be something to read, and takes nothing.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &*self.stream.borrow() {
            Some(stream) => stream.poll_readable(cx),
            None => Poll::Ready(()),
        }
    }

    /// Reads what there is; nothing where it is over.
    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self.stream.borrow_mut() {
            Some(stream) => stream.poll_read(cx, into),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Notes the task that is to be woken, and has the socket written on where the stream was full: in its turn, since many streams
    /// may take more at the same moment.
    pub(super) fn attend(self: &Rc<Self>, task: &Waker) {
        if !self.task.borrow().will_wake(task) {
            self.task.replace(task.clone());
        }
        if self.waiting.replace(false) && !self.dirty.replace(true) {
            flush::mark(self.clone());
        }
    }

    /// Asks for what a flush begins with.
    pub(super) fn fetch(&self) {
        fetch_from(&self.dirty, 2 * LINE_BYTES);
    }

    /// Asks for what that leads to.
    pub(super) fn fetch_behind(&self) {
        self.line.outlet.fetch();
    }

    /// Writes what is in the lanes, as far as the stream takes it; answers how many bytes that was.
    pub(super) fn flush(&self) -> usize {
        self.dirty.set(false);
        if self.waiting.get() {
            return 0;
        }
        let mut bytes = 0;
        let written = match &mut *self.stream.borrow_mut() {
            Some(stream) => {
                let task = self.task.borrow();
                self.write(stream, &mut Context::from_waker(&task), &mut bytes)
            }
            None => return 0,
        };
        match written {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => self.end(),
            Poll::Pending => {
                self.line.outlet.stalled(self.now_ms());
                self.waiting.set(true);
            }
        }
        bytes
    }

    fn write(
        &self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        bytes: &mut usize,
    ) -> Poll<io::Result<()>> {
        let outlet = &self.line.outlet;
        loop {
            match outlet.front(|queue| write_some(stream, queue, cx)) {
                Some(written) => match ready!(written)? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => {
                        *bytes += written;
                        let left = outlet.written(written);
                        if left.is_wanted {
                            self.line.wake();
                        }
                        if left.is_empty && !outlet.is_closing() {
                            return stream.poll_flush(cx);
                        }
                    }
                },
                None if self.close_sent.get() => {
                    // The client sees the end, and need not wait for its own.
                    ready!(stream.poll_flush(cx))?;
                    return stream.poll_shutdown(cx);
                }
                None => match outlet.closing() {
                    None => return stream.poll_flush(cx),
                    Some(closing) => {
                        self.close_sent.set(true);
                        outlet.push_last(self.wire.close(closing.code, &closing.reason));
                    }
                },
            }
        }
    }
}

impl Wakes for Socket {
    fn wake(self: Rc<Self>) {
        if self.line.outlet.is_closing() && !self.ending.replace(true) {
            // It may be waiting for frames to be answered, and is to read what comes behind the close.
            self.task.borrow().wake_by_ref();
            // A connection that is over sooner is not kept for this.
            let socket = Rc::downgrade(&self);
            actix_rt::spawn(async move {
                actix_rt::time::sleep(CLOSE_WITHIN).await;
                if let Some(socket) = socket.upgrade() {
                    socket.end();
                }
            });
        }
        if !self.dirty.replace(true) {
            flush::mark(self);
        }
    }
}

thread_local! {
    static COPY: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(COPIED_BYTES));
}

/// Writes as many frames as one call takes.
fn write_some(stream: &mut Stream, queue: &Queue, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    if let Some(frame) = queue.only() {
        // The system does less for one than for a list of one.
        return stream.poll_write(cx, frame);
    }
    if queue.bytes() <= COPIED_BYTES && queue.len() <= COPIED_FRAMES {
        return COPY.with_borrow_mut(|copy| {
            copy.clear();
            queue
                .pieces()
                .for_each(|piece| copy.extend_from_slice(piece));
            stream.poll_write(cx, copy)
        });
    }
    let mut slices = [IoSlice::new(&[]); WRITE_FRAMES];
    let (mut count, mut bytes) = (0, 0);
    for (slice, piece) in slices.iter_mut().zip(queue.pieces()) {
        if bytes >= WRITE_BYTES {
            break;
        }
        *slice = IoSlice::new(piece);
        count += 1;
        bytes += piece.len();
    }
    stream.poll_write_all(cx, &slices[..count])
}
