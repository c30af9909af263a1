//! What a connection hands to its session, one batch at a time: the back-pressure between the two, on one thread.
//!
//! Not the answer to a message, because whoever says one thing at a time would be woken for each only to learn that it was heard. Pure.

use std::{
    cell::Cell,
    task::{Context, Poll, Waker},
};

/// Whether the session has something in hand.
#[derive(Default)]
pub struct Hand {
    given: Cell<bool>,
    waiting: Cell<Option<Waker>>,
}

impl Hand {
    /// Notes that the session was handed a batch; the one before was taken.
    pub fn give(&self) {
        let before = self.given.replace(true);
        debug_assert!(!before, "one batch at a time");
    }

    /// Notes that the session has taken what it was handed and can take more, and wakes the connection if that waits for it.
    pub fn take(&self) {
        self.given.set(false);
        if let Some(connection) = self.waiting.take() {
            connection.wake();
        }
    }

    /// Tells whether something handed over was not taken yet.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.given.get()
    }

    /// Waits until what was handed over is taken.
    pub fn poll_taken(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.given.get() {
            return Poll::Ready(());
        }
        self.waiting.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_woken_once_it_is_taken() {
        let (hand, cx) = (Hand::default(), Context::from_waker(Waker::noop()));
        assert!(hand.poll_taken(&cx).is_ready(), "nothing was given");
        hand.give();
        assert!(hand.is_given() && hand.poll_taken(&cx).is_pending());
        hand.take();
        assert!(!hand.is_given() && hand.poll_taken(&cx).is_ready());
        hand.take();
        assert!(hand.poll_taken(&cx).is_ready(), "taking nothing is nothing");
    }
}
