//! The contract suite: one suite per port, run for every adapter that stands behind it.
//!
//! Owns what the ports' documentation promises, as checks; and faults that prove that the checks can fail.
//!
//! A new store adds one file like `memory.rs`. Suites answer `Err` instead of panicking, so that the negative controls can
//! assert that a broken store is caught.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../support/cassandra.rs"]
mod cassandra;
mod cql;
mod crash;
mod damage;
mod disk;
mod embedded;
mod full;
mod log;
mod log_halves;
mod log_power;
mod log_start;
mod make;
mod memory;
mod negative;
mod rooms;
mod timeline;
mod users;

/// What a suite answers: the first promise that does not hold.
pub(crate) type Verdict = Result<(), String>;

/// Answers `Err` when a promise does not hold.
#[macro_export]
macro_rules! promise {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(format!($($text)+));
        }
    };
}

/// Answers `Err` when two values differ.
#[macro_export]
macro_rules! same {
    ($left:expr, $right:expr, $($text:tt)+) => {{
        let (left, right) = (&$left, &$right);
        if left != right {
            return Err(format!("{}: {left:?} is not {right:?}", format!($($text)+)));
        }
    }};
}

/// Turns a store's error into a verdict.
pub(crate) fn told<T, E: std::fmt::Display>(answer: Result<T, E>) -> Result<T, String> {
    answer.map_err(|error| error.to_string())
}
