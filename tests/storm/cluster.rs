//! Three nodes, what they share, and the proxies between the two.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use parlor_schema::{BootId, NodeId, RoomId, placement, port::NodeInfo};

use crate::{
    cassandra::{self, Cassandra},
    dice::Dice,
    node::{Node, Site},
    proxy::{Proxy, Way},
    redis::RedisServer,
    seeded::{self, Bug, Step},
};

/// The nodes' names, in the order in which they start.
pub(crate) const NAMES: [&str; 3] = ["one", "two", "three"];
/// The node whose clock can be set.
pub(crate) const CLOCK: usize = 1;
/// The node that can be told to die at a step.
pub(crate) const STEPS: usize = 2;

/// The store beneath.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beneath {
    /// A Cassandra of the cluster's own, which can be paused.
    One,
    /// The Cassandra that all tests of this process share.
    Shared,
    /// Three of the cluster's own, each with a copy of everything.
    Three,
}

/// Three nodes and what they share.
pub(crate) struct Cluster {
    /// What they share.
    pub(crate) site: Site,
    /// The store, where it is the cluster's own.
    pub(crate) store: Option<Cassandra>,
    nodes: Vec<Option<Node>>,
    seats: Vec<Seat>,
    settings: Vec<(&'static str, &'static str)>,
    bug: Bug,
    is_broken: bool,
    beneath: Beneath,
    /// Where the store's nodes take clients.
    store_at: Vec<String>,
}

/// What stays of a node while it is killed and started.
struct Seat {
    /// Where clients connect.
    address: SocketAddr,
    /// Where its internal listener is, behind a proxy.
    internal: SocketAddr,
    /// To Redis.
    redis: Proxy,
    /// To the store.
    store: Proxy,
    /// To its internal listener, for all others.
    calls: Proxy,
    /// Holds how far its clock is off.
    clock: PathBuf,
}

/// What a node talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Far {
    /// The Redis between the nodes.
    Redis,
    /// The store.
    Store,
    /// The internal listener of each other node.
    Peers,
}

impl Cluster {
    /// Starts everything, and waits until all nodes see each other. A bug is in all of them, and waits.
    pub(crate) async fn start(
        beneath: Beneath,
        settings: Vec<(&'static str, &'static str)>,
        bug: Bug,
        dice: &mut Dice,
    ) -> Self {
        let started = tokio::task::spawn_blocking(move || {
            let store = match beneath {
                Beneath::One => Some(Cassandra::start(1)),
                Beneath::Three => Some(Cassandra::start(3)),
                Beneath::Shared => None,
            };
            let addresses = store.as_ref().map_or_else(
                || vec![cassandra::shared().to_owned()],
                Cassandra::addresses,
            );
            (store, addresses)
        });
        let (store, addresses) = started.await.unwrap();
        let site = Site::over(&addresses[0], redis());
        let to_store = addresses[0].to_socket_addrs().unwrap().next().unwrap();
        let to_redis = SocketAddr::from(([127, 0, 0, 1], site.redis.port));
        let seats = NAMES.iter().map(|name| {
            let internal = dice.free_address();
            Seat {
                address: dice.free_address(),
                internal,
                redis: Proxy::start(to_redis),
                store: Proxy::start(to_store),
                calls: Proxy::start(internal),
                clock: site.file(&format!("clock-{name}"), b"+0"),
            }
        });
        let mut cluster = Self {
            seats: seats.collect(),
            site,
            store,
            nodes: Vec::new(),
            settings,
            bug,
            is_broken: false,
            beneath,
            store_at: addresses,
        };
        for at in 0..NAMES.len() {
            let node = cluster.begin(at).await;
            cluster.nodes.push(Some(node));
        }
        for node in cluster.nodes.iter().flatten() {
            node.sees(NAMES.len()).await;
        }
        cluster
    }

    /// Returns where clients connect.
    pub(crate) fn urls(&self) -> Vec<String> {
        let seats = self.seats.iter();
        seats
            .map(|seat| format!("http://{}", seat.address))
            .collect()
    }

    /// Starts a node that is away.
    pub(crate) async fn start_again(&mut self, at: usize) {
        self.nodes[at] = Some(self.begin(at).await);
    }

