//! Compression of messages: permessage-deflate (RFC 7692), each message on its own.
//!
//! Without context takeover neither side keeps a window per connection, and a frame compressed once serves every receiver that agreed on
//! the same window. The working memory is one inflater and at most two compressors per thread, whatever the number of connections.
//!
//! Invariants:
//! - Z-1: inflating stops at the limit; a bomb costs no more than a message of that size.
//! - Z-2: a message that compression does not make smaller, or that is small, goes out as it is.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use parlor_actors::ports::Coding;

use super::decode::Violation;

/// The extension's name.
const NAME: &str = "permessage-deflate";
/// Bytes below which a message is left alone: there is little to win, and compressing one costs more than sending it.
pub(super) const LEAVE_BELOW_BYTES: usize = 512;
/// The end of every flushed block, which the wire leaves out (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
/// An empty last block: what is at the end of a block ends here, and nothing else does.
const LAST: [u8; 5] = [0x01, 0x00, 0x00, 0xFF, 0xFF];
/// Favours speed: a frame's text is short, and most of what can be won is won at once.
const LEVEL: u32 = 3;
/// The window of a client that did not ask for another, and the one used for all that asked for less.
const WINDOW_BITS: u8 = 15;
const WINDOW_BITS_SMALL: u8 = 9;
/// Bytes by which an inflated message grows at a time.
const STEP_BYTES: usize = 4 * 1024;

thread_local! {
    static INFLATER: RefCell<Option<Box<Decompress>>> = const { RefCell::new(None) };
    static COMPRESSORS: RefCell<[Option<Box<Compress>>; 2]> = const { RefCell::new([None, None]) };
}

/// Inflates a message to at most `limit` bytes.
pub(super) fn inflate(message: &[u8], limit: usize) -> Result<Bytes, Violation> {
    INFLATER.with_borrow_mut(|held| {
        let inflater = held.get_or_insert_with(|| Box::new(Decompress::new(false)));
        inflater.reset(false);
        let mut out = BytesMut::new();
        for part in [message, &TAIL, &LAST] {
            if run(inflater, part, &mut out, limit)? == Status::StreamEnd {
                // A client may end its stream (RFC 7692 section 7.2.3.4); what follows is its own tail.
                return Ok(out.freeze());
            }
        }
        // The message ended inside a block.
        Err(Violation::Data)
    })
}

fn run(
    inflater: &mut Decompress,
    mut input: &[u8],
    out: &mut BytesMut,
    limit: usize,
) -> Result<Status, Violation> {
    loop {
        let len = out.len();
        // One byte above the limit tells a message that fits from one that does not.
        let room = STEP_BYTES.max(len).min(limit + 1 - len);
        out.resize(len + room, 0);
        let (before_in, before_out) = (inflater.total_in(), inflater.total_out());
        let status = inflater.decompress(input, &mut out[len..], FlushDecompress::Sync);
        let taken = usize::try_from(inflater.total_in() - before_in).unwrap_or(usize::MAX);
        let made = usize::try_from(inflater.total_out() - before_out).unwrap_or(usize::MAX);
        out.truncate(len + made);
        if out.len() > limit {
            return Err(Violation::TooLarge);
        }
        input = &input[taken..];
        match status.map_err(|_| Violation::Data)? {
            Status::StreamEnd => return Ok(Status::StreamEnd),
            // All is taken, and there was room for more.
            _ if input.is_empty() && made < room => return Ok(Status::Ok),
            _ if taken == 0 && made == 0 => return Err(Violation::Data),
            _ => {}
        }
    }
}

/// Compresses a message for the wire; none when it is better left alone (Z-2).
pub(super) fn compress(message: &[u8], coding: Coding) -> Option<Vec<u8>> {
    let (slot, bits) = match coding {
        Coding::Plain => return None,
        Coding::Deflate => (0, WINDOW_BITS),
        Coding::DeflateSmall => (1, WINDOW_BITS_SMALL),
    };
    if message.len() < LEAVE_BELOW_BYTES {
        return None;
    }
    COMPRESSORS.with_borrow_mut(|held| {
        let compressor = held[slot].get_or_insert_with(|| {
            Box::new(Compress::new_with_window_bits(
                Compression::new(LEVEL),
                false,
                bits,
            ))
        });
        compressor.reset();
        // What does not fit into fewer bytes than the message has is not worth sending.
        let mut out = vec![0; message.len()];
        let status = compressor.compress(message, &mut out, FlushCompress::Sync);
        let made = usize::try_from(compressor.total_out()).ok()?;
        let whole = matches!(status, Ok(Status::Ok))
            && compressor.total_in() == message.len() as u64
            && made < out.len();
        out.truncate(made);
        if !whole || !out.ends_with(&TAIL) {
            return None;
        }
        out.truncate(made - TAIL.len());
        Some(out)
    })
}

