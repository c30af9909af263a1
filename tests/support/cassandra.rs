//! A real Cassandra for tests: brought from Maven artifacts once, started on free ports, ended with the test process.
//!
//! Invariants:
//! - CA-1: a server never outlives the process that started it, however that ends: its parent is a shell that waits for the end of a
//!   pipe from here, and then kills it and removes its folder.
//! - CA-2: the artifacts lie outside of the build tree, in a folder of their version that is there whole or not at all.
//!
//! `PARLOR_TEST_CQL=host:port` names a server to use in place of the shared one; tests that pause or kill servers start their own all
//! the same. `PARLOR_TEST_CACHE` names another folder for the artifacts than `~/.cache/parlor`.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests; each binary uses a part, and they are told things by the environment"
)]

use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The version that is brought.
const VERSION: &str = "5.0.6";
/// Time for a server to accept clients.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// Packages of the Java runtime that Cassandra looks into.
const EXPORTS: &[&str] = &[
    "java.base/jdk.internal.misc",
    "java.base/java.lang.ref",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.attach/sun.tools.attach",
];
const OPENS: &[&str] = &[
    "java.base/java.lang.module",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "java.base/java.io",
    "java.base/java.lang.reflect",
    "java.base/java.lang",
    "java.base/java.util",
    "jdk.management/com.sun.management.internal",
    "jdk.compiler/com.sun.tools.javac",
];

/// Starts the server, says its process id, starts it again for every line it reads, and ends it when nobody holds the other end of the
/// pipe any more.
const PARENT: &str = r#"
folder=$1; shift
while :; do
    "$@" >"$folder/log" 2>&1 </dev/null &
    server=$!
    echo "$server"
    read -r again || break
    wait "$server" 2>/dev/null
done
kill -9 "$server" 2>/dev/null
wait "$server" 2>/dev/null
rm -rf "$folder"
"#;

/// Returns the address of the CQL server that all tests of this process share, as `host:port`; starts it at the first call.
pub(crate) fn shared() -> &'static str {
    static SHARED: OnceLock<(String, Option<Cassandra>)> = OnceLock::new();
    let (address, _) = SHARED.get_or_init(|| match env::var("PARLOR_TEST_CQL") {
        Ok(address) => (address, None),
        Err(_) => {
            let cassandra = Cassandra::start(1);
            (cassandra.address(), Some(cassandra))
        }
    });
    address
}

/// A cluster of Cassandra nodes, each on an address of its own when there are several.
pub(crate) struct Cassandra {
    nodes: Vec<Node>,
    port: u16,
}

struct Node {
    host: String,
    folder: PathBuf,
    server: u32,
    /// Its standard input is the pipe; dropping it ends the server.
    parent: Child,
    says: BufReader<ChildStdout>,
}

impl Cassandra {
    /// Starts `count` nodes, one after the other, and waits until each accepts clients.
    ///
    /// # Panics
    /// Java or Maven is missing, or a node does not start: the log's end is printed.
    pub(crate) fn start(count: usize) -> Self {
        let lib = artifacts();
        let hosts: Vec<String> = match count {
            1 => vec!["127.0.0.1".to_owned()],
            _ => (0..count)
                .map(|place| format!("127.0.0.{}", 11 + place))
                .collect(),
        };
        let [port, storage] = free_ports(&hosts);
        let mut cluster = Self {
            nodes: Vec::new(),
            port,
        };
        for host in &hosts {
            let seed = format!("{}:{storage}", hosts[0]);
            let node = Node::start(&lib, host, port, storage, &seed, count);
            cluster.nodes.push(node);
        }
        for node in &cluster.nodes {
            let others = hosts.iter().filter(|host| **host != node.host);
            others.for_each(|host| node.wait_until_it_sees(host));
        }
        cluster
    }

    /// Returns where the first node takes clients, as `host:port`.
    pub(crate) fn address(&self) -> String {
        self.addresses().remove(0)
    }

