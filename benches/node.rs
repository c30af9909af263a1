//! A node in this process for a bench: the real server, its embedded store in a folder of its own, tokens of an outside issuer.
//!
//! Owns the node's thread and folder. Every limit on rates and connections is off.
//! Deliberately absent: accounts, whose password hashing would take longer than the bench.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a bench, and each binary uses a part"
)]

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::mpsc,
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parlor_config::{AuthMode, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::wire::Wire;

const KEY: &[u8] = b"a shared secret of a bench, 64 bytes long so that nobody complains";
/// 2100-01-01, in seconds: no session of a bench ends by its token.
const EXPIRES: u64 = 4_102_444_800;
/// Users that one frame may name.
const USERS_PER_FRAME: usize = 100;

/// A node in this process.
pub(crate) struct Node {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    folder: TempDir,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Node {
    /// Starts a node whose store is in a new folder inside `parent`.
    pub(crate) fn start(parent: &Path, workers: usize) -> Self {
        let folder = tempfile::tempdir_in(parent).unwrap();
        let key = folder.path().join("issuer.key");
        std::fs::write(&key, KEY).unwrap();
        let mut settings = Settings::default();
        settings.storage.path = data(&folder);
        settings.server.listen = "127.0.0.1:0".parse().unwrap();
        settings.server.workers = NonZeroUsize::new(workers);
        settings.auth.mode = AuthMode::Jwt;
        settings.auth.jwt.key_file = Some(key);
        settings.auth.jwt.algorithms = vec![parlor_config::Algorithm::HS256];
        settings.limits.sends_per_s = 0;
        settings.limits.connections_per_user = 0;
        settings.limits.connections_per_ip = 0;
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let running = parlor::wiring::start(settings).await.unwrap();
                ready.send(running.address).unwrap();
                let _ = stopped.await;
                running.drain().await;
            });
        });
        let addr = started.recv().expect("the node starts");
        Self {
            addr,
            folder,
            stop,
            thread,
        }
    }

    /// Connects a session of `user`, to whom everything is delivered.
    pub(crate) async fn session(&self, user: &str) -> Wire {
        let claims = json!({ "sub": user, "exp": EXPIRES });
        let key = EncodingKey::from_secret(KEY);
        let token = encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
        let mut wire = Wire::connect(self.addr).await;
        let welcome = ask(&mut wire, "hello", json!({ "token": token })).await;
        assert_eq!(welcome["user_id"], user, "{welcome}");
        wire
    }

    /// Makes a group of `users`, the first its owner; answers its id.
    pub(crate) async fn room(&self, users: &[String]) -> String {
        let (owner, others) = users.split_first().expect("a room has an owner");
        let mut wire = self.session(owner).await;
        let made = ask(&mut wire, "room.create", json!({ "kind": "group" })).await;
        let room = made["room"]["room_id"].as_str().unwrap().to_owned();
        for some in others.chunks(USERS_PER_FRAME) {
            let invited = json!({ "room_id": room, "user_ids": some });
            ask(&mut wire, "room.invite", invited).await;
        }
        room
    }

    /// Stops the node, whose clients have gone, and closes its store; answers its folder, which goes when dropped.
    pub(crate) fn stop(self) -> TempDir {
        let _ = self.stop.send(());
        self.thread.join().expect("the node stops in peace");
        self.folder
    }
}

/// Returns where the store is, inside a node's folder.
pub(crate) fn data(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}

/// Writes a client frame.
pub(crate) fn frame(kind: &str, msg_id: &str, payload: &Value) -> String {
    json!({ "type": kind, "msg_id": msg_id, "payload": payload }).to_string()
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
