//! Bytes that wait for a socket: a thread's own, or those that threads share.

use std::{ops::Deref, rc::Rc};

use crate::ports::Packed;

/// Bytes that wait for a socket.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Those of this thread alone. A count that only one thread changes does not wait for what the processor has still to write, which is most
    /// of what giving the same bytes to a thousand sockets costs.
    Own(Rc<[u8]>),
    /// Those that threads share.
    Shared(Packed),
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl From<Rc<[u8]>> for Piece {
    fn from(bytes: Rc<[u8]>) -> Self {
        Self::Own(bytes)
    }
}

impl From<Packed> for Piece {
    fn from(bytes: Packed) -> Self {
        Self::Shared(bytes)
    }
}
