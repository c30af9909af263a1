//! The wait before the next attempt: full jitter, from 100 ms doubling up to a bound, 30 s unless the application lowers it.
//!
//! Invariant B-1: a wait is never longer than [`Backoff::ceiling`].
//!
//! Source: PROTOCOL section 6.

use std::time::Duration;

use rand::{RngExt, rngs::StdRng};

const FIRST_MS: u64 = 100;
/// The protocol's longest wait.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// How many attempts failed in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    failed: u32,
}

impl Backoff {
    /// Returns the longest wait that may come next.
    #[must_use]
    pub fn ceiling(self, bound: Duration) -> Duration {
        let doubled = FIRST_MS.saturating_mul(1_u64 << self.failed.min(32));
        Duration::from_millis(doubled).min(bound)
    }

    /// Chooses the next wait: anything from nothing to the ceiling, all equally likely.
    pub fn next(&mut self, rng: &mut StdRng, bound: Duration) -> Duration {
        let ceiling = self.ceiling(bound);
        self.failed = self.failed.saturating_add(1);
        rng.random_range(Duration::ZERO..=ceiling)
    }

    /// Returns how many waits were chosen since the last success.
    #[must_use]
    pub fn failed(self) -> u32 {
        self.failed
    }

    /// Begins anew after a success.
    pub fn reset(&mut self) {
        self.failed = 0;
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn waits_stay_below_a_doubling_ceiling_and_fill_it() {
        let mut rng = StdRng::seed_from_u64(7);
        for failed in 0..40 {
            let ceiling = Backoff { failed }.ceiling(WAIT_MAX);
            let expected = (100_u64 << failed.min(20)).min(30_000);
            assert_eq!(ceiling, Duration::from_millis(expected));
            let waits: Vec<_> = (0..200)
                .map(|_| Backoff { failed }.next(&mut rng, WAIT_MAX))
                .collect();
            assert!(waits.iter().all(|wait| *wait <= ceiling));
            assert!(waits.iter().any(|wait| *wait < ceiling / 4));
            assert!(waits.iter().any(|wait| *wait > ceiling / 4 * 3));
        }
    }

    #[test]
    fn a_lower_bound_holds_from_the_first_wait_on() {
        let bound = Duration::from_millis(5);
        let mut rng = StdRng::seed_from_u64(7);
        let mut backoff = Backoff::default();
        for _ in 0..40 {
            assert!(backoff.next(&mut rng, bound) <= bound);
        }
    }

    #[test]
    fn a_success_begins_anew() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut backoff = Backoff::default();
        for _ in 0..9 {
            backoff.next(&mut rng, WAIT_MAX);
        }
        assert_eq!(backoff.ceiling(WAIT_MAX), Duration::from_secs(30));
        backoff.reset();
        assert_eq!(backoff.ceiling(WAIT_MAX), Duration::from_millis(100));
    }
}
