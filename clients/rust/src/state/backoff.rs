//! The wait before the next attempt: full jitter, from 100 ms doubling to 30 s.
//!
//! Invariant B-1: a wait is never longer than [`Backoff::ceiling`].
//!
//! Source: PROTOCOL section 6.

use std::time::Duration;

use rand::{RngExt, rngs::StdRng};

const FIRST_MS: u64 = 100;
const MAX_MS: u64 = 30_000;

/// How many attempts failed in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    failed: u32,
}

impl Backoff {
    /// Returns the longest wait that may come next.
    #[must_use]
    pub fn ceiling(self) -> Duration {
        let doubled = FIRST_MS.saturating_mul(1_u64 << self.failed.min(32));
        Duration::from_millis(doubled.min(MAX_MS))
    }

    /// Chooses the next wait: anything from nothing to the ceiling, all equally likely.
    pub fn next(&mut self, rng: &mut StdRng) -> Duration {
        let ceiling = self.ceiling();
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
            let ceiling = Backoff { failed }.ceiling();
            let expected = (100_u64 << failed.min(20)).min(30_000);
            assert_eq!(ceiling, Duration::from_millis(expected));
            let waits: Vec<_> = (0..200)
                .map(|_| Backoff { failed }.next(&mut rng))
                .collect();
            assert!(waits.iter().all(|wait| *wait <= ceiling));
            assert!(waits.iter().any(|wait| *wait < ceiling / 4));
            assert!(waits.iter().any(|wait| *wait > ceiling / 4 * 3));
        }
    }

    #[test]
    fn a_success_begins_anew() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut backoff = Backoff::default();
        for _ in 0..9 {
            backoff.next(&mut rng);
        }
        assert_eq!(backoff.ceiling(), Duration::from_secs(30));
        backoff.reset();
        assert_eq!(backoff.ceiling(), Duration::from_millis(100));
    }
}
