//! The protocol over real sockets: every line of PROTOCOL that is served and promises or refuses something.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../support.rs"]
mod support;

#[path = "../support/cassandra.rs"]
mod cassandra;

mod auth_socket;
mod closing;
mod cql;
mod direct;
mod envelope;
mod forgotten;
mod handshake;
mod healing;
mod hello;
mod history;
mod hostile;
mod http_auth;
mod http_frames;
mod http_messages;
mod http_misc;
mod http_rooms;
mod idempotency;
mod limits;
mod lists;
mod membership;
mod mentions;
mod messages;
mod moderation;
mod outside;
mod passive;
mod past;
mod presence;
mod readers;
mod receipts;
mod resume;
mod retention;
mod roles;
mod rooms;
mod slow;
mod smoke;
mod subscribe;
mod typing;
mod unserved;
mod users;
