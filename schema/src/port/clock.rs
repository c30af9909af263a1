//! The clock port, so that a simulator can own time.

use crate::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Returns the wall-clock time; it may jump.
    fn now(&self) -> Timestamp;

    /// Returns milliseconds since some fixed moment; never falls.
    fn monotonic_ms(&self) -> u64;
}