/// Chooses among a client's offers; answers how its frames are coded, and the header that says so.
#[must_use]
pub fn negotiate<'a>(offers: impl Iterator<Item = &'a str>) -> Option<(Coding, String)> {
    offers.flat_map(|header| header.split(',')).find_map(accept)
}

/// Reads one offer (RFC 7692 section 7.1); none: not ours, malformed, or nothing we can do.
fn accept(offer: &str) -> Option<(Coding, String)> {
    let mut parts = offer.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let (mut seen, mut coding) = (Vec::new(), Coding::Deflate);
    let mut answer = format!("{NAME}; server_no_context_takeover; client_no_context_takeover");
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.trim().trim_matches('"'))),
            None => (part, None),
        };
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
        match (name, value) {
            ("server_no_context_takeover" | "client_no_context_takeover", None)
            | ("client_max_window_bits", None) => {}
            // The client may use less than it could; whatever it uses is inflated.
            ("client_max_window_bits", Some(bits)) => {
                window(bits)?;
            }
            ("server_max_window_bits", Some(bits)) => match window(bits)? {
                WINDOW_BITS => {}
                // zlib has no raw window of 2^8.
                8 => return None,
                _ => {
                    coding = Coding::DeflateSmall;
                    answer.push_str(&format!("; server_max_window_bits={WINDOW_BITS_SMALL}"));
                }
            },
            _ => return None,
        }
    }
    Some((coding, answer))
}

fn window(bits: &str) -> Option<u8> {
    let plain = !bits.starts_with('0') && bits.bytes().all(|byte| byte.is_ascii_digit());
    let bits = bits.parse().ok().filter(|_| plain)?;
    (8..=WINDOW_BITS).contains(&bits).then_some(bits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn offer(text: &str) -> Option<(Coding, String)> {
        negotiate(std::iter::once(text))
    }

    #[test]
    fn takes_the_first_offer_it_can_meet() {
        let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        let full = Some((Coding::Deflate, answer.to_owned()));
        let small = format!("{answer}; server_max_window_bits=9");
        let small = Some((Coding::DeflateSmall, small));
        assert_eq!(offer("permessage-deflate"), full);
        assert_eq!(
            offer("permessage-deflate; client_max_window_bits"),
            full,
            "browsers"
        );
        assert_eq!(
            offer("permessage-deflate; server_max_window_bits=\"12\""),
            small
        );
        assert_eq!(
            offer("permessage-deflate; server_max_window_bits=8, permessage-deflate"),
            full
        );
        assert_eq!(
            offer("x-webkit-deflate-frame, permessage-deflate;client_no_context_takeover"),
            full
        );
        for bad in [
            "permessage-bzip2",
            "permessage-deflate; what",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=09",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
        ] {
            assert_eq!(offer(bad), None, "{bad}");
        }
    }

    #[test]
    fn small_and_incompressible_messages_are_left_alone() {
        assert_eq!(
            compress(&[b'a'; LEAVE_BELOW_BYTES - 1], Coding::Deflate),
            None
        );
        assert_eq!(compress(&[b'a'; 4096], Coding::Plain), None);
        let noise: Vec<u8> = (0..4096_u32)
            .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
            .collect();
        if let Some(packed) = compress(&noise, Coding::Deflate) {
            assert!(packed.len() < noise.len());
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = compress(&vec![0; 8 << 20], Coding::Deflate).unwrap();
        assert!(
            bomb.len() < 64 * 1024,
            "it fits a frame: {} bytes",
            bomb.len()
        );
        assert_eq!(inflate(&bomb, 65_536), Err(Violation::TooLarge));
        let fits = compress(&[0; 65_536], Coding::Deflate).unwrap();
        assert_eq!(inflate(&fits, 65_536).unwrap().len(), 65_536);
        assert_eq!(inflate(&fits, 65_535), Err(Violation::TooLarge));
    }

    #[test]
    fn the_examples_of_the_rfc_inflate() {
        // RFC 7692 section 7.2.3: one block, shared window aside; no compression; a stream that ends.
        for bytes in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[
                0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
            ],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[
                0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
            ],
        ] {
            assert_eq!(inflate(bytes, 100).unwrap(), &b"Hello"[..], "{bytes:?}");
        }
        assert_eq!(
            inflate(&[0xff, 0xff, 0xff, 0xff], 100),
            Err(Violation::Data)
        );
    }

    proptest! {
        #[test]
        fn what_is_compressed_inflates(text in ".{200,2000}", small in any::<bool>()) {
            let coding = if small { Coding::DeflateSmall } else { Coding::Deflate };
            if let Some(packed) = compress(text.as_bytes(), coding) {
                prop_assert!(packed.len() < text.len());
                prop_assert_eq!(inflate(&packed, text.len()).unwrap(), text.as_bytes());
            }
        }

        #[test]
        fn garbage_never_panics_and_never_passes_the_limit(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(out) = inflate(&bytes, 1_000) {
                prop_assert!(out.len() <= 1_000);
            }
        }
    }
}
