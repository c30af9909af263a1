//! The words of Parlor: ids, frames, events, codes, limits, records and ports.
//!
//! Owns every type that two other crates share, and the traits ("ports") through which the behaviour meets the outside.
//!
//! Invariants:
//! - S-1: nothing here does I/O, reads a clock, or knows an actor, a socket or a database.
//! - S-2: frames (client wire), records (stored rows) and envelopes (between nodes) are different types.
//! - S-3: each error code, close code and limit stands in one table.
//!
//! Deliberately absent: adapters (`parlor-cluster`), behaviour (`parlor-actors`), settings (`parlor-config`).

pub mod asyncapi;
pub mod code;
pub mod envelope;
pub mod event;
pub mod frame;
pub mod id;
pub mod limits;
mod parsed;
pub mod placement;
pub mod port;
pub mod record;
pub mod room;
pub mod seq;
pub mod time;

pub use asyncapi::{asyncapi, client_schema, server_schema};
pub use code::{CloseCode, ErrorCode};
pub use event::{Event, EventKind};
pub use id::{BootId, DeviceId, EventId, LoginId, MsgId, NodeId, RoomId, SessionId, UserId};
pub use room::{Role, RoomKind};
pub use seq::Seq;
pub use time::Timestamp;
