//! The protocol over real sockets: every line of PROTOCOL that is served and promises or refuses something.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../support.rs"]
mod support;

mod direct;
mod envelope;
mod handshake;
mod hello;
mod history;
mod idempotency;
mod lists;
mod mentions;
mod messages;
mod moderation;
mod receipts;
mod roles;
mod rooms;
mod smoke;
mod unserved;
mod users;
