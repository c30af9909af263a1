//! Packing server frames: unmasked, final (RFC 6455 section 5.2), compressed where that was agreed on and helps (RFC 7692).

use bytes::{BufMut, Bytes, BytesMut};
use parlor_actors::ports::{Coding, Wire};
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

fn pack(opcode: u8, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(payload.len() + 10);
    out.put_u8(FINAL | opcode);
    match payload.len() {
        length @ 0..=CONTROL_BYTES_MAX => {
            out.put_u8(u8::try_from(length).expect("checked by the arm"))
        }
        length @ 126..=0xFFFF => {
            out.put_u8(126);
            out.put_u16(u16::try_from(length).expect("checked by the arm"));
        }
        length => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
    out.put_slice(payload);
    out.freeze()
}

/// Packs the answer to a ping.
pub(super) fn pong(payload: &[u8]) -> Bytes {
    pack(PONG, payload)
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
    fn text(&self, text: &str) -> Bytes {
        pack(TEXT, text.as_bytes())
    }

    fn coded(&self, text: &str, coding: Coding) -> Bytes {
        match deflate::compress(text.as_bytes(), coding) {
            Some(compressed) => pack(COMPRESSED | TEXT, &compressed),
            None => self.text(text),
        }
    }

    fn recoded(&self, plain: &Bytes, coding: Coding) -> Bytes {
        match deflate::compress(payload(plain), coding) {
            Some(compressed) => pack(COMPRESSED | TEXT, &compressed),
            None => plain.clone(),
        }
    }

    fn ping(&self) -> Bytes {
        Bytes::from_static(&[FINAL | PING, 0])
    }

    fn close(&self, code: CloseCode, reason: &str) -> Bytes {
        let mut payload = code.number().to_be_bytes().to_vec();
        let mut end = reason.len().min(CONTROL_BYTES_MAX - 2);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        payload.extend_from_slice(&reason.as_bytes()[..end]);
        pack(CLOSE, &payload)
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
            assert_eq!(inflated, Ok(Bytes::from(text.clone())));
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
