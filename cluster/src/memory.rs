//! Adapters without an outside: for tests, benches, and a node that is alone.
//!
//! Owns one adapter per file. Deliberately absent: durability; what [`MemoryStore`] holds ends with the process.

mod bus;
mod clock;
mod ids;
mod membership;
mod rooms;
mod store;
mod timeline;
mod users;

pub use bus::MemoryBus;
pub use clock::SystemClock;
pub use ids::RandomIds;
pub use membership::SingleMembership;
pub use store::MemoryStore;
