//! The settings of Parlor: one documented struct per section, each setting documented once, on its field.
//!
//! Owns the keys, their defaults and what is refused. Everything that is written about a setting elsewhere, the shipped
//! `config/parlor.toml` and `docs/SETTINGS.md`, is generated from these structs ([`example_toml`], [`settings_table`]).
//!
//! Invariants:
//! - C-1: no settings at all is a valid configuration, and serves one newcomer on loopback.
//! - C-2: the environment wins over the file, the file over the default.
//! - C-3: a refusal names the full dotted key and where its value came from; nothing unknown is ignored.
//!
//! Deliberately absent: reading the process environment (the caller passes it), opening the files that settings point
//! to, and knowing which backends this build can serve (the wiring does).

mod address;
mod auth;
mod cluster;
mod dedupe;
mod error;
mod limits;
mod load;
mod log;
mod node;
mod presence;
mod push;
mod reference;
mod server;
mod settings;
mod storage;

pub use address::{AddressError, HostPort, RedisUrl};
pub use auth::{Algorithm, Auth, AuthMode, Jwt};
pub use cluster::{Cluster, ClusterBackend, Redis, RedisMode};
pub use dedupe::Dedupe;
pub use error::{ConfigError, Origin, Refusal};
pub use limits::{BucketRate, Limits};
pub use log::{Log, LogFormat};
pub use node::Node;
pub use presence::Presence;
pub use push::Push;
pub use reference::{example_toml, settings_table};
pub use server::Server;
pub use settings::Settings;
pub use storage::{Cql, SerialScope, Storage, StorageBackend};
