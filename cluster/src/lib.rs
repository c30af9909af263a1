//! The outside of Parlor: what stands behind the ports of `parlor-schema`.
//!
//! Owns the adapters, one per file:
//! - `embedded`: [`EmbeddedStore`] (timeline and directory in one file, for one node);
//! - `scylla`: [`CqlStore`] (timeline and directory in ScyllaDB or Cassandra, for any number of nodes);
//! - `link`: pure states of links and of the view, for any transport between nodes;
//! - `http`: packets of links as calls to another node, for when Redis does not carry them;
//! - `redis`: [`Redis`] (bus, membership, session registry and quotas on Redis or Valkey);
//! - `memory`: [`MemoryStore`], [`MemoryBus`], [`SingleMembership`], [`SystemClock`], [`RandomIds`].
//!
//! Invariants:
//! - C-1: adapters know ports, never the behaviour that calls them.
//! - C-2: only `memory::clock` reads the time of day, only `memory::ids` asks the system for chance.
//!
//! Deliberately absent: choosing adapters (the server's wiring), behaviour (`parlor-actors`).

mod account;
pub mod embedded;
pub mod http;
pub mod link;
pub mod memory;
pub mod redis;
pub mod scylla;

pub use crate::redis::{PacketSeal, PeerLink, Redis, RedisHealth, RedisStartError, Seals};
pub use crate::scylla::{CqlError, CqlStats, CqlStore, CqlTuning};
pub use embedded::{EmbeddedStats, EmbeddedStore, OpenError};
pub use memory::{MemoryBus, MemoryStore, RandomIds, SingleMembership, SystemClock};
