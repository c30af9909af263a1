//! Chance and fresh ids: the one place that asks the system for randomness.

use std::sync::{Arc, Mutex, PoisonError};

use parlor_schema::{Timestamp, port::Ids};
use rand::{Rng as _, RngExt as _};
use uuid::{ContextV7, Uuid};

/// Ids and secrets from a generator seeded by the system.
///
/// Ordering: UUIDs made in one millisecond by one value rise.
pub struct RandomIds {
    context: Mutex<ContextV7>,
}

impl RandomIds {
    /// Makes a source.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            context: Mutex::new(ContextV7::new()),
        })
    }
}

impl Ids for RandomIds {
    fn uuid(&self, now: Timestamp) -> Uuid {
        // UUIDv7 has no times before 1970.
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        let nanos = u32::try_from(millis % 1000 * 1_000_000)
            .expect("invariant: less than a second of nanoseconds");
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::new_v7(uuid::Timestamp::from_unix(&*context, millis / 1000, nanos))
    }

    fn secret(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        bytes
    }

    fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        rand::rng().random_range(0..bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_within_a_millisecond_and_carry_their_time() {
        let ids = RandomIds::new();
        let now = Timestamp::from_millis(1_700_000_000_123);
        let made: Vec<Uuid> = (0..5000).map(|_| ids.uuid(now)).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
        assert_eq!(made[0].get_version_num(), 7);
        let bytes = made[0].as_bytes();
        let millis = bytes[..6].iter().fold(0_u64, |n, b| n << 8 | u64::from(*b));
        assert_eq!(millis, 1_700_000_000_123);
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        let ids = RandomIds::new();
        assert_eq!(ids.below(0), 0);
        assert_eq!(ids.below(1), 0);
        assert!((0..1000).all(|_| ids.below(7) < 7));
        assert_ne!(ids.secret(), ids.secret());
    }
}
