//! Leaving: the node tells its clients to go elsewhere, each at its own moment, and closes those that stay.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

/// Not draining.
const NEVER: u64 = u64::MAX;

/// Whether, and until when, the node drains.
#[derive(Debug)]
pub struct Drain {
    until_ms: AtomicU64,
    asked: Notify,
}

impl Drain {
    /// Makes the state of a node that stays.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            until_ms: AtomicU64::new(NEVER),
            asked: Notify::new(),
        })
    }

    /// Asks whoever runs the process to have the node leave.
    pub fn ask(&self) {
        self.asked.notify_one();
    }

    /// Waits until somebody asks. For one who waits.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Begins to leave; what is open at `until_ms` (monotonic milliseconds) is closed.
    pub fn begin(&self, until_ms: u64) {
        self.until_ms
            .store(until_ms.min(NEVER - 1), Ordering::Relaxed);
    }

    /// Returns how long clients may still stay; none while the node is not leaving.
    #[must_use]
    pub fn left_ms(&self, now_ms: u64) -> Option<u64> {
        match self.until_ms.load(Ordering::Relaxed) {
            NEVER => None,
            until => Some(until.saturating_sub(now_ms)),
        }
    }
}
