//! When to try again: full jitter, so that nodes which lost one server do not return to it at the same moment.

use std::time::Duration;

use parlor_schema::port::Ids;

const FIRST_MS: u64 = 100;
const LONGEST_MS: u64 = 2000;

/// Counts the tries that failed in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failed: u32,
}

impl Backoff {
    /// Returns how long to wait after one more failure: evenly between 20 ms and a bound that doubles up to 2 s.
    pub(super) fn failed(&mut self, ids: &dyn Ids) -> Duration {
        let bound = FIRST_MS
            .saturating_mul(1 << self.failed.min(16))
            .min(LONGEST_MS);
        self.failed = self.failed.saturating_add(1);
        Duration::from_millis(20 + ids.below(bound))
    }

    /// Takes that it went well.
    pub(super) const fn reset(&mut self) {
        self.failed = 0;
    }
}

#[cfg(test)]
mod tests {
    use parlor_schema::Timestamp;
    use uuid::Uuid;

    use super::*;

    /// Draws the highest number there is.
    struct Highest;

    impl Ids for Highest {
        fn uuid(&self, _: Timestamp) -> Uuid {
            Uuid::nil()
        }

        fn secret(&self) -> [u8; 32] {
            [0; 32]
        }

        fn below(&self, bound: u64) -> u64 {
            bound - 1
        }
    }

    #[test]
    fn the_bound_doubles_up_to_two_seconds_and_begins_anew_after_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..7)
            .map(|_| backoff.failed(&Highest).as_millis())
            .collect();
        assert_eq!(waits, [119, 219, 419, 819, 1619, 2019, 2019]);
        backoff.reset();
        assert_eq!(backoff.failed(&Highest).as_millis(), 119);
    }
}
