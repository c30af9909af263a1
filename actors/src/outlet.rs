//! The way out of a session: two lanes, bounded in bytes, between the actors and the socket of one connection.
//!
//! Thread-local: the session, its thread's fan-out and its socket share one `Rc`. The socket writes from the lane itself; there is no other buffer.
//!
//! Invariants:
//! - O-1: the ordered lane (replies, notices, events) keeps its order, and nothing in it is dropped.
//! - O-2: above [`LANE_BYTES_MAX`] no event is pushed; the session reads the log instead. Above [`REPLY_BYTES_MAX`] or
//!   [`REPLY_FRAMES_MAX`] the connection closes 4501.
//! - O-3: the ephemeral lane holds one frame per key, the last; when full the oldest typing or presence goes, then the oldest receipt.
//! - O-4: after [`Outlet::close`] nothing more is taken in.
//! - O-5: every byte that waits is on the thread's account ([`Ledger`]), until it is written or the connection ends.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::VecDeque,
    hint::black_box,
    num::NonZero,
    rc::{Rc, Weak},
};

use parlor_schema::{
    CloseCode, RoomId,
    limits::{
        EPHEMERAL_BYTES_MAX, LANE_BYTES_MAX, LANE_BYTES_SCARCE, REPLY_BYTES_MAX, REPLY_FRAMES_MAX,
        WRITE_BYTES,
    },
};

use crate::{
    fetch::{LINE_BYTES, fetch_from},
    ledger::Ledger,
    piece::Piece,
    ports::Packed,
    queue::Queue,
    room::ask::EphemeralKey,
};

/// How a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// The code.
    pub code: CloseCode,
    /// The text beside it.
    pub reason: String,
}

/// The socket at the end of an outlet.
pub trait Wakes {
    /// Has it look at the outlet soon. Called from deep inside the actors: it must not call back.
    fn wake(self: Rc<Self>);
}

#[derive(Default)]
#[repr(C)]
struct Lanes {
    /// Made with the first frame in it, as most sessions have none at a time.
    ephemeral: Option<Box<Ephemeral>>,
    ordered: Queue,
}

#[derive(Default)]
struct Ephemeral {
    bytes: usize,
    receipts: VecDeque<(EphemeralKey, Packed)>,
    fleeting: VecDeque<(EphemeralKey, Packed)>,
}

impl Lanes {
    fn ephemeral_bytes(&self) -> usize {
        self.ephemeral.as_ref().map_or(0, |lane| lane.bytes)
    }

    fn bytes(&self) -> usize {
        self.ordered.bytes() + self.ephemeral_bytes()
    }
}

impl Ephemeral {
    /// Takes the oldest receipt, or where there is none the oldest of the rest.
    fn pop(&mut self) -> Option<Packed> {
        let receipt = self.receipts.pop_front();
        let (_, frame) = receipt.or_else(|| self.fleeting.pop_front())?;
        self.bytes -= frame.len();
        Some(frame)
    }
}

/// What is left once a socket has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Nothing waits.
    pub is_empty: bool,
    /// The session waits for the room that this made.
    pub is_wanted: bool,
}

/// The way out. What each event needs stands first and together, since a thousand of these take turns.
#[repr(C)]
pub struct Outlet {
    socket: Weak<dyn Wakes>,
    ledger: Rc<Ledger>,
    closing: OnceCell<Box<Closing>>,
    /// The socket was woken, and has not looked since.
    woken: Cell<bool>,
    wants_room: Cell<bool>,
    /// One more than the moment, so that there is a number for none.
    stalled_since: Cell<Option<NonZero<u64>>>,
    lanes: RefCell<Lanes>,
}

impl Outlet {
    /// Bytes from its begin to what [`fetch`](Self::fetch) goes by.
    #[cfg(test)]
    pub(crate) const FETCHED_FROM: usize = std::mem::offset_of!(Self, woken);
    /// Bytes from its begin that an event and a write of one frame need.
    #[cfg(test)]
    pub(crate) const HOT_BYTES: usize =
        std::mem::offset_of!(Self, lanes) + size_of::<RefCell<Lanes>>() - size_of::<Lanes>()
            + std::mem::offset_of!(Lanes, ordered)
            + Queue::HOT_BYTES;

