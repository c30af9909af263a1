//! Compression: what it agrees to, what it makes of large and small messages, and what a bomb or a broken stream gets.

use serde_json::{Value, json};

use super::{besieged, eve, eve_with};
use crate::support::{
    Server,
    raw::{COMPRESSED, CONTINUE, FINAL, OFFER, Raw, TEXT, deflate, pack},
};

const FLAT_BYTES: u64 = 16 << 20;
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Makes a message of at most 65,536 bytes that inflates to `mebibytes`, each compressed on its own.
fn bomb(mebibytes: usize) -> Vec<u8> {
    let one = [&deflate(&vec![b' '; 1 << 20])[..], &TAIL].concat();
    let mut all = one.repeat(mebibytes);
    all.truncate(all.len() - TAIL.len());
    assert!(all.len() <= 65_536, "{} bytes", all.len());
    all
}

#[tokio::test]
async fn a_bomb_closes_4413_and_takes_no_memory() {
    let (server, mut pair) = besieged(&[]).await;
    let whole = pack(FINAL | COMPRESSED | TEXT, &bomb(50));
    let bytes = bomb(50);
    let (head, tail) = bytes.split_at(100);
    let parts = [pack(COMPRESSED | TEXT, head), pack(FINAL | CONTINUE, tail)].concat();
    let memory = server.memory();
    pair.beside(async || {
        for bytes in [&whole, &parts].repeat(10) {
            let mut eve = eve_with(&server, &[OFFER]).await;
            eve.writing.bytes(bytes).await;
            assert_eq!(eve.reading.code().await, 4413);
        }
    })
    .await;
    memory.grew_at_most(FLAT_BYTES);
}

#[tokio::test]
async fn a_stream_that_does_not_inflate_closes_1007() {
    let (server, mut pair) = besieged(&[]).await;
    let good = deflate(br#"{"type":"ping"}"#);
    let cases = [
        ("a block of no known type", vec![0xff; 20]),
        (
            "a distance before the beginning",
            vec![0x4a, 0x04, 0x7a, 0x00],
        ),
        (
            "half a stored block",
            vec![0x00, 0xff, 0x00, 0x00, 0xff, b'a'],
        ),
        ("cut in the middle", good[..good.len() / 2].to_vec()),
        ("text that is not UTF-8", deflate(b"\"\xff\"")),
    ];
    let memory = server.memory();
    pair.beside(async || {
        for (what, bytes) in &cases {
            let mut eve = eve_with(&server, &[OFFER]).await;
            let frame = pack(FINAL | COMPRESSED | TEXT, bytes);
            eve.writing.bytes(&frame).await;
            assert_eq!(eve.reading.code().await, 1007, "{what}");
        }
        // One that broke the shared inflater would break the next.
        let mut eve = eve_with(&server, &[OFFER]).await;
        eve.writing
            .bytes(&pack(FINAL | COMPRESSED | TEXT, &good))
            .await;
        assert_eq!(eve.reading.json().await["type"], "pong");
    })
    .await;
    memory.grew_at_most(FLAT_BYTES);
}

fn send(room: &Value, msg_id: &str, text: &str) -> String {
    let payload = json!({ "room_id": room, "body": { "text": text } });
    json!({ "type": "message.send", "msg_id": msg_id, "payload": payload }).to_string()
}

const FIRST: &str = "0191f0c2-0000-7000-8000-000000000001";
const SECOND: &str = "0191f0c2-0000-7000-8000-000000000002";

#[tokio::test]
async fn large_messages_are_compressed_both_ways_and_small_ones_are_not() {
    let (server, _pair) = besieged(&[]).await;
    let mut ana = eve_with(&server, &[OFFER]).await;
    assert_eq!(ana.answer.header("sec-websocket-extensions"), AGREED);
    let mut plain = eve(&server).await;
    let made = ana.ask("room.create", json!({ "kind": "group" })).await;
    let room = &made["payload"]["room"]["room_id"];
    let text = "the same again and again, ".repeat(200);
    let packed = deflate(send(room, FIRST, &text).as_bytes());
    let parts = [
        pack(COMPRESSED | TEXT, &packed[..20]),
        pack(FINAL | CONTINUE, &packed[20..]),
    ]
    .concat();
    ana.writing.bytes(&parts).await;
    ana.writing.text(&send(room, SECOND, "short")).await;
    let (mut seen, mut compressed) = (Vec::new(), Vec::new());
    while seen.len() < 4 {
        let frame = ana.reading.frame().await.expect("the server stays");
        let json = frame.json();
        let seq = json["payload"]["seq"].as_u64().unwrap_or_default();
        if ["ack", "message"].contains(&json["type"].as_str().unwrap()) && seq > 1 {
            let large = json["payload"]["body"]["text"] == text;
            assert_eq!(frame.is_compressed(), large, "{json:.200}");
            if large {
                compressed.push(frame.payload.len());
            }
            seen.push(seq);
        }
    }
    assert_eq!(compressed.len(), 1);
    assert!(compressed[0] < text.len() / 4, "{compressed:?}");
    let is_large = |frame: &Value| frame["payload"]["body"]["text"] == text;
    assert_eq!(plain.reading.wait_for(is_large).await["payload"]["seq"], 2);
    let history = ana.ask("history.get", json!({ "room_id": room })).await;
    assert_eq!(
        history["payload"]["events"][1]["payload"]["body"]["text"],
        text
    );
}

#[tokio::test]
async fn compression_that_is_switched_off_is_not_agreed_to() {
    let server = Server::with(|settings| settings.server.deflate = false);
    let token = server.register("ana").await;
    let mut ana = Raw::connect(server.addr, &[OFFER]).await;
    assert_eq!(ana.answer.header("sec-websocket-extensions"), "");
    ana.hello(&token).await;
    let frame = pack(FINAL | COMPRESSED | TEXT, &deflate(b"{}"));
    ana.writing.bytes(&frame).await;
    assert_eq!(ana.reading.code().await, 1002);
}
