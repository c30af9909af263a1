//! What the store counts of itself, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use super::gate::Gate;

/// Counts since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CqlStats {
    /// Appends that took effect.
    pub appends: u64,
    /// Events in them.
    pub events: u64,
    /// Time spent in them, in microseconds.
    pub append_us: u64,
    /// Appends that found another head.
    pub conflicts: u64,
    /// Appends whose outcome the server did not tell.
    pub unknown: u64,
    /// Buckets opened behind another.
    pub buckets: u64,
    /// Reads of events that went to the server.
    pub reads: u64,
    /// Reads of events that took the answer of an equal one under way.
    pub coalesced: u64,
    /// Reads of heads at serial consistency.
    pub heads: u64,
    /// Reads that met a hole and looked again.
    pub holes: u64,
    /// Calls refused because too many waited.
    pub refused: u64,
    /// Buckets removed because their events were kept long enough.
    pub forgotten: u64,
    /// Appends that went through a session of their caller's thread.
    pub local: u64,
    /// Calls that wait or run now.
    pub running: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) appends: AtomicU64,
    pub(super) events: AtomicU64,
    pub(super) append_us: AtomicU64,
    pub(super) conflicts: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) buckets: AtomicU64,
    pub(super) reads: AtomicU64,
    pub(super) coalesced: AtomicU64,
    pub(super) heads: AtomicU64,
    pub(super) holes: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) forgotten: AtomicU64,
    pub(super) local: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn read(&self, gate: &Gate) -> CqlStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CqlStats {
            appends: get(&self.appends),
            events: get(&self.events),
            append_us: get(&self.append_us),
            conflicts: get(&self.conflicts),
            unknown: get(&self.unknown),
            buckets: get(&self.buckets),
            reads: get(&self.reads),
            coalesced: get(&self.coalesced),
            heads: get(&self.heads),
            holes: get(&self.holes),
            refused: get(&self.refused),
            forgotten: get(&self.forgotten),
            local: get(&self.local),
            running: gate.places() as u64,
        }
    }
}
