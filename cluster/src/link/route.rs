//! Which carrier a link goes over: Redis, or a call to the other node's internal listener.
//!
//! Invariants:
//! - RO-1: a link goes over one carrier at a time; it leaves Redis when that did not take a packet for it, or had nobody to
//!   give it to, and comes back with the first that arrived.
//! - RO-2: one call at a time is under way on a link, so that its packets arrive in the order of their numbers; the link
//!   comes back to Redis only between two.
//! - RO-3: after a call that failed the next one comes later, and carries a heartbeat and nothing that could be lost with it.
//!
//! Deliberately absent: numbers and queues ([`super::Outgoing`]), which both carriers share. That is why neither a change of
//! the carrier nor a packet that comes over the old one afterwards doubles or hides anything (L-2, L-3).

/// Wait after the first call that failed; each failure more doubles it.
const RETRY_MS: u64 = 250;
/// The longest wait, so that a listener that comes back is used within a second.
const RETRY_MS_MAX: u64 = 1_000;

/// What carries a link's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// The channel of the other node.
    Redis,
    /// Calls of its internal listener.
    Http,
}

/// What the next call may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// What waits.
    Everything,
    /// A heartbeat, to find out whether somebody is there (RO-3).
    Heartbeat,
}

/// The carrier of one link, and how the calls go.
#[derive(Debug, Clone, Copy, Default)]
pub struct Route {
    /// It goes over HTTP.
    is_direct: bool,
    /// A call is under way.
    is_calling: bool,
    /// Redis gave something to the other node while a call was under way.
    returns: bool,
    /// Calls that failed since the last one that did not.
    failures: u32,
    /// The last call was taken.
    is_taken: bool,
    retry_at_ms: u64,
    /// The last number that a call brought.
    confirmed: u64,
}

impl Route {
    /// Returns the present carrier.
    #[must_use]
    pub const fn carrier(&self) -> Carrier {
        match self.is_direct {
            true => Carrier::Http,
            false => Carrier::Redis,
        }
    }

    /// Tells whether what is sent now can be expected to arrive.
    #[must_use]
    pub const fn is_reached(&self) -> bool {
        !self.is_direct || self.is_taken
    }

    /// Returns the last number that the other node is known to have, for a heartbeat over Redis that must not run ahead of a call.
    #[must_use]
    pub const fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// Takes that Redis did not take a packet, or had nobody to give it to; tells whether the carrier changed.
    pub const fn redis_failed(&mut self) -> bool {
        self.returns = false;
        let changes = !self.is_direct;
        if changes {
            self.is_direct = true;
            self.is_taken = false;
            self.failures = 0;
            self.retry_at_ms = 0;
        }
        changes
    }

    /// Takes that Redis gave a packet to the other node; tells whether the carrier changed.
    pub const fn redis_heard(&mut self) -> bool {
        if self.is_calling {
            self.returns = self.is_direct;
            return false;
        }
        self.come_back()
    }

    /// Has the link go over Redis because there is nowhere else, as when the other node leaves the view.
    pub const fn only_redis(&mut self) {
        // A call that is under way changes nothing any more.
        self.is_direct = false;
        self.returns = false;
    }

    /// Tells what a call may carry now; nothing where none is to be made.
    #[must_use]
    pub const fn next_call(&self, now_ms: u64) -> Option<Load> {
        if !self.is_direct || self.is_calling || now_ms < self.retry_at_ms {
            return None;
        }
        match self.failures {
            0 => Some(Load::Everything),
            _ => Some(Load::Heartbeat),
        }
    }

    /// Takes that a call begins.
    pub const fn calls(&mut self) {
        debug_assert!(!self.is_calling, "RO-2: one call at a time");
        self.is_calling = true;
    }

    /// Takes that the call brought everything up to a number; tells whether the carrier changed.
    pub fn call_taken(&mut self, last: u64) -> bool {
        self.is_calling = false;
        self.is_taken = true;
        self.failures = 0;
        self.confirmed = self.confirmed.max(last);
        self.returns && self.come_back()
    }

    /// Takes that the call failed, or that nobody knows; tells whether the carrier changed.
    pub fn call_failed(&mut self, now_ms: u64) -> bool {
        self.is_calling = false;
        self.is_taken = false;
        let wait = RETRY_MS << self.failures.min(4);
        self.retry_at_ms = now_ms.saturating_add(wait.min(RETRY_MS_MAX));
        self.failures = self.failures.saturating_add(1);
        self.returns && self.come_back()
    }

    const fn come_back(&mut self) -> bool {
        self.returns = false;
        let changes = self.is_direct;
        self.is_direct = false;
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_leaves_redis_with_a_failure_and_comes_back_with_an_arrival() {
        let mut route = Route::default();
        assert_eq!(
            (route.carrier(), route.next_call(0)),
            (Carrier::Redis, None)
        );
        assert!(route.redis_failed());
        assert!(!route.redis_failed(), "once");
        assert_eq!(route.carrier(), Carrier::Http);
        assert!(!route.is_reached(), "nothing was taken yet");
        assert_eq!(route.next_call(0), Some(Load::Everything));
        assert!(route.redis_heard());
        assert_eq!(route.carrier(), Carrier::Redis);
        assert!(!route.redis_heard(), "it is there already");
    }

    #[test]
    fn it_comes_back_between_two_calls() {
        let mut route = Route::default();
        route.redis_failed();
        route.calls();
        assert_eq!(route.next_call(0), None, "RO-2");
        assert!(!route.redis_heard());
        assert_eq!(route.carrier(), Carrier::Http, "RO-2: not during the call");
        assert!(route.call_taken(7));
        assert_eq!((route.carrier(), route.confirmed()), (Carrier::Redis, 7));
    }

    #[test]
    fn a_failure_of_redis_during_the_call_takes_the_return_back() {
        let mut route = Route::default();
        route.redis_failed();
        route.calls();
        route.redis_heard();
        route.redis_failed();
        assert!(!route.call_taken(1));
        assert_eq!(route.carrier(), Carrier::Http);
        assert!(route.is_reached());
    }

    #[test]
    fn failed_calls_are_tried_later_by_a_heartbeat() {
        let mut route = Route::default();
        route.redis_failed();
        let mut now = 0;
        for wait in [250, 500, 1_000, 1_000] {
            route.calls();
            route.call_failed(now);
            assert!(!route.is_reached());
            assert_eq!(route.next_call(now + wait - 1), None);
            now += wait;
            assert_eq!(route.next_call(now), Some(Load::Heartbeat), "RO-3");
        }
        route.calls();
        route.call_taken(3);
        assert_eq!(route.next_call(now), Some(Load::Everything));
    }

    #[test]
    fn a_new_outage_forgets_the_failures_of_the_last() {
        let mut route = Route::default();
        route.redis_failed();
        route.calls();
        route.call_failed(10);
        route.redis_heard();
        route.redis_failed();
        assert_eq!(route.next_call(10), Some(Load::Everything));
    }

    #[test]
    fn without_an_address_there_is_redis_alone() {
        let mut route = Route::default();
        route.redis_failed();
        route.calls();
        route.only_redis();
        assert_eq!(
            (route.carrier(), route.next_call(0)),
            (Carrier::Redis, None)
        );
        assert!(!route.call_failed(0));
        assert_eq!(route.carrier(), Carrier::Redis);
    }
}
