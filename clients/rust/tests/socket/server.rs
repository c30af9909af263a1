//! A server that does what a test tells it, frame by frame.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// The room of every test.
pub(crate) const ROOM: &str = "00000000-0000-7000-8000-000000000001";
/// No step of a test takes this long.
const STEP: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    listener: TcpListener,
}

impl Server {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address())
    }

    pub(crate) async fn accept_tcp(&self) -> TcpStream {
        timeout(STEP, self.listener.accept())
            .await
            .unwrap()
            .unwrap()
            .0
    }

    /// Takes the next connection as far as its `hello`.
    pub(crate) async fn accept(&self) -> (Peer, Value) {
        let stream = self.accept_tcp().await;
        let socket = accept_hdr_async(stream, echo_protocol).await.unwrap();
        let mut peer = Peer { socket };
        let hello = peer.read().await.unwrap();
        assert_eq!(hello["type"], "hello");
        (peer, hello)
    }

    /// Takes the next connection and greets it.
    pub(crate) async fn greet(&self) -> (Peer, Value) {
        let (mut peer, hello) = self.accept().await;
        peer.welcome(&hello).await;
        (peer, hello)
    }
}

#[allow(clippy::result_large_err, reason = "the callback's own type")]
fn echo_protocol(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let protocol = request.headers()["sec-websocket-protocol"].clone();
    assert_eq!(protocol, "parlor.v1");
    assert_eq!(request.uri().path(), "/v1/ws");
    let headers = response.headers_mut();
    headers.insert("sec-websocket-protocol", protocol);
    Ok(response)
}

pub(crate) struct Peer {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

impl Peer {
    /// Reads the next frame; `None` when the client has closed or gone.
    pub(crate) async fn read(&mut self) -> Option<Value> {
        loop {
            match timeout(STEP, self.socket.next()).await.unwrap()? {
                Ok(Message::Text(text)) => return serde_json::from_str(&text).ok(),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub(crate) async fn send(&mut self, kind: &str, msg_id: &Value, payload: Value) {
        let frame = json!({"type": kind, "msg_id": msg_id, "payload": payload});
        self.socket
            .send(Message::text(frame.to_string()))
            .await
            .unwrap();
    }

    pub(crate) async fn welcome(&mut self, hello: &Value) {
        let welcome = json!({
            "session_id": ROOM, "user_id": "ana", "device_id": "d", "node": "n1",
            "server_time": "2026-01-01T00:00:00.000Z", "heartbeat_ms": 25_000,
            "expires_at": "2026-01-01T01:00:00.000Z", "cursor": "c", "rooms": [],
            "limits": {"frame_bytes": 65_536, "body_bytes": 32_768, "history_limit": 200, "sends_per_s": 20, "burst": 40},
        });
        self.send("welcome", &hello["msg_id"], welcome).await;
    }

    pub(crate) async fn event(&mut self, seq: u64, text: &str) {
        self.send("message", &json!(ROOM), event(seq, text)).await;
    }

    pub(crate) async fn ack_sent(&mut self, msg_id: &Value, seq: u64) {
        let ack =
            json!({"room_id": ROOM, "seq": seq, "id": ROOM, "sent_at": "2026-01-01T00:00:00.000Z"});
        self.send("ack", msg_id, ack).await;
    }

    pub(crate) async fn close(mut self, code: u16) {
        let close = CloseFrame {
            code: CloseCode::from(code),
            reason: "".into(),
        };
        self.socket.close(Some(close)).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

pub(crate) fn event(seq: u64, text: &str) -> Value {
    json!({"room_id": ROOM, "seq": seq, "sender": "bo", "sent_at": "2026-01-01T00:00:00.000Z", "body": {"text": text}})
}
