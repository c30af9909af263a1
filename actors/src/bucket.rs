//! Token buckets: how often something may happen, in the long run and at once.
//!
//! Owns the arithmetic, in whole numbers: nothing is lost to rounding. Time comes in as monotonic milliseconds.
//!
//! Invariants:
//! - B-1: within any span of `t` ms a bucket gives at most `burst + t * tokens / period` tokens.
//! - B-2: a refusal says after how many milliseconds the same call succeeds, if nobody else takes in between.
//! - B-3: [`Buckets`] never holds more than its limit of keys.
//!
//! Deliberately absent: clocks, locks, and what is limited.

use std::{collections::HashMap, hash::Hash, num::NonZeroU32};

use parlor_config::BucketRate;
use parlor_schema::port::QuotaRate;

/// Gives the rate of a bucket: tokens per period, and how many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    tokens: u32,
    period_ms: u32,
    burst: u32,
}

impl Rate {
    /// Makes a rate of `tokens` a minute, all of which may come at once; none (off) for 0.
    #[must_use]
    pub const fn per_minute(tokens: u32) -> Option<Self> {
        match tokens {
            0 => None,
            tokens => Some(Self {
                tokens,
                period_ms: 60_000,
                burst: tokens,
            }),
        }
    }

    /// Returns it as all nodes share it, with room for `more` tokens at once.
    ///
    /// # Panics
    /// Never: no part of a rate is 0.
    #[must_use]
    pub fn shared(self, more: u32) -> QuotaRate {
        let part = |n| NonZeroU32::new(n).expect("invariant: no part of a rate is 0");
        QuotaRate {
            tokens: part(self.tokens),
            period_ms: part(self.period_ms),
            burst: part(self.burst.saturating_add(more)),
        }
    }

    /// Returns how many come at once.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// Returns how long an empty bucket takes to fill.
    ///
    /// Units: milliseconds.
    #[must_use]
    pub const fn fills_in_ms(self) -> u64 {
        self.capacity().div_ceil(self.tokens as u64)
    }

    const fn capacity(self) -> u64 {
        self.burst as u64 * self.period_ms as u64
    }
}

impl From<BucketRate> for Rate {
    fn from(rate: BucketRate) -> Self {
        Self {
            tokens: rate.per_s.get(),
            period_ms: 1_000,
            burst: rate.burst.get(),
        }
    }
}

/// Says after how many milliseconds to come back; at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("try again in {0} ms")]
pub struct RetryAfterMs(pub u64);

/// How full a bucket is. A token is worth `period_ms` units and each millisecond brings `tokens` units.
#[derive(Debug, Clone, Copy)]
struct Level {
    units: u64,
    at_ms: u64,
}

impl Level {
    const fn full(rate: Rate, now_ms: u64) -> Self {
        Self {
            units: rate.capacity(),
            at_ms: now_ms,
        }
    }

    fn units_at(self, rate: Rate, now_ms: u64) -> u64 {
        let gained = now_ms
            .saturating_sub(self.at_ms)
            .saturating_mul(u64::from(rate.tokens));
        self.units.saturating_add(gained).min(rate.capacity())
    }

    fn take(&mut self, rate: Rate, now_ms: u64) -> Result<(), RetryAfterMs> {
        self.units = self.units_at(rate, now_ms);
        self.at_ms = self.at_ms.max(now_ms);
        let price = u64::from(rate.period_ms);
        match self.units.checked_sub(price) {
            Some(rest) => {
                self.units = rest;
                Ok(())
            }
            None => Err(RetryAfterMs(
                (price - self.units).div_ceil(u64::from(rate.tokens)),
            )),
        }
    }
}

/// One bucket, or none where the rate is off.
#[derive(Debug, Clone, Copy)]
pub struct TokenBucket(Option<(Rate, Level)>);

impl TokenBucket {
    /// Makes a full bucket; without a rate it never refuses.
    #[must_use]
    pub fn new(rate: Option<Rate>, now_ms: u64) -> Self {
        Self(rate.map(|rate| (rate, Level::full(rate, now_ms))))
    }

    /// Takes a token. A time before an earlier call's counts as that one.
    ///
    /// # Errors
    /// The bucket is empty; nothing was taken.
    pub fn take(&mut self, now_ms: u64) -> Result<(), RetryAfterMs> {
        match &mut self.0 {
            None => Ok(()),
            Some((rate, level)) => level.take(*rate, now_ms),
        }
    }
}

