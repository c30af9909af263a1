//! Deadlines and sizes that take real time or many rooms to meet.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

use futures_util::StreamExt;

use crate::support::Server;

/// Two silent heartbeat periods of 25 s, and what a busy machine adds.
const SILENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_silent_client_is_pinged_and_closed_4503_after_two_periods() {
    let server = Server::start();
    let ana = server.session("ana").await;
    assert_eq!(ana.welcome["heartbeat_ms"], 25_000);
    let tokio_tungstenite::MaybeTlsStream::Plain(mut raw) = ana.socket.into_inner() else {
        panic!("loopback is plain");
    };
    // Raw, because the client library would answer the pings.
    let mut bytes = Vec::new();
    tokio::time::timeout(SILENCE, raw.read_to_end(&mut bytes))
        .await
        .expect("closed in time")
        .unwrap();
    assert!(
        bytes.starts_with(&[0x89, 0]),
        "a ping came first: {bytes:?}"
    );
    let close = bytes
        .windows(4)
        .find(|frame| frame[0] == 0x88)
        .expect("a close frame");
    assert_eq!(u16::from_be_bytes([close[2], close[3]]), 4503);
}

#[tokio::test]
async fn any_frame_counts_as_life() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    // The client library answers pings while it is read, and nothing else is sent.
    let ended = tokio::time::timeout(SILENCE, async {
        while let Some(Ok(frame)) = ana.socket.next().await {
            if let Message::Close(frame) = frame {
                return frame;
            }
        }
        None
    })
    .await;
    assert!(ended.is_err(), "the connection stays: {ended:?}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_408() {
    let server = Server::start();
    let mut socket = TcpStream::connect(server.addr).await.unwrap();
    socket
        .write_all(
            b"POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{\"user_id\"",
        )
        .await
        .unwrap();
    let mut head = [0; 12];
    tokio::time::timeout(Duration::from_secs(20), socket.read_exact(&mut head))
        .await
        .expect("in time")
        .unwrap();
    assert_eq!(&head, b"HTTP/1.1 408");
}

#[tokio::test]
async fn welcome_has_a_thousand_rooms_and_the_list_the_rest() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    for _ in 0..1_003 {
        ana.ok("room.create", json!({ "kind": "group" })).await;
    }
    let token = server.login("ana").await;
    let mut again = server.hello(&token, json!({})).await;
    assert_eq!(again.welcome["rooms"].as_array().unwrap().len(), 1_000);
    let rest = again
        .ok("room.list", json!({ "after": again.welcome["next"] }))
        .await;
    assert_eq!(rest["rooms"].as_array().unwrap().len(), 3);
    assert!(rest.get("next").is_none());
}
