//! The behaviour of Parlor: thin actix actors over pure states.
//!
//! Layout:
//! - [`front`]: what every frame meets first, whatever transport it came by.
//! - [`room`]: the order of a room, its members, its fan-out to threads.
//! - [`fanout`]: from a thread to its sessions; [`subscription`]: a session's place in a room; [`mod@line`] and [`outlet`]: a connection as its thread
//!   sees it.
//! - [`session`]: a connection's protocol, from `hello` on; [`hand`]: how much of it is under way; [`answer`]: the way back.
//! - [`presence`]: a user's devices, merged.
//! - [`place`]: which node owns a room, and who hears of it; [`node`]: the process among others; [`registry`]: the sessions of a user.
//! - [`coded`]: a frame for many, compressed once; [`piece`]: its bytes in a lane; [`ledger`]: the bytes that wait for sockets.
//! - [`bucket`]: rate limits, [`quota`]: those that all nodes share; [`drain`]: leaving; [`cursor`]: signed positions; [`metrics`]: what is counted; [`ports`]: the outside.
//!
//! Deliberately absent: sockets, HTTP, databases, Redis, and every wall clock.

pub mod answer;
pub mod bucket;
pub mod coded;
pub mod cursor;
pub mod drain;
pub mod fanout;
pub mod fetch;
pub mod front;
pub mod hand;
pub mod ledger;
pub mod line;
mod map;
pub mod metrics;
pub mod node;
pub mod outlet;
pub mod pace;
pub mod piece;
pub mod place;
pub mod ports;
pub mod presence;
pub mod queue;
pub mod quota;
pub mod registry;
pub mod room;
mod scratch;
pub mod session;
pub mod subscription;
mod wheel;
