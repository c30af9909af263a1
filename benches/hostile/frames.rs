//! Attacks by frames that RFC 6455 forbids, that announce or inflate to too much, or that come in too many pieces.

use std::{cell::Cell, io::Write, rc::Rc};

use flate2::{Compression, write::DeflateEncoder};
use futures_util::future::join_all;

use crate::{
    eve::{Eve, Site},
    wire::{CLOSE, CONTINUE, FINAL, PING, PONG, TEXT, frame, header, pack},
};

/// Connections at a time.
pub(crate) const CONNECTIONS: usize = 16;
/// What a client sends on although it was told to stop.
const MORE_BYTES: usize = 256 << 10;
/// Bytes of a fragment, of which endless ones come.
const FRAGMENT_BYTES: usize = 1_000;
/// Bytes of a message that comes in fragments of one byte, and empty ones beside it.
const TINY: usize = 60_000;
const EMPTY: usize = 10_000;
/// Pings written at a time.
const PINGS: u32 = 1_000;
/// The bit of a compressed message.
const COMPRESSED: u8 = 0x40;
/// The end of a flushed block.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// What a bomb inflates to.
const BOMB_MIB: usize = 50;

/// Has [`CONNECTIONS`] do the same over and over until the attack is over, and counts how often.
pub(crate) async fn over_and_over(site: &Rc<Site>, one: impl AsyncFn() -> u64) {
    site.stage.begin();
    join_all((0..CONNECTIONS).map(async |_| {
        while !site.stage.is_over() {
            site.stage.did(one().await);
        }
    }))
    .await;
}

/// Leaves the server alone, and takes what other threads leave of the cores.
pub(crate) fn nothing(site: &Rc<Site>) {
    site.stage.begin();
    while !site.stage.is_over() {
        std::hint::spin_loop();
        site.stage.did(1);
    }
}

/// Has each of many connections say the same and be closed with `code`.
async fn closed(site: &Rc<Site>, bytes: &[u8], code: u16) {
    over_and_over(site, async || {
        let mut eve = Eve::meet(site).await;
        assert_eq!(eve.code_for(bytes).await, code);
        1
    })
    .await;
}

pub(crate) async fn tebibyte(site: &Rc<Site>) {
    let mut bytes = header(FINAL | TEXT, 1 << 40);
    bytes.resize(MORE_BYTES, 0);
    closed(site, &bytes, 4413).await;
}

pub(crate) async fn endless(site: &Rc<Site>) {
    let fragment = frame(CONTINUE, &[b' '; FRAGMENT_BYTES]);
    let first = frame(TEXT, &[b' '; FRAGMENT_BYTES]);
    let bytes = [first, fragment.repeat(MORE_BYTES / FRAGMENT_BYTES)].concat();
    closed(site, &bytes, 4413).await;
}

