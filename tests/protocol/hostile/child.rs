//! The server as a process of its own: what it takes of memory, processor and descriptors is its own.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{self, Command, Stdio},
    time::Duration,
};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use crate::support::WITHIN;

/// How long a start may take, on a busy machine too.
const START_WITHIN: Duration = Duration::from_secs(30);
const KEY: &[u8] = b"a shared secret of a test, long enough for anybody who looks at it";
/// Memory of the store: little, and filled before anything is measured.
const STORE_BYTES: &str = "1048576";
/// 2100-01-01, in seconds.
const EXPIRES: u64 = 4_102_444_800;
/// Linux counts processor time in these, on every architecture (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A server in a process of its own. Its tokens are those of an outside issuer: hashing passwords takes more memory than any attack here.
pub(super) struct Child {
    /// Where it listens.
    pub(super) addr: SocketAddr,
    process: process::Child,
    _folder: tempfile::TempDir,
}

impl Child {
    /// Starts a server with more settings.
    pub(super) async fn start(settings: &[(&'static str, &str)]) -> Self {
        Self::run("exec \"$0\"", settings).await
    }

    /// The same with at most this many descriptors.
    pub(super) async fn with_descriptors(count: usize) -> Self {
        Self::run(&format!("ulimit -n {count} && exec \"$0\""), &[]).await
    }

    async fn run(script: &str, settings: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("issuer.key");
        std::fs::write(&key, KEY).unwrap();
        let mut process = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_parlor")])
            .env("PARLOR__STORAGE__PATH", folder.path().join("data"))
            // What the store remembers of what was said is no cost of an attack.
            .env("PARLOR__STORAGE__CACHE_BYTES", STORE_BYTES)
            .env("PARLOR__SERVER__LISTEN", "127.0.0.1:0")
            .env("PARLOR__SERVER__WORKERS", "2")
            .env("PARLOR__AUTH__MODE", "jwt")
            .env("PARLOR__AUTH__JWT__KEY_FILE", key)
            .env("PARLOR__AUTH__JWT__ALGORITHMS", r#"["HS256"]"#)
            .env("PARLOR__LIMITS__SENDS_PER_S", "0")
            .env("PARLOR__LIMITS__CONNECTIONS_PER_USER", "0")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = process.stdout.take().expect("it is piped");
        let first = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let said = tokio::time::timeout(START_WITHIN, first).await;
        let said = said.expect("starts in time").unwrap().unwrap();
        let addr = said.trim().trim_end_matches('/').rsplit('/').next();
        Self {
            addr: addr.unwrap().parse().expect("the address it listens on"),
            process,
            _folder: folder,
        }
    }

    /// Makes a token of `user`.
    pub(super) fn token(&self, user: &str) -> String {
        let claims = json!({ "sub": user, "exp": EXPIRES });
        let header = Header::new(jsonwebtoken::Algorithm::HS256);
        encode(&header, &claims, &EncodingKey::from_secret(KEY)).unwrap()
    }

    /// Reads one of the server's own metrics.
    pub(super) async fn metric(&self, name: &str) -> u64 {
        metric(self.addr, name).await
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.process.id());
        std::fs::read_to_string(path).expect("the server lives")
    }

    /// Begins to watch how much more memory it takes.
    pub(super) fn memory(&self) -> Memory<'_> {
        let path = format!("/proc/{}/clear_refs", self.process.id());
        // The peak begins again from here (proc(5)).
        std::fs::write(path, "5").unwrap();
        Memory {
            child: self,
            before: self.status("VmRSS:"),
        }
    }

    /// Reads a size off the status, in bytes.
    fn status(&self, name: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1024
    }

    /// Counts its open descriptors.
    pub(super) fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.process.id());
        std::fs::read_dir(path).unwrap().count()
    }

    /// Returns the processor time it has taken.
    pub(super) fn busy(&self) -> Duration {
        let stat = self.proc("stat");
        // The name, in brackets, may hold anything; `utime` and `stime` are the 14th and 15th field.
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let fields = rest.split_whitespace().skip(11).take(2);
        let ticks: u32 = fields.map(|ticks| ticks.parse::<u32>().unwrap()).sum();
        TICK * ticks
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What memory a server took when the watch began.
pub(super) struct Memory<'a> {
    child: &'a Child,
    before: u64,
}

impl Memory<'_> {
    /// Checks that at no time more than `bytes` were taken on top.
    #[track_caller]
    pub(super) fn grew_at_most(&self, bytes: u64) {
        let peak = self.child.status("VmHWM:");
        let grown = peak.saturating_sub(self.before);
        println!(
            "memory: {} KiB, at most {grown} bytes more",
            self.before >> 10
        );
        assert!(grown <= bytes, "{grown} bytes more, of {bytes} allowed");
    }
}

/// Reads a metric of the server at `addr`.
pub(super) async fn metric(addr: SocketAddr, name: &str) -> u64 {
    let get = reqwest::get(format!("http://{addr}/metrics"));
    let response = tokio::time::timeout(WITHIN, get).await.expect("in time");
    let text = response.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| {
        let (found, value) = line.rsplit_once(' ')?;
        (found == name).then_some(value)
    });
    line.unwrap_or_else(|| panic!("{name} is in\n{text}"))
        .parse()
        .unwrap()
}
