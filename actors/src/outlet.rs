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
    cell::{Cell, RefCell},
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

use crate::{ledger::Ledger, piece::Piece, ports::Packed, queue::Queue, room::ask::EphemeralKey};

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
    ordered: Queue,
    ephemeral_bytes: usize,
    receipts: VecDeque<(EphemeralKey, Packed)>,
    fleeting: VecDeque<(EphemeralKey, Packed)>,
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
    closing: RefCell<Option<Box<Closing>>>,
    /// The socket was woken, and has not looked since.
    woken: Cell<bool>,
    wants_room: Cell<bool>,
    lanes: RefCell<Lanes>,
    /// One more than the moment, so that there is a number for none.
    stalled_since: Cell<Option<NonZero<u64>>>,
}

impl Outlet {
    /// Makes an outlet; `socket` is woken when there is something to write.
    #[must_use]
    pub fn new(ledger: Rc<Ledger>, socket: Weak<dyn Wakes>) -> Self {
        Self {
            socket,
            ledger,
            closing: RefCell::default(),
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
            let before = lanes.ephemeral_bytes;
            lanes.ephemeral_bytes += bytes.len();
            let lane = if matches!(key, EphemeralKey::Receipt(..)) {
                &mut lanes.receipts
            } else {
                &mut lanes.fleeting
            };
            if let Some(held) = lane.iter_mut().find(|(held, _)| held == key) {
                lanes.ephemeral_bytes -= held.1.len();
                held.1 = bytes;
            } else {
                lane.push_back((key.clone(), bytes));
            }
            while lanes.ephemeral_bytes > EPHEMERAL_BYTES_MAX {
                let Some((_, old)) = lanes
                    .fleeting
                    .pop_front()
                    .or_else(|| lanes.receipts.pop_front())
                else {
                    break;
                };
                lanes.ephemeral_bytes -= old.len();
                dropped += 1;
            }
            self.ledger.add(lanes.ephemeral_bytes);
            self.ledger.sub(before);
        }
        self.wake();
        dropped
    }

    /// Drops what is ephemeral about a room: after `room.removed` nothing more of it may arrive (promise P-6).
    pub fn forget(&self, room: RoomId) {
        let lanes = &mut *self.lanes.borrow_mut();
        let Lanes {
            receipts,
            fleeting,
            ephemeral_bytes,
            ..
        } = lanes;
        let before = *ephemeral_bytes;
        for lane in [receipts, fleeting] {
            lane.retain(|(key, bytes)| {
                let stays = key.room() != Some(room);
                *ephemeral_bytes -= if stays { 0 } else { bytes.len() };
                stays
            });
        }
        self.ledger.sub(before - *ephemeral_bytes);
    }

    /// Ends the connection after what is in the ordered lane; the first call counts.
    pub fn close(&self, code: CloseCode, reason: &str) {
        if !self.is_closing() {
            *self.closing.borrow_mut() = Some(Box::new(Closing {
                code,
                reason: reason.to_owned(),
            }));
            self.wake_socket();
        }
    }

