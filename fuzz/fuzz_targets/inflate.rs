//! Inflate: a compressed message never takes more than the limit, and leaves nothing behind that changes the next.
//!
//! Input: one byte chooses the limit, one the kind of message, one where it is cut into fragments; the rest is what is to be inflated. Where
//! the second byte says so, the same bytes, again and again, are a text to compress and inflate.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use parlor::websocket::{Compression, Incoming, Violation, WebSocketWire};
use parlor_actors::ports::{Coding, Wire};
use parlor_fuzz::{Decoded, Midway, Setup, client_frame, decode};

/// Limits, those around the steps by which an inflated message grows among them.
const LIMITS: [usize; 8] = [0, 1, 100, 4_095, 4_096, 4_097, 8_192, 65_536];
/// Bytes of the longest text to compress.
const TEXT_BYTES_MAX: usize = 32 * 1024;
const MASK: [u8; 4] = [0x5a, 0, 0xff, 1];
/// `Hello`, as RFC 7692 section 7.2.3.1 compresses it.
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(([choice, kind, at], packed)) = input.split_first_chunk::<3>() else {
        return Corpus::Reject;
    };
    let limit = LIMITS[usize::from(*choice) % LIMITS.len()];
    let opcode = 1 + (kind & 1);
    let (head, tail) = packed.split_at(packed.len().min(usize::from(*at)));
    let whole = inflate(limit, &client_frame(0xC0 | opcode, MASK, packed));
    if head.len() <= limit {
        let fragments = [
            client_frame(0x40 | opcode, MASK, head),
            client_frame(0x80, MASK, tail),
        ];
        assert_eq!(inflate(limit, &fragments.concat()), whole, "in fragments");
    }
    match &whole.end {
        Ok(Midway::No) => assert_eq!(whole.incoming.len(), 1),
        Ok(Midway::Yes) => panic!("the message is complete"),
        Err(Violation::Data | Violation::TooLarge) => {}
        Err(Violation::Protocol(why)) => panic!("the frame is as it should be: {why}"),
    }
    let hello = inflate(100, &client_frame(0xC1, MASK, &HELLO));
    assert_eq!(hello.incoming, [Incoming::Text("Hello".into())]);
    // Not each time: it takes ten times as long as all before.
    if kind & 2 != 0
        && let Ok(text) = std::str::from_utf8(packed)
    {
        let times = (usize::from(*at) + 1).min(TEXT_BYTES_MAX / text.len().max(1));
        there_and_back(&text.repeat(times));
    }
    Corpus::Keep
});

fn inflate(limit: usize, stream: &[u8]) -> Decoded {
    let setup = Setup {
        limit,
        compression: Compression::On,
    };
    decode(setup, [stream]).0
}

/// What the server compresses inflates to the same text, and is smaller (Z-2).
fn there_and_back(text: &str) {
    let plain = WebSocketWire.text(text);
    for coding in Coding::ALL {
        let coded = WebSocketWire.coded(text, coding);
        assert!(coded.len() <= plain.len());
        assert_eq!(WebSocketWire.recoded(&plain, coding), coded);
        let header = match coded[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        let came = inflate(text.len(), &client_frame(coded[0], MASK, &coded[header..]));
        assert_eq!(came.end, Ok(Midway::No));
        assert_eq!(came.incoming, [Incoming::Text(text.into())]);
    }
}
