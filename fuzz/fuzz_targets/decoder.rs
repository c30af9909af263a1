//! Decoder: however a client's bytes are cut, they decode to the same messages, and are refused with the same byte.
//!
//! Input: one byte chooses limit and compression, four are the lengths of pieces, in turn; the rest is what the client sends.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use parlor::websocket::Compression;
use parlor_fuzz::{Setup, decode};

/// Limits, those beside the steps of the length's encoding among them.
const LIMITS: [usize; 6] = [0, 1, 125, 126, 1_000, 65_536];

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(([choice, lengths @ ..], stream)) = input.split_first_chunk::<5>() else {
        return Corpus::Reject;
    };
    let setup = Setup {
        limit: LIMITS[usize::from(choice >> 1) % LIMITS.len()],
        compression: if choice & 1 == 0 {
            Compression::Off
        } else {
            Compression::On
        },
    };
    let (whole, _) = decode(setup, [stream]);
    let (pieces, _) = decode(setup, cut(stream, *lengths));
    assert_eq!(pieces, whole, "D-2: in pieces");
    let (single, looked_at) = decode(setup, stream.chunks(1));
    assert_eq!(single, whole, "D-2: byte by byte");
    if whole.end.is_err() {
        // D-3, W-1: it is refused with this byte, and not with the one before.
        let (until, _) = decode(setup, [&stream[..looked_at]]);
        assert_eq!(until, whole, "what follows is not looked at");
        let (before, _) = decode(setup, [&stream[..looked_at - 1]]);
        assert!(before.end.is_ok(), "refused with an earlier byte: {before:?}");
    }
    Corpus::Keep
});

/// Cuts a stream into pieces of these lengths, empty ones among them, until it is used up.
fn cut(stream: &[u8], lengths: [u8; 4]) -> Vec<&[u8]> {
    let (mut pieces, mut rest) = (Vec::new(), stream);
    for length in lengths.iter().cycle() {
        // Where no length is more than none, all comes at once.
        if rest.is_empty() || lengths == [0; 4] {
            break;
        }
        let (piece, after) = rest.split_at(rest.len().min(usize::from(*length)));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}
