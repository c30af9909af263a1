//! What a client of a node does: sessions, rooms, questions with answers, a look at its metrics.
//!
//! Users need no account: their tokens are those of an outside issuer ([`KEY`]).
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a bench, and each binary uses a part"
)]

use std::net::SocketAddr;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

use crate::wire::Wire;

/// The issuer's key.
pub(crate) const KEY: &[u8] = b"a shared secret of a bench, 64 bytes long so that nobody complains";
/// 2100-01-01, in seconds: no session of a bench ends by its token.
const EXPIRES: u64 = 4_102_444_800;
/// Users that one frame may name.
const USERS_PER_FRAME: usize = 100;

/// Makes a token of `user`.
pub(crate) fn token(user: &str) -> String {
    let claims = json!({ "sub": user, "exp": EXPIRES });
    let key = EncodingKey::from_secret(KEY);
    encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
}

/// Connects a session of `user`, to whom everything is delivered.
pub(crate) async fn session(addr: SocketAddr, user: &str) -> Wire {
    let mut wire = Wire::connect(addr).await;
    greet(&mut wire, user).await;
    wire
}

/// Makes a connection a session of `user`, to whom everything is delivered.
pub(crate) async fn greet(wire: &mut Wire, user: &str) {
    let welcome = ask(wire, "hello", json!({ "token": token(user) })).await;
    assert_eq!(welcome["user_id"], user, "{welcome}");
}

/// Makes a group of `users`, the first its owner; answers its id.
pub(crate) async fn room(addr: SocketAddr, users: &[String]) -> String {
    let (owner, others) = users.split_first().expect("a room has an owner");
    let mut wire = session(addr, owner).await;
    let mut chunks = others.chunks(USERS_PER_FRAME);
    let members = chunks.next().unwrap_or_default();
    let group = json!({ "kind": "group", "members": members });
    let made = ask(&mut wire, "room.create", group).await;
    let room = made["room"]["room_id"].as_str().unwrap().to_owned();
    for some in chunks {
        let invited = json!({ "room_id": room, "user_ids": some });
        ask(&mut wire, "room.invite", invited).await;
    }
    room
}

/// Writes a client frame, its fields in the order in which clients write them.
pub(crate) fn frame(kind: &str, msg_id: &str, payload: &Value) -> String {
    format!(r#"{{"type":"{kind}","msg_id":"{msg_id}","payload":{payload}}}"#)
}

/// Sends a frame and waits for its reply, which must not be a refusal; answers the payload.
pub(crate) async fn ask(wire: &mut Wire, kind: &str, payload: Value) -> Value {
    let msg_id = Uuid::now_v7().to_string();
    wire.text(&frame(kind, &msg_id, &payload)).await;
    reply(wire, &msg_id).await
}

/// Waits for the reply to `msg_id`, which must not be a refusal; answers the payload.
pub(crate) async fn reply(wire: &mut Wire, msg_id: &str) -> Value {
    loop {
        let text = wire.next_text().await;
        // One's own event carries the same id, and is not worth parsing.
        if text.starts_with(r#"{"type":"message""#) {
            continue;
        }
        let mut frame: Value = serde_json::from_str(&text).unwrap();
        if frame["msg_id"] == msg_id {
            assert_ne!(frame["type"], "error", "{frame}");
            return frame["payload"].take();
        }
    }
}

/// Reads one figure of a node's metrics by its whole name, labels included.
pub(crate) async fn metric(addr: SocketAddr, name: &str) -> f64 {
    let found = metric_or_none(addr, name).await;
    found.unwrap_or_else(|| panic!("no metric {name}"))
}

/// The same for one that is there only once something was counted.
pub(crate) async fn metric_or_none(addr: SocketAddr, name: &str) -> Option<f64> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(found.trim().parse().unwrap())
}
