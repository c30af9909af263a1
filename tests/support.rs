//! What socket tests share: a node in this process on a free port with its own folder, and a client that speaks raw frames.
//!
//! Included by path into each test binary. Waits are bounded by [`WITHIN`]; nothing sleeps to synchronise.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "tests, and each binary uses a part"
)]

#[path = "support/raw.rs"]
pub mod raw;

use std::{collections::VecDeque, net::SocketAddr, sync::mpsc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use parlor_config::Settings;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use uuid::Uuid;

/// How long anything may take.
pub const WITHIN: Duration = Duration::from_secs(20);
/// How long silence must last to count as silence.
pub const QUIET: Duration = Duration::from_millis(400);
/// Every test user's password.
pub const PASSWORD: &str = "correct horse";

/// A node in this process.
pub struct Server {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its folder.
    pub folder: tempfile::TempDir,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Starts a node with the settings of a newcomer, and no rate limits.
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// Starts a node whose settings `change` has seen.
    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), change)
    }

    /// Starts a node on a folder that may hold what an earlier one kept in `data`.
    pub fn in_folder(folder: tempfile::TempDir, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        settings.storage.path = folder.path().join("data");
        settings.server.listen = "127.0.0.1:0".parse().unwrap();
        settings.server.workers = std::num::NonZeroUsize::new(2);
        settings.limits.sends_per_s = 0;
        settings.limits.logins_per_minute = 0;
        settings.limits.registers_per_minute = 0;
        settings.node.drain_ms = 3_000;
        change(&mut settings);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, started) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let running = parlor::wiring::start(settings).await.unwrap();
                ready.send(running.address).unwrap();
                match stopped.await {
                    Ok(()) => running.drain().await,
                    Err(_) => running.stop().await,
                }
            });
        });
        let addr = started.recv().expect("the node starts");
        Self {
            addr,
            folder,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Stops the node, and starts another on the same folder.
    pub fn restart(mut self) -> Self {
        self.stop_now();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        Self::in_folder(folder, |_| {})
    }

    /// Has the node leave as `SIGTERM` does; returns when it has.
    pub fn drain(mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).unwrap();
        }
        self.stop_now();
    }

    fn stop_now(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    /// Asks over HTTP; answers the status, the headers and the body, `null` where it is empty.
    pub async fn http(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> HttpAnswer {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = reqwest::Client::new().request(method, self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        HttpAnswer {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }

    /// Asks over HTTP with a token.
    pub async fn call(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> HttpAnswer {
        let bearer = format!("Bearer {token}");
        self.http(method, path, &[("authorization", &bearer)], body)
            .await
    }

    /// Returns the address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Makes an account; answers its access token.
    pub async fn register(&self, user: &str) -> String {
        let answer = self.register_whole(user).await;
        answer["token"].as_str().unwrap().to_owned()
    }

    /// Makes an account; answers everything.
    pub async fn register_whole(&self, user: &str) -> Value {
        let body = json!({ "user_id": user, "password": PASSWORD });
        let response = reqwest::Client::new()
            .post(self.url("/v1/auth/register"))
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 201, "register {user}");
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }

    /// Makes a login of an account; answers its access token.
    pub async fn login(&self, user: &str) -> String {
        let body = json!({ "user_id": user, "password": PASSWORD });
        let answer = self.http("POST", "/v1/auth/login", &[], Some(body)).await;
        assert_eq!(answer.status, 200, "login {user}: {}", answer.text);
        answer.body["token"].as_str().unwrap().to_owned()
    }

    /// Makes an account and a session of it that wants all rooms.
    pub async fn session(&self, user: &str) -> Client {
        let token = self.register(user).await;
        self.hello(&token, json!({})).await
    }

    /// Connects and says `hello` with `extra` fields; the welcome is in [`Client::welcome`].
    pub async fn hello(&self, token: &str, extra: Value) -> Client {
        let mut client = Client::connect(self.addr).await;
        let mut payload = json!({ "token": token });
        payload
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let reply = client.ask("hello", payload).await;
        assert_eq!(reply["type"], "welcome", "{reply}");
        client.welcome = reply["payload"].clone();
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop_now();
    }
}

/// What HTTP answered.
#[derive(Debug)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body as JSON.
    pub body: Value,
    /// The body as it came.
    pub text: String,
}

impl HttpAnswer {
    /// Returns a header, empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that it is a problem document of this status and code; answers the body.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> &Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["code"], code, "{}", self.text);
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["type"], "about:blank");
        assert!(self.body["title"].is_string() && self.body["detail"].is_string());
        &self.body
    }
}

/// A raw WebSocket client.
pub struct Client {
    /// The socket.
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The payload of `welcome`.
    pub welcome: Value,
    backlog: VecDeque<Value>,
}

/// What a socket gave.
#[derive(Debug)]
pub enum Got {
    /// A frame.
    Frame(Value),
    /// The end, with its code where there was one.
    Closed(Option<u16>),
}

