//! Packets of links as HTTP calls to the internal listener of another node, for when Redis does not carry them.
//!
//! Owns the seal of a call and the client. Every call is `POST` [`PATH`] with packets as its body, one a line, and
//! is answered 204 when all of them were queued.
//!
//! Invariants:
//! - HP-1: a call names its sender, both runs and its time, and a seal (HMAC-SHA-256) binds these, the path and the body to the
//!   secret of the cluster. A call that is for another run, or another node, is refused.
//! - HP-2: a call that is heard again does no harm: packets are numbered, and one that comes twice is not handed up
//!   (L-2). Within [`CLOCK_MS_MAX`] the packets of a sender's earlier run can have the links report a loss, which costs reads.
//!
//! Deliberately absent: when a link goes this way ([`crate::link::Route`]), secrecy of what is said (the listener belongs on a network
//! of the operator's), sending again.

mod calls;
mod seal;

pub use calls::{CallFailure, CallStats, Calls, Peer};
pub use seal::{CLOCK_MS_MAX, Seal, Stamp, StampError};

/// Where packets are posted.
pub const PATH: &str = "/internal/v1/packets";
/// Bytes of a call's body: what one call takes of waiting packets, the longest envelope, and heads.
pub const BODY_BYTES_MAX: usize = 9 << 20;

/// The sender's name.
pub const FROM: &str = "parlor-from";
/// The sender's run.
pub const BOOT: &str = "parlor-boot";
/// The run that the call is for.
pub const TO: &str = "parlor-to";
/// When it was sealed, in milliseconds since 1970.
pub const TIME: &str = "parlor-time";
/// The seal, in hexadecimal.
pub const SEAL: &str = "parlor-seal";
