//! What the client tells the application: notices, reasons, errors and counts.

use std::time::Duration;

use parlor_schema::{
    MsgId,
    frame::{
        Refusal,
        hello::Welcome,
        server::{Gap, Live},
    },
};
use serde_json::value::RawValue;

use crate::frame::{EventFrame, Frame};

/// Something the application should know.
///
/// Ordering: as the server sent it; per room with `seq` rising.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A connection was greeted; what the outbox holds is sent now.
    Connected(Box<Welcome>),
    /// A timeline event, never one that was there before.
    Event(EventFrame),
    /// Positions that will not come; `history.get` fetches them where they are kept.
    Gap(Gap),
    /// A resumed room has caught up.
    Live(Live),
    /// Anything else the server said.
    Frame(Frame),
    /// A frame of a restored outbox is settled; frames of this run answer through their [`crate::Pending`].
    Settled {
        /// The frame.
        msg_id: MsgId,
        /// The payload of its `ack`, or why it failed.
        answer: Answer,
    },
    /// A connection is gone; the client comes back by itself, or says [`Notice::Stopped`] next.
    Disconnected {
        /// The close code; absent when there was no close frame.
        code: Option<u16>,
        /// The reason beside it, or the fault of the transport.
        reason: String,
    },
    /// The client has ended; nothing comes after this.
    Stopped(StopReason),
}

/// The payload of an `ack`, or why there is none.
pub type Answer = Result<Box<RawValue>, RequestError>;

/// Why a client ended for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// The application asked for it.
    #[error("stopped by the application")]
    Requested,
    /// The server refuses the token, and a fresh one too or there is none.
    #[error("the token is refused")]
    Unauthorized,
    /// The server closed with a code that says not to come back unchanged.
    #[error("closed by the server: {code} {reason}")]
    Closed {
        /// The close code, 4400 to 4499.
        code: u16,
        /// The reason beside it.
        reason: String,
    },
    /// The server refuses the upgrade.
    #[error("the upgrade is refused with status {0}")]
    Refused(u16),
    /// The server refuses `hello`.
    #[error("hello is refused: {0}")]
    Hello(Refusal),
    /// The token source has no token, and will have none.
    #[error("no token: {0}")]
    NoToken(String),
    /// The attempts that the settings allow have all failed.
    #[error("unreachable: {0}")]
    Unreachable(String),
}

/// Why a frame has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The server refused it.
    #[error("{0}")]
    Refused(Refusal),
    /// The connection was lost before the answer, or there is none.
    #[error("disconnected")]
    Disconnected,
    /// The outbox, or the queue of requests, holds as many frames as it may.
    #[error("too many frames wait")]
    Full,
    /// A frame with this `msg_id` waits already.
    #[error("this msg_id is in use")]
    InUse,
    /// The client has ended; a frame of the outbox stays in it.
    #[error("the client has stopped: {0}")]
    Stopped(StopReason),
    /// The answer is not what was expected.
    #[error("unreadable answer: {0}")]
    Unreadable(String),
}

/// Where the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PhaseName {
    /// Not begun.
    Disconnected,
    /// Getting a token, or opening a socket.
    Connecting,
    /// `hello` is sent.
    Greeting,
    /// Greeted.
    Live,
    /// Waiting before the next attempt.
    Backoff,
    /// Ended.
    Stopped,
}

/// Counts since the client was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Greeted connections.
    pub connects: u64,
    /// Connections lost after the socket was open.
    pub disconnects: u64,
    /// Attempts that did not open a socket.
    pub connect_failures: u64,
    /// Events delivered.
    pub events: u64,
    /// Events dropped because they were there before.
    pub duplicates: u64,
    /// Jumps in a room's positions without a `gap`: faults of the server.
    pub order_errors: u64,
    /// `gap` frames.
    pub gaps: u64,
    /// Frames of the outbox sent for the first time.
    pub sent: u64,
    /// Frames of the outbox sent again.
    pub resent: u64,
    /// Frames of the outbox acknowledged.
    pub acked: u64,
    /// Refusals of the outbox's frames, temporary ones included.
    pub refused: u64,
    /// Texts that are no server frame.
    pub unreadable: u64,
    /// Longest wait the back-off chose.
    pub backoff_max: Duration,
}
