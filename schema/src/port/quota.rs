//! The quota port: rates and counts that all nodes share.

use std::num::NonZeroU32;

use super::PortFuture;

/// A token bucket: `tokens` come each period, evenly, up to `burst`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaRate {
    /// Tokens each period.
    pub tokens: NonZeroU32,
    /// The period in milliseconds.
    pub period_ms: NonZeroU32,
    /// Tokens it holds when full; a new one is full.
    pub burst: NonZeroU32,
}

/// What a bucket answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The token was there.
    Granted,
    /// It was not; there is one after this many milliseconds, if nobody else takes it.
    Refused {
        /// Milliseconds, at least 1.
        retry_after_ms: u64,
    },
}

/// Says that the shared state could not be reached; the caller falls back to a bucket of its own.
#[derive(Debug, Clone, thiserror::Error)]
#[error("quota unavailable: {0}")]
pub struct QuotaError(pub String);

/// Counts for all nodes together. What it holds may be forgotten at any time: buckets are then full, counters zero.
pub trait Quota: Send + Sync {
    /// Takes one token out of the bucket `key`.
    ///
    /// # Errors
    /// The shared state could not be reached; a token may have been taken.
    fn take<'a>(
        &'a self,
        key: &'a str,
        rate: QuotaRate,
    ) -> PortFuture<'a, Result<Taken, QuotaError>>;

    /// Takes tokens out of the bucket `key` that were spent already, into debt if it must be: at most as deep as a full bucket.
    /// Answers after how many milliseconds the debt is paid if nobody takes more; 0 where there is none.
    ///
    /// # Errors
    /// The shared state could not be reached; the tokens may have been taken.
    fn spend<'a>(
        &'a self,
        key: &'a str,
        count: u32,
        rate: QuotaRate,
    ) -> PortFuture<'a, Result<u64, QuotaError>>;

    /// Adds to the counter `key` and returns its new value. The counter is forgotten `window_ms` milliseconds after it was
    /// begun.
    ///
    /// # Errors
    /// The shared state could not be reached; it may have been added.
    fn add<'a>(
        &'a self,
        key: &'a str,
        count: u32,
        window_ms: u64,
    ) -> PortFuture<'a, Result<u64, QuotaError>>;
}