    /// Tells whether the connection is ending.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing.borrow().is_some()
    }

    /// Returns how the connection ends, once it does.
    #[must_use]
    pub fn closing(&self) -> Option<Closing> {
        self.closing.borrow().as_deref().cloned()
    }

    /// Shows the socket the next frames to write, in order, and how many bytes of the first are written already; none: nothing waits. What is
    /// ephemeral comes behind what is ordered, as far as it fits one write, and is ordered from then on.
    pub fn front<T>(&self, write: impl FnOnce(&VecDeque<Piece>, usize) -> T) -> Option<T> {
        self.woken.set(false);
        let lanes = &mut *self.lanes.borrow_mut();
        while lanes.ordered.bytes() < WRITE_BYTES && lanes.ephemeral_bytes > 0 {
            let receipt = lanes.receipts.pop_front();
            let Some((_, frame)) = receipt.or_else(|| lanes.fleeting.pop_front()) else {
                break;
            };
            lanes.ephemeral_bytes -= frame.len();
            lanes.ordered.push(frame.into());
        }
        (!lanes.ordered.is_empty()).then(|| {
            let (frames, gone) = lanes.ordered.front();
            write(frames, gone)
        })
    }

    /// Notes that the socket has written so many bytes; answers what is left.
    pub fn written(&self, bytes: usize) -> Left {
        let lanes = &mut *self.lanes.borrow_mut();
        lanes.ordered.written(bytes);
        self.ledger.sub(bytes);
        self.stalled_since.set(None);
        Left {
            is_empty: lanes.ordered.bytes() + lanes.ephemeral_bytes == 0,
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
    }

    /// Has the processor fetch what a push or a write begins with.
    pub fn prefetch(&self) {
        black_box((self.woken.get(), self.lanes.borrow().ordered.is_empty()));
    }

    /// Has it fetch what a push wakes, once the outlet is there.
    pub(crate) fn prefetch_socket(&self) {
        black_box(self.socket.strong_count());
    }

    /// Has it fetch what a write takes, once the outlet is there.
    pub fn prefetch_front(&self) {
        let lanes = self.lanes.borrow();
        black_box(lanes.ordered.front().0.front().map(|piece| piece.len()));
    }

    /// Returns the bytes that wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        let lanes = self.lanes.borrow();
        lanes.ordered.bytes() + lanes.ephemeral_bytes
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
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::ledger::Budget;

    fn outlet() -> Outlet {
        within(0)
    }

    fn packed(bytes: &[u8]) -> Packed {
        bytes.into()
    }

    /// Takes what would be written next.
    fn front(outlet: &Outlet) -> Option<Vec<u8>> {
        outlet.front(|frames, gone| {
            let all: Vec<u8> = frames.iter().flat_map(|frame| frame.to_vec()).collect();
            all[gone..].to_vec()
        })
    }

    fn within(budget: usize) -> Outlet {
        let ledger = Rc::new(Ledger::new(Budget::new(budget)));
        Outlet::new(ledger, nobody())
    }

    #[test]
    fn what_a_gone_socket_leaves_is_forgotten_bit_by_bit() {
        let ledger = Rc::new(Ledger::new(Budget::new(0)));
        let outlet = Outlet::new(ledger.clone(), nobody());
        for _ in 0..5 {
            outlet.push(packed(b"123"));
        }
        outlet.written(4);
        for (more, bytes) in [(true, 6), (false, 0), (false, 0)] {
            assert_eq!(outlet.forget_some(2), more);
            assert_eq!((outlet.pending(), ledger.held()), (bytes, bytes as i64));
        }
    }

    #[test]
    fn the_ordered_lane_comes_first_and_in_order() {
        let outlet = outlet();
        let key = EphemeralKey::Head(RoomId::from([1; 16]));
        outlet.push_ephemeral(&key, packed(b"e"));
        outlet.push(packed(b"1"));
        outlet.push(packed(b"2"));
        outlet.push_ephemeral(&key, packed(b"f"));
        assert_eq!(front(&outlet).unwrap(), b"12f");
        assert!(!outlet.written(2).is_empty);
        assert_eq!(outlet.pending(), 1);
        assert!(outlet.written(1).is_empty);
        assert_eq!(front(&outlet), None);
    }

    #[test]
    fn what_is_written_in_part_goes_on_where_it_stopped() {
        let outlet = outlet();
        outlet.push(packed(b"123"));
        outlet.push(packed(b"45"));
        for (bytes, rest) in [(1, "2345"), (3, "5")] {
            outlet.written(bytes);
            assert_eq!(front(&outlet).unwrap(), rest.as_bytes());
            assert_eq!(outlet.pending(), rest.len());
        }
    }

    #[test]
    fn above_the_lane_bound_there_is_no_room_for_events_until_half_is_gone() {
        let outlet = outlet();
        for _ in 0..5 {
            outlet.push(Packed::from(vec![0; LANE_BYTES_MAX / 4]));
        }
        assert!(!outlet.has_room());
        assert!(!outlet.written(LANE_BYTES_MAX / 4).is_wanted);
        assert!(!outlet.written(LANE_BYTES_MAX / 2 - 1).is_wanted);
        assert!(outlet.written(1).is_wanted, "woken at half");
        assert!(outlet.has_room());
    }

    #[test]
    fn the_account_holds_what_waits_and_a_node_above_its_limit_gives_the_small_lane() {
        let outlet = within(LANE_BYTES_MAX / 2);
        let ledger = outlet.ledger.clone();
        let key = EphemeralKey::Head(RoomId::from([1; 16]));
        outlet.push(Packed::from(vec![0; LANE_BYTES_MAX / 2]));
        outlet.push_ephemeral(&key, packed(b"four"));
        outlet.push_ephemeral(&key, packed(b"seventh"));
        ledger.tell();
        assert_eq!(ledger.held(), LANE_BYTES_MAX as i64 / 2 + 7);
        assert!(!outlet.has_room() && outlet.is_scarce());
        outlet.written(LANE_BYTES_MAX / 2);
        assert!(outlet.has_room());
        drop(outlet);
        assert_eq!(ledger.held(), 0);
    }

    #[test]
    fn replies_nobody_reads_close_the_connection() {
        let outlet = outlet();
        for _ in 0..5 {
            outlet.push(Packed::from(vec![0; REPLY_BYTES_MAX / 4]));
        }
        assert_eq!(outlet.closing().unwrap().code, CloseCode::TooSlow);
    }

    #[test]
    fn so_do_many_small_ones() {
        let outlet = outlet();
        for _ in 0..=REPLY_FRAMES_MAX {
            assert!(!outlet.is_closing());
            outlet.push(packed(&[0x8A, 0]));
        }
        assert_eq!(outlet.closing().unwrap().code, CloseCode::TooSlow);
    }

    #[test]
    fn the_ephemeral_lane_is_bounded() {
        let outlet = outlet();
        let mut dropped = 0;
        for n in 0..100 {
            let key = EphemeralKey::Head(RoomId::from([n; 16]));
            dropped += outlet.push_ephemeral(&key, Packed::from(vec![0; EPHEMERAL_BYTES_MAX / 10]));
        }
        assert_eq!(dropped, 90);
        assert!(outlet.pending() <= EPHEMERAL_BYTES_MAX);
    }
}
