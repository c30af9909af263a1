//! The upgrade of `/v1/ws`, and what refuses it.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Client, Server, WITHIN};

const UPGRADE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// What a raw request was answered: the status, the head in lower case, and the body of a refusal.
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

async fn request(addr: SocketAddr, headers: &[&str]) -> Answer {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let text = format!(
        "GET /v1/ws HTTP/1.1\r\nHost: {addr}\r\n{}\r\n\r\n",
        headers.join("\r\n")
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let read = async {
        let mut chunk = [0; 4096];
        loop {
            let got = stream.read(&mut chunk).await.unwrap();
            bytes.extend_from_slice(&chunk[..got]);
            let upgraded = bytes.starts_with(b"HTTP/1.1 101") && bytes.ends_with(b"\r\n\r\n");
            if got == 0 || upgraded {
                return;
            }
        }
    };
    tokio::time::timeout(WITHIN, read).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_lowercase(),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    }
}

async fn upgrade(addr: SocketAddr, more: &[&str]) -> Answer {
    request(addr, &[&UPGRADE, more].concat()).await
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.head);
    assert!(
        answer
            .head
            .contains("content-type: application/problem+json"),
        "{}",
        answer.head
    );
    assert_eq!(answer.body["code"], code);
    assert_eq!(answer.body["status"], status);
}

#[tokio::test]
async fn the_upgrade_follows_the_rfc() {
    let server = Server::start();
    let answer = upgrade(server.addr, &[]).await;
    assert_eq!(answer.status, 101);
    assert!(
        answer
            .head
            .contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=")
    );
    assert!(
        !answer.head.contains("sec-websocket-protocol"),
        "none offered, none echoed"
    );
}

#[tokio::test]
async fn without_an_upgrade_it_is_426() {
    let server = Server::start();
    let answer = request(server.addr, &["Connection: close"]).await;
    refused(&answer, 426, "bad_frame");
    assert!(answer.head.contains("upgrade: websocket"));
}

#[tokio::test]
async fn the_subprotocol_is_chosen_or_refused() {
    let server = Server::start();
    for offer in [
        "Sec-WebSocket-Protocol: parlor.v1",
        "Sec-WebSocket-Protocol: chat, parlor.v1",
    ] {
        let answer = upgrade(server.addr, &[offer]).await;
        assert_eq!(answer.status, 101);
        assert!(answer.head.contains("sec-websocket-protocol: parlor.v1"));
    }
    for offer in [
        "Sec-WebSocket-Protocol: chat",
        "Sec-WebSocket-Protocol: parlor.v2, chat",
    ] {
        let answer = upgrade(server.addr, &[offer]).await;
        refused(&answer, 400, "bad_frame");
    }
}

#[tokio::test]
async fn a_foreign_origin_is_refused_before_the_upgrade() {
    let server = Server::with(|settings| {
        settings.server.allowed_origins = vec!["https://chat.example".to_owned()];
    });
    let own = format!("Origin: http://{}", server.addr);
    for allowed in [own.as_str(), "Origin: https://chat.example"] {
        assert_eq!(
            upgrade(server.addr, &[allowed]).await.status,
            101,
            "{allowed}"
        );
    }
    for foreign in [
        "Origin: https://evil.example",
        "Origin: null",
        "Origin: http://chat.example",
        "Origin: https://chat.example.evil.example",
        "Origin: http://127.0.0.1:1",
    ] {
        refused(&upgrade(server.addr, &[foreign]).await, 403, "forbidden");
    }
}

#[tokio::test]
async fn by_default_only_the_own_origin_is_allowed() {
    let server = Server::start();
    let answer = upgrade(server.addr, &["Origin: https://chat.example"]).await;
    refused(&answer, 403, "forbidden");
}

#[tokio::test]
async fn a_bad_token_in_the_header_is_401_without_an_upgrade() {
    let server = Server::start();
    for header in [
        "Authorization: Bearer nonsense",
        "Authorization: Bearer ",
        "Authorization: Basic YTpi",
    ] {
        let answer = upgrade(server.addr, &[header]).await;
        refused(&answer, 401, "unauthorized");
        assert!(answer.head.contains("www-authenticate: bearer"), "{header}");
    }
}

#[tokio::test]
async fn a_token_in_the_url_counts_for_nothing() {
    let server = Server::start();
    let token = server.register("ana").await;
    let url = format!(
        "ws://{}/v1/ws?token={token}&access_token={token}",
        server.addr
    );
    let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let mut client = Client::over(socket);
    assert_eq!(client.code("hello", json!({})).await, "unauthorized");
    assert_eq!(client.closed().await, 4401);
}

#[tokio::test]
async fn the_token_may_stand_in_the_header_in_hello_or_in_both() {
    let server = Server::start();
    let token = server.register("ana").await;
    let bearer = format!("Bearer {token}");
    for payload in [json!({}), json!({ "token": token })] {
        let headers = [("authorization", bearer.as_str())];
        let mut client = Client::connect_with(server.addr, &headers).await.unwrap();
        let reply = client.ask("hello", payload).await;
        assert_eq!(reply["payload"]["user_id"], "ana", "{reply}");
    }
}

#[tokio::test]
async fn two_tokens_of_different_users_close_4401() {
    let server = Server::start();
    let bearer = format!("Bearer {}", server.register("ana").await);
    let other = server.register("ben").await;
    let headers = [("authorization", bearer.as_str())];
    let mut client = Client::connect_with(server.addr, &headers).await.unwrap();
    let code = client.code("hello", json!({ "token": other })).await;
    assert_eq!(code, "unauthorized");
    assert_eq!(client.closed().await, 4401);
}

#[tokio::test]
async fn too_many_connections_of_an_address_are_429_before_the_upgrade() {
    let server = Server::with(|settings| settings.limits.connections_per_ip = 2);
    let one = Client::connect(server.addr).await;
    let _two = Client::connect(server.addr).await;
    let answer = upgrade(server.addr, &[]).await;
    refused(&answer, 429, "rate_limited");
    assert!(answer.head.contains("retry-after: "), "{}", answer.head);
    drop(one);
    let again = async {
        while Client::connect_with(server.addr, &[]).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WITHIN, again)
        .await
        .expect("who leaves makes room");
}
