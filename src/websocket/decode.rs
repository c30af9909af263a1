//! Decoding client frames: pure, incremental, bounded.
//!
//! Invariants:
//! - D-1: nothing is allocated for what a header announces; only bytes that came are held, and at most one message.
//! - D-2: any split of the same bytes decodes to the same messages.

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;

use super::{mask, pack::CONTROL_BYTES_MAX};

/// Something a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A text message.
    Text(ByteString),
    /// A binary message; its bytes are not kept.
    Binary,
    /// A ping, to be answered with the same bytes.
    Ping(Bytes),
    /// An answer to a ping.
    Pong,
    /// The client leaves.
    Close,
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Against RFC 6455.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// Text that is not UTF-8.
    #[error("invalid utf-8")]
    Utf8,
    /// Larger than the limit.
    #[error("frame too large")]
    TooLarge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

#[derive(Debug, Clone, Copy)]
struct Header {
    last: bool,
    opcode: u8,
    length: usize,
    mask: [u8; 4],
    bytes: usize,
}

/// The decoder of one connection.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    held: BytesMut,
    message: BytesMut,
    open: Option<Kind>,
}

impl Decoder {
    /// Makes a decoder for messages of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            held: BytesMut::new(),
            message: BytesMut::new(),
            open: None,
        }
    }

    /// Takes bytes as they came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Tells whether a frame has begun and not ended.
    #[must_use]
    pub fn is_midway(&self) -> bool {
        !self.held.is_empty()
    }

    /// Returns the next message, or none until more bytes come.
    ///
    /// # Errors
    /// The connection must end; what follows is not looked at.
    pub fn decode(&mut self) -> Result<Option<Incoming>, Violation> {
        loop {
            let Some(header) = self.header()? else {
                self.release();
                return Ok(None);
            };
            if self.held.len() < header.bytes + header.length {
                return Ok(None);
            }
            self.held.advance(header.bytes);
            let mut payload = self.held.split_to(header.length);
            mask::apply(&mut payload, header.mask);
            if let Some(incoming) = self.take(header, payload)? {
                return Ok(Some(incoming));
            }
        }
    }

    /// An idle connection holds no buffer.
    fn release(&mut self) {
        if self.held.is_empty() && self.held.capacity() > 0 {
            self.held = BytesMut::new();
        }
    }

    fn header(&self) -> Result<Option<Header>, Violation> {
        let [first, second, rest @ ..] = &self.held[..] else {
            return Ok(None);
        };
        let (last, opcode) = (first & 0x80 != 0, first & 0x0F);
        if first & 0x70 != 0 {
            return Err(Violation::Protocol("reserved bits"));
        }
        if second & 0x80 == 0 {
            return Err(Violation::Protocol("unmasked frame"));
        }
        let control = opcode >= 0x8;
        match opcode {
            0x0 if self.open.is_none() => return Err(Violation::Protocol("nothing to continue")),
            0x1 | 0x2 if self.open.is_some() => {
                return Err(Violation::Protocol("a message within a message"));
            }
            0x0..=0x2 | 0x8..=0xA => {}
            _ => return Err(Violation::Protocol("reserved opcode")),
        }
        let (length, bytes) = match (second & 0x7F, rest) {
            (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 4),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 10)
            }
            (126 | 127, _) if control => return Err(Violation::Protocol("long control frame")),
            (126 | 127, _) => return Ok(None),
            (length, _) => (u64::from(length), 2),
        };
        if control && (!last || length > CONTROL_BYTES_MAX as u64) {
            return Err(Violation::Protocol("long or fragmented control frame"));
        }
        if length >> 63 != 0 {
            return Err(Violation::Protocol("length above 2^63"));
        }
        let room = self
            .limit
            .saturating_sub(if control { 0 } else { self.message.len() });
        let Some(length) = usize::try_from(length)
            .ok()
            .filter(|length| *length <= room)
        else {
            return Err(Violation::TooLarge);
        };
        let Some(mask) = self
            .held
            .get(bytes..bytes + 4)
            .and_then(|mask| mask.try_into().ok())
        else {
            return Ok(None);
        };
        Ok(Some(Header {
            last,
            opcode,
            length,
            mask,
            bytes: bytes + 4,
        }))
    }

    fn take(&mut self, header: Header, payload: BytesMut) -> Result<Option<Incoming>, Violation> {
        match header.opcode {
            0x8 => close(&payload).map(Some),
            0x9 => Ok(Some(Incoming::Ping(payload.freeze()))),
            0xA => Ok(Some(Incoming::Pong)),
            opcode => {
                let kind = match (opcode, self.open) {
                    (0x1, _) => Kind::Text,
                    (0x2, _) => Kind::Binary,
                    (_, open) => open.ok_or(Violation::Protocol("nothing to continue"))?,
                };
                if header.last && self.open.is_none() {
                    return finish(kind, payload).map(Some);
                }
                self.message.extend_from_slice(&payload);
                self.open = Some(kind);
                if !header.last {
                    return Ok(None);
                }
                self.open = None;
                finish(kind, std::mem::take(&mut self.message)).map(Some)
            }
        }
    }
}

