//! A node for a bench: the real server over the embedded store or one in memory, in this process; [`crate::process`] runs the same in
//! a process of its own.
//!
//! Owns the node's thread and folder. Tokens are an outside issuer's; every limit on rates and connections is off, but that on new connections where it is
//! asked for.
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
    sync::{Arc, mpsc},
};

use parlor::wiring;
use parlor_actors::ports::Ports;
use parlor_cluster::MemoryStore;
use parlor_config::{AuthMode, Settings};
use tempfile::TempDir;
use tokio::sync::oneshot;

use heads::HeadsTimeline;

use crate::client::KEY;

#[path = "heads.rs"]
mod heads;

/// Where a node keeps its rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// In its embedded store, on disk and synced before each answer.
    Embedded,
    /// In memory: the store costs next to nothing.
    Memory,
    /// In memory, and of a room that runs only its head: the store costs nothing of note for as long as it runs.
    Heads,
}

/// What a node is started with.
pub(crate) struct Plan {
    pub(crate) store: Store,
    pub(crate) workers: usize,
    /// New connections of one address in a second; 0 for any number.
    pub(crate) handshakes: u32,
    /// Bytes of its pages that an embedded store keeps in memory; none: as many as by default.
    pub(crate) cache: Option<usize>,
    pub(crate) folder: PathBuf,
}

impl Plan {
    fn settings(&self) -> Settings {
        let key = self.folder.join("issuer.key");
        std::fs::write(&key, KEY).unwrap();
        let mut settings = Settings::default();
        settings.storage.path = data(&self.folder);
        settings.server.listen = "127.0.0.1:0".parse().unwrap();
        settings.server.workers = NonZeroUsize::new(self.workers);
        settings.auth.mode = AuthMode::Jwt;
        settings.auth.jwt.key_file = Some(key);
        settings.auth.jwt.algorithms = vec![parlor_config::Algorithm::HS256];
        settings.limits.sends_per_s = 0;
        settings.limits.connections_per_user = 0;
        settings.limits.connections_per_ip = 0;
        settings.limits.handshakes_per_ip_per_s = self.handshakes;
        settings.storage.cache_bytes = self.cache.unwrap_or(settings.storage.cache_bytes);
        settings
    }

    /// Runs a node on this thread until `stopped` comes; `ready` hears its address.
    pub(crate) fn run(&self, ready: impl FnOnce(SocketAddr), stopped: oneshot::Receiver<()>) {
        let (settings, store) = (self.settings(), self.store);
        actix_rt::System::new().block_on(async move {
            let running = match store {
                Store::Embedded => wiring::start(settings).await,
                Store::Memory => {
                    let memory = MemoryStore::new();
                    let over = |ports| Ports {
                        timeline: memory.clone(),
                        directory: memory,
                        ..ports
                    };
                    wiring::start_through(settings, over).await
                }
                Store::Heads => {
                    let over = |ports| Ports {
                        timeline: Arc::new(HeadsTimeline::default()),
                        directory: MemoryStore::new(),
                        ..ports
                    };
                    wiring::start_through(settings, over).await
                }
            }
            .unwrap();
            ready(running.address);
            let _ = stopped.await;
            running.drain().await;
        });
    }
}

/// A node in this process.
pub(crate) struct Node {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    folder: TempDir,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Node {
    /// Starts a node whose folder is a new one inside `parent`.
    pub(crate) fn start(parent: &Path, store: Store, workers: usize) -> Self {
        let folder = tempfile::tempdir_in(parent).unwrap();
        let plan = Plan {
            store,
            workers,
            handshakes: 0,
            cache: None,
            folder: folder.path().to_owned(),
        };
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            plan.run(|addr| ready.send(addr).unwrap(), stopped);
        });
        let addr = started.recv().expect("the node starts");
        Self {
            addr,
            folder,
            stop,
            thread,
        }
    }

    /// Stops the node, whose clients have gone, and closes its store; answers its folder, which goes when dropped.
    pub(crate) fn stop(self) -> TempDir {
        let _ = self.stop.send(());
        self.thread.join().expect("the node stops in peace");
        self.folder
    }
}

/// Returns where the store is, inside a node's folder.
pub(crate) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}
