//! How connections end: the close codes.

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::support::{Client, Got, Server};

/// Writes bytes below the WebSocket library; a mask of zeros leaves the payload as it is.
async fn write(client: &mut Client, bytes: &[u8]) {
    client.socket.get_mut().write_all(bytes).await.unwrap();
}

async fn code_after(server: &Server, token: &str, bytes: &[u8]) -> u16 {
    let mut client = server.hello(token, json!({})).await;
    write(&mut client, bytes).await;
    client.closed().await
}

#[tokio::test]
async fn the_tenth_bad_frame_closes_4400() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    for n in 1..=9 {
        let text = if n % 2 == 0 { "no frame" } else { "{}" };
        ana.send_text(text).await;
        assert_eq!(ana.expect("error").await["code"], "bad_frame", "{n}");
    }
    assert_eq!(ana.ask("ping", json!({})).await["type"], "pong");
    ana.send_text("no frame").await;
    assert_eq!(ana.expect("error").await["code"], "bad_frame");
    assert_eq!(ana.closed().await, 4400);
}

#[tokio::test]
async fn bad_frames_in_one_write_close_after_the_tenth() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    for _ in 0..30 {
        ana.send_text("no frame").await;
    }
    let mut errors = 0;
    let code = loop {
        match ana.read().await {
            Got::Frame(frame) => {
                assert_eq!(frame["payload"]["code"], "bad_frame");
                errors += 1;
            }
            Got::Closed(code) => break code,
        }
    };
    assert_eq!((errors, code), (10, Some(4400)));
}

#[tokio::test]
async fn a_frame_over_the_limit_closes_4413_by_its_header() {
    let server = Server::start();
    let token = server.register("ana").await;
    let mut header = vec![0x81, 0x80 | 127];
    header.extend(65_537_u64.to_be_bytes());
    assert_eq!(code_after(&server, &token, &header).await, 4413);
    let mut parts = vec![0x01, 0x80 | 126, 0xff, 0xff, 0, 0, 0, 0];
    parts.extend(vec![b' '; 65_535]);
    parts.extend([0x80, 0x82, 0, 0, 0, 0]);
    assert_eq!(
        code_after(&server, &token, &parts).await,
        4413,
        "fragments count together"
    );
    let mut early = Client::connect(server.addr).await;
    write(&mut early, &header).await;
    assert_eq!(early.closed().await, 4413, "before hello too");
}

#[tokio::test]
async fn a_frame_at_the_limit_is_served() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let frame = r#"{"type":"ping"}"#;
    let padded = format!("{frame}{}", " ".repeat(65_536 - frame.len()));
    ana.send_text(&padded).await;
    assert_eq!(ana.next().await["type"], "pong");
}

#[tokio::test]
async fn a_body_over_the_limit_is_too_large_and_the_connection_stays() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    let send = |bytes: usize| {
        let text = "x".repeat(bytes - r#"{"text":""}"#.len());
        json!({ "room_id": room, "body": { "text": text } })
    };
    assert_eq!(ana.ok("message.send", send(32_768)).await["seq"], 2);
    assert_eq!(ana.code("message.send", send(32_769)).await, "too_large");
    assert_eq!(ana.say(&room, "still here").await["seq"], 3);
}

#[tokio::test]
async fn violations_of_the_rfc_close_1002() {
    let server = Server::start();
    let token = server.register("ana").await;
    for (what, bytes) in [
        ("unmasked", &[0x81, 0x01, b'a'][..]),
        ("reserved bit", &[0xc1, 0x81, 0, 0, 0, 0, b'a']),
        ("reserved opcode", &[0x83, 0x81, 0, 0, 0, 0, b'a']),
        ("nothing to continue", &[0x80, 0x81, 0, 0, 0, 0, b'a']),
        ("fragmented ping", &[0x09, 0x80, 0, 0, 0, 0]),
        ("half a close code", &[0x88, 0x81, 0, 0, 0, 0, 3]),
    ] {
        assert_eq!(code_after(&server, &token, bytes).await, 1002, "{what}");
    }
}

#[tokio::test]
async fn text_that_is_not_utf_8_closes_1007() {
    let server = Server::start();
    let token = server.register("ana").await;
    let bytes = [0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28];
    assert_eq!(code_after(&server, &token, &bytes).await, 1007);
}

#[tokio::test]
async fn a_message_in_fragments_is_one_message() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let text = br#"{"type":"ping"}"#;
    let mut bytes = vec![0x01, 0x85, 0, 0, 0, 0];
    bytes.extend(&text[..5]);
    bytes.extend([0x89, 0x80, 0, 0, 0, 0, 0x80, 0x8a, 0, 0, 0, 0]);
    bytes.extend(&text[5..]);
    write(&mut ana, &bytes).await;
    assert_eq!(ana.next().await["type"], "pong");
}

#[tokio::test]
async fn a_client_that_closes_is_answered_1000() {
    let server = Server::start();
    let token = server.register("ana").await;
    let bytes = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
    assert_eq!(code_after(&server, &token, &bytes).await, 1000);
}

#[tokio::test]
async fn too_many_connections_of_a_user_close_4429_after_the_error() {
    let server = Server::with(|settings| settings.limits.connections_per_user = 2);
    let token = server.register("ana").await;
    let _one = server.hello(&token, json!({})).await;
    let two = server.hello(&token, json!({})).await;
    let mut three = Client::connect(server.addr).await;
    let error = three.refused("hello", json!({ "token": token })).await;
    assert_eq!(error["code"], "rate_limited");
    assert!(error["retry_after_ms"].as_u64().unwrap() > 0);
    assert_eq!(three.closed().await, 4429);
    let other = server.register("ben").await;
    server.hello(&other, json!({})).await;
    drop(two);
    let again = async {
        loop {
            let mut client = Client::connect(server.addr).await;
            let reply = client.ask("hello", json!({ "token": token })).await;
            if reply["type"] == "welcome" {
                return;
            }
        }
    };
    tokio::time::timeout(crate::support::WITHIN, again)
        .await
        .expect("who leaves makes room");
}

#[tokio::test]
async fn sends_over_the_rate_are_refused_with_the_time_to_wait() {
    let server = Server::with(|settings| {
        settings.limits.sends_per_s = 1;
        settings.limits.burst = 5;
    });
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    for _ in 0..4 {
        ana.say(&room, "a").await;
    }
    let send = json!({ "room_id": room, "body": { "text": "too much" } });
    let error = ana.refused("message.send", send).await;
    assert_eq!(error["code"], "rate_limited");
    assert!((1..=1_000).contains(&error["retry_after_ms"].as_u64().unwrap()));
}

#[tokio::test]
async fn a_node_that_drains_says_goaway_and_closes_4500() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let began = std::time::Instant::now();
    let stopping = tokio::task::spawn_blocking(move || server.drain());
    let goaway = ana.expect("goaway").await;
    assert!(goaway["reason"].is_string());
    assert!(goaway["reconnect_in_ms"].is_u64());
    assert!(goaway["close_in_ms"].as_u64().unwrap() <= 3_000);
    assert_eq!(ana.closed().await, 4500);
    stopping.await.unwrap();
    assert!(began.elapsed().as_secs() < 10);
}
