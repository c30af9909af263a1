//! The adapters on Redis, on real servers that are killed, paused, overrun, cut off and replaced.
//!
//! Owns the nodes of the tests, [`node::Node`]; servers are those of `tests/support/redis.rs`.
#![allow(clippy::unwrap_used, reason = "tests")]

mod arrangements;
mod bus;
mod faults;
mod membership;
mod node;
mod proxy;
#[path = "../support/redis.rs"]
mod server;
mod shared;
mod tails;
