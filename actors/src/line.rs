//! A connection as its thread sees it: the outlet, the deadlines, and what its session must look at next.
//!
//! One ticking wheel per thread ([`crate::fanout`]) looks at every line, so that a session needs no timer of its own.

use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use actix::prelude::*;
use parlor_schema::{
    CloseCode, RoomId, SessionId, Timestamp, UserId,
    frame::{
        ServerFrame,
        server::{AuthExpiring, Goaway},
    },
    limits::{
        AUTH_EXPIRING_MS, FRAME_WITHIN_MS, HEARTBEAT_MS, HELLO_WITHIN_MS, WRITE_STALL_MS,
        WRITE_STALL_SCARCE_MS,
    },
};

use crate::{
    fetch::{LINE_BYTES, fetch, fetch_from},
    hand::Hand,
    outlet::Outlet,
    ports::{Coding, Wire},
    room::packet::Marks,
};

/// Tells a session to look at its line.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Wake;

/// Who is on the line, once `hello` is done.
#[derive(Debug, Clone)]
pub struct Person {
    /// The user.
    pub user: UserId,
    /// The user's mark.
    pub marks: Marks,
    /// When the token ends.
    pub expires_at: Timestamp,
    /// Whether `auth.expiring` was sent for this token.
    pub warned: Warned,
}

/// Whether the client was told that its token ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warned {
    /// Not yet.
    No,
    /// It was.
    Yes,
}

/// A connection as its thread sees it. What each event needs stands first, in as few lines of a cache as may be: thousands of connections
/// take turns, so that none is in a cache when its turn comes.
#[repr(C)]
pub struct Line {
    /// How its frames are coded.
    pub coding: Coding,
    /// Whether the session watches anybody, so that changes of membership concern it.
    pub watches: Cell<bool>,
    /// Set when membership changed around a session that watches.
    pub recheck: Cell<bool>,
    /// Set while `hello` waits for its turn or is being served.
    pub greeting: Cell<bool>,
    awake: Cell<bool>,
    leaving: Cell<bool>,
    /// Who it is.
    pub person: RefCell<Option<Person>>,
    /// The way out.
    pub outlet: Outlet,
    /// What of it is being served.
    pub hand: Hand,
    /// The session's id.
    pub session: SessionId,
    /// Its place on the wheel of its thread.
    pub(crate) slot: Cell<usize>,
    /// When the last frame of any kind came, in monotonic milliseconds.
    pub last_in: Cell<u64>,
    /// Since when a message is coming that is not whole yet.
    pub partial_since: Cell<Option<u64>>,
    /// When the connection began.
    pub since: u64,
    /// When the next ping is due.
    pub next_ping: Cell<u64>,
    /// Rooms whose log the session must read.
    pub behind: RefCell<Vec<RoomId>>,
    /// Rooms the fan-out put the session out of, because they turned private.
    pub out: RefCell<Vec<RoomId>>,
    /// Passive rooms with something new.
    pub heads: RefCell<Vec<RoomId>>,
    /// Set when a notice could not be delivered.
    pub lost: Arc<AtomicBool>,
    session_addr: RefCell<Option<Recipient<Wake>>>,
}

impl Line {
    /// Makes a line that starts at `now_ms`.
    #[must_use]
    pub fn new(session: SessionId, outlet: Outlet, coding: Coding, now_ms: u64) -> Self {
        Self {
            session,
            outlet,
            hand: Hand::default(),
            slot: Cell::new(0),
            coding,
            person: RefCell::default(),
            last_in: Cell::new(now_ms),
            partial_since: Cell::new(None),
            greeting: Cell::new(false),
            since: now_ms,
            next_ping: Cell::new(now_ms + HEARTBEAT_MS),
            behind: RefCell::default(),
            out: RefCell::default(),
            heads: RefCell::default(),
            watches: Cell::new(false),
            recheck: Cell::new(false),
            lost: Arc::default(),
            session_addr: RefCell::default(),
            awake: Cell::new(false),
            leaving: Cell::new(false),
        }
    }

    /// Asks for what an event needs.
    pub(crate) fn fetch(&self) {
        fetch(&self.coding);
        self.outlet.fetch();
    }

    /// Asks for what [`tick`](Self::tick) looks at.
    pub(crate) fn fetch_due(&self) {
        self.fetch();
        fetch_from(&self.last_in, 2 * LINE_BYTES);
        fetch(&self.lost);
    }

    /// Asks for what that leads to, once it is there.
    pub(crate) fn fetch_lost(&self) {
        fetch(&*self.lost);
    }

    /// Names whom to wake.
    pub fn attach(&self, session: Recipient<Wake>) {
        *self.session_addr.borrow_mut() = Some(session);
    }

    /// Lets go of the session, so that neither keeps the other.
    pub fn detach(&self) {
        *self.session_addr.borrow_mut() = None;
    }

