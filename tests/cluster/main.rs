//! Two nodes as processes of their own, over a real Redis and a real CQL store, with clients on both.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../support.rs"]
mod support;

#[path = "../support/cassandra.rs"]
mod cassandra;

#[path = "../support/redis.rs"]
mod redis;

mod admin;
mod faults;
mod links;
mod members;
mod node;
mod order;
mod owner;
mod people;
mod place;
mod rolling;
mod start;
mod tails;
