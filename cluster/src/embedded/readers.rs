//! The threads that read: a few, which take the next read from one queue.
//!
//! The queue is free of locks. A runtime's pool for blocking work has its own behind a mutex, and a reader that the system takes off its core
//! while it holds that mutex keeps the threads of the sockets waiting: measured, 3 ms.
//!
//! Invariant RD-1: a read that panics answers nothing, and its thread goes on.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crossbeam_channel::{Receiver, Sender, bounded};

/// Reads that run at one time.
const READERS: usize = 4;
/// How far the threads stand behind those of the sockets, whom everybody waits for.
const NICE: i32 = 5;
/// Reads that may wait for their turn; one more is refused.
const WAITING_MAX: usize = 4096;

type Read = Box<dyn FnOnce() + Send>;

/// The threads that read. They end after what waits when this is dropped.
pub(super) struct Readers(Sender<Read>);

impl Readers {
    pub(super) fn start() -> io::Result<Self> {
        let (sender, receiver) = bounded(WAITING_MAX);
        for number in 0..READERS {
            let receiver = receiver.clone();
            std::thread::Builder::new()
                .name(format!("parlor-read-{number}"))
                .spawn(move || run(&receiver))?;
        }
        Ok(Self(sender))
    }

    /// Queues a read; answers whether there was room.
    pub(super) fn submit(&self, read: impl FnOnce() + Send + 'static) -> bool {
        self.0.try_send(Box::new(read)).is_ok()
    }
}

fn run(reads: &Receiver<Read>) {
    // A hint: where the system refuses it, reads take an equal part of the cores.
    let _ = rustix::process::nice(NICE);
    for read in reads {
        // Its answer is dropped with it, and whoever waits is told so.
        let _ = catch_unwind(AssertUnwindSafe(read));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_read_that_panics_ends_alone() {
        let readers = Readers::start().unwrap();
        for _ in 0..2 * READERS {
            let (answer, answered) = channel::<()>();
            assert!(readers.submit(move || {
                let _answer = answer;
                panic!("on purpose");
            }));
            assert!(answered.recv().is_err(), "RD-1");
        }
        let (answer, answered) = channel();
        assert!(readers.submit(move || answer.send(1).unwrap()));
        assert_eq!(answered.recv(), Ok(1));
    }

    #[test]
    fn reads_that_wait_are_bounded() {
        let readers = Readers::start().unwrap();
        let (go, gate) = bounded::<()>(0);
        let mut taken = 0;
        while readers.submit({
            let gate = gate.clone();
            move || {
                let _ = gate.recv();
            }
        }) {
            taken += 1;
        }
        assert!((WAITING_MAX..=WAITING_MAX + READERS).contains(&taken));
        drop(go);
    }
}
