//! A node as far as Redis sees it: its adapters, and what the bus hands up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parlor_cluster::{PacketSeal, RandomIds, Redis, RedisStartError, Seals, SystemClock};
use parlor_config::Redis as Settings;
use parlor_schema::{
    BootId, NodeId, RoomId, Seq, UserId,
    envelope::{Destination, Envelope},
    port::{Bus as _, Clock as _, Ids as _, Inbound, Membership as _, NodeInfo},
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

pub(crate) struct Node {
    pub(crate) redis: Redis,
    pub(crate) info: NodeInfo,
    got: mpsc::UnboundedReceiver<Inbound>,
}

pub(crate) fn settings(url: &str) -> Settings {
    Settings {
        url: Some(url.parse().unwrap()),
        ..Settings::default()
    }
}

/// The secret of every node.
pub(crate) const SECRET: [u8; 32] = [7; 32];

pub(crate) fn name(name: &str) -> NodeId {
    name.parse().unwrap()
}

pub(crate) fn revoked(number: usize) -> Envelope {
    Envelope::UserRevoked {
        user_id: format!("u{number}").parse::<UserId>().unwrap(),
    }
}

pub(crate) fn room(number: u8) -> RoomId {
    RoomId::from([number; 16])
}

/// Starts the adapters of a node without an inbox.
pub(crate) async fn start(
    node: &str,
    settings: &Settings,
) -> Result<(Redis, NodeInfo), RedisStartError> {
    start_with(node, settings, SECRET).await
}

/// Does the same with another secret.
pub(crate) async fn start_with(
    node: &str,
    settings: &Settings,
    secret: [u8; 32],
) -> Result<(Redis, NodeInfo), RedisStartError> {
    let (clock, ids) = (SystemClock::new(), RandomIds::new());
    let info = NodeInfo {
        node_id: name(node),
        boot_id: BootId::new(ids.uuid(clock.now())),
        internal_address: Some(format!("{node}:7000").into()),
    };
    let seals = Seals {
        packets: PacketSeal::new(&secret),
        calls: None,
    };
    let redis = Redis::start(settings, info.clone(), clock, ids, seals).await?;
    Ok((redis, info))
}

impl Node {
    /// Starts a node and waits until its subscription is there.
    pub(crate) async fn start(node: &str, settings: &Settings) -> Self {
        Self::with_inbox(node, settings, |_| {}).await
    }

    /// Starts one that does something with what arrives first, on the thread that brings it.
    pub(crate) async fn with_inbox(
        node: &str,
        settings: &Settings,
        first: impl Fn(&Inbound) + Send + Sync + 'static,
    ) -> Self {
        let (redis, info) = start(node, settings).await.unwrap();
        let (sender, got) = mpsc::unbounded_channel();
        redis.bus().attach(Arc::new(move |inbound| {
            first(&inbound);
            let _ = sender.send(inbound);
        }));
        let node = Self { redis, info, got };
        within("the subscription", 5, || {
            node.redis.health().subscription.up
        })
        .await;
        node
    }

    /// Starts two nodes that see and hear each other.
    pub(crate) async fn pair(settings: &Settings) -> [Self; 2] {
        let (mut one, mut two) = (
            Self::start("n1", settings).await,
            Self::start("n2", settings).await,
        );
        one.sees(&["n1", "n2"]).await;
        two.sees(&["n1", "n2"]).await;
        // The first contact counts as a loss.
        one.hears_of_loss("n2", 5).await;
        two.hears_of_loss("n1", 5).await;
        [one, two]
    }

    pub(crate) async fn tell(&self, to: &str, number: usize) {
        let to = Destination::Node(name(to));
        self.redis.bus().publish(to, revoked(number)).await.unwrap();
    }

    pub(crate) async fn tell_all(&self, number: usize) {
        let bus = self.redis.bus();
        bus.publish(Destination::All, revoked(number))
            .await
            .unwrap();
    }

    pub(crate) fn note(&self, to: &str, number: u8, head: u64) {
        self.redis
            .bus()
            .note_head(&name(to), room(number), Seq::new(head));
    }

    /// Returns what arrives next, within 5 s.
    pub(crate) async fn next(&mut self) -> Inbound {
        let next = timeout(Duration::from_secs(5), self.got.recv()).await;
        next.expect("something arrives").expect("the bus is there")
    }

    /// Returns what has arrived by now.
    pub(crate) fn arrived(&mut self) -> Vec<Inbound> {
        std::iter::from_fn(|| self.got.try_recv().ok()).collect()
    }

    /// Waits until an envelope of this number arrives, whatever comes before.
    pub(crate) async fn hears(&mut self, number: usize) -> Vec<Inbound> {
        let wanted = Inbound::Envelope(revoked(number));
        let mut before = Vec::new();
        loop {
            let next = self.next().await;
            if next == wanted {
                return before;
            }
            before.push(next);
        }
    }

    /// Waits until the link from a node is reported as lossy; returns how long that took.
    #[track_caller]
    pub(crate) fn hears_of_loss<'a>(
        &'a mut self,
        from: &'a str,
        seconds: u64,
    ) -> impl Future<Output = Duration> + 'a {
        let wanted = Inbound::LinkLost(name(from));
        let at = std::panic::Location::caller();
        async move {
            let began = Instant::now();
            let search =
                async { while self.got.recv().await.expect("the bus is there") != wanted {} };
            let found = timeout(Duration::from_secs(seconds), search).await;
            found.unwrap_or_else(|_| panic!("{at}: no loss from {from} within {seconds} s"));
            began.elapsed()
        }
    }

    /// Waits until the view shows these nodes.
    pub(crate) async fn sees(&self, nodes: &[&str]) {
        within(&format!("a view of {nodes:?}"), 15, || self.view() == nodes).await;
    }

    pub(crate) fn view(&self) -> Vec<String> {
        let view = self.redis.membership().view();
        let names = view.nodes.iter().map(|node| node.node_id.to_string());
        names.collect()
    }

    /// Tells whether commands and subscription are up.
    pub(crate) fn is_up(&self) -> bool {
        let health = self.redis.health();
        health.commands.up && health.subscription.up
    }
}

/// Waits until something holds.
pub(crate) async fn within(what: &str, seconds: u64, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(
            began.elapsed() < Duration::from_secs(seconds),
            "not within {seconds} s: {what}"
        );
        sleep(Duration::from_millis(10)).await;
    }
}
