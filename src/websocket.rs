//! The WebSocket transport: the one module that knows RFC 6455.
//!
//! Owns admission, the handshake, a bounded decoder, compression, the packing of server frames, and the socket itself, which is taken away
//! from the HTTP dispatcher once the handshake is done, so that an idle connection keeps no HTTP buffers (ADR 0003). TLS makes no difference.
//!
//! Invariants:
//! - W-1: a frame is refused as soon as its header announces too much; nothing announced is allocated.
//! - W-2: a socket is written with what is in the session's lanes, one `writev` per turn of the loop; nothing else buffers.
//! - W-3: decoded frames go to the session a batch at a time; while it has as many under way as it may, the socket is not read.
//! - W-4: a connection that is told to close is gone within [`CLOSE_WITHIN_MS`], whether its client reads or not.
//! - W-5: sockets that are read or written without end, however many, delay the others of their thread by a bounded turn.
//!
//! Deliberately absent: what frames mean (`parlor-actors`).

mod admission;
mod connection;
mod decode;
mod deflate;
mod flush;
mod handshake;
mod intake;
mod mask;
mod pack;
mod socket;
mod stream;

pub use admission::{Admission, AdmissionLimits, Admitted};
pub use connection::Connection;
pub use decode::{Compression, Decoder, Incoming, Violation};
pub use deflate::negotiate;
pub use handshake::{WsState, upgrade};
pub use pack::WebSocketWire;
pub use socket::Setup;
pub use stream::Stream;

/// Milliseconds from the decision to close a connection to its end, for whoever plans the end of the process too.
pub const CLOSE_WITHIN_MS: u64 = 2_000;
const _: () = assert!(socket::CLOSE_WITHIN.as_millis() == CLOSE_WITHIN_MS as u128);
