//! Frames: the client wire, PROTOCOL sections 2 to 6.
//!
//! Owns the envelope, the two tables of frame types, reading a client frame with the field to blame, and writing a server frame.
//!
//! Invariants:
//! - F-1: every `type` text stands in exactly one table; [`ClientFrame::TYPES`] and [`server::ServerFrame::TYPES`] list them.
//! - F-2: reading never panics and never keeps more than the frame's own bytes, whatever arrives.
//! - F-3: every struct is read from an object, every word from a string, every whole number from an integer literal; nothing else will do.
//! - F-4: unknown payload fields are ignored; `null` means absent, except where it clears ([`clearable`]).

pub mod ack;
pub mod body;
pub mod clearable;
pub mod client;
mod fingerprint;
pub mod hello;
mod number;
mod object;
mod read;
pub mod refusal;
pub mod server;
mod text;
mod word;

pub use ack::Ack;
pub use client::ClientFrame;
pub use fingerprint::fingerprint;
pub use read::{Meant, ReadError, Received, read};
pub use refusal::Refusal;
pub use server::ServerFrame;
