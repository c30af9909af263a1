//! The pace of a thread: what comes in storms has few steps in each turn of the loop, so that it delays nobody who is here.
//!
//! New connections, their requests and first reads, steps of `hello`, pages of the log, and reads of those who flood: each waits for its step. What is waited for elsewhere, in the store above
//! all, may be many at once; only the thread's own work is paced.
//!
//! Invariant PC-1: who waits is woken in the order of coming, when the thread has looked at its sockets again.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use tokio::task::yield_now;

/// Steps in one turn of the loop: one takes some tens of microseconds, and a turn with nothing else to do a few.
const PER_TURN: usize = 1;

#[derive(Default)]
struct Pace {
    /// Steps in this turn.
    taken: usize,
    /// How many waited and may go on.
    admitted: u64,
    waiting: VecDeque<Waker>,
}

thread_local! {
    static PACE: RefCell<Pace> = RefCell::default();
}

/// A step that is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Step {
    /// Not asked for yet.
    #[default]
    New,
    /// Behind so many who ever waited on this thread.
    Waiting(u64),
    /// Taken.
    Taken,
}

impl Step {
    /// Waits for the step; one that is taken stays so.
    pub fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let may = match *self {
            Self::Taken => return Poll::Ready(()),
            Self::New => PACE.with_borrow_mut(|pace| pace.ask(cx)),
            Self::Waiting(behind) => PACE.with_borrow(|pace| pace.check(behind)),
        };
        match may {
            Ok(()) => {
                *self = Self::Taken;
                Poll::Ready(())
            }
            Err(behind) => {
                *self = Self::Waiting(behind);
                Poll::Pending
            }
        }
    }
}

/// Waits for a step.
pub async fn step() {
    let mut step = Step::New;
    poll_fn(|cx| step.poll(cx)).await;
}

impl Pace {
    /// Admits one that asks for the first time, or has it wait; answers behind how many.
    fn ask(&mut self, cx: &Context<'_>) -> Result<(), u64> {
        if self.taken < PER_TURN && self.waiting.is_empty() {
            self.take(1);
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

    fn take(&mut self, count: usize) {
        if self.taken == 0 && count > 0 {
            actix_rt::spawn(next_turn());
        }
        self.taken += count;
    }

    /// Begins another turn, with those who wait.
    fn turn(&mut self) {
        self.taken = 0;
        let count = self.waiting.len().min(PER_TURN);
        if count > 0 {
            // A thread with so much to do never sleeps: without this, another of this process that was woken on the same core, the store's
            // above all, waits for the system's slice of some milliseconds.
            std::thread::yield_now();
        }
        for next in self.waiting.drain(..count) {
            next.wake();
        }
        self.admitted += count as u64;
        self.take(count);
    }
}

async fn next_turn() {
    // What is deferred like this goes on after the thread has looked at its sockets.
    yield_now().await;
    PACE.with_borrow_mut(Pace::turn);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for each; answers who may go on.
    fn ask(all: &mut [Step]) -> Vec<bool> {
        let cx = Context::from_waker(Waker::noop());
        all.iter_mut().map(|one| one.poll(&cx).is_ready()).collect()
    }

    #[actix::test]
    async fn so_many_go_on_in_one_turn_and_the_others_in_the_order_of_coming() {
        let mut all = [Step::New; 3 * PER_TURN - 1];
        for turn in 1..=3 {
            for _again in 0..2 {
                let may = ask(&mut all);
                let through = (turn * PER_TURN).min(all.len());
                assert!(
                    may.iter().zip(0..).all(|(may, at)| *may == (at < through)),
                    "PC-1: {may:?}"
                );
            }
            // The turn's end is deferred once, and what waits for it here twice.
            yield_now().await;
            yield_now().await;
        }
    }
}
