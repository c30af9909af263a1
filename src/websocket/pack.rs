//! Packing server frames: unmasked, final (RFC 6455 section 5.2), compressed where that was agreed on and helps (RFC 7692).

use std::cell::RefCell;

use parlor_actors::ports::{Coding, Packed, Wire};
use parlor_schema::CloseCode;

use super::deflate;

const FINAL: u8 = 0x80;
/// Marks a compressed message (RFC 7692 section 6).
const COMPRESSED: u8 = 0x40;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
/// Payload of a control frame (RFC 6455 section 5.5).
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// Packs frames for WebSocket connections.
#[derive(Debug, Clone, Copy, Default)]
pub struct WebSocketWire;

/// Bytes a thread keeps room for, to put frames together.
const KEPT_BYTES: usize = 64 * 1024;

thread_local! {
    static FRAME: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Packs a frame whose payload is `parts`, one after the other.
fn pack(opcode: u8, parts: &[&[u8]]) -> Packed {
    FRAME.with_borrow_mut(|out| {
        // What a task that fell had begun.
        out.clear();
        out.push(FINAL | opcode);
        match parts.iter().map(|part| part.len()).sum() {
            length @ 0..=CONTROL_BYTES_MAX => {
                out.push(u8::try_from(length).expect("checked by the arm"));
            }
            length @ 126..=0xFFFF => {
                out.push(126);
                let length = u16::try_from(length).expect("checked by the arm");
                out.extend_from_slice(&length.to_be_bytes());
            }
            length => {
                out.push(127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        for part in parts {
            out.extend_from_slice(part);
        }
        let packed = Packed::from(&out[..]);
        if out.capacity() > KEPT_BYTES {
            *out = Vec::new();
        }
        packed
    })
}

/// Packs the answer to a ping.
pub(super) fn pong(payload: &[u8]) -> Packed {
    pack(PONG, &[payload])
}

/// Finds the payload of a frame that [`pack`] made.
fn payload(frame: &[u8]) -> &[u8] {
    let header = match frame.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    };
    frame.get(header..).unwrap_or_default()
}

impl Wire for WebSocketWire {
    fn text(&self, text: &str) -> Packed {
        pack(TEXT, &[text.as_bytes()])
    }

    fn coded(&self, text: &str, coding: Coding) -> Packed {
        match deflate::compress(text.as_bytes(), coding) {
            Some(compressed) => pack(COMPRESSED | TEXT, &[&compressed]),
            None => self.text(text),
        }
    }

    fn recoded(&self, plain: &Packed, coding: Coding) -> Packed {
        match deflate::compress(payload(plain), coding) {
            Some(compressed) => pack(COMPRESSED | TEXT, &[&compressed]),
            None => plain.clone(),
        }
    }

    fn with(&self, plain: &Packed, at: usize, more: &str, coding: Coding) -> Packed {
        let (before, after) = payload(plain).split_at(at);
        let packed = pack(TEXT, &[before, more.as_bytes(), after]);
        self.recoded(&packed, coding)
    }

    fn ping(&self) -> Packed {
        pack(PING, &[])
    }

    fn close(&self, code: CloseCode, reason: &str) -> Packed {
        let mut payload = code.number().to_be_bytes().to_vec();
        let mut end = reason.len().min(CONTROL_BYTES_MAX - 2);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        payload.extend_from_slice(&reason.as_bytes()[..end]);
        pack(CLOSE, &[&payload])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_frames_are_marked_and_inflate() {
        let text = "the same again and again, ".repeat(40);
        let plain = WebSocketWire.text(&text);
        assert_eq!(WebSocketWire.coded(&text, Coding::Plain), plain);
        for coding in [Coding::Deflate, Coding::DeflateSmall] {
            let coded = WebSocketWire.coded(&text, coding);
            assert_eq!(coded[0], 0xC1);
            assert!(coded.len() < plain.len() / 4);
            assert_eq!(WebSocketWire.recoded(&plain, coding), coded);
            let inflated = deflate::inflate(payload(&coded), text.len());
            assert_eq!(inflated, Ok(text.clone().into()));
            let longer = WebSocketWire.with(&plain, 14, ", and longer", coding);
            let whole = text.replacen("again", "again, and longer", 1);
            assert_eq!(longer, WebSocketWire.coded(&whole, coding));
        }
        assert_eq!(WebSocketWire.coded("short", Coding::Deflate)[0], 0x81);
    }

    #[test]
    fn lengths_take_the_shortest_form() {
        let wire = WebSocketWire;
        assert_eq!(wire.text(&"x".repeat(125))[..2], [0x81, 125]);
        assert_eq!(wire.text(&"x".repeat(126))[..4], [0x81, 126, 0, 126]);
        assert_eq!(
            wire.text(&"x".repeat(65_536))[..10],
            [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]
        );
        assert_eq!(
            wire.close(CloseCode::TooSlow, "too slow")[..4],
            [0x88, 10, 0x11, 0x95]
        );
    }
}
