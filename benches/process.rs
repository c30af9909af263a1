//! A node in a process of its own: the bench's binary once more, told by its environment to be the server, so that what is measured
//! is the server's alone.
//!
//! Invariants:
//! - BP-1: the server ends when its standard input does, so that it does not outlive the bench.
//! - BP-2: with `PARLOR_BENCH_CALLGRIND` it runs under callgrind, and only what is between [`Server::begin`] and [`Server::end`] is in
//!   the profile of that name.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a bench, and each binary uses a part"
)]

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::{
    figures::{self, text},
    node::{Plan, Store},
    usage,
};

/// What tells the binary to be the server: store, workers, new connections of an address in a second, and folder.
const ROLE: &str = "PARLOR_BENCH_SERVER";
/// What the store of such a server keeps of its pages: the least it may, since it is the memory of sessions that is measured.
const CACHE_BYTES: usize = 1 << 20;
/// The folder for callgrind's profiles.
const CALLGRIND: &str = "PARLOR_BENCH_CALLGRIND";

/// Is the server, and ends the process, if the environment says so; called first in `main`.
pub(crate) fn serve_if_told() {
    let Some(role) = text(ROLE) else { return };
    let mut words = role.splitn(4, ' ');
    let store = match words.next() {
        Some("memory") => Store::Memory,
        Some("heads") => Store::Heads,
        Some("embedded") => Store::Embedded,
        other => panic!("no store is called {other:?}"),
    };
    let workers = words.next().unwrap().parse().unwrap();
    let handshakes = words.next().unwrap().parse().unwrap();
    let folder = PathBuf::from(words.next().unwrap());
    let (stop, stopped) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = stop.send(());
    });
    let plan = Plan {
        store,
        workers,
        handshakes,
        cache: Some(CACHE_BYTES),
        folder,
    };
    plan.run(|addr| println!("{addr}"), stopped);
    std::process::exit(0);
}

/// A node in a process of its own.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// Its process.
    pub(crate) pid: u32,
    child: Child,
    profiles: Option<PathBuf>,
    // It lasts until the server has ended.
    _folder: TempDir,
}

impl Server {
    /// Starts a node with `workers` threads for sockets.
    pub(crate) fn start(store: Store, workers: usize) -> Self {
        Self::limited(store, workers, 0)
    }

    /// The same with a limit on new connections of one address in a second, unless it is 0.
    pub(crate) fn limited(store: Store, workers: usize, handshakes: u32) -> Self {
        let folder = tempfile::tempdir_in(figures::disk()).unwrap();
        let profiles = text(CALLGRIND).map(PathBuf::from);
        let own = std::env::current_exe().unwrap();
        let mut command = match &profiles {
            None => Command::new(own),
            Some(folder) => {
                std::fs::create_dir_all(folder).unwrap();
                let mut command = Command::new("valgrind");
                command
                    .arg("--tool=callgrind")
                    .arg(format!(
                        "--callgrind-out-file={}",
                        folder.join("callgrind.out.%p").display()
                    ))
                    .arg(own);
                command
            }
        };
        let store = match store {
            Store::Memory => "memory",
            Store::Heads => "heads",
            Store::Embedded => "embedded",
        };
        let role = format!("{store} {workers} {handshakes} {}", folder.path().display());
        let mut child = command
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let addr = line.trim().parse().expect("the server says where it is");
        Self {
            addr,
            pid: child.id(),
            child,
            profiles,
            _folder: folder,
        }
    }

    /// Gives each thread with sockets a core, and answers which are left for others: all of them, and nothing is given, where none would be.
    ///
    /// A thread of the lowest priority is let in where a busy one yields, for milliseconds, and even while another core sleeps.
    pub(crate) fn take_cores(&self) -> CpuSet {
        let all = sched_getaffinity(None).unwrap();
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core));
        let workers = usage::threads(self.pid, "actix-rt|");
        assert!(!workers.is_empty(), "a server has threads with sockets");
        if all.count() as usize <= workers.len() {
            return all;
        }
        for (worker, core) in workers.into_iter().zip(cores.by_ref()) {
            sched_setaffinity(Pid::from_raw(worker), &with(CpuSet::new(), core)).unwrap();
        }
        cores.fold(CpuSet::new(), with)
    }

    /// Has a profile begin, if there are to be any (BP-2).
    pub(crate) fn begin(&self) {
        if self.profiles.is_some() {
            self.control("--zero", None);
        }
    }

    /// Ends a profile and has it written; answers how many instructions it counted, none where there are no profiles.
    pub(crate) fn end(&self, name: &str) -> Option<u64> {
        let folder = self.profiles.as_ref()?;
        self.control("--dump", Some(name));
        let newest = std::fs::read_dir(folder).unwrap().filter_map(|file| {
            let file = file.ok()?;
            let named = file.file_name().into_string().ok()?;
            let own = format!("callgrind.out.{}.", self.pid);
            Some((named.strip_prefix(&own)?.parse::<u32>().ok()?, file.path()))
        });
        let (_, path) = newest.max().expect("callgrind wrote a profile");
        let kept = folder.join(format!("callgrind.{name}"));
        std::fs::rename(path, &kept).unwrap();
        let profile = std::fs::read_to_string(kept).unwrap();
        let total = profile
            .lines()
            .find_map(|line| line.strip_prefix("totals: "));
        Some(
            total
                .expect("a profile has a total")
                .trim()
                .parse()
                .unwrap(),
        )
    }

    fn control(&self, what: &str, name: Option<&str>) {
        let what = name.map_or_else(|| what.to_owned(), |name| format!("{what}={name}"));
        let status = Command::new("callgrind_control")
            .arg(what)
            .arg(self.pid.to_string())
            .stdout(Stdio::null())
            .status();
        assert!(status.is_ok_and(|status| status.success()));
    }

    /// Stops the server, whose clients have gone.
    pub(crate) fn stop(mut self) {
        drop(self.child.stdin.take());
        let status: ExitStatus = self.child.wait().unwrap();
        assert!(status.success(), "the server ends in peace: {status}");
    }
}

fn with(mut cores: CpuSet, core: usize) -> CpuSet {
    cores.set(core);
    cores
}

/// Has the calling thread be to a server what clients with machines of their own would be, as far as one machine allows: it runs only on
/// what other threads leave (`SCHED_IDLE`), and only on `cores`.
pub(crate) fn as_if_remote(cores: &CpuSet) {
    let own = std::fs::read_link("/proc/thread-self").unwrap();
    let mut chrt = Command::new("chrt");
    chrt.args(["--idle", "--pid", "0"])
        .arg(own.file_name().unwrap());
    let done = chrt.status().expect("chrt (util-linux) is there");
    assert!(done.success(), "the policy of a thread");
    sched_setaffinity(None, cores).unwrap();
}
