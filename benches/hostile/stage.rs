//! What the attacker's thread and the one that measures say to each other.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Whether an attack has begun, how much of it was done, and whether it is to end.
#[derive(Clone, Default)]
pub(crate) struct Stage(Arc<Flags>);

#[derive(Default)]
struct Flags {
    begun: AtomicBool,
    over: AtomicBool,
    done: AtomicU64,
}

impl Stage {
    /// Notes that all is ready, and what is to be measured begins.
    pub(crate) fn begin(&self) {
        self.0.begun.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// Asks for the end: what is under way is finished, and nothing begun.
    pub(crate) fn end(&self) {
        self.0.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Relaxed)
    }

    /// Counts what was done.
    pub(crate) fn did(&self, count: u64) {
        self.0.done.fetch_add(count, Ordering::Relaxed);
    }

    /// Returns how much was done.
    pub(crate) fn done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }
}