    async fn begin(&self, at: usize) -> Node {
        let (name, seat) = (NAMES[at], &self.seats[at]);
        let mut command = if self.bug != Bug::None || at == STEPS {
            let command = seeded::command(self.bug);
            let mut command = self.site.command_of(command, name);
            command.stdin(Stdio::piped());
            command
        } else {
            self.site.command(name)
        };
        if at == CLOCK && self.beneath == Beneath::One {
            fake_time(&mut command, &seat.clock);
        }
        let redis = format!("redis://{name}:{name}@{}", seat.redis.address);
        command
            .env("PARLOR__SERVER__LISTEN", seat.address.to_string())
            .env("PARLOR__SERVER__INTERNAL_LISTEN", seat.internal.to_string())
            .env(
                "PARLOR__SERVER__INTERNAL_ADDRESS",
                seat.calls.address.to_string(),
            )
            .env("PARLOR__CLUSTER__REDIS__URL", redis)
            .env("PARLOR__STORAGE__CQL__REQUEST_TIMEOUT_MS", "2000")
            .env("PARLOR__LIMITS__CONNECTIONS_PER_USER", "0")
            // A long run, and a clock that is ahead by an hour, outlast those of an hour.
            .env("PARLOR__AUTH__ACCESS_TTL_MS", "604800000")
            .envs(self.settings.iter().copied());
        let (nodes, copies) = match self.beneath {
            Beneath::Three => (format!("{:?}", self.store_at), "3"),
            Beneath::One | Beneath::Shared => (format!("[\"{}\"]", seat.store.address), "1"),
        };
        command
            .env("PARLOR__STORAGE__CQL__NODES", nodes)
            .env("PARLOR__STORAGE__CQL__REPLICATION", copies);
        let mut node = self.site.launch(command).await;
        if self.is_broken {
            node.write(seeded::BREAK);
        }
        node
    }

    /// Has all nodes break their rule from now on.
    pub(crate) fn break_rule(&mut self) {
        self.is_broken = self.bug != Bug::None;
        if self.is_broken {
            let nodes = self.nodes.iter_mut().flatten();
            nodes.for_each(|node| node.write(seeded::BREAK));
        }
    }

    /// Returns a node.
    pub(crate) fn node(&self, at: usize) -> &Node {
        let node = self.nodes[at].as_ref();
        node.expect("invariant: it runs between faults")
    }

    /// Takes a node out, for it to end.
    pub(crate) fn take(&mut self, at: usize) -> Node {
        self.nodes[at].take().expect("invariant: it runs")
    }

    /// Has a node's way to something change. Its way to its peers is that of all: who has Redis calls nobody.
    pub(crate) fn turn(&self, at: usize, far: Far, way: Way) {
        let seat = &self.seats[at];
        match far {
            Far::Redis => seat.redis.turn(way),
            Far::Store => seat.store.turn(way),
            Far::Peers => self.seats.iter().for_each(|seat| seat.calls.turn(way)),
        }
    }

    /// Has the nodes' ways to something change.
    pub(crate) fn turn_all(&self, far: Far, way: Way) {
        (0..NAMES.len()).for_each(|at| self.turn(at, far, way));
    }

    /// Takes the channels of Redis from a node, and leaves it the keys; or gives them back.
    pub(crate) fn channels(&self, at: usize, rule: &str) {
        let said = self.site.redis.cli(&["ACL", "SETUSER", NAMES[at], rule]);
        assert_eq!(said, "OK", "{rule}");
    }

    /// Sets a node's clock off, as `+1h` or `-1h`, or right again with `+0`.
    pub(crate) fn set_clock(&self, offset: &str) {
        std::fs::write(&self.seats[CLOCK].clock, offset).unwrap();
    }

    /// Tells a node to die at a step, and waits until it has.
    pub(crate) async fn dies_at(&mut self, step: Step) {
        let mut node = self.take(STEPS);
        node.write(&seeded::asked(step).to_string());
        assert!(!node.ended().await, "it ended well");
    }
}

/// Returns the owner of a room while all nodes are there.
pub(crate) fn owner(room: RoomId) -> NodeId {
    let nodes = NAMES.map(|name| NodeInfo {
        node_id: name.parse().unwrap(),
        boot_id: BootId::from([0; 16]),
        internal_address: None,
    });
    let owner = placement::owner(room, &nodes);
    owner.expect("invariant: there are nodes").node_id.clone()
}

/// Tells whether each node owns one of these rooms at least.
pub(crate) fn each_owns_one(rooms: &[RoomId]) -> bool {
    let owners: BTreeSet<NodeId> = rooms.iter().map(|room| owner(*room)).collect();
    owners.len() == NAMES.len()
}

/// A Redis that knows each node by a name of its own.
fn redis() -> RedisServer {
    let users = NAMES.map(|name| {
        ["--user", name, "on", ">", "~*", "&*", "+@all"].map(|word| match word {
            ">" => format!(">{name}"),
            word => word.to_owned(),
        })
    });
    let words: Vec<&str> = users.iter().flatten().map(String::as_str).collect();
    RedisServer::with(&words)
}

/// Has the time of day come from a file's offset; that of timers does not.
fn fake_time(command: &mut Command, offset: &Path) {
    let folders = std::fs::read_dir("/usr/lib").unwrap();
    let library = folders
        .map(|folder| folder.unwrap().path().join("faketime/libfaketimeMT.so.1"))
        .find(|file| file.exists());
    command
        .env(
            "LD_PRELOAD",
            library.expect("libfaketime is there: scripts/test prepare brings it"),
        )
        .env("FAKETIME_TIMESTAMP_FILE", offset)
        .env("FAKETIME_CACHE_DURATION", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("FAKETIME_DISABLE_SHM", "1");
}
