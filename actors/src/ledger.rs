//! The bytes that wait for sockets: what a node may hold in all, and how each thread keeps its part of the account.
//!
//! Invariants:
//! - LE-1: what outlets hold is on their thread's account at once, and on the node's within `STEP_BYTES` and a tick of the wheel.
//! - LE-2: above the node's limit every session has the small lane only ([`LANE_BYTES_SCARCE`]), so that more readers that do not read cost
//!   a cursor each and little else.
//!
//! [`LANE_BYTES_SCARCE`]: parlor_schema::limits::LANE_BYTES_SCARCE

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

/// Bytes by which a thread's account may differ from what the node knows of it.
const STEP_BYTES: i64 = 64 * 1024;

/// What a node holds for its sockets, of all threads.
#[derive(Debug)]
pub struct Budget {
    limit: i64,
    held: AtomicI64,
}

impl Budget {
    /// Allows `limit` bytes; 0: any number.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        let limit = match limit {
            0 => i64::MAX,
            limit => i64::try_from(limit).unwrap_or(i64::MAX),
        };
        Arc::new(Self {
            limit,
            held: AtomicI64::new(0),
        })
    }

    /// Tells whether more waits than is allowed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.limit
    }
}

/// The account of one thread.
#[derive(Debug)]
pub struct Ledger {
    budget: Arc<Budget>,
    held: Cell<i64>,
    told: Cell<i64>,
}

impl Ledger {
    /// Opens the account of a thread.
    #[must_use]
    pub const fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            held: Cell::new(0),
            told: Cell::new(0),
        }
    }

    /// Notes bytes that wait from now on.
    pub fn add(&self, bytes: usize) {
        self.change(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Notes bytes that wait no longer.
    pub fn sub(&self, bytes: usize) {
        self.change(-i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    fn change(&self, bytes: i64) {
        let held = self.held.get() + bytes;
        debug_assert!(held >= 0, "LE-1: nothing is taken off twice");
        self.held.set(held);
        if (held - self.told.get()).abs() >= STEP_BYTES {
            self.tell();
        }
    }

    /// Brings the node's account up to date; answers by how much it changed since the last time.
    pub fn tell(&self) -> i64 {
        let change = self.held.get() - self.told.replace(self.held.get());
        self.budget.held.fetch_add(change, Ordering::Relaxed);
        change
    }

    /// Returns the bytes that wait on this thread.
    #[must_use]
    pub const fn held(&self) -> i64 {
        self.held.get()
    }

    /// Tells whether the node holds more than it may (LE-2).
    #[must_use]
    pub fn is_scarce(&self) -> bool {
        self.budget.is_over()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_hears_of_large_changes_at_once_and_of_small_ones_when_told() {
        let budget = Budget::new(100_000);
        let (one, two) = (Ledger::new(budget.clone()), Ledger::new(budget.clone()));
        one.add(70_000);
        two.add(40_000);
        assert!(!budget.is_over(), "the second account was not told yet");
        two.tell();
        assert!(budget.is_over() && one.is_scarce() && two.is_scarce());
        one.sub(70_000);
        assert!(!one.is_scarce());
        assert_eq!((one.held(), two.held()), (0, 40_000));
    }

    #[test]
    fn without_a_limit_nothing_is_scarce() {
        let ledger = Ledger::new(Budget::new(0));
        ledger.add(usize::MAX >> 1);
        assert!(!ledger.is_scarce());
    }
}
