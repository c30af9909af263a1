//! Ports: the traits through which the behaviour meets stores, buses, clocks and chance.
//!
//! A port's documentation is its specification: an adapter can be written, and is tested, from it alone.

pub mod bus;
pub mod clock;
pub mod directory;
pub mod ids;
pub mod membership;
pub mod quota;
pub mod sessions;
pub mod timeline;

use std::{future::Future, pin::Pin};

pub use bus::{Bus, BusError, Inbound, Inbox};
pub use clock::Clock;
pub use directory::{Directory, RoomDirectory, UserDirectory};
pub use ids::Ids;
pub use membership::{Load, Membership, NodeInfo, View};
pub use quota::{Quota, QuotaError, QuotaRate, Taken};
pub use sessions::{ENTRY_HOLDS_MS, RegistryError, SessionEntry, SessionRegistry};
pub use timeline::{Append, Direction, ReadRange, Timeline};

/// A future of a port. Dropping it abandons the answer, never the effect.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The store is away, full or too busy; nothing was stored.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be read; names the file, table or row.
    #[error("store damaged: {0}")]
    Damaged(String),
}