    /// Wakes the session once. When its mailbox is full the next tick tries again.
    pub fn wake(&self) {
        if self.awake.get() {
            return;
        }
        if let Some(session) = &*self.session_addr.borrow() {
            self.awake.set(session.try_send(Wake).is_ok());
        }
    }

    /// Notes that the session looks now.
    pub fn looked(&self) {
        self.awake.set(false);
    }

    fn has_work(&self) -> bool {
        self.recheck.get()
            || !self.behind.borrow().is_empty()
            || !self.out.borrow().is_empty()
            || !self.heads.borrow().is_empty()
    }

    /// Tells the client, once, that the node leaves: it is to reconnect after `reconnect_in_ms`, and is closed after `close_in_ms`. Answers
    /// whether it was told now.
    pub fn send_away(&self, reconnect_in_ms: u64, close_in_ms: u64, wire: &dyn Wire) -> bool {
        let is_in = self.person.borrow().is_some() && !self.greeting.get();
        if self.outlet.is_closing() || !is_in || self.leaving.replace(true) {
            return false;
        }
        let goaway = Goaway {
            reason: "draining".to_owned(),
            reconnect_in_ms,
            close_in_ms,
        };
        self.outlet
            .push(wire.text(&ServerFrame::Goaway(goaway).write(None)));
        true
    }

    /// Ends it, unless it ends already; answers whether the client is told now.
    pub(crate) fn end(&self, code: CloseCode, reason: &str) -> bool {
        let ends = !self.outlet.is_closing();
        self.outlet.close(code, reason);
        ends
    }

