//! The server as a process of its own, to be killed.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::dice::Dice;

/// How long a start may take, on a busy machine too.
const START_WITHIN: Duration = Duration::from_secs(30);

/// What stays the same over all starts.
pub(crate) struct Site {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    folder: tempfile::TempDir,
    settings: Vec<(&'static str, String)>,
}

/// A running server.
pub(crate) struct Server {
    child: Child,
}

impl Site {
    /// Chooses a folder and a port, with more settings.
    pub(crate) fn new(dice: &mut Dice, settings: Vec<(&'static str, String)>) -> Self {
        Self {
            address: dice.free_address(),
            folder: tempfile::tempdir().unwrap(),
            settings,
        }
    }

    /// Returns the server's address for clients.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts the server; it is not ready yet.
    pub(crate) fn spawn(&self) -> Server {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
        command
            .env("PARLOR__STORAGE__PATH", self.folder.path().join("data"))
            .env("PARLOR__SERVER__LISTEN", self.address.to_string())
            .env("PARLOR__SERVER__WORKERS", "2")
            .env("PARLOR__LIMITS__SENDS_PER_S", "0")
            .env("PARLOR__LIMITS__REGISTERS_PER_MINUTE", "0")
            .env("PARLOR__LIMITS__LOGINS_PER_MINUTE", "0")
            .env("PARLOR__LIMITS__CONNECTIONS_PER_USER", "0")
            .envs(self.settings.iter().map(|(key, value)| (*key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        Server {
            child: command.spawn().unwrap(),
        }
    }

    /// Returns what the server wrote last.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Server {
    /// Waits for the line that says it listens.
    pub(crate) async fn ready(&mut self, site: &Site) {
        let stdout = self
            .child
            .stdout
            .take()
            .expect("invariant: piped, and asked once");
        let first = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let said = tokio::time::timeout(START_WITHIN, first)
            .await
            .expect("the server starts in time")
            .unwrap()
            .unwrap();
        assert!(
            !said.is_empty(),
            "the server did not start:\n{}",
            site.last_words()
        );
        assert!(said.contains(&site.address.to_string()), "{said}");
    }

    /// Kills it at once (SIGKILL), and waits until it is gone.
    pub(crate) fn kill(mut self, site: &Site) {
        let ended = self.child.try_wait().unwrap();
        assert!(
            ended.is_none(),
            "the server ended by itself: {ended:?}\n{}",
            site.last_words()
        );
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After a failure nothing is to stay behind; after a kill there is nobody left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
