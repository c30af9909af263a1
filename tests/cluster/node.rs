//! A node as a child process, and what all nodes of a cluster share.
#![allow(dead_code, reason = "each binary uses a part")]

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    cassandra,
    redis::RedisServer,
    support::{Client, PASSWORD},
};

/// How long a start may take, on a busy machine too.
const START_WITHIN: Duration = Duration::from_secs(60);

/// What the nodes of one cluster share: a Redis of their own, and a keyspace of the store that all tests share.
pub(crate) struct Site {
    /// The Redis.
    pub(crate) redis: RedisServer,
    cql: String,
    keyspace: String,
    folder: TempDir,
    has_internal: bool,
}

/// A running node; killed when dropped.
pub(crate) struct Node {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Site {
    /// Starts what nodes need beside the store that all tests share.
    pub(crate) fn new() -> Self {
        Self::on(cassandra::shared())
    }

    /// Starts what nodes need beside a store.
    pub(crate) fn on(cql: &str) -> Self {
        Self::over(cql, RedisServer::start())
    }

    /// Makes the folder of nodes that have a store and a Redis.
    pub(crate) fn over(cql: &str, redis: RedisServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), [b'a'; 64]).unwrap();
        Self {
            redis,
            cql: cql.to_owned(),
            keyspace: format!("parlor_test_{}", Uuid::now_v7().simple()),
            folder,
            has_internal: false,
        }
    }

    /// Starts what nodes need that have internal listeners.
    pub(crate) fn with_internal() -> Self {
        Self {
            has_internal: true,
            ..Self::new()
        }
    }

    /// Returns a file of this folder with a secret that the nodes do not have otherwise.
    pub(crate) fn other_secret(&self) -> PathBuf {
        self.file("other-secret", &[b'b'; 64])
    }

    /// Writes a file into this folder.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let file = self.folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        file
    }

    /// Returns the command of a node with this name, its output piped.
    pub(crate) fn command(&self, name: &str) -> Command {
        self.command_of(Command::new(env!("CARGO_BIN_EXE_parlor")), name)
    }

    /// Does the same for another program that becomes a node.
    pub(crate) fn command_of(&self, mut command: Command, name: &str) -> Command {
        let path = |file: &str| self.folder.path().join(file);
        let mut log = File::options();
        let log = log.create(true).append(true).open(path("log")).unwrap();
        command
            .env("PARLOR__NODE__ID", name)
            .env("PARLOR__SERVER__LISTEN", "127.0.0.1:0")
            .env("PARLOR__SERVER__WORKERS", "2")
            .env("PARLOR__STORAGE__PATH", path(name))
            .env("PARLOR__STORAGE__BACKEND", "cql")
            .env("PARLOR__STORAGE__CQL__NODES", format!("[\"{}\"]", self.cql))
            .env("PARLOR__STORAGE__CQL__KEYSPACE", &self.keyspace)
            .env("PARLOR__STORAGE__CQL__REPLICATION", "1")
            .env("PARLOR__STORAGE__CQL__REQUEST_TIMEOUT_MS", "10000")
            .env("PARLOR__CLUSTER__BACKEND", "redis")
            .env("PARLOR__CLUSTER__REDIS__URL", self.redis.url())
            .env("PARLOR__CLUSTER__SECRET_FILE", path("secret"))
            .env("PARLOR__LIMITS__SENDS_PER_S", "0")
            .env("PARLOR__LIMITS__REGISTERS_PER_MINUTE", "0")
            .env("PARLOR__LIMITS__LOGINS_PER_MINUTE", "0")
            .env("PARLOR__PRESENCE__OFFLINE_AFTER_MS", "500")
            .env("PARLOR__NODE__DRAIN_MS", "1000")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        if self.has_internal {
            command.env("PARLOR__SERVER__INTERNAL_LISTEN", "127.0.0.1:0");
        }
        command
    }

    /// Starts a node and waits until it listens.
    pub(crate) async fn node(&self, name: &str) -> Node {
        self.launch(self.command(name)).await
    }

    /// Starts a node by its command and waits until it listens.
    pub(crate) async fn launch(&self, mut command: Command) -> Node {
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let first = tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.find(|line| line.contains("http://"))
        });
        let said = tokio::time::timeout(START_WITHIN, first).await;
        let said = said.expect("the node starts in time").unwrap();
        let said = said.unwrap_or_default();
        let address = said
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.trim().trim_end_matches('/').parse().ok());
        let Some(address) = address else {
            let _ = child.kill();
            panic!("the node did not start: {said}\n{}", self.last_words());
        };
        Node { address, child }
    }

    /// Starts two nodes, and waits until each sees the other.
    pub(crate) async fn pair(&self) -> (Node, Node) {
        let one = self.node("one").await;
        let two = self.node("two").await;
        one.sees(2).await;
        two.sees(2).await;
        (one, two)
    }

    /// Returns what the nodes wrote last.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Node {
    /// Kills it at once (SIGKILL), and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Has it leave (SIGTERM), and waits until it is gone.
    pub(crate) fn terminate(mut self) {
        self.signal("-TERM");
        assert!(self.child.wait().unwrap().success());
    }

    /// Writes a line to its standard input, where that is a pipe.
    pub(crate) fn write(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("its input is a pipe");
        writeln!(input, "{line}").unwrap();
    }

    /// Returns the time of day that it says, in minutes.
    pub(crate) async fn minute_of_day(&self) -> i64 {
        let url = format!("http://{}/health/live", self.address);
        let answer = reqwest::get(url).await.unwrap();
        // As in `Sun, 06 Nov 1994 08:49:37 GMT`.
        let date = answer.headers()["date"].to_str().unwrap();
        let part = |at: std::ops::Range<usize>| date[at].parse::<i64>().unwrap();
        60 * part(17..19) + part(20..22)
    }

    /// Waits until it has ended by itself; answers whether well.
    pub(crate) async fn ended(mut self) -> bool {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(began.elapsed() < Duration::from_secs(30), "it goes on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops it in the middle of whatever it does; its connections stay open.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(told.success());
    }

    /// Asks over HTTP; answers the status and the text.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.address);
        let answer = reqwest::get(url).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Returns the value of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.expect("a metric of this name").parse().unwrap()
    }

    /// Waits until its view holds so many nodes.
    pub(crate) async fn sees(&self, nodes: usize) {
        let began = Instant::now();
        while self.metric("parlor_nodes").await != f64::from(u32::try_from(nodes).unwrap()) {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "no {nodes} nodes"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("http://{}{path}", self.address);
        let request = reqwest::Client::new().post(url).body(body.to_string());
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    /// Makes an account; answers its token.
    pub(crate) async fn register(&self, user: &str) -> String {
        let body = json!({ "user_id": user, "password": PASSWORD });
        let answer = self.post("/v1/auth/register", &body).await;
        answer["token"].as_str().unwrap().to_owned()
    }

    /// Connects and says `hello` with `extra` fields.
    pub(crate) async fn hello(&self, token: &str, extra: Value) -> Client {
        let mut client = Client::connect(self.address).await;
        let mut payload = json!({ "token": token });
        let fields = payload.as_object_mut().unwrap();
        fields.extend(extra.as_object().unwrap().clone());
        let reply = client.ask("hello", payload).await;
        assert_eq!(reply["type"], "welcome", "{reply}");
        client.welcome = reply["payload"].clone();
        client
    }

    /// Makes an account and a session of it that wants all rooms.
    pub(crate) async fn session(&self, user: &str) -> Client {
        let token = self.register(user).await;
        self.hello(&token, json!({})).await
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // After a kill there is nobody left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