    /// Sees to the deadlines, and to what is due. Answers whether the client is told something.
    pub fn tick(&self, now_ms: u64, now: Timestamp, wire: &dyn Wire) -> bool {
        if self.outlet.is_closing() {
            return false;
        }
        let close = |code: CloseCode| self.end(code, code.reason());
        if self.lost.load(Ordering::Relaxed) {
            return close(CloseCode::TooSlow);
        }
        let passed = |since: Option<u64>, allowed_ms| {
            since.is_some_and(|since| now_ms.saturating_sub(since) >= allowed_ms)
        };
        let stall_ms = if self.outlet.is_scarce() {
            WRITE_STALL_SCARCE_MS
        } else {
            WRITE_STALL_MS
        };
        if passed(self.outlet.stalled_since(), stall_ms) {
            return close(CloseCode::TooSlow);
        }
        let Some(person) = &mut *self.person.borrow_mut() else {
            let is_late = !self.greeting.get() && passed(Some(self.since), HELLO_WITHIN_MS);
            return is_late && close(CloseCode::NoHello);
        };
        if person.expires_at <= now {
            return close(CloseCode::Unauthorized);
        }
        // While `hello` is served nothing is read, and `welcome` is to be the first that is told: a client listens to nothing before it.
        if self.greeting.get() {
            return false;
        }
        if passed(self.partial_since.get(), FRAME_WITHIN_MS) {
            return self.end(CloseCode::HeartbeatLost, "a message did not end in time");
        }
        if now_ms.saturating_sub(self.last_in.get()) >= 2 * HEARTBEAT_MS {
            return close(CloseCode::HeartbeatLost);
        }
        let mut said = false;
        if person.warned == Warned::No && person.expires_at.minus_millis(AUTH_EXPIRING_MS) <= now {
            person.warned = Warned::Yes;
            let frame = ServerFrame::AuthExpiring(AuthExpiring {
                expires_at: person.expires_at,
            });
            self.outlet.push(wire.text(&frame.write(None)));
            said = true;
        }
        if self.next_ping.get() <= now_ms {
            self.next_ping.set(now_ms + HEARTBEAT_MS);
            self.outlet.push(wire.ping());
            said = true;
        }
        self.outlet.rest();
        if self.has_work() {
            self.awake.set(false);
            self.wake();
        }
        said
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{
        ledger::{Budget, Ledger},
        outlet::nobody,
        ports::PlainWire,
        queue::Queue,
    };

    /// A line that begins at 0, of somebody whose token ends at `expires_ms` on both clocks.
    fn line(expires_ms: Option<i64>) -> Line {
        let session = SessionId::new(uuid::Uuid::nil());
        let ledger = std::rc::Rc::new(Ledger::new(Budget::new(0)));
        let outlet = Outlet::new(ledger, nobody());
        let line = Line::new(session, outlet, Coding::Plain, 0);
        *line.person.borrow_mut() = expires_ms.map(|expires_ms| Person {
            user: "ana".parse().unwrap(),
            marks: Marks::default(),
            expires_at: Timestamp::from_millis(expires_ms),
            warned: Warned::No,
        });
        line
    }

    fn tick(line: &Line, now_ms: u64) -> Vec<String> {
        let now = Timestamp::from_millis(i64::try_from(now_ms).unwrap());
        let was_closing = line.outlet.is_closing();
        let said = line.tick(now_ms, now, &PlainWire);
        let closes = line.outlet.is_closing() != was_closing;
        let texts = |queue: &Queue| {
            let text = |piece: &[u8]| String::from_utf8(piece.to_vec()).unwrap();
            queue.pieces().map(text).collect::<Vec<_>>()
        };
        let out = line.outlet.front(texts).unwrap_or_default();
        assert_eq!(said, closes || !out.is_empty(), "at {now_ms}");
        if line.outlet.stalled_since().is_none() {
            line.outlet.written(line.outlet.pending());
        }
        out
    }

    fn code(line: &Line) -> Option<CloseCode> {
        line.outlet.closing().map(|closing| closing.code)
    }

    const NEVER: i64 = 1 << 50;

    #[test]
    fn what_each_event_needs_lies_in_three_lines_of_a_cache() {
        // Shared by count, it lies behind its two counts; the allocator begins what is so large on a line.
        let outlet = 2 * size_of::<usize>() + std::mem::offset_of!(Line, outlet);
        assert_eq!((outlet + Outlet::HOT_BYTES).div_ceil(LINE_BYTES), 3);
        assert_eq!(outlet / LINE_BYTES, 1, "a write needs two of them");
        let fetched = (outlet + Outlet::FETCHED_FROM) / LINE_BYTES;
        assert_eq!(fetched, 1, "and asks for these");
    }

    #[test]
    fn pings_every_heartbeat_and_ends_after_two_silent_ones() {
        let line = line(Some(NEVER));
        assert!(tick(&line, HEARTBEAT_MS - 1).is_empty());
        assert_eq!(tick(&line, HEARTBEAT_MS), ["ping"]);
        assert!(tick(&line, HEARTBEAT_MS + 1).is_empty());
        line.last_in.set(HEARTBEAT_MS + 1);
        assert_eq!(tick(&line, 2 * HEARTBEAT_MS), ["ping"], "a sign of life");
        assert_eq!(tick(&line, 3 * HEARTBEAT_MS), ["ping"]);
        assert_eq!(code(&line), None);
        tick(&line, 3 * HEARTBEAT_MS + 1);
        assert_eq!(code(&line), Some(CloseCode::HeartbeatLost));
    }

    #[test]
    fn a_client_is_sent_away_once_and_ended_once() {
        let line = line(Some(NEVER));
        let told = [1, 2].map(|_| line.send_away(5, 10, &PlainWire));
        assert_eq!(told, [true, false]);
        let ended = [1, 2].map(|_| line.end(CloseCode::Draining, "so"));
        assert_eq!(ended, [true, false]);
        assert!(!line.send_away(5, 10, &PlainWire));
    }

    #[test]
    fn tells_once_that_a_token_ends_and_ends_with_it() {
        let line = line(Some(100_000));
        line.last_in.set(100_000);
        line.next_ping.set(u64::MAX);
        assert!(tick(&line, 39_999).is_empty());
        assert_eq!(
            tick(&line, 40_000),
            [r#"{"type":"auth.expiring","payload":{"expires_at":"1970-01-01T00:01:40.000Z"}}"#]
        );
        assert!(tick(&line, 99_999).is_empty());
        assert_eq!(code(&line), None);
        tick(&line, 100_000);
        assert_eq!(code(&line), Some(CloseCode::Unauthorized));
    }

    #[test]
    fn tells_nothing_before_welcome_and_then_what_is_due() {
        let line = line(Some(50_000));
        line.greeting.set(true);
        assert!(!line.send_away(5, 10, &PlainWire));
        assert!(tick(&line, HEARTBEAT_MS).is_empty());
        line.greeting.set(false);
        let told = tick(&line, HEARTBEAT_MS);
        assert!(told[0].contains("auth.expiring"), "{told:?}");
        assert!(line.send_away(5, 10, &PlainWire));
        line.greeting.set(true);
        tick(&line, 50_000);
        assert_eq!(code(&line), Some(CloseCode::Unauthorized));
    }

    #[test]
    fn ends_without_hello_and_with_a_stalled_or_lost_client() {
        let silent = line(None);
        tick(&silent, HELLO_WITHIN_MS - 1);
        assert_eq!(code(&silent), None);
        tick(&silent, HELLO_WITHIN_MS);
        assert_eq!(code(&silent), Some(CloseCode::NoHello));
        let stalled = line(Some(NEVER));
        stalled.outlet.stalled(5);
        tick(&stalled, WRITE_STALL_MS + 4);
        assert_eq!(code(&stalled), None);
        tick(&stalled, WRITE_STALL_MS + 5);
        assert_eq!(code(&stalled), Some(CloseCode::TooSlow));
        let slow = line(Some(NEVER));
        slow.partial_since.set(Some(7));
        tick(&slow, FRAME_WITHIN_MS + 6);
        assert_eq!(code(&slow), None);
        tick(&slow, FRAME_WITHIN_MS + 7);
        assert_eq!(code(&slow), Some(CloseCode::HeartbeatLost));
        let lost = line(Some(NEVER));
        lost.lost.store(true, Ordering::Relaxed);
        tick(&lost, 1);
        assert_eq!(code(&lost), Some(CloseCode::TooSlow));
    }
}
