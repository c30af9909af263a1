//! A frame that many connections get: packed once, and compressed at most once per way of coding, when the first of them wants it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::ports::{Coding, Wire};

/// A packed frame and its other codings. Clones share them.
#[derive(Debug, Clone)]
pub struct Coded(Arc<Forms>);

#[derive(Debug)]
struct Forms {
    plain: Bytes,
    deflated: OnceLock<Bytes>,
    small: OnceLock<Bytes>,
}

impl Coded {
    /// Holds a frame that [`Wire::text`] made.
    #[must_use]
    pub fn new(plain: Bytes) -> Self {
        Self(Arc::new(Forms {
            plain,
            deflated: OnceLock::new(),
            small: OnceLock::new(),
        }))
    }

    /// Returns the frame as `coding` says.
    #[must_use]
    pub fn bytes(&self, coding: Coding, wire: &dyn Wire) -> &Bytes {
        let form = match coding {
            Coding::Plain => return &self.0.plain,
            Coding::Deflate => &self.0.deflated,
            Coding::DeflateSmall => &self.0.small,
        };
        form.get_or_init(|| wire.recoded(&self.0.plain, coding))
    }

    /// Returns the bytes of the frame as it is.
    #[must_use]
    pub fn plain_len(&self) -> usize {
        self.0.plain.len()
    }
}
