//! What the store counts of itself, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EmbeddedStats {
    /// Transactions tried.
    pub commits: u64,
    /// Jobs (appends and directory writes) in them.
    pub jobs: u64,
    /// Time spent in them, fsync included, in microseconds.
    pub commit_us: u64,
    /// Times the database was to take rows over from the log, failures among them.
    pub folds: u64,
    /// Time that the writer waited for that, the end of the store included, in microseconds.
    pub fold_wait_us: u64,
    /// Transactions that failed, of either kind.
    pub failures: u64,
    /// Times the database had to be opened again.
    pub reopens: u64,
    /// Jobs refused because the queue was full.
    pub refused: u64,
    /// Jobs queued now.
    pub queued: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commits: AtomicU64,
    pub(super) jobs: AtomicU64,
    pub(super) commit_us: AtomicU64,
    pub(super) folds: AtomicU64,
    pub(super) fold_wait_us: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) reopens: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) queued: AtomicU64,
    pub(super) queued_bytes: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> EmbeddedStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        EmbeddedStats {
            commits: get(&self.commits),
            jobs: get(&self.jobs),
            commit_us: get(&self.commit_us),
            folds: get(&self.folds),
            fold_wait_us: get(&self.fold_wait_us),
            failures: get(&self.failures),
            reopens: get(&self.reopens),
            refused: get(&self.refused),
            queued: get(&self.queued),
        }
    }
}