fn finish(kind: Kind, payload: BytesMut) -> Result<Incoming, Violation> {
    match kind {
        Kind::Binary => Ok(Incoming::Binary),
        Kind::Text => ByteString::try_from(payload.freeze())
            .map(Incoming::Text)
            .map_err(|_| Violation::Utf8),
    }
}

/// Checks a close frame (RFC 6455 sections 5.5.1 and 7.4).
fn close(payload: &[u8]) -> Result<Incoming, Violation> {
    match payload {
        [] => Ok(Incoming::Close),
        [_] => Err(Violation::Protocol("half a close code")),
        [a, b, reason @ ..] => {
            let code = u16::from_be_bytes([*a, *b]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(Violation::Protocol("close code that is never sent"));
            }
            std::str::from_utf8(reason)
                .map(|_| Incoming::Close)
                .map_err(|_| Violation::Utf8)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [9, 8, 7, 6];
        let mut out = vec![first];
        match payload.len() {
            n @ 0..=125 => out.push(0x80 | n as u8),
            n @ 126..=0xFFFF => {
                out.push(0x80 | 126);
                out.extend((n as u16).to_be_bytes());
            }
            n => {
                out.push(0x80 | 127);
                out.extend((n as u64).to_be_bytes());
            }
        }
        out.extend(mask);
        let mut masked = payload.to_vec();
        mask::apply(&mut masked, mask);
        out.extend(masked);
        out
    }

    fn all(limit: usize, chunks: &[&[u8]]) -> Result<Vec<Incoming>, Violation> {
        let mut decoder = Decoder::new(limit);
        let mut out = Vec::new();
        for chunk in chunks {
            decoder.feed(chunk);
            while let Some(incoming) = decoder.decode()? {
                out.push(incoming);
            }
        }
        Ok(out)
    }

    fn violation(bytes: &[u8]) -> Violation {
        all(65_536, &[bytes]).unwrap_err()
    }

    #[test]
    fn joins_fragments_around_control_frames() {
        let bytes = [
            frame(0x01, b"he"),
            frame(0x89, b"p"),
            frame(0x80, b"llo"),
            frame(0x88, &[]),
        ]
        .concat();
        let expected = vec![
            Incoming::Ping(Bytes::from_static(b"p")),
            Incoming::Text("hello".into()),
            Incoming::Close,
        ];
        assert_eq!(all(65_536, &[&bytes]).unwrap(), expected);
    }

    #[test]
    fn refuses_what_a_header_announces_before_the_payload_comes() {
        let mut huge = vec![0x81, 0x80 | 127];
        huge.extend((1_u64 << 40).to_be_bytes());
        assert_eq!(violation(&huge), Violation::TooLarge);
        assert_eq!(
            all(100, &[&[0x81, 0x80 | 101]]).unwrap_err(),
            Violation::TooLarge
        );
    }

    #[test]
    fn a_message_at_the_limit_passes_and_one_above_does_not() {
        assert!(all(100, &[&frame(0x81, &[b'a'; 100])]).is_ok());
        assert_eq!(
            all(100, &[&frame(0x81, &[b'a'; 101])]).unwrap_err(),
            Violation::TooLarge
        );
        let fragments = [frame(0x01, &[b'a'; 60]), frame(0x80, &[b'a'; 41])].concat();
        assert_eq!(all(100, &[&fragments]).unwrap_err(), Violation::TooLarge);
    }

    #[test]
    fn refuses_violations_of_the_rfc() {
        let protocol = |bytes: &[u8]| matches!(violation(bytes), Violation::Protocol(_));
        assert!(protocol(&[0x81, 0x01, b'a']), "unmasked");
        assert!(protocol(&frame(0xC1, b"a")), "reserved bit");
        assert!(protocol(&frame(0x83, b"a")), "reserved opcode");
        assert!(protocol(&frame(0x80, b"a")), "nothing to continue");
        assert!(
            protocol(&[frame(0x01, b"a"), frame(0x81, b"b")].concat()),
            "message within a message"
        );
        assert!(protocol(&frame(0x09, b"a")), "fragmented ping");
        assert!(protocol(&frame(0x89, &[0; 126])), "long ping");
        assert!(protocol(&frame(0x88, &[3])), "half a close code");
        assert!(
            protocol(&frame(0x88, &1005_u16.to_be_bytes())),
            "close code 1005"
        );
        assert_eq!(violation(&frame(0x81, &[0xFF])), Violation::Utf8);
        let split = [frame(0x01, &[0xC3]), frame(0x80, &[0x28])].concat();
        assert_eq!(violation(&split), Violation::Utf8);
    }

    proptest! {
        #[test]
        fn any_split_decodes_to_the_same(parts in prop::collection::vec(".{0,200}", 1..6), cuts in prop::collection::vec(0_usize..400, 0..8)) {
            let mut bytes = Vec::new();
            for part in &parts {
                bytes.extend(frame(0x81, part.as_bytes()));
            }
            let whole = all(65_536, &[&bytes]).unwrap();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts {
                chunks.push(&bytes[from..cut]);
                from = cut;
            }
            chunks.push(&bytes[from..]);
            prop_assert_eq!(all(65_536, &chunks).unwrap(), whole);
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = all(1_000, &[&bytes]);
        }
    }
}
