//! The way out of a session: two lanes, bounded in bytes, between the actors and the socket of one connection.
//!
//! Thread-local: the session, its thread's fan-out and its socket share one `Rc`.
//!
//! Invariants:
//! - O-1: the ordered lane (replies, notices, events) keeps its order, and nothing in it is dropped.
//! - O-2: above [`LANE_BYTES_MAX`] no event is pushed; the session reads the log instead. Above [`REPLY_BYTES_MAX`] the connection closes 4501.
//! - O-3: the ephemeral lane holds one frame per key, the last; when full the oldest typing or presence goes, then the oldest receipt.
//! - O-4: after [`Outlet::close`] nothing more is taken in.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use bytes::Bytes;
use parlor_schema::{
    CloseCode, RoomId,
    limits::{EPHEMERAL_BYTES_MAX, LANE_BYTES_MAX, REPLY_BYTES_MAX},
};

use crate::room::ask::EphemeralKey;

/// How a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// The code.
    pub code: CloseCode,
    /// The text beside it.
    pub reason: String,
}

#[derive(Default)]
struct Lanes {
    ordered: VecDeque<Bytes>,
    ordered_bytes: usize,
    receipts: VecDeque<(EphemeralKey, Bytes)>,
    fleeting: VecDeque<(EphemeralKey, Bytes)>,
    ephemeral_bytes: usize,
}

/// The way out.
pub struct Outlet {
    lanes: RefCell<Lanes>,
    closing: RefCell<Option<Closing>>,
    wake_socket: Box<dyn Fn()>,
    wants_room: Cell<bool>,
    stalled_since: Cell<Option<u64>>,
}

impl Outlet {
    /// Makes an outlet; `wake_socket` is called when there is something to write. It must not call back.
    #[must_use]
    pub fn new(wake_socket: Box<dyn Fn()>) -> Self {
        Self {
            lanes: RefCell::default(),
            closing: RefCell::default(),
            wake_socket,
            wants_room: Cell::new(false),
            stalled_since: Cell::new(None),
        }
    }

    /// Puts a reply or a notice into the ordered lane (O-2).
    pub fn push(&self, bytes: Bytes) {
        if self.is_closing() {
            return;
        }
        let held = {
            let mut lanes = self.lanes.borrow_mut();
            lanes.ordered_bytes += bytes.len();
            lanes.ordered.push_back(bytes);
            lanes.ordered_bytes
        };
        if held > REPLY_BYTES_MAX {
            self.close(CloseCode::TooSlow, CloseCode::TooSlow.reason());
        } else {
            (self.wake_socket)();
        }
    }

    /// Tells whether an event may be pushed now; if not, the session is woken when one may again.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let room = self.lanes.borrow().ordered_bytes <= LANE_BYTES_MAX;
        if !room {
            self.wants_room.set(true);
        }
        room
    }

    /// Puts a frame that may be lost into the ephemeral lane; answers how many were dropped for it (O-3).
    pub fn push_ephemeral(&self, key: &EphemeralKey, bytes: Bytes) -> u64 {
        if self.is_closing() {
            return 0;
        }
        let mut dropped = 0;
        {
            let lanes = &mut *self.lanes.borrow_mut();
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
        }
        (self.wake_socket)();
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
        for lane in [receipts, fleeting] {
            lane.retain(|(key, bytes)| {
                let stays = key.room() != Some(room);
                *ephemeral_bytes -= if stays { 0 } else { bytes.len() };
                stays
            });
        }
    }

    /// Ends the connection after what is in the ordered lane; the first call counts.
    pub fn close(&self, code: CloseCode, reason: &str) {
        if !self.is_closing() {
            *self.closing.borrow_mut() = Some(Closing {
                code,
                reason: reason.to_owned(),
            });
            (self.wake_socket)();
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
        self.closing.borrow().clone()
    }

    /// Moves frames to the socket, up to about `bytes`; answers whether the session waits for the room this made.
    pub fn take(&self, bytes: usize, out: &mut VecDeque<Bytes>) -> bool {
        let mut lanes = self.lanes.borrow_mut();
        let mut taken = 0;
        while taken < bytes {
            let next = lanes.ordered.pop_front();
            let frame = if let Some(frame) = next {
                lanes.ordered_bytes -= frame.len();
                frame
            } else {
                let fleeting = lanes.receipts.pop_front();
                let Some((_, frame)) = fleeting.or_else(|| lanes.fleeting.pop_front()) else {
                    break;
                };
                lanes.ephemeral_bytes -= frame.len();
                frame
            };
            taken += frame.len();
            out.push_back(frame);
        }
        if lanes.ordered.is_empty() && lanes.ordered.capacity() > 64 {
            lanes.ordered = VecDeque::new();
        }
        lanes.ordered_bytes <= LANE_BYTES_MAX / 2 && self.wants_room.take()
    }

    /// Returns the bytes that wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        let lanes = self.lanes.borrow();
        lanes.ordered_bytes + lanes.ephemeral_bytes
    }

    /// Notes that the socket takes nothing since `now_ms`, or (`None`) that it does.
    pub fn set_stalled(&self, now_ms: Option<u64>) {
        match now_ms {
            None => self.stalled_since.set(None),
            Some(now) => {
                if self.stalled_since.get().is_none() {
                    self.stalled_since.set(Some(now));
                }
            }
        }
    }

    /// Returns since when the socket takes nothing.
    #[must_use]
    pub fn stalled_since(&self) -> Option<u64> {
        self.stalled_since.get()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn outlet() -> Outlet {
        Outlet::new(Box::new(|| {}))
    }

    #[test]
    fn the_ordered_lane_comes_first_and_in_order() {
        let outlet = outlet();
        let key = EphemeralKey::Head(RoomId::from([1; 16]));
        outlet.push_ephemeral(&key, Bytes::from_static(b"e"));
        outlet.push(Bytes::from_static(b"1"));
        outlet.push(Bytes::from_static(b"2"));
        outlet.push_ephemeral(&key, Bytes::from_static(b"f"));
        let mut out = VecDeque::new();
        outlet.take(usize::MAX, &mut out);
        assert_eq!(out, [b"1", b"2", b"f"].map(|b| Bytes::from_static(b)));
        assert_eq!(outlet.pending(), 0);
    }

    #[test]
    fn above_the_lane_bound_there_is_no_room_for_events_until_half_is_gone() {
        let outlet = outlet();
        for _ in 0..5 {
            outlet.push(Bytes::from(vec![0; LANE_BYTES_MAX / 4]));
        }
        assert!(!outlet.has_room());
        let mut out = VecDeque::new();
        assert!(!outlet.take(1, &mut out));
        assert!(!outlet.take(1, &mut out));
        assert!(outlet.take(1, &mut out), "woken at half");
        assert!(outlet.has_room());
    }

    #[test]
    fn replies_nobody_reads_close_the_connection() {
        let outlet = outlet();
        for _ in 0..5 {
            outlet.push(Bytes::from(vec![0; REPLY_BYTES_MAX / 4]));
        }
        assert_eq!(outlet.closing().unwrap().code, CloseCode::TooSlow);
    }

    #[test]
    fn the_ephemeral_lane_is_bounded() {
        let outlet = outlet();
        let mut dropped = 0;
        for n in 0..100 {
            let key = EphemeralKey::Head(RoomId::from([n; 16]));
            dropped += outlet.push_ephemeral(&key, Bytes::from(vec![0; EPHEMERAL_BYTES_MAX / 10]));
        }
        assert_eq!(dropped, 90);
        assert!(outlet.pending() <= EPHEMERAL_BYTES_MAX);
    }
}
