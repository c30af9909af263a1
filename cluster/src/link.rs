//! Links between nodes: what a transport of envelopes needs to notice that it lost some.
//!
//! Owns the pure states [`Outgoing`] (one per destination) and [`Incoming`] (one per node), the [`Packet`] between
//! them, and [`Route`], which says what carries it. Whatever carries packets at most once, in whichever order, may stand between: a Redis channel, an HTTP call.
//!
//! Invariants:
//! - L-1: packets that carry something are numbered 1, 2, 3 and so on per run of the sender and destination; what was
//!   dropped before it was numbered takes a number too.
//! - L-2: numbers handed up rise; one that comes late or twice is not handed up.
//! - L-3: a number that is not handed up is reported as lost, once a later packet or heartbeat is heard. So is whatever came
//!   before the first packet of each run of a peer, as nobody can say that there was nothing.
//! - L-4: a late packet of a run that is over changes nothing; a run that goes on is heard again, whichever came first.
//!
//! Deliberately absent: time, sockets, sending again. What is lost is read from the timeline, never from here.

mod incoming;
mod outgoing;
mod packet;
mod route;
mod view;

pub use incoming::{Heard, Incoming};
pub use outgoing::{Limits, Outgoing};
pub(crate) use packet::encode;
pub use packet::{Contents, Packet, PacketError, pack_contents, pack_heartbeat, read_packet};
pub use route::{Carrier, Load, Route};
pub use view::{Seen, ViewState};

#[cfg(test)]
mod tests;
