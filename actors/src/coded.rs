//! A frame that many connections get: packed once, and compressed at most once per way of coding, when the first of them wants it.

use std::sync::OnceLock;

use crate::ports::{Coding, Packed, Wire};

/// A packed frame and its other codings.
#[derive(Debug)]
pub struct Coded {
    plain: Packed,
    deflated: OnceLock<Packed>,
    small: OnceLock<Packed>,
}

impl Coded {
    /// Holds a frame that [`Wire::text`] made.
    #[must_use]
    pub const fn new(plain: Packed) -> Self {
        Self {
            plain,
            deflated: OnceLock::new(),
            small: OnceLock::new(),
        }
    }

    /// Returns the frame as `coding` says.
    #[must_use]
    pub fn bytes(&self, coding: Coding, wire: &dyn Wire) -> &Packed {
        let form = match coding {
            Coding::Plain => return &self.plain,
            Coding::Deflate => &self.deflated,
            Coding::DeflateSmall => &self.small,
        };
        form.get_or_init(|| wire.recoded(&self.plain, coding))
    }

    /// Returns the frame as it is.
    #[must_use]
    pub const fn plain(&self) -> &Packed {
        &self.plain
    }
}
