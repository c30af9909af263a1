//! Reading a client frame: at once when it is as clients write it, else part by part, with the field to blame on refusal.

mod depth;
mod fast;
mod slow;

pub(crate) use slow::payload;

use super::{ClientFrame, Refusal};
use crate::MsgId;

/// A client frame that could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// The client's own id for it.
    pub msg_id: Option<MsgId>,
    /// The id as the client wrote it, to be echoed.
    pub echo: Option<String>,
    /// What it asks.
    pub frame: ClientFrame,
}

/// A client frame that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// The id to echo, where it could be read.
    pub echo: Option<String>,
    /// What it was meant as.
    pub meant: Meant,
    /// The refusal to send.
    pub refusal: Refusal,
}

/// What a frame that could not be read was meant as, as far as its `type` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// A `hello`, which may be said again.
    Hello,
    /// Anything else.
    Other,
}

impl Meant {
    fn of(kind: &str) -> Self {
        match kind {
            "hello" => Self::Hello,
            _ => Self::Other,
        }
    }
}

/// Reads one frame. One that is right, not deep, and has `type` before `payload` is parsed once, any other in parts, some of them twice.
///
/// # Errors
/// [`ReadError`] with `bad_frame` or `unknown_type`, the field to blame, and the `msg_id` to echo.
pub fn read(text: &str) -> Result<Received, ReadError> {
    // One that is deep is wrong as a rule, and would be gone through once more.
    let fast = match depth::deep_at(text) {
        Some(_) => None,
        None => fast::read(text),
    };
    match fast {
        Some(received) => Ok(received),
        None => slow::read(text),
    }
}

#[cfg(test)]
mod tests;
