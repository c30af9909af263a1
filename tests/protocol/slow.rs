//! A client that does not read for a while: nothing is lost, repeated or skipped, and nobody else waits for it.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio_tungstenite::{MaybeTlsStream, client_async};
use uuid::Uuid;

use crate::support::{Client, Server};

const MESSAGES: u64 = 20_000;
const SENDERS: u64 = 4;
/// Frames in flight of one sender.
const WINDOW: u64 = 250;

/// Connects with a small receive buffer, so that the server soon cannot write.
async fn narrow(addr: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let stream = MaybeTlsStream::Plain(socket.connect(addr).await.unwrap());
    let (socket, _) = client_async(format!("ws://{addr}/v1/ws"), stream)
        .await
        .unwrap();
    Client::over(socket)
}

async fn talk(mut client: Client, room: String, count: u64) {
    let send = json!({ "room_id": room, "body": { "text": "x".repeat(200) } });
    for _ in 0..count / WINDOW {
        for _ in 0..WINDOW {
            let id = Uuid::now_v7().to_string();
            client.post("message.send", &id, send.clone()).await;
        }
        for _ in 0..WINDOW {
            assert_eq!(client.next().await["type"], "ack");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_every_event_once_in_order_without_gap() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.login("ana").await;
    let reader = server.register("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    drop(ana);
    let mut ben = narrow(server.addr).await;
    let welcome = ben.ask("hello", json!({ "token": reader })).await;
    assert_eq!(welcome["type"], "welcome");
    let mut senders = Vec::new();
    for _ in 0..SENDERS {
        let client = server.hello(&token, json!({ "rooms": "none" })).await;
        senders.push(tokio::spawn(talk(client, room.clone(), MESSAGES / SENDERS)));
    }
    // Not one byte is read meanwhile, and all senders are served.
    for sender in senders {
        sender.await.unwrap();
    }
    let mut next = 2;
    while next <= MESSAGES + 1 {
        let frame: Value = ben.next().await;
        assert_eq!(frame["type"], "message", "{frame}");
        assert_eq!(frame["payload"]["seq"], next);
        next += 1;
    }
    assert_eq!(ben.ask("ping", json!({})).await["type"], "pong");
    assert_eq!(ben.say(&room, "caught up").await["seq"], next);
    assert_eq!(ben.expect("message").await["seq"], next);
}
