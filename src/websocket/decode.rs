//! Decoding client frames: pure, incremental, bounded.
//!
//! Invariants:
//! - D-1: nothing is allocated for what a header announces; only bytes that came are held, and at most one message and one control frame.
//! - D-2: any split of the same bytes decodes to the same messages, and ends at the same violation.
//! - D-3: text is refused with the first byte that cannot be UTF-8, not with the end of its message.
//! - D-4: a message takes no more than the limit, neither as it came nor inflated.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::{deflate, mask, pack::CONTROL_BYTES_MAX};

#[cfg(test)]
mod tests;

/// Something a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A text message.
    Text(ByteString),
    /// A binary message.
    Binary(Bytes),
    /// A ping, to be answered with the same bytes.
    Ping(Bytes),
    /// An answer to a ping.
    Pong,
    /// The client leaves, with its code where it gave one.
    Close(Option<u16>),
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Against RFC 6455 or RFC 7692.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// Text that is not UTF-8, or a compressed message that does not inflate.
    #[error("invalid data")]
    Data,
    /// Larger than the limit.
    #[error("frame too large")]
    TooLarge,
}

/// Whether compressed messages were agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// They are refused.
    Off,
    /// Each may come compressed, on its own (RFC 7692 without context takeover).
    On,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

/// Whether the bytes of a message are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Deflated,
}

/// The message whose fragments are coming.
#[derive(Debug, Clone, Copy)]
struct Open {
    kind: Kind,
    form: Form,
}

/// The frame whose payload is coming.
#[derive(Debug, Clone, Copy)]
struct Frame {
    last: bool,
    opcode: u8,
    left: usize,
    mask: [u8; 4],
}

/// Bytes of the longest header from a client: two, eight of length, four of mask.
const HEADER_BYTES_MAX: usize = 14;

/// The decoder of one connection.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    compression: Compression,
    header: [u8; HEADER_BYTES_MAX],
    header_len: usize,
    frame: Option<Frame>,
    open: Option<Open>,
    message: BytesMut,
    /// Bytes of the message that are whole characters.
    checked: usize,
    control: BytesMut,
}