impl Client {
    /// Connects without saying anything.
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::connect_with(addr, &[])
            .await
            .expect("the handshake succeeds")
    }

    /// Connects with headers; the error is the HTTP status of a refusal.
    pub async fn connect_with(addr: SocketAddr, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{addr}/v1/ws").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(
                tokio_tungstenite::tungstenite::http::HeaderName::from_bytes(name.as_bytes())
                    .unwrap(),
                value.parse().unwrap(),
            );
        }
        match tokio::time::timeout(WITHIN, connect_async(request))
            .await
            .expect("connects in time")
        {
            Ok((socket, _)) => Ok(Self::over(socket)),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
                Err(response.status().as_u16())
            }
            Err(error) => panic!("connect: {error}"),
        }
    }

    /// Speaks over a socket that is connected.
    pub fn over(socket: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Self {
        Self {
            socket,
            welcome: Value::Null,
            backlog: VecDeque::new(),
        }
    }

    /// Sends text as it is.
    pub async fn send_text(&mut self, text: &str) {
        self.socket
            .send(Message::text(text.to_owned()))
            .await
            .unwrap();
    }

    /// Sends a frame without `msg_id`.
    pub async fn tell(&mut self, kind: &str, payload: Value) {
        self.send_text(&json!({ "type": kind, "payload": payload }).to_string())
            .await;
    }

    /// Sends a frame with this `msg_id`.
    pub async fn post(&mut self, kind: &str, msg_id: &str, payload: Value) {
        self.send_text(&json!({ "type": kind, "msg_id": msg_id, "payload": payload }).to_string())
            .await;
    }

    /// Sends a frame and waits for its reply; what else comes is kept for [`Client::next`].
    pub async fn ask(&mut self, kind: &str, payload: Value) -> Value {
        let msg_id = Uuid::now_v7().to_string();
        self.ask_as(&msg_id, kind, payload).await
    }

    /// The same with a given `msg_id`.
    pub async fn ask_as(&mut self, msg_id: &str, kind: &str, payload: Value) -> Value {
        self.post(kind, msg_id, payload).await;
        self.reply_to(msg_id).await
    }

    /// Waits for the reply to `msg_id`.
    pub async fn reply_to(&mut self, msg_id: &str) -> Value {
        self.wait_for(|frame| {
            frame["msg_id"] == msg_id
                && matches!(
                    frame["type"].as_str(),
                    Some("ack" | "error" | "welcome" | "pong")
                )
        })
        .await
    }

    /// Sends a frame that must be acknowledged; answers the payload.
    pub async fn ok(&mut self, kind: &str, payload: Value) -> Value {
        let reply = self.ask(kind, payload).await;
        assert_eq!(reply["type"], "ack", "{kind}: {reply}");
        reply["payload"].clone()
    }

    /// Sends a frame that must be refused; answers the payload of the error.
    pub async fn refused(&mut self, kind: &str, payload: Value) -> Value {
        let reply = self.ask(kind, payload).await;
        assert_eq!(reply["type"], "error", "{kind}: {reply}");
        reply["payload"].clone()
    }

    /// Sends a frame and returns the code of its refusal.
    pub async fn code(&mut self, kind: &str, payload: Value) -> String {
        self.refused(kind, payload).await["code"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Waits for a frame of this type; others stay for later, in order.
    pub async fn expect(&mut self, kind: &str) -> Value {
        self.wait_for(|frame| frame["type"] == kind).await["payload"].clone()
    }

    /// Waits for the first frame that `matches`; others stay for later, in order.
    pub async fn wait_for(&mut self, matches: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.backlog.iter().position(&matches) {
            return self.backlog.remove(at).unwrap();
        }
        loop {
            match self.read().await {
                Got::Frame(frame) if matches(&frame) => return frame,
                Got::Frame(frame) => self.backlog.push_back(frame),
                Got::Closed(code) => panic!("closed {code:?}; held {:?}", self.backlog),
            }
        }
    }

    /// Returns the next frame in the order sent.
    pub async fn next(&mut self) -> Value {
        if let Some(frame) = self.backlog.pop_front() {
            return frame;
        }
        match self.read().await {
            Got::Frame(frame) => frame,
            Got::Closed(code) => panic!("closed {code:?}"),
        }
    }

    /// Drops what was kept for later.
    pub fn forget(&mut self) {
        self.backlog.clear();
    }

    /// Waits for the end; answers its code.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.read().await {
                Got::Frame(frame) => self.backlog.push_back(frame),
                Got::Closed(code) => return code.expect("a close frame with a code"),
            }
        }
    }

    /// Returns the frames that come before [`QUIET`] of silence.
    pub async fn rest(&mut self) -> Vec<Value> {
        let mut frames: Vec<Value> = self.backlog.drain(..).collect();
        while let Ok(got) = tokio::time::timeout(QUIET, self.read_now()).await {
            match got {
                Got::Frame(frame) => frames.push(frame),
                Got::Closed(_) => break,
            }
        }
        frames
    }

    /// Reads one thing from the socket.
    pub async fn read(&mut self) -> Got {
        tokio::time::timeout(WITHIN, self.read_now())
            .await
            .expect("something comes in time")
    }

    async fn read_now(&mut self) -> Got {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Got::Frame(serde_json::from_str(&text).unwrap());
                }
                Some(Ok(Message::Close(frame))) => {
                    return Got::Closed(frame.map(|frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Got::Closed(None),
            }
        }
    }

    /// Makes a room; answers its id. The `room.added` and `room.created` frames are taken.
    pub async fn room(&mut self, extra: Value) -> String {
        let mut payload = json!({ "kind": "group" });
        payload
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let ack = self.ok("room.create", payload).await;
        let room = ack["room"]["room_id"].as_str().unwrap().to_owned();
        self.wait_for(|frame| {
            frame["type"] == "room.added" && frame["payload"]["room"]["room_id"] == room.as_str()
        })
        .await;
        self.wait_for(|frame| {
            frame["type"] == "room.created" && frame["payload"]["room_id"] == room.as_str()
        })
        .await;
        room
    }

    /// Sends a message; answers the payload of the ack.
    pub async fn say(&mut self, room: &str, text: &str) -> Value {
        self.ok(
            "message.send",
            json!({ "room_id": room, "body": { "text": text } }),
        )
        .await
    }
}
