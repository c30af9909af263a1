//! Decoding right and wrong frames, whole and in any pieces.
#![allow(clippy::unwrap_used, reason = "tests")]
use parlor_actors::ports::Coding;
use proptest::prelude::*;

use super::*;

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

/// What comes before the end, and the end.
type Decoded = (Vec<Incoming>, Result<(), Violation>);

fn decode(decoder: &mut Decoder, chunks: &[&[u8]]) -> Decoded {
    let mut out = Vec::new();
    for chunk in chunks {
        let mut input = *chunk;
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(incoming)) => out.push(incoming),
                Ok(None) => break,
                Err(violation) => return (out, Err(violation)),
            }
        }
        assert!(input.is_empty(), "all is taken");
    }
    (out, Ok(()))
}

fn all(limit: usize, chunks: &[&[u8]]) -> Result<Vec<Incoming>, Violation> {
    let (out, end) = decode(&mut Decoder::new(limit, Compression::Off), chunks);
    end.map(|()| out)
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
        Incoming::Close(None),
    ];
    assert_eq!(all(65_536, &[&bytes]).unwrap(), expected);
}

#[test]
fn refuses_what_a_header_announces_before_the_payload_comes() {
    let mut huge = vec![0x81, 0x80 | 127];
    huge.extend((1_u64 << 40).to_be_bytes());
    let mut decoder = Decoder::new(65_536, Compression::Off);
    let (out, end) = decode(&mut decoder, &[&huge]);
    assert_eq!((out, end), (Vec::new(), Err(Violation::TooLarge)));
    assert_eq!(decoder.message.capacity(), 0, "D-1");
    let short = all(100, &[&[0x81, 0x80 | 101]]);
    assert_eq!(short, Err(Violation::TooLarge));
}

#[test]
fn holds_no_more_than_came() {
    let mut decoder = Decoder::new(1 << 20, Compression::Off);
    let begun = &frame(0x82, &[7; 60_000])[..100];
    assert_eq!(decode(&mut decoder, &[begun]), (Vec::new(), Ok(())));
    assert!(decoder.is_midway());
    assert!(decoder.message.capacity() < 1024, "D-1");
}

#[test]
fn an_idle_decoder_holds_nothing() {
    let mut decoder = Decoder::new(65_536, Compression::Off);
    let bytes = [
        frame(0x01, &[b'a'; 9_000]),
        frame(0x89, b"p"),
        frame(0x80, b""),
    ]
    .concat();
    assert_eq!(decode(&mut decoder, &[&bytes]).0.len(), 2);
    assert!(!decoder.is_midway());
    assert_eq!(decoder.message.capacity() + decoder.control.capacity(), 0);
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
    assert!(
        protocol(&[0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        "length above 2^63"
    );
    assert!(protocol(&[0x83]), "by the first byte alone");
    assert_eq!(violation(&frame(0x81, &[0xFF])), Violation::Data);
    let split = [frame(0x01, &[0xC3]), frame(0x80, &[0x28])].concat();
    assert_eq!(violation(&split), Violation::Data);
}

#[test]
fn text_is_refused_with_the_first_byte_that_cannot_be() {
    let whole = frame(0x81, &[b'a', b'b', 0xF4, 0x90, 0x80, 0x80, b'c']);
    // Up to 0xF4 it can still become a character.
    assert_eq!(all(65_536, &[&whole[..9]]), Ok(Vec::new()));
    assert_eq!(all(65_536, &[&whole[..10]]), Err(Violation::Data));
    let unfinished = frame(0x81, &[b'a', 0xE2, 0x82]);
    assert_eq!(all(65_536, &[&unfinished]), Err(Violation::Data));
}

fn deflated(text: &str) -> Vec<u8> {
    deflate::compress(text.as_bytes(), Coding::Deflate).unwrap()
}

#[test]
fn compressed_messages_inflate_where_they_were_agreed_on() {
    let text = "again and again ".repeat(100);
    let packed = deflated(&text);
    let (one, two) = packed.split_at(packed.len() / 2);
    let bytes = [
        frame(0x41, one),
        frame(0x89, b"p"),
        frame(0x80, two),
        frame(0x81, b"plain"),
    ]
    .concat();
    let mut decoder = Decoder::new(2_000, Compression::On);
    let (out, end) = decode(&mut decoder, &[&bytes]);
    assert_eq!(end, Ok(()));
    assert_eq!(out[1], Incoming::Text(text.into()));
    assert_eq!(out[2], Incoming::Text("plain".into()));
    assert!(matches!(violation(&bytes), Violation::Protocol(_)));
    let mut decoder = Decoder::new(1_000, Compression::On);
    assert_eq!(
        decode(&mut decoder, &[&bytes]).1,
        Err(Violation::TooLarge),
        "D-4"
    );
    for wrong in [
        [frame(0x01, b"a"), frame(0xC0, b"b")].concat(),
        frame(0xC9, b"p"),
        frame(0xA1, b"a"),
    ] {
        let mut decoder = Decoder::new(1_000, Compression::On);
        let end = decode(&mut decoder, &[&wrong]).1;
        assert!(matches!(end, Err(Violation::Protocol(_))));
    }
}

/// A client's frame, right or wrong.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => ".{0,200}".prop_map(|text| frame(0x81, text.as_bytes())),
        2 => (".{0,80}", 0_usize..80).prop_map(|(text, cut)| {
            let cut = cut.min(text.len());
            [frame(0x01, &text.as_bytes()[..cut]), frame(0x89, b"p"), frame(0x80, &text.as_bytes()[cut..])].concat()
        }),
        2 => "[a-c]{512,900}".prop_map(|text| frame(0xC1, &deflated(&text))),
        1 => prop::collection::vec(any::<u8>(), 0..30).prop_map(|bytes| frame(0x82, &bytes)),
        1 => prop::collection::vec(any::<u8>(), 0..30),
    ]
}

/// Cuts bytes at some places.
fn split<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut chunks = Vec::new();
    let mut from = 0;
    for cut in cuts {
        chunks.push(&bytes[from..cut]);
        from = cut;
    }
    chunks.push(&bytes[from..]);
    chunks
}

proptest! {
    #[test]
    fn any_split_decodes_to_the_same(frames in prop::collection::vec(any_frame(), 1..6), cuts in prop::collection::vec(any::<usize>(), 0..12)) {
        let bytes = frames.concat();
        let whole = decode(&mut Decoder::new(65_536, Compression::On), &[&bytes]);
        let split = decode(&mut Decoder::new(65_536, Compression::On), &split(&bytes, &cuts));
        prop_assert_eq!(split, whole);
    }

    #[test]
    fn byte_by_byte_decodes_to_the_same(frames in prop::collection::vec(any_frame(), 1..4)) {
        let bytes = frames.concat();
        let whole = decode(&mut Decoder::new(65_536, Compression::On), &[&bytes]);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(decode(&mut Decoder::new(65_536, Compression::On), &single), whole);
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&mut Decoder::new(1_000, Compression::On), &[&bytes]);
    }
}
