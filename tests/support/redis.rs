//! Real Redis servers for tests: started on free ports, ended by their process id, also when a test panics.
#![allow(dead_code, reason = "each test target uses a part")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a server may take to start.
const START_DEADLINE: Duration = Duration::from_secs(15);

/// A server process; ended when dropped.
pub(crate) struct RedisServer {
    child: Option<Child>,
    program: &'static str,
    args: Vec<String>,
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
}

impl RedisServer {
    /// Starts a server that keeps nothing on disk.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts one with more arguments, such as `["--appendonly", "yes"]`.
    pub(crate) fn with(more: &[&str]) -> Self {
        let port = free_port();
        let mut args: Vec<String> = ["--save", "", "--appendonly", "no"].map(Into::into).into();
        args.extend(more.iter().map(ToString::to_string));
        Self::launch("redis-server", port, args)
    }

    /// Starts one on a port that is known before, for arguments that name it.
    pub(crate) fn on(port: u16, more: &[&str]) -> Self {
        let args = more.iter().map(ToString::to_string).collect();
        Self::launch("redis-server", port, args)
    }

    /// Starts a Sentinel that watches the master on `master` as `name`, and needs `quorum` to call it dead.
    pub(crate) fn sentinel(name: &str, master: u16, quorum: usize) -> Self {
        let port = free_port();
        let folder = TempDir::new().expect("a folder for tests");
        let file = folder.path().join("sentinel.conf");
        let text = format!(
            "sentinel monitor {name} 127.0.0.1 {master} {quorum}\n\
             sentinel down-after-milliseconds {name} 1000\n\
             sentinel failover-timeout {name} 3000\n\
             sentinel parallel-syncs {name} 1\n"
        );
        fs::write(&file, text).expect("the folder is writable");
        let args = vec![file.display().to_string()];
        Self::launch_in(folder, "redis-sentinel", port, args)
    }

    fn launch(program: &'static str, port: u16, args: Vec<String>) -> Self {
        let folder = TempDir::new().expect("a folder for tests");
        Self::launch_in(folder, program, port, args)
    }

    fn launch_in(folder: TempDir, program: &'static str, port: u16, args: Vec<String>) -> Self {
        let mut server = Self {
            child: None,
            program,
            args,
            port,
            folder,
        };
        server.begin();
        server
    }

    /// Starts it again after [`RedisServer::kill`], with nothing in memory unless it keeps things on disk.
    pub(crate) fn begin(&mut self) {
        let log = fs::File::create(self.folder.path().join("log")).expect("the folder is writable");
        let child = Command::new(self.program)
            .args(&self.args)
            .args(["--port", &self.port.to_string()])
            .args(["--bind", "127.0.0.1"])
            .arg("--dir")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!(
                "{} does not start ({error}): scripts/test prepare brings it",
                self.program
            )
        });
        self.child = Some(child);
        let began = Instant::now();
        while !answers(self.port) {
            assert!(
                began.elapsed() < START_DEADLINE,
                "{} on port {} does not answer: {}",
                self.program,
                self.port,
                fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
            );
            sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it by SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // A stopped process dies of SIGKILL as well.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it without ending it: its connections stay open and say nothing.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let child = self.child.as_ref().expect("it runs");
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Runs `redis-cli` against it and returns what it prints.
    pub(crate) fn cli(&self, args: &[&str]) -> String {
        cli(self.port, args)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `redis-cli` against a port of this machine and returns what it prints.
pub(crate) fn cli(port: u16, args: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(["-p", &port.to_string()])
        .args(args)
        .output()
        .expect("redis-cli runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Returns a port that was free a moment ago, and that nobody else of this process is given. It lies below those that systems give to connections
/// going out, which could take it before it is used.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    (0..COUNT)
        .map(|_| start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .filter_map(|place| u16::try_from(FIRST + place).ok())
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// Tells whether something on the port answers to PING, be it with a refusal.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
    let mut answer = [0; 5];
    stream.write_all(b"PING\r\n").is_ok()
        && stream.read(&mut answer).is_ok_and(|read| read > 0)
        && (answer[0] == b'+' || answer.starts_with(b"-NOAU"))
}

/// A Redis Cluster of three masters with a replica each.
pub(crate) struct RedisCluster {
    pub(crate) servers: Vec<RedisServer>,
}

impl RedisCluster {
    pub(crate) fn start() -> Self {
        let servers: Vec<RedisServer> = (0..6)
            .map(|_| {
                let bus = free_port().to_string();
                RedisServer::with(&[
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &bus,
                    "--cluster-node-timeout",
                    "1000",
                    // A replica takes over however old what it holds is: the tests keep nothing.
                    "--cluster-replica-validity-factor",
                    "0",
                ])
            })
            .collect();
        let mut create: Vec<String> = ["--cluster", "create"].map(Into::into).into();
        create.extend(servers.iter().map(|one| format!("127.0.0.1:{}", one.port)));
        create.extend(["--cluster-replicas", "1", "--cluster-yes"].map(Into::into));
        let create: Vec<&str> = create.iter().map(String::as_str).collect();
        let said = servers[0].cli(&create);
        assert!(said.contains("All 16384 slots covered"), "{said}");
        let began = Instant::now();
        let is_whole = |one: &RedisServer| {
            let info = one.cli(&["CLUSTER", "INFO"]);
            let replication = one.cli(&["INFO", "replication"]);
            info.contains("cluster_state:ok")
                && info.contains("cluster_known_nodes:6")
                && (replication.contains("master_link_status:up")
                    || replication.contains("state=online"))
        };
        while !servers.iter().all(is_whole) {
            assert!(began.elapsed() < START_DEADLINE, "the cluster is not whole");
            sleep(Duration::from_millis(100));
        }
        Self { servers }
    }

    /// Returns the master that holds a key now.
    pub(crate) fn master_of(&mut self, key: &str) -> &mut RedisServer {
        let slot: u16 = self.servers[0]
            .cli(&["CLUSTER", "KEYSLOT", key])
            .parse()
            .expect("a slot");
        let nodes = self.servers[0].cli(&["CLUSTER", "NODES"]);
        let port = nodes.lines().find_map(|line| {
            let mut words = line.split(' ');
            let (address, flags) = (words.nth(1)?, words.next()?);
            let holds = line.split(' ').skip(8).any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let range = first.parse::<u16>().ok().zip(last.parse::<u16>().ok());
                range.is_some_and(|(first, last)| (first..=last).contains(&slot))
            });
            let is_master = flags.contains("master") && !flags.contains("fail");
            (is_master && holds).then(|| address.split(['@', ':']).nth(1)?.parse::<u16>().ok())?
        });
        let port = port.expect("each slot has a master");
        let mut servers = self.servers.iter_mut();
        servers
            .find(|one| one.port == port)
            .expect("it is one of ours")
    }
}

/// Makes a certificate authority and a certificate for 127.0.0.1; returns the files of authority, certificate and key.
pub(crate) fn certificates(folder: &Path) -> [String; 3] {
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key).expect("it signs");
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let certificate = rcgen::CertificateParams::new(names)
        .expect("good names")
        .signed_by(&key, &issuer)
        .expect("it signs");
    [
        ("ca.pem", authority_certificate.pem()),
        ("cert.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ]
    .map(|(name, text)| {
        let file = folder.join(name);
        fs::write(&file, text).expect("the folder is writable");
        file.display().to_string()
    })
}
