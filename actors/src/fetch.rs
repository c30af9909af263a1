//! Asks the processor for memory that is needed soon. Thousands of connections and rooms take turns, so that none is in a cache when its turn comes; what is
//! asked for some steps before arrives while something else is done. A hint: nothing is read, and nothing waits for it (ADR 0016).

use std::slice::from_ref;

use prefetch_index::prefetch_index;

/// Bytes that come together.
pub const LINE_BYTES: usize = 64;

/// Asks for the line of the cache that a value begins in.
pub fn fetch<T>(value: &T) {
    prefetch_index(from_ref(value), 0);
}

/// Asks for as many bytes as these from a value on: of a whole structure, by its first field.
pub fn fetch_from<T>(first: &T, bytes: usize) {
    const {
        assert!(
            LINE_BYTES.is_multiple_of(size_of::<T>()),
            "lines are counted in values"
        )
    };
    for at in (0..bytes).step_by(LINE_BYTES) {
        prefetch_index(from_ref(first), at / size_of::<T>());
    }
}

/// Asks for bytes, as far as the processor does not ask for more by itself.
pub fn fetch_bytes(bytes: &[u8]) {
    /// It asks for what follows many.
    const LINES: usize = 8;
    for line in bytes.chunks(LINE_BYTES).take(LINES) {
        fetch(&line[0]);
    }
}

/// Asks for the begin of a text.
pub fn fetch_text(text: &str) {
    if let Some(first) = text.as_bytes().first() {
        fetch(first);
    }
}
