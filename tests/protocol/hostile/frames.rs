//! Frames that RFC 6455 forbids, that announce too much, or that come in too many pieces.

use serde_json::json;
use uuid::Uuid;

use super::{besieged, eve, eve_with};
use crate::support::raw::{CONTINUE, FINAL, OFFER, PING, PONG, Raw, TEXT, header, pack};

/// What attacks on one connection at a time may take for a while, whatever they announce or send.
const FLAT_BYTES: u64 = 16 << 20;
/// A client that goes on although it was told to stop.
const MORE_BYTES: usize = 4 << 20;

/// Writes what nobody wants until it is too much or the server is gone.
async fn go_on(eve: &mut Raw) {
    let more = vec![0; 64 * 1024];
    for _ in 0..MORE_BYTES / more.len() {
        if !eve.writing.bytes(&more).await {
            return;
        }
    }
}

#[tokio::test]
async fn a_frame_of_a_tebibyte_is_refused_by_its_header() {
    let (server, mut pair) = besieged(&[]).await;
    let memory = server.memory();
    let frame = header(FINAL | TEXT, 1 << 40);
    pair.beside(async || {
        for _ in 0..20 {
            let mut eve = eve(&server).await;
            // The mask is not there yet.
            eve.writing.bytes(&frame[..10]).await;
            assert_eq!(eve.reading.code().await, 4413);
        }
        let mut early = Raw::connect(server.addr, &[]).await;
        early.writing.bytes(&frame).await;
        go_on(&mut early).await;
        assert_eq!(early.reading.code().await, 4413, "before hello too");
    })
    .await;
    memory.grew_at_most(FLAT_BYTES);
}

#[tokio::test]
async fn fragments_without_end_are_closed_at_the_limit() {
    let (server, mut pair) = besieged(&[]).await;
    let memory = server.memory();
    let fragment = pack(CONTINUE, &[b' '; 1_000]);
    pair.beside(async || {
        let mut eve = eve(&server).await;
        eve.writing.bytes(&pack(TEXT, &[b' '; 1_000])).await;
        for _ in 0..64 {
            assert!(eve.writing.bytes(&fragment).await);
        }
        eve.writing.bytes(&pack(FINAL | PING, b"here")).await;
        let pong = eve.reading.frame().await.unwrap();
        assert_eq!(pong.opcode(), PONG, "65,000 bytes are within the limit");
        eve.writing.bytes(&fragment).await;
        go_on(&mut eve).await;
        assert_eq!(eve.reading.code().await, 4413);
    })
    .await;
    memory.grew_at_most(FLAT_BYTES);
}