/// Buckets of one rate by key.
///
/// When full: first the buckets that have filled up again are dropped, which changes nothing for their keys; when there are
/// none, the fullest eighth, whose keys start anew. Who is being refused is dropped last.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Option<Rate>,
    keys_max: usize,
    levels: HashMap<K, Level>,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    /// Makes an empty map of at most `keys_max` buckets; without a rate it never refuses and holds nothing.
    #[must_use]
    pub fn new(rate: Option<Rate>, keys_max: usize) -> Self {
        Self {
            rate,
            keys_max: keys_max.max(1),
            levels: HashMap::new(),
        }
    }

    /// Takes a token of `key`.
    ///
    /// # Errors
    /// Its bucket is empty; nothing was taken.
    pub fn take(&mut self, key: &K, now_ms: u64) -> Result<(), RetryAfterMs> {
        let Some(rate) = self.rate else {
            return Ok(());
        };
        if let Some(level) = self.levels.get_mut(key) {
            return level.take(rate, now_ms);
        }
        if self.levels.len() >= self.keys_max {
            self.make_room(rate, now_ms);
        }
        let mut level = Level::full(rate, now_ms);
        let answer = level.take(rate, now_ms);
        self.levels.insert(key.clone(), level);
        debug_assert!(self.levels.len() <= self.keys_max, "B-3");
        answer
    }

    /// Returns how many keys are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.levels.len()
    }

    /// Tells whether no key is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    fn make_room(&mut self, rate: Rate, now_ms: u64) {
        self.levels
            .retain(|_, level| level.units_at(rate, now_ms) < rate.capacity());
        if self.levels.len() < self.keys_max {
            return;
        }
        // An eighth at a time, so that the scan is paid for by the insertions it makes room for.
        let mut by_level: Vec<(u64, K)> = self
            .levels
            .iter()
            .map(|(key, level)| (level.units_at(rate, now_ms), key.clone()))
            .collect();
        let drop = (self.keys_max / 8).max(1);
        by_level.select_nth_unstable_by(drop - 1, |a, b| b.0.cmp(&a.0));
        for (_, key) in &by_level[..drop] {
            self.levels.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn sends(per_s: u32, burst: u32) -> Option<Rate> {
        Some(Rate::from(BucketRate {
            per_s: NonZeroU32::new(per_s).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        }))
    }

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = TokenBucket::new(sends(20, 3), 1_000);
        for _ in 0..3 {
            assert_eq!(bucket.take(1_000), Ok(()));
        }
        assert_eq!(bucket.take(1_000), Err(RetryAfterMs(50)));
        assert_eq!(bucket.take(1_049), Err(RetryAfterMs(1)));
        assert_eq!(bucket.take(1_050), Ok(()));
        assert_eq!(bucket.take(1_050), Err(RetryAfterMs(50)));
    }

    #[test]
    fn a_refusal_names_the_first_moment_that_succeeds() {
        // 7 a second do not divide a second into whole milliseconds.
        let mut bucket = TokenBucket::new(sends(7, 1), 0);
        let mut now = 0;
        let mut taken = 0;
        while now < 10_000 {
            match bucket.take(now) {
                Ok(()) => taken += 1,
                Err(RetryAfterMs(wait)) => {
                    assert!(wait > 0);
                    assert!(bucket.take(now + wait - 1).is_err(), "B-2");
                    now += wait;
                }
            }
        }
        assert_eq!(taken, 70, "B-1: nothing is lost to rounding");
    }

    #[test]
    fn a_full_bucket_overflows_and_time_never_runs_backwards() {
        let mut bucket = TokenBucket::new(sends(1, 2), 5_000);
        assert_eq!(bucket.take(1_000_000), Ok(()));
        assert_eq!(bucket.take(0), Ok(()));
        assert_eq!(bucket.take(0), Err(RetryAfterMs(1_000)));
        assert_eq!(bucket.take(u64::MAX), Ok(()));
    }

    #[test]
    fn rate_zero_is_off() {
        let mut bucket = TokenBucket::new(Rate::per_minute(0), 0);
        let mut buckets = Buckets::new(Rate::per_minute(0), 1);
        for key in 0..10_000 {
            assert_eq!(bucket.take(0), Ok(()));
            assert_eq!(buckets.take(&key, 0), Ok(()));
        }
        assert!(buckets.is_empty());
    }

    #[test]
    fn keys_do_not_share() {
        let mut buckets = Buckets::new(Rate::per_minute(2), 10);
        assert_eq!(buckets.take(&"a", 0), Ok(()));
        assert_eq!(buckets.take(&"a", 0), Ok(()));
        assert_eq!(buckets.take(&"a", 0), Err(RetryAfterMs(30_000)));
        assert_eq!(buckets.take(&"b", 0), Ok(()));
        assert_eq!(buckets.len(), 2);
    }

    #[test]
    fn when_full_the_full_go_first_and_the_refused_last() {
        let mut buckets = Buckets::new(Rate::per_minute(2), 3);
        for key in ["spent", "spent", "once"] {
            buckets.take(&key, 0).unwrap();
        }
        buckets.take(&"early", 0).unwrap();
        // After half a minute the buckets of one token each are full again.
        buckets.take(&"new", 30_000).unwrap();
        assert_eq!(buckets.len(), 2);
        assert_eq!(buckets.take(&"spent", 30_000), Ok(()));
        assert!(buckets.take(&"spent", 30_000).is_err());

        let mut buckets = Buckets::new(Rate::per_minute(2), 8);
        for key in 0..8 {
            buckets.take(&key, 0).unwrap();
            if key != 5 {
                buckets.take(&key, 0).unwrap();
            }
        }
        buckets.take(&99, 1).unwrap();
        assert_eq!(buckets.len(), 8, "B-3");
        assert!(buckets.take(&0, 1).is_err());
        assert!(!buckets.levels.contains_key(&5));
    }
}
