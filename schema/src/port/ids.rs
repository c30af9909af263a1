//! The port for chance and fresh ids, so that a simulator can own them.

use uuid::Uuid;

use crate::Timestamp;

/// Makes ids and secrets.
pub trait Ids: Send + Sync {
    /// Makes a UUIDv7 of the time `now`; two calls never return the same.
    fn uuid(&self, now: Timestamp) -> Uuid;

    /// Makes 32 bytes nobody can guess.
    fn secret(&self) -> [u8; 32];

    /// Makes a number below `bound`, evenly spread; 0 when `bound` is 0.
    fn below(&self, bound: u64) -> u64;
}