/// Whole messages in fragments of one byte, and in empty ones; each is answered.
pub(crate) async fn tiny(site: &Rc<Site>) {
    let text = format!("{:TINY$}", r#"{"type":"ping"}"#);
    let (head, tail) = text.as_bytes().split_at(1);
    let mut bytes = frame(TEXT, head);
    bytes.extend(tail.iter().flat_map(|byte| frame(CONTINUE, &[*byte])));
    bytes.extend(frame(CONTINUE, b"").repeat(EMPTY));
    bytes.extend(frame(FINAL | CONTINUE, b""));
    site.stage.begin();
    join_all((0..CONNECTIONS).map(async |_| {
        let mut eve = Eve::meet(site).await;
        while !site.stage.is_over() {
            assert!(eve.write(&bytes).await);
            let pong = eve.hear().await.expect("the server stays");
            assert!(pong.payload.starts_with(br#"{"type":"pong""#));
            site.stage.did((TINY + EMPTY) as u64);
        }
    }))
    .await;
}

/// Pings as fast as they are answered, in order.
pub(crate) async fn pings(site: &Rc<Site>) {
    let all = |from: u32| {
        (from..from + PINGS)
            .flat_map(|number| pack(PING, &number.to_be_bytes()))
            .collect::<Vec<_>>()
    };
    site.stage.begin();
    join_all((0..CONNECTIONS).map(async |_| {
        let (mut eve, mut from) = (Eve::meet(site).await, 0);
        while !site.stage.is_over() {
            let mut next = from;
            eve.write_and_hear(&all(from), |pong| {
                assert_eq!(pong.opcode, PONG);
                assert_eq!(pong.payload, next.to_be_bytes());
                next += 1;
                next == from + PINGS
            })
            .await;
            from = next;
            site.stage.did(u64::from(PINGS));
        }
    }))
    .await;
}

/// Pings whose answers nobody reads, until the server ends it.
pub(crate) async fn unread_pings(site: &Rc<Site>) {
    let before = site.closed(4501).await;
    let (large, small) = (pack(PING, &[0; 125]), pack(PING, b""));
    let some = [large.repeat(1_000), small.repeat(1_000)].concat();
    let ended = Cell::new(0);
    over_and_over(site, async || {
        let mut eve = Eve::narrow(site).await;
        while eve.write(&some).await {
            site.stage.did(2_000);
        }
        ended.set(ended.get() + 1);
        0
    })
    .await;
    let closed = site.closed(4501).await - before;
    assert_eq!(closed, ended.get(), "each is closed 4501");
}

pub(crate) async fn unmasked(site: &Rc<Site>) {
    let text = br#"{"type":"ping"}"#;
    let bytes = [&[FINAL | TEXT, 15], &text[..]].concat();
    closed(site, &bytes, 1002).await;
}

pub(crate) async fn reserved(site: &Rc<Site>) {
    closed(site, &frame(FINAL | 0x20 | TEXT, b"{}"), 1002).await;
}

pub(crate) async fn not_utf_8(site: &Rc<Site>) {
    let parts = [frame(TEXT, b"\"\xe2\x82"), frame(CONTINUE, b"(\"")];
    closed(site, &parts.concat(), 1007).await;
}

pub(crate) async fn bomb(site: &Rc<Site>) {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![b' '; 1 << 20]).unwrap();
    encoder.flush().unwrap();
    let mut message = encoder.get_ref().repeat(BOMB_MIB);
    message.truncate(message.len() - TAIL.len());
    assert!(message.len() <= 65_536);
    let bytes = frame(FINAL | COMPRESSED | TEXT, &message);
    over_and_over(site, async || {
        let mut eve = Eve::deflating(site).await;
        assert_eq!(eve.code_for(&bytes).await, 4413);
        1
    })
    .await;
}

/// JSON of which the server passes over one kind, answering the ping around it, and refuses the other, at last by 4400.
pub(crate) async fn json(site: &Rc<Site>, passed: &str, refused: &str) {
    let passed = pack(TEXT, passed.as_bytes());
    let refused = pack(TEXT, refused.as_bytes());
    // The tenth refusal within a minute ends it.
    let bytes = [passed.repeat(9), refused].concat().repeat(10);
    over_and_over(site, async || {
        let mut eve = Eve::meet(site).await;
        let (mut pongs, mut errors, mut end) = (0, 0, 0);
        eve.write_and_hear(&bytes, |heard| {
            if heard.opcode == CLOSE {
                end = crate::eve::code(&heard);
            } else if heard.payload.starts_with(br#"{"type":"pong""#) {
                pongs += 1;
            } else {
                let text = String::from_utf8_lossy(&heard.payload);
                assert!(text.contains(r#""code":"bad_frame""#), "{text:.300}");
                errors += 1;
            }
            end != 0
        })
        .await;
        assert!(
            (pongs, end) == (90, 4400) && errors >= 9,
            "{pongs} {errors} {end}"
        );
        100
    })
    .await;
}
