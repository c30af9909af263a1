//! Chance and fresh ids: the one place that asks the system for randomness.

use std::sync::{Arc, Mutex, PoisonError};

use parlor_schema::{Timestamp, port::Ids};
use rand::{Rng as _, RngExt as _};
use uuid::{Builder, Uuid};

/// Bits of a UUIDv7 that are neither time nor version nor variant.
const TAIL_BITS: u32 = 74;
/// Those of them that follow the variant.
const LOW_BITS: u32 = 62;

/// Ids and secrets from a generator of each thread, seeded by the system and again after every 64 KiB.
///
/// Ordering: UUIDs made in one millisecond by one value rise.
/// Source: RFC 9562, section 6.2, method 2.
pub struct RandomIds {
    last: Mutex<Last>,
}

/// The last id.
#[derive(Default)]
struct Last {
    millis: u64,
    tail: u128,
}

impl RandomIds {
    /// Makes a source.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            last: Mutex::new(Last::default()),
        })
    }
}

impl Ids for RandomIds {
    fn uuid(&self, now: Timestamp) -> Uuid {
        // UUIDv7 has no times before 1970.
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        let chance = rand::rng().random::<u128>();
        let tail = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = last.millis != millis;
            *last = Last {
                millis,
                tail: match fresh {
                    // The highest bit is left for what is added within the millisecond.
                    true => chance >> (128 - TAIL_BITS + 1),
                    // Nobody who knows an id knows the next.
                    false => last.tail + 1 + (chance >> 96),
                },
            };
            last.tail
        };
        let low = tail & ((1 << LOW_BITS) - 1);
        let mut bytes = [0; 10];
        bytes[..2].copy_from_slice(&(tail >> LOW_BITS).to_be_bytes()[14..]);
        bytes[2..].copy_from_slice(&low.to_be_bytes()[8..]);
        Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
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
    #![allow(clippy::unwrap_used, reason = "tests")]
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
    fn ids_of_many_threads_and_values_differ() {
        let ids = RandomIds::new();
        let made = |ids: &RandomIds| -> Vec<Uuid> {
            let now = |n: i64| Timestamp::from_millis(1_700_000_000_000 + n % 3);
            (0..2000).map(|n| ids.uuid(now(n))).collect()
        };
        let mut all: Vec<Uuid> = std::thread::scope(|scope| {
            let threads = [0; 4].map(|_| scope.spawn(|| made(&ids)));
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        all.extend(made(&RandomIds::new()));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|id| id.get_version_num() == 7));
        assert!(
            all.iter()
                .all(|id| id.get_variant() == uuid::Variant::RFC4122)
        );
    }

    #[test]
    fn no_id_says_which_is_next() {
        let ids = RandomIds::new();
        let now = Timestamp::from_millis(1_700_000_000_123);
        let steps: std::collections::BTreeSet<u128> = (0..1000)
            .map(|_| {
                let (one, next) = (ids.uuid(now), ids.uuid(now));
                (next.as_u128() ^ one.as_u128()) & u128::from(u32::MAX)
            })
            .collect();
        assert!(steps.len() > 990, "{} steps", steps.len());
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