    /// Returns where the nodes take clients, as `host:port`.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let nodes = self.nodes.iter();
        nodes
            .map(|node| format!("{}:{}", node.host, self.port))
            .collect()
    }

    /// Stops a node in the middle of whatever it does; its connections stay open.
    pub(crate) fn pause(&self, node: usize) {
        self.signal(node, "-STOP");
        // The signal is on its way; until every thread has it, an answer may still come.
        let tasks = format!("/proc/{}/task", self.nodes[node].server);
        while !fs::read_dir(&tasks).unwrap().all(|task| {
            let stat = task.map(|task| fs::read_to_string(task.path().join("stat")));
            stat.is_ok_and(|stat| stat.is_ok_and(|stat| stat.contains(") T ")))
        }) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets a paused node go on.
    pub(crate) fn resume(&self, node: usize) {
        self.signal(node, "-CONT");
    }

    /// Kills a node.
    pub(crate) fn kill(&self, node: usize) {
        self.signal(node, "-KILL");
    }

    /// Starts a node that was killed on what it has on disk, and waits until it sees the others.
    pub(crate) fn revive(&mut self, node: usize) {
        let port = self.port;
        self.nodes[node].start_again(port);
        let (revived, hosts) = (&self.nodes[node], self.nodes.iter().map(|node| &node.host));
        for host in hosts.filter(|host| **host != revived.host) {
            revived.wait_until_it_sees(host);
        }
    }

    fn signal(&self, node: usize, signal: &str) {
        let server = self.nodes[node].server.to_string();
        let done = Command::new("kill").args([signal, &server]).status();
        assert!(done.unwrap().success(), "kill {signal} {server}");
    }
}

impl Node {
    fn start(lib: &Path, host: &str, port: u16, storage: u16, seed: &str, count: usize) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("parlor-cassandra-")
            .tempdir()
            .unwrap()
            .keep();
        fs::write(folder.join("logback.xml"), LOGBACK).unwrap();
        let settings = settings(&folder, host, port, storage, seed, count);
        fs::write(folder.join("cassandra.yaml"), settings).unwrap();
        let mut parent = Command::new("sh")
            .args(["-c", PARENT, "sh"])
            .arg(&folder)
            .args(java(&folder, lib, count))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let says = BufReader::new(parent.stdout.take().unwrap());
        let mut node = Self {
            host: host.to_owned(),
            folder,
            server: 0,
            parent,
            says,
        };
        node.wait_until_it_runs(port);
        node
    }

    fn start_again(&mut self, port: u16) {
        let input = self.parent.stdin.as_mut().expect("invariant: a pipe");
        writeln!(input).unwrap();
        self.wait_until_it_runs(port);
    }

    fn wait_until_it_runs(&mut self, port: u16) {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        self.server = line.trim().parse().unwrap();
        let address = (self.host.as_str(), port);
        self.wait_until("accepts clients", |_| TcpStream::connect(address).is_ok());
    }

    /// Waits until another node counts as up here.
    fn wait_until_it_sees(&self, other: &str) {
        let line = format!("/{other}:");
        self.wait_until(&format!("sees {other}"), |log| {
            let mut lines = log.lines();
            lines.any(|text| text.contains(&line) && text.ends_with("is now UP"))
        });
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let end = Instant::now() + READY_WITHIN;
        loop {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            if holds(&log) {
                return;
            }
            let runs = Path::new(&format!("/proc/{}", self.server)).exists();
            if !runs || Instant::now() > end {
                let lines: Vec<&str> = log.lines().collect();
                let tail = lines[lines.len().saturating_sub(40)..].join("\n");
                panic!("not so: Cassandra on {} {what}:\n{tail}", self.host);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.parent.stdin.take());
        let _ = self.parent.wait();
    }
}

/// Finds two ports that are free on all of `hosts`, and that nobody else of this process is given. They lie below those that systems give to
/// connections going out and to listeners that name none: one of those could take a port before Cassandra has started, and be taken for it.
fn free_ports(hosts: &[String]) -> [u16; 2] {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 2_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    let is_free = |port: &u16| {
        let mut hosts = hosts.iter();
        hosts.all(|host| TcpListener::bind((host.as_str(), *port)).is_ok())
    };
    let mut free = (0..COUNT)
        .map(|_| start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .filter_map(|place| u16::try_from(FIRST + place).ok())
        .filter(is_free);
    let mut next = || free.next().expect("a free port");
    [next(), next()]
}

/// Brings Cassandra's jars by Maven, unless they are there; returns their folder.
fn artifacts() -> PathBuf {
    let cache = match env::var_os("PARLOR_TEST_CACHE") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env::var_os("HOME").expect("HOME is set")).join(".cache/parlor"),
    };
    fs::create_dir_all(&cache).unwrap();
    // One process at a time; the system lets go of the lock of one that dies.
    let lock = File::create(cache.join("cassandra.lock")).unwrap();
    lock.lock().unwrap();
    let whole = cache.join(format!("cassandra-{VERSION}"));
    if whole.exists() {
        return whole;
    }
    let half = tempfile::Builder::new()
        .prefix("cassandra-")
        .tempdir_in(&cache)
        .unwrap();
    fs::write(half.path().join("pom.xml"), pom()).unwrap();
    let lib = half.path().join("lib");
    let brought = Command::new("mvn")
        .args(["-q", "-B", "-C", "dependency:copy-dependencies"])
        .arg(format!("-DoutputDirectory={}", lib.display()))
        .current_dir(half.path())
        .status()
        .expect("Maven starts: scripts/test prepare brings it");
    assert!(brought.success(), "mvn: {brought}");
    fs::rename(lib, &whole).unwrap();
    whole
}