#[tokio::test]
async fn empty_fragments_cost_nothing_and_end_nothing() {
    let (server, mut pair) = besieged(&[]).await;
    let memory = server.memory();
    let empty = pack(CONTINUE, b"").repeat(10_000);
    pair.beside(async || {
        let mut eve = eve(&server).await;
        eve.writing.bytes(&pack(TEXT, br#"{"type":"#)).await;
        for n in 0..20_u8 {
            assert!(eve.writing.bytes(&empty).await);
            eve.writing.bytes(&pack(FINAL | PING, &[n])).await;
            let pong = eve.reading.frame().await.unwrap();
            assert_eq!((pong.opcode(), &pong.payload[..]), (PONG, &[n][..]));
        }
        let rest = pack(FINAL | CONTINUE, br#""ping"}"#);
        eve.writing.bytes(&rest).await;
        assert_eq!(eve.reading.json().await["type"], "pong");
    })
    .await;
    memory.grew_at_most(FLAT_BYTES);
}

#[tokio::test]
async fn a_message_in_sixty_thousand_fragments_is_taken() {
    let (server, mut pair) = besieged(&[]).await;
    let mut first = eve(&server).await;
    let made = first.ask("room.create", json!({ "kind": "group" })).await;
    let room = &made["payload"]["room"]["room_id"];
    let memory = server.memory();
    let mut seq = 1;
    pair.beside(async || {
        let mut eve = eve(&server).await;
        let msg_id = Uuid::now_v7().to_string();
        let body = json!({ "text": "x".repeat(30_000) });
        let payload = json!({ "room_id": room, "body": body });
        let frame = json!({ "type": "message.send", "msg_id": msg_id, "payload": payload });
        let text = format!("{frame:60000}", frame = frame.to_string());
        let (head, tail) = text.as_bytes().split_at(1);
        let mut bytes = pack(TEXT, head);
        for byte in tail {
            bytes.extend(pack(CONTINUE, &[*byte]));
        }
        bytes.extend(pack(FINAL | CONTINUE, b""));
        assert!(eve.writing.bytes(&bytes).await);
        let ack = eve.reply_to(&msg_id).await;
        seq += 1;
        assert_eq!(
            (&ack["type"], &ack["payload"]["seq"]),
            (&json!("ack"), &json!(seq))
        );
    })
    .await;
    memory.grew_at_most(FLAT_BYTES);
}

#[tokio::test]
async fn violations_close_1002_whether_compression_was_agreed_on_or_not() {
    let (server, mut pair) = besieged(&[]).await;
    let unmasked = [&[FINAL | TEXT, 15], &br#"{"type":"ping"}"#[..]].concat();
    let open = pack(TEXT, b"{");
    let both = [
        ("unmasked", unmasked),
        ("RSV2", pack(FINAL | 0x20 | TEXT, b"{}")),
        ("RSV3", pack(FINAL | 0x10 | TEXT, b"{}")),
        ("RSV1 on a ping", pack(FINAL | 0x40 | PING, b"")),
        (
            "RSV1 on a fragment",
            [open.clone(), pack(FINAL | 0x40, b"}")].concat(),
        ),
        ("reserved data opcode", pack(FINAL | 0x3, b"")),
        ("reserved control opcode", pack(FINAL | 0xB, b"")),
        ("nothing to continue", pack(FINAL | CONTINUE, b"")),
        (
            "a message in a message",
            [open, pack(FINAL | TEXT, b"}")].concat(),
        ),
        ("fragmented ping", pack(PING, b"")),
        ("long ping", pack(FINAL | PING, &[0; 126])),
        ("length above 2^63", header(FINAL | TEXT, 1 << 63)),
    ];
    let plain = [("RSV1 not agreed on", pack(FINAL | 0x40 | TEXT, b"{}"))];
    let memory = server.memory();
    pair.beside(async || {
        for (headers, cases) in [(&[][..], &both[..]), (&[], &plain), (&[OFFER], &both)] {
            for (what, bytes) in cases {
                let mut eve = eve_with(&server, headers).await;
                eve.writing.bytes(bytes).await;
                assert_eq!(eve.reading.code().await, 1002, "{what}, {headers:?}");
            }
        }
    })
    .await;
    memory.grew_at_most(FLAT_BYTES);
}

#[tokio::test]
async fn text_that_is_not_utf_8_closes_1007_in_whichever_fragment() {
    let (server, mut pair) = besieged(&[]).await;
    let cases: [(&str, &[&[u8]]); 6] = [
        ("a character cut by its successor", &[b"\"\xe2\x82", b"(\""]),
        ("a character cut by the end", &[b"\"\xf0\x9f", b"\x98"]),
        ("half of a surrogate pair", &[b"\"\xed", b"\xa0\x80\""]),
        ("more bytes than needed", &[b"\"\xe0", b"\x80\xaf\""]),
        ("above the last code point", &[b"\"\xf4", b"\x90\x80\x80\""]),
        ("a byte that begins nothing", &[b"\"", b"\xff"]),
    ];
    let memory = server.memory();
    pair.beside(async || {
        for (what, parts) in cases {
            let mut eve = eve(&server).await;
            eve.writing.bytes(&pack(TEXT, parts[0])).await;
            eve.writing.bytes(&pack(FINAL | PING, b"")).await;
            let pong = eve.reading.frame().await.unwrap();
            assert_eq!(pong.opcode(), PONG, "{what}: not wrong yet");
            // Only the end of the message tells of a character that the end cuts.
            let last = if what.ends_with("the end") { FINAL } else { 0 };
            eve.writing.bytes(&pack(last | CONTINUE, parts[1])).await;
            assert_eq!(eve.reading.code().await, 1007, "{what}");
        }
        let mut good = eve(&server).await;
        good.writing
            .bytes(&pack(TEXT, b"{\"type\":\"ping\",\"x\":\"\xf0\x9f"))
            .await;
        good.writing
            .bytes(&pack(FINAL | CONTINUE, b"\x98\x80\"}"))
            .await;
        assert_eq!(good.reading.json().await["type"], "pong");
    })
    .await;
    memory.grew_at_most(FLAT_BYTES);
}
