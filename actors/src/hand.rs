//! The frames of one connection that are being served: the back-pressure between its socket and all behind it, on one thread. Pure.

use std::{
    cell::Cell,
    task::{Context, Poll, Waker},
};

/// Frames of one connection being served at once; beyond, its socket is not read.
pub const IN_FLIGHT_MAX: usize = 128;

/// The frames being served.
#[derive(Default)]
pub struct Hand {
    in_flight: Cell<usize>,
    /// Answers on their way through the session's mailbox, which later ones do not overtake.
    detours: Cell<usize>,
    waiting: Cell<Option<Waker>>,
}

impl Hand {
    /// Notes that a frame is being served.
    pub fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// Notes that a frame was answered, and wakes the connection if it waits for that.
    pub fn served(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
        if !self.is_full()
            && let Some(connection) = self.waiting.take()
        {
            connection.wake();
        }
    }

    /// Tells whether as many are being served as may be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.in_flight.get() >= IN_FLIGHT_MAX
    }

    /// Waits until there is room for more.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_full() {
            return Poll::Ready(());
        }
        self.waiting.set(Some(cx.waker().clone()));
        Poll::Pending
    }

    /// Notes that an answer goes by the session's mailbox.
    pub(crate) fn detour(&self) {
        self.detours.set(self.detours.get() + 1);
    }

    /// Notes that it arrived.
    pub(crate) fn arrived(&self) {
        self.detours.set(self.detours.get() - 1);
    }

    /// Tells whether no answer is on its way through the mailbox.
    pub(crate) fn is_straight(&self) -> bool {
        self.detours.get() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_hand_has_the_connection_wait_until_one_is_served() {
        let (hand, cx) = (Hand::default(), Context::from_waker(Waker::noop()));
        for _ in 0..IN_FLIGHT_MAX {
            assert!(hand.poll_room(&cx).is_ready());
            hand.begin();
        }
        assert!(hand.is_full() && hand.poll_room(&cx).is_pending());
        hand.begin();
        hand.served();
        assert!(hand.poll_room(&cx).is_pending(), "a batch may go beyond");
        hand.served();
        assert!(hand.poll_room(&cx).is_ready());
    }
}
