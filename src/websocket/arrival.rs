//! The first read of a connection: few of them in one turn of a thread's loop, so that many that come at once delay nobody who is here.
//!
//! Invariant AR-1: a connection that must wait is woken, in the order of coming, when the thread has looked at its sockets again.

use std::{
    cell::RefCell,
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use tokio::task::yield_now;

/// First reads in one turn.
const PER_TURN: usize = 4;

#[derive(Default)]
struct Arrivals {
    /// First reads in this turn.
    served: usize,
    /// How many waited and may read.
    admitted: u64,
    waiting: VecDeque<Waker>,
}

thread_local! {
    static ARRIVALS: RefCell<Arrivals> = RefCell::default();
}

/// Where a connection stands on its way to its first read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Arriving {
    /// It has not asked.
    #[default]
    New,
    /// It waits, behind so many who ever waited.
    Waiting(u64),
    /// It reads as it likes.
    Through,
}

impl Arriving {
    /// Waits for the connection's turn; whoever is through has had it.
    pub(super) fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        let may = match *self {
            Self::Through => return Poll::Ready(()),
            Self::New => ARRIVALS.with_borrow_mut(|arrivals| arrivals.ask(cx)),
            Self::Waiting(behind) => ARRIVALS.with_borrow(|arrivals| arrivals.check(behind)),
        };
        match may {
            Ok(()) => {
                *self = Self::Through;
                Poll::Ready(())
            }
            Err(behind) => {
                *self = Self::Waiting(behind);
                Poll::Pending
            }
        }
    }
}

impl Arrivals {
    /// Admits one that asks for the first time, or has it wait; answers behind how many.
    fn ask(&mut self, cx: &Context<'_>) -> Result<(), u64> {
        if self.served < PER_TURN && self.waiting.is_empty() {
            self.serve(1);
            return Ok(());
        }
        self.waiting.push_back(cx.waker().clone());
        Err(self.admitted + self.waiting.len() as u64 - 1)
    }

    fn check(&self, behind: u64) -> Result<(), u64> {
        if behind < self.admitted {
            Ok(())
        } else {
            Err(behind)
        }
    }

    fn serve(&mut self, count: usize) {
        if self.served == 0 && count > 0 {
            actix_rt::spawn(next_turn());
        }
        self.served += count;
    }

    /// Begins another turn, with those who wait.
    fn turn(&mut self) {
        self.served = 0;
        let count = self.waiting.len().min(PER_TURN);
        for next in self.waiting.drain(..count) {
            next.wake();
        }
        self.admitted += count as u64;
        self.serve(count);
    }
}

async fn next_turn() {
    // What is deferred like this goes on after the thread has looked at its sockets.
    yield_now().await;
    ARRIVALS.with_borrow_mut(Arrivals::turn);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for each; answers who may read.
    fn ask(all: &mut [Arriving]) -> Vec<bool> {
        let cx = Context::from_waker(Waker::noop());
        all.iter_mut()
            .map(|one| one.poll_turn(&cx).is_ready())
            .collect()
    }

    #[actix_web::test]
    async fn so_many_read_in_one_turn_and_the_others_in_the_order_of_coming() {
        let mut all = [Arriving::New; 3 * PER_TURN - 1];
        for turn in 1..=3 {
            for _again in 0..2 {
                let may = ask(&mut all);
                let through = (turn * PER_TURN).min(all.len());
                assert!(
                    may.iter().zip(0..).all(|(may, at)| *may == (at < through)),
                    "AR-1: {may:?}"
                );
            }
            // The turn's end is deferred once, and what waits for it here twice.
            yield_now().await;
            yield_now().await;
        }
    }
}
