//! Parlor, a clustered chat messaging server: the library behind the binary.
//!
//! Layout:
//! - [`wiring`]: joins settings, adapters, actors and listeners; the only place that names adapters.
//! - [`head`]: a connection until it has asked for something.
//! - [`websocket`]: the socket; [`http`]: everything else on the same port.
//! - `internal`: the listener for the other nodes.
//! - [`auth`]: accounts and tokens.
//! - [`command`]: the command line.
//!
//! Deliberately absent: what a room, a session or a presence does (`parlor-actors`), what a frame is (`parlor-schema`), how events are kept
//! (`parlor-cluster`).

pub mod auth;
pub mod command;
pub mod head;
pub mod http;
mod internal;
pub mod websocket;
pub mod wiring;

/// Sessions make and drop small pieces at a high rate: see ADR 0012. The fuzzer keeps its own allocator, which looks for misuse.
#[cfg(not(fuzzing))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