fn pom() -> String {
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>
<groupId>parlor</groupId><artifactId>cassandra</artifactId><version>1</version><packaging>pom</packaging>
<dependencies><dependency>
<groupId>org.apache.cassandra</groupId><artifactId>cassandra-all</artifactId><version>{VERSION}</version>
</dependency></dependencies></project>
"
    )
}

const LOGBACK: &str = r#"<configuration>
<appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
<encoder><pattern>%-5level %date{ISO8601} %logger{20} %msg%n</pattern></encoder>
</appender>
<logger name="org.apache.cassandra.gms.Gossiper" level="INFO"/>
<root level="WARN"><appender-ref ref="OUT"/></root>
</configuration>
"#;

fn java(folder: &Path, lib: &Path, count: usize) -> Vec<String> {
    // Nodes of a cluster wait for each other's tokens.
    let (memory, ring_delay) = if count == 1 { (1024, 1) } else { (640, 1000) };
    let folder = folder.display();
    let mut words = vec![
        "java".to_owned(),
        "-Xms384m".to_owned(),
        format!("-Xmx{memory}m"),
        format!("-Dcassandra.config=file://{folder}/cassandra.yaml"),
        format!("-Dcassandra.storagedir={folder}/data"),
        "-Dcassandra-foreground=yes".to_owned(),
        "-Djdk.attach.allowAttachSelf=true".to_owned(),
        "-Dio.netty.tryReflectionSetAccessible=true".to_owned(),
        "-Dcassandra.jmx.local.port=0".to_owned(),
        "-Dcassandra.skip_wait_for_gossip_to_settle=0".to_owned(),
        format!("-Dcassandra.ring_delay_ms={ring_delay}"),
    ];
    if cfg!(debug_assertions) {
        // A test is over before the second compiler's work pays for itself, and it would have taken half of the machine until then. A bench has it.
        words.extend(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"].map(str::to_owned));
    }
    let mut open = |option: &str, packages: &[&str]| {
        for package in packages {
            words.extend([option.to_owned(), format!("{package}=ALL-UNNAMED")]);
        }
    };
    open("--add-exports", EXPORTS);
    open("--add-opens", OPENS);
    words.extend([
        "-cp".to_owned(),
        format!("{folder}:{}/*", lib.display()),
        "org.apache.cassandra.service.CassandraDaemon".to_owned(),
    ]);
    words
}

fn settings(
    folder: &Path,
    host: &str,
    port: u16,
    storage: u16,
    seed: &str,
    count: usize,
) -> String {
    let folder = folder.display();
    // Of several nodes some are killed and come back, and must have what they acknowledged.
    let (tokens, sync) = if count == 1 {
        (
            "allocate_tokens_for_local_replication_factor: 1",
            "commitlog_sync: periodic\ncommitlog_sync_period: 10000ms",
        )
    } else {
        ("auto_bootstrap: false", "commitlog_sync: batch")
    };
    format!(
        "cluster_name: parlor
num_tokens: 1
{tokens}
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
data_file_directories: [{folder}/data/data]
commitlog_directory: {folder}/data/commitlog
cdc_raw_directory: {folder}/data/cdc_raw
saved_caches_directory: {folder}/data/saved_caches
hints_directory: {folder}/data/hints
{sync}
disk_failure_policy: stop
commit_failure_policy: stop
listen_address: {host}
rpc_address: {host}
native_transport_port: {port}
storage_port: {storage}
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: {seed}
authenticator: AllowAllAuthenticator
authorizer: AllowAllAuthorizer
paxos_variant: v2
auto_snapshot: false
"
    )
}