impl Decoder {
    /// Makes a decoder for messages of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize, compression: Compression) -> Self {
        Self {
            limit,
            compression,
            header: [0; HEADER_BYTES_MAX],
            header_len: 0,
            frame: None,
            open: None,
            message: BytesMut::new(),
            checked: 0,
            control: BytesMut::new(),
        }
    }

    /// Tells whether a message or a control frame has begun and not ended.
    #[must_use]
    pub const fn is_midway(&self) -> bool {
        self.header_len > 0 || self.frame.is_some() || self.open.is_some()
    }

    /// Takes from the front of `input` up to the end of the next message; none: all was taken, and more must come.
    ///
    /// # Errors
    /// The connection must end; what follows is not looked at.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Incoming>, Violation> {
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.header(input)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let frame = self.payload(frame, input)?;
            if frame.left > 0 {
                self.frame = Some(frame);
                return Ok(None);
            }
            self.frame = None;
            if let Some(incoming) = self.end(frame)? {
                return Ok(Some(incoming));
            }
        }
    }

    /// Takes the bytes of a header, and checks each as soon as it is there.
    fn header(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, Violation> {
        loop {
            let wanted = self.header_bytes()?;
            let missing = wanted - self.header_len;
            let taken = missing.min(input.len());
            let (bytes, rest) = input.split_at(taken);
            self.header[self.header_len..self.header_len + taken].copy_from_slice(bytes);
            self.header_len += taken;
            *input = rest;
            if taken < missing {
                // What is there may be refused already.
                self.header_bytes()?;
                return Ok(None);
            }
            if self.header_bytes()? == wanted {
                return self.begin(wanted).map(Some);
            }
        }
    }

    /// Checks what is there of the header; answers how many bytes it has in all, as far as they tell.
    fn header_bytes(&self) -> Result<usize, Violation> {
        let [first, second, length @ ..] = &self.header[..self.header_len] else {
            if let [first] = &self.header[..self.header_len] {
                self.check_first(*first)?;
            }
            return Ok(2);
        };
        self.check_first(*first)?;
        if second & 0x80 == 0 {
            return Err(Violation::Protocol("unmasked frame"));
        }
        let control = first & 0x08 != 0;
        let (announced, bytes) = match (second & 0x7F, length) {
            (126 | 127, _) if control => return Err(Violation::Protocol("long control frame")),
            (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 8),
            (126, _) => return Ok(4),
            (127, [a, ..]) if a & 0x80 != 0 => {
                return Err(Violation::Protocol("length above 2^63"));
            }
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 14)
            }
            (127, _) => return Ok(10),
            (length, _) => (u64::from(length), 6),
        };
        let room = if control {
            CONTROL_BYTES_MAX
        } else {
            self.limit.saturating_sub(self.message.len())
        };
        if announced > room as u64 {
            return Err(Violation::TooLarge);
        }
        Ok(bytes)
    }

    fn check_first(&self, first: u8) -> Result<(), Violation> {
        let (last, opcode) = (first & 0x80 != 0, first & 0x0F);
        let compressed = first & 0x40 != 0;
        if first & 0x30 != 0 || compressed && self.compression == Compression::Off {
            return Err(Violation::Protocol("reserved bits"));
        }
        match opcode {
            // RFC 7692 section 6: the first frame of a message says whether it is compressed, and no other.
            0x0 | 0x8..=0xA if compressed => Err(Violation::Protocol("reserved bits")),
            0x0 if self.open.is_none() => Err(Violation::Protocol("nothing to continue")),
            0x1 | 0x2 if self.open.is_some() => {
                Err(Violation::Protocol("a message within a message"))
            }
            0x8..=0xA if !last => Err(Violation::Protocol("fragmented control frame")),
            0x0..=0x2 | 0x8..=0xA => Ok(()),
            _ => Err(Violation::Protocol("reserved opcode")),
        }
    }

    /// Begins the frame whose header is complete in `bytes` bytes.
    fn begin(&mut self, bytes: usize) -> Result<Frame, Violation> {
        let header = &self.header[..bytes];
        let mut mask = [0; 4];
        mask.copy_from_slice(&header[bytes - 4..]);
        let length = match &header[2..bytes - 4] {
            [] => u64::from(header[1] & 0x7F),
            long => long.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
        };
        let opcode = header[0] & 0x0F;
        let form = if header[0] & 0x40 == 0 {
            Form::Plain
        } else {
            Form::Deflated
        };
        let kind = match opcode {
            0x1 => Some(Kind::Text),
            0x2 => Some(Kind::Binary),
            _ => None,
        };
        if let Some(kind) = kind {
            self.open = Some(Open { kind, form });
        }
        self.header_len = 0;
        Ok(Frame {
            last: header[0] & 0x80 != 0,
            opcode,
            left: usize::try_from(length).map_err(|_| Violation::TooLarge)?,
            mask,
        })
    }

    /// Takes what is there of the payload; answers the frame with what is left of it.
    fn payload(&mut self, mut frame: Frame, input: &mut &[u8]) -> Result<Frame, Violation> {
        let taken = frame.left.min(input.len());
        let (bytes, rest) = input.split_at(taken);
        *input = rest;
        frame.left -= taken;
        let control = frame.opcode & 0x08 != 0;
        let held = if control {
            &mut self.control
        } else {
            &mut self.message
        };
        let start = held.len();
        held.extend_from_slice(bytes);
        mask::apply(&mut held[start..], frame.mask);
        frame.mask.rotate_left(taken % 4);
        // A message that is complete is checked as a whole at its end.
        let whole = frame.last && frame.left == 0;
        if !control && !whole {
            self.check_text()?;
        }
        Ok(frame)
    }

    /// Checks the characters that have come of a plain text.
    fn check_text(&mut self) -> Result<(), Violation> {
        let plain_text = |open: &Open| open.kind == Kind::Text && open.form == Form::Plain;
        if !self.open.as_ref().is_some_and(plain_text) {
            return Ok(());
        }
        match std::str::from_utf8(&self.message[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Violation::Data),
        }
        Ok(())
    }

    /// Ends a frame; answers what it completes.
    fn end(&mut self, frame: Frame) -> Result<Option<Incoming>, Violation> {
        match frame.opcode {
            0x8 => close(&std::mem::take(&mut self.control)).map(Some),
            0x9 => Ok(Some(Incoming::Ping(
                std::mem::take(&mut self.control).freeze(),
            ))),
            0xA => {
                self.control = BytesMut::new();
                Ok(Some(Incoming::Pong))
            }
            _ if !frame.last => Ok(None),
            _ => {
                let open = self
                    .open
                    .take()
                    .ok_or(Violation::Protocol("nothing to continue"))?;
                self.checked = 0;
                let message = std::mem::take(&mut self.message);
                finish(open, message, self.limit).map(Some)
            }
        }
    }
}

fn finish(open: Open, message: BytesMut, limit: usize) -> Result<Incoming, Violation> {
    let bytes = match open.form {
        Form::Plain => message.freeze(),
        Form::Deflated => deflate::inflate(&message, limit)?,
    };
    match open.kind {
        Kind::Binary => Ok(Incoming::Binary(bytes)),
        Kind::Text => ByteString::try_from(bytes)
            .map(Incoming::Text)
            .map_err(|_| Violation::Data),
    }
}

/// Checks a close frame (RFC 6455 sections 5.5.1 and 7.4).
fn close(payload: &[u8]) -> Result<Incoming, Violation> {
    match payload {
        [] => Ok(Incoming::Close(None)),
        [_] => Err(Violation::Protocol("half a close code")),
        [a, b, reason @ ..] => {
            let code = u16::from_be_bytes([*a, *b]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(Violation::Protocol("close code that is never sent"));
            }
            std::str::from_utf8(reason)
                .map(|_| Incoming::Close(Some(code)))
                .map_err(|_| Violation::Data)
        }
    }
}
