//! When the machine itself stood still: a thread of real time on each core that is due every half millisecond, and notes when it was late.
//!
//! Owns these threads. A virtual machine that used more than its share is stopped by its host, all cores at once and for milliseconds; to a
//! bystander that is no different from a slow server.
//!
//! Invariants:
//! - SS-1: no other thread goes before one of these, so that a late one says nothing of the server, unless
//!   the kernel works for [`LATE`] and longer without letting anything in.
//! - SS-2: where threads of real time are not allowed, none is noted, and [`Standstill::sees`] says so.
#![allow(clippy::unwrap_used, reason = "a bench")]

use std::{
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Time between two looks at the clock.
const EVERY: Duration = Duration::from_micros(500);
/// How late a look is when the machine is said to have stood still.
const LATE: Duration = Duration::from_micros(500);

/// From when to when.
type Span = (Instant, Instant);

#[derive(Clone)]
struct Shared {
    stops: Arc<Mutex<Vec<Span>>>,
    over: Arc<AtomicBool>,
}

/// The threads that watch.
pub(crate) struct Standstill {
    shared: Shared,
    threads: Vec<JoinHandle<bool>>,
}

impl Standstill {
    /// Puts a thread on each core.
    pub(crate) fn watch() -> Self {
        let all = sched_getaffinity(None).unwrap();
        let shared = Shared {
            stops: Arc::default(),
            over: Arc::default(),
        };
        let cores = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core));
        let look = |core| {
            let own = shared.clone();
            std::thread::spawn(move || own.look(core))
        };
        let threads = cores.map(look).collect();
        Self { shared, threads }
    }

    /// Takes the times it stood still since the last call.
    pub(crate) fn take(&self) -> Stops {
        Stops(std::mem::take(&mut *self.shared.stops.lock().unwrap()))
    }

    /// Ends the threads, and answers whether they could watch (SS-2).
    pub(crate) fn sees(self) -> bool {
        self.shared.over.store(true, Ordering::Relaxed);
        let ends: Vec<bool> = self
            .threads
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect();
        !ends.contains(&false)
    }
}

impl Shared {
    fn look(&self, core: usize) -> bool {
        let mut only = CpuSet::new();
        only.set(core);
        sched_setaffinity(None, &only).unwrap();
        if !before_all_others() {
            return false;
        }
        while !self.over.load(Ordering::Relaxed) {
            let due = Instant::now() + EVERY;
            std::thread::sleep(EVERY);
            let now = Instant::now();
            if now - due > LATE {
                self.stops.lock().unwrap().push((due, now));
            }
        }
        true
    }
}

/// Has the calling thread run whenever it can (`SCHED_FIFO`), if that is allowed.
fn before_all_others() -> bool {
    let own = std::fs::read_link("/proc/thread-self").unwrap();
    let mut chrt = Command::new("chrt");
    chrt.args(["--fifo", "--pid", "1"])
        .arg(own.file_name().unwrap());
    chrt.status().expect("chrt (util-linux) is there").success()
}

/// Times at which one core or more stood still.
pub(crate) struct Stops(Vec<Span>);

impl Stops {
    /// Whether some of this time was one of them.
    pub(crate) fn meet(&self, begun: Instant, took: Duration) -> bool {
        let end = begun + took;
        self.0.iter().any(|(from, to)| *from < end && begun < *to)
    }

    /// How many there were, by core, and the longest.
    pub(crate) fn sum(&self) -> (usize, Duration) {
        let lengths = self.0.iter().map(|(from, to)| *to - *from);
        (self.0.len(), lengths.max().unwrap_or_default())
    }
}