    /// Makes an outlet; `socket` is woken when there is something to write.
    #[must_use]
    pub fn new(ledger: Rc<Ledger>, socket: Weak<dyn Wakes>) -> Self {
        Self {
            socket,
            ledger,
            closing: OnceCell::new(),
            stalled_since: Cell::new(None),
            lanes: RefCell::default(),
            woken: Cell::new(false),
            wants_room: Cell::new(false),
        }
    }

    /// Puts a reply or a notice into the ordered lane (O-2).
    pub fn push(&self, bytes: impl Into<Piece>) {
        if self.is_closing() {
            return;
        }
        let bytes = bytes.into();
        self.ledger.add(bytes.len());
        let too_much = {
            let mut lanes = self.lanes.borrow_mut();
            lanes.ordered.push(bytes);
            lanes.ordered.bytes() > REPLY_BYTES_MAX || lanes.ordered.len() > REPLY_FRAMES_MAX
        };
        if too_much {
            self.close(CloseCode::TooSlow, CloseCode::TooSlow.reason());
        } else {
            self.wake();
        }
    }

    /// Tells whether an event may be pushed now; if not, the session is woken when one may again.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let held = self.lanes.borrow().ordered.bytes();
        let room = held <= LANE_BYTES_SCARCE || held <= self.lane_bytes();
        if !room {
            self.wants_room.set(true);
        }
        room
    }

    /// Returns how much of the lane is for events now.
    fn lane_bytes(&self) -> usize {
        if self.ledger.is_scarce() {
            LANE_BYTES_SCARCE
        } else {
            LANE_BYTES_MAX
        }
    }

    /// Puts a frame that may be lost into the ephemeral lane; answers how many were dropped for it (O-3).
    pub fn push_ephemeral(&self, key: &EphemeralKey, bytes: Packed) -> u64 {
        if self.is_closing() {
            return 0;
        }
        let mut dropped = 0;
        {
            let lanes = &mut *self.lanes.borrow_mut();
            let lane = &mut **lanes.ephemeral.get_or_insert_default();
            let before = lane.bytes;
            lane.bytes += bytes.len();
            let frames = if matches!(key, EphemeralKey::Receipt(..)) {
                &mut lane.receipts
            } else {
                &mut lane.fleeting
            };
            if let Some(held) = frames.iter_mut().find(|(held, _)| held == key) {
                lane.bytes -= held.1.len();
                held.1 = bytes;
            } else {
                frames.push_back((key.clone(), bytes));
            }
            while lane.bytes > EPHEMERAL_BYTES_MAX {
                let fleeting = lane.fleeting.pop_front();
                let Some((_, old)) = fleeting.or_else(|| lane.receipts.pop_front()) else {
                    break;
                };
                lane.bytes -= old.len();
                dropped += 1;
            }
            self.ledger.add(lane.bytes);
            self.ledger.sub(before);
        }
        self.wake();
        dropped
    }

    /// Drops what is ephemeral about a room: after `room.removed` nothing more of it may arrive (promise P-6).
    pub fn forget(&self, room: RoomId) {
        let lanes = &mut *self.lanes.borrow_mut();
        let Some(lane) = &mut lanes.ephemeral else {
            return;
        };
        let before = lane.bytes;
        for frames in [&mut lane.receipts, &mut lane.fleeting] {
            frames.retain(|(key, bytes)| {
                let stays = key.room() != Some(room);
                lane.bytes -= if stays { 0 } else { bytes.len() };
                stays
            });
        }
        self.ledger.sub(before - lane.bytes);
    }

    /// Ends the connection after what is in the ordered lane; the first call counts.
    pub fn close(&self, code: CloseCode, reason: &str) {
        if !self.is_closing() {
            let _ = self.closing.set(Box::new(Closing {
                code,
                reason: reason.to_owned(),
            }));
            self.wake_socket();
        }
    }

    /// Tells whether the connection is ending.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing.get().is_some()
    }

    /// Returns how the connection ends, once it does.
    #[must_use]
    pub fn closing(&self) -> Option<Closing> {
        self.closing.get().map(|closing| (**closing).clone())
    }

    /// Shows the socket the next frames to write, in order; none: nothing waits. What is ephemeral comes behind what is ordered, as far as it
    /// fits one write, and is ordered from then on.
    pub fn front<T>(&self, write: impl FnOnce(&Queue) -> T) -> Option<T> {
        self.woken.set(false);
        let Lanes { ephemeral, ordered } = &mut *self.lanes.borrow_mut();
        if let Some(lane) = ephemeral {
            while ordered.bytes() < WRITE_BYTES
                && let Some(frame) = lane.pop()
            {
                ordered.push(frame.into());
            }
        }
        (!ordered.is_empty()).then(|| write(ordered))
    }

    /// Notes that the socket has written so many bytes; answers what is left.
    pub fn written(&self, bytes: usize) -> Left {
        let lanes = &mut *self.lanes.borrow_mut();
        lanes.ordered.written(bytes);
        self.ledger.sub(bytes);
        self.stalled_since.set(None);
        Left {
            is_empty: lanes.bytes() == 0,
            is_wanted: self.wants_room.get()
                && lanes.ordered.bytes() <= self.lane_bytes() / 2
                && self.wants_room.take(),
        }
    }

    /// Puts the socket's own last frame behind all that waits.
    pub fn push_last(&self, bytes: Packed) {
        let lanes = &mut *self.lanes.borrow_mut();
        self.ledger.add(bytes.len());
        lanes.ordered.push(bytes.into());
    }

    /// Forgets up to `frames` of what waits for a socket that is gone; answers whether there may be more. The end of one for which ten thousands wait
    /// would take the thread for milliseconds.
    pub fn forget_some(&self, frames: usize) -> bool {
        let lanes = &mut *self.lanes.borrow_mut();
        self.ledger.sub(lanes.ordered.drop_front(frames));
        !lanes.ordered.is_empty()
    }

    /// Gives back the memory of lanes that are empty; called while nothing goes out for a while.
    pub fn rest(&self) {
        let lanes = &mut *self.lanes.borrow_mut();
        lanes.ordered.rest();
        lanes.ephemeral.take_if(|lane| lane.bytes == 0);
    }

    /// Asks for what a push or a write begins with.
    pub fn fetch(&self) {
        fetch_from(&self.woken, 2 * LINE_BYTES);
    }

    /// Asks for what a write takes, once the outlet is there.
    pub fn fetch_front(&self) {
        self.lanes.borrow().ordered.fetch_front();
    }

    /// Reads what a push wakes, once the outlet is there.
    pub(crate) fn look_at_socket(&self) {
        black_box(self.socket.strong_count());
    }

    /// Returns the bytes that wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.lanes.borrow().bytes()
    }

    fn wake(&self) {
        if !self.woken.replace(true) {
            self.wake_socket();
        }
    }

    fn wake_socket(&self) {
        if let Some(socket) = self.socket.upgrade() {
            socket.wake();
        }
    }

    /// Tells whether the node holds more for its sockets than it may.
    #[must_use]
    pub fn is_scarce(&self) -> bool {
        self.ledger.is_scarce()
    }

    /// Notes that the socket takes nothing since `now_ms`, until something is written.
    pub fn stalled(&self, now_ms: u64) {
        if self.stalled_since.get().is_none() {
            self.stalled_since.set(NonZero::new(now_ms + 1));
        }
    }

    /// Returns since when the socket takes nothing.
    #[must_use]
    pub fn stalled_since(&self) -> Option<u64> {
        self.stalled_since.get().map(|since| since.get() - 1)
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.ledger.sub(self.pending());
    }
}

/// For tests: no socket.
#[cfg(test)]
pub(crate) fn nobody() -> Weak<dyn Wakes> {
    struct Nobody;
    impl Wakes for Nobody {
        fn wake(self: Rc<Self>) {}
    }
    Weak::<Nobody>::new()
}

#[cfg(test)]
mod tests;
