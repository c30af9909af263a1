//! What the fuzz targets share: a client's frames, a decoder run over pieces of a stream, and the memory it holds.

use std::{cell::RefCell, fs::File, os::unix::fs::FileExt};

use parlor::websocket::{Compression, Decoder, Incoming, Violation};

/// Payload of a control frame (RFC 6455 section 5.5).
const CONTROL_BYTES_MAX: usize = 125;
/// What the heap may grow by beside what is held: the allocator's steps, and what it takes for a thread's first inflater.
const SLACK_BYTES: usize = 512 * 1024;

/// How a connection was set up.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Bytes of one message.
    pub limit: usize,
    /// Whether compressed messages were agreed on.
    pub compression: Compression,
}

/// What a stream decoded to.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What comes before the end.
    pub incoming: Vec<Incoming>,
    /// The end: whether something had begun, or what was wrong.
    pub end: Result<Midway, Violation>,
}

/// Whether a message or a control frame had begun and not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Midway {
    /// The stream stops between frames.
    No,
    /// The stream stops within one, or within a message.
    Yes,
}

/// Decodes the pieces of a stream one after another; answers also how many pieces were looked at.
///
/// # Panics
/// A message is larger than the limit, a piece was not taken whole, or the decoder holds more than it may.
pub fn decode<'a>(setup: Setup, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Decoded, usize) {
    let before = private_bytes();
    let mut decoder = Decoder::new(setup.limit, setup.compression);
    let (mut incoming, mut delivered, mut looked_at) = (Vec::new(), 0, 0);
    let mut violation = None;
    'pieces: for mut piece in pieces {
        looked_at += 1;
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(one)) => {
                    delivered += check(&one, setup.limit);
                    incoming.push(one);
                }
                Ok(None) => break,
                Err(error) => {
                    violation = Some(error);
                    break 'pieces;
                }
            }
        }
        assert!(piece.is_empty(), "a piece is taken whole");
    }
    // D-1, D-4: a buffer grows to at most twice what came, and that is at most the limit.
    let may_hold = 2 * (setup.limit + CONTROL_BYTES_MAX + delivered) + SLACK_BYTES;
    let holds = private_bytes().saturating_sub(before);
    assert!(
        holds <= may_hold,
        "{holds} bytes are held, {may_hold} may be"
    );
    let end = match violation {
        Some(violation) => Err(violation),
        None if decoder.is_midway() => Ok(Midway::Yes),
        None => Ok(Midway::No),
    };
    (Decoded { incoming, end }, looked_at)
}

/// Checks the size of what came; answers it, with what it takes to keep.
fn check(incoming: &Incoming, limit: usize) -> usize {
    let (bytes, most) = match incoming {
        Incoming::Text(text) => (text.len(), limit),
        Incoming::Binary(bytes) => (bytes.len(), limit),
        Incoming::Ping(bytes) => (bytes.len(), CONTROL_BYTES_MAX),
        Incoming::Pong | Incoming::Close(_) => (0, 0),
    };
    assert!(bytes <= most, "D-4: {bytes} bytes, {most} are the limit");
    bytes + 4 * 1024
}

/// Packs a client's frame: its first byte, the shortest length, the mask, the payload.
#[must_use]
pub fn client_frame(first: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..=CONTROL_BYTES_MAX => out.push(0x80 | length as u8),
        length @ 126..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
    out
}

/// Returns the bytes this process has asked the system for to write to, touched or not.
fn private_bytes() -> usize {
    const PAGE_BYTES: usize = 4096;
    thread_local! {
        static STATM: RefCell<Option<File>> = RefCell::new(File::open("/proc/self/statm").ok());
    }
    STATM.with_borrow(|statm| {
        let mut text = [0; 128];
        let read = statm.as_ref().and_then(|file| file.read_at(&mut text, 0).ok());
        let text = std::str::from_utf8(&text[..read.unwrap_or(0)]).unwrap_or_default();
        let pages = text.split_ascii_whitespace().nth(5);
        pages.and_then(|pages| pages.parse().ok()).unwrap_or(0) * PAGE_BYTES
    })
}
