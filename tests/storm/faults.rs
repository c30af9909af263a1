//! The faults: what each does, for how long, and what is there again when it is over.

use std::{net::SocketAddr, time::Duration};

use tokio::time::sleep;

use crate::{
    cassandra::Cassandra,
    dice::Dice,
    node::{Node, Site},
};

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A node is killed, and started again after a while.
    NodeKilled,
    /// A node does nothing for less than it takes to be missed, then goes on.
    NodePaused,
    /// A node does nothing until the others have given it up, then goes on as if nothing had been.
    NodeExpired,
    /// Every node is told to leave and started again, one after the other.
    RollingRestart,
    /// Redis is killed and comes back empty.
    RedisKilled,
    /// Redis keeps its connections and says nothing.
    RedisPaused,
    /// Redis ends the nodes' subscriptions, as it does when its output buffer is overrun.
    RedisCutsOff,
    /// The store keeps its connections and says nothing: writes end unknown.
    StorePaused,
}

/// All of them, in turn.
pub(crate) const KINDS: [Kind; 8] = [
    Kind::NodeKilled,
    Kind::RedisKilled,
    Kind::NodePaused,
    Kind::StorePaused,
    Kind::RedisCutsOff,
    Kind::NodeExpired,
    Kind::RedisPaused,
    Kind::RollingRestart,
];

/// Three nodes and what they share.
pub(crate) struct Cluster {
    /// What they share.
    pub(crate) site: Site,
    store: Cassandra,
    nodes: Vec<Option<Node>>,
    addresses: Vec<SocketAddr>,
    settings: Vec<(&'static str, &'static str)>,
}

const NAMES: [&str; 3] = ["one", "two", "three"];

impl Cluster {
    /// Starts everything, and waits until all see each other.
    pub(crate) async fn start(
        addresses: Vec<SocketAddr>,
        settings: Vec<(&'static str, &'static str)>,
    ) -> Self {
        let store = tokio::task::spawn_blocking(|| Cassandra::start(1));
        let store = store.await.unwrap();
        let site = Site::on(&store.address());
        let mut cluster = Self {
            site,
            store,
            nodes: Vec::new(),
            addresses,
            settings,
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
        let urls = self.addresses.iter();
        urls.map(|address| format!("http://{address}")).collect()
    }

    async fn begin(&self, at: usize) -> Node {
        let mut command = self.site.command(NAMES[at]);
        command
            .env("PARLOR__SERVER__LISTEN", self.addresses[at].to_string())
            .env("PARLOR__STORAGE__CQL__REQUEST_TIMEOUT_MS", "2000")
            .env("PARLOR__LIMITS__CONNECTIONS_PER_USER", "0")
            .envs(self.settings.iter().copied());
        self.site.launch(command).await
    }

    fn node(&self, at: usize) -> &Node {
        self.nodes[at]
            .as_ref()
            .expect("invariant: it runs between faults")
    }

    /// Has something fail, and mends it.
    pub(crate) async fn suffer(&mut self, kind: Kind, dice: &mut Dice) {
        let at = usize::try_from(dice.below(3)).expect("invariant: below three");
        let ms = |dice: &mut Dice, from, to| Duration::from_millis(dice.between(from, to));
        match kind {
            Kind::NodeKilled => {
                self.nodes[at].take().expect("invariant: it runs").kill();
                sleep(ms(dice, 0, 2_500)).await;
                self.nodes[at] = Some(self.begin(at).await);
            }
            Kind::NodePaused => self.pause(at, ms(dice, 200, 2_000)).await,
            Kind::NodeExpired => self.pause(at, ms(dice, 11_000, 14_000)).await,
            Kind::RollingRestart => {
                for at in 0..NAMES.len() {
                    let node = self.nodes[at].take().expect("invariant: it runs");
                    let left = tokio::task::spawn_blocking(|| node.terminate());
                    left.await.unwrap();
                    self.nodes[at] = Some(self.begin(at).await);
                }
            }
            Kind::RedisKilled => {
                self.site.redis.kill();
                sleep(ms(dice, 200, 3_000)).await;
                tokio::task::block_in_place(|| self.site.redis.begin());
            }
            Kind::RedisPaused => {
                self.site.redis.pause();
                sleep(ms(dice, 200, 4_000)).await;
                self.site.redis.resume();
            }
            Kind::RedisCutsOff => {
                for _ in 0..3 {
                    self.site.redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
                    sleep(ms(dice, 50, 400)).await;
                }
            }
            Kind::StorePaused => {
                self.store.pause(0);
                sleep(ms(dice, 500, 4_500)).await;
                self.store.resume(0);
            }
        }
    }

    async fn pause(&self, at: usize, time: Duration) {
        self.node(at).pause();
        sleep(time).await;
        self.node(at).resume();
    }
}
