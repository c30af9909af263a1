//! Looks after what the node stands on: says in readiness and metrics how the store and Redis are.
//!
//! Invariant WA-1: a store that does not answer makes the node unready after [`STORE_AWAY_MS`]; a Redis that does not never does, as
//! clients would be sent away from every node for what costs only time (promise P-5).

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parlor_actors::{
    metrics::{LinkLabel, Metrics, Outside, ReasonLabel, set},
    ports::Ports,
};
use parlor_cluster::{CqlStats, PeerLink, RedisHealth, http::CallFailure, link::Carrier};
use parlor_schema::RoomId;

use super::{Cluster, Store};

/// How often a store that is another process is asked whether it is there.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a store may be away before the node is not ready: longer than a failover within it.
const STORE_AWAY_MS: u64 = 5_000;
/// A room that nobody makes: asked for, it shows that the store can decide appends.
const NO_ROOM: RoomId = RoomId::new(uuid::Uuid::nil());

/// How the store and Redis are.
pub(super) struct Watch {
    ports: Ports,
    cluster: Cluster,
    store: Store,
    metrics: Arc<Metrics>,
    /// When the store answered last.
    answered_ms: AtomicU64,
    /// Held while counts are copied: where two ask at once, none goes back.
    copying: Mutex<()>,
}

impl Watch {
    /// Makes it, and starts to look on this thread where the store is another process.
    pub(super) fn start(
        ports: Ports,
        cluster: Cluster,
        store: Store,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let watch = Arc::new(Self {
            answered_ms: AtomicU64::new(ports.clock.monotonic_ms()),
            ports,
            cluster,
            store,
            metrics,
            copying: Mutex::new(()),
        });
        match watch.store {
            Store::Cql(_) => {
                actix_rt::spawn(watch.clone().probe());
            }
            Store::Embedded(_) => {
                watch.metrics.outside.store_up.set(1);
            }
        }
        watch
    }

    async fn probe(self: Arc<Self>) {
        let store_up = &self.metrics.outside.store_up;
        loop {
            match self.ports.timeline.head(NO_ROOM).await {
                Ok(_) => {
                    let now = self.ports.clock.monotonic_ms();
                    self.answered_ms.store(now, Relaxed);
                    store_up.set(1);
                }
                Err(error) => {
                    tracing::debug!(%error, "the store does not answer");
                    store_up.set(0);
                }
            }
            actix_rt::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Copies what the adapters have counted until now into the metrics.
    pub(super) fn copy_counts(&self) {
        let copying = self.copying.lock();
        let _copying = copying.unwrap_or_else(PoisonError::into_inner);
        let outside = &self.metrics.outside;
        let nodes = self.ports.membership.view().nodes.len();
        outside.nodes.set(i64::try_from(nodes).unwrap_or(i64::MAX));
        if let Some(health) = self.cluster.redis_health() {
            copy_redis(outside, &health);
            copy_links(outside, &health, &self.cluster.links());
        }
        if let Store::Cql(store) = &self.store {
            copy_cql(outside, &store.stats());
        }
    }

    /// Tells why the node should get no traffic.
    pub(super) fn reasons(&self) -> Vec<String> {
        let silent = self.silent_ms();
        if silent < STORE_AWAY_MS {
            return Vec::new();
        }
        vec![format!("the store has not answered for {silent} ms")]
    }

    /// Tells what does not work besides.
    pub(super) fn troubles(&self) -> Vec<String> {
        let Some(health) = self.cluster.redis_health() else {
            return Vec::new();
        };
        let mut troubles = Vec::new();
        for (name, link) in [
            ("commands", health.commands),
            ("subscription", health.subscription),
        ] {
            if !link.up {
                troubles.push(format!("redis: {name} are down for {} ms", link.for_ms));
            }
        }
        if health.frozen {
            troubles.push("redis: the view of the nodes is frozen".to_owned());
        }
        for PeerLink {
            node,
            carrier,
            is_reached,
        } in self.cluster.links()
        {
            match (carrier, is_reached) {
                (Carrier::Redis, true) => {}
                (Carrier::Http, true) => troubles.push(format!("link to {node}: over http")),
                (_, false) => troubles.push(format!("link to {node}: down")),
            }
        }
        troubles
    }

    /// Tells how long ago the store answered.
    pub(super) fn silent_ms(&self) -> u64 {
        match self.store {
            Store::Cql(_) => {
                let now = self.ports.clock.monotonic_ms();
                now.saturating_sub(self.answered_ms.load(Relaxed))
            }
            Store::Embedded(_) => 0,
        }
    }
}

fn copy_redis(outside: &Outside, health: &RedisHealth) {
    outside.redis_commands_up.set(health.commands.up.into());
    outside
        .redis_subscription_up
        .set(health.subscription.up.into());
    outside.view_frozen.set(health.frozen.into());
    let bus = &health.bus;
    set(&outside.bus_queued, bus.queued);
    set(&outside.bus_dropped, bus.dropped);
    set(&outside.bus_packets, bus.packets);
    set(&outside.bus_failed, bus.failed);
    set(&outside.bus_received, bus.received);
    set(&outside.bus_overrun, bus.overrun);
    set(&outside.bus_lost, bus.lost);
    set(&outside.bus_deaf, bus.deaf);
    set(&outside.bus_garbage, bus.garbage);
    set(&outside.bus_forged, bus.forged);
    set(&outside.name_conflicts, bus.name_conflicts);
    let tails = &health.tails;
    set(&outside.tail_hits, tails.hits);
    set(&outside.tail_misses, tails.misses);
    set(&outside.tail_odd, tails.odd);
    set(&outside.tail_dropped, tails.dropped);
}

fn copy_links(outside: &Outside, health: &RedisHealth, links: &[PeerLink]) {
    let (out, within) = (&outside.link_packets_out, &outside.link_packets_in);
    let (bus, calls) = (&health.bus, &health.calls);
    set(&out.get_or_create(&LinkLabel::REDIS), bus.packets);
    set(&within.get_or_create(&LinkLabel::REDIS), bus.received);
    set(&out.get_or_create(&LinkLabel::HTTP), calls.packets);
    set(&within.get_or_create(&LinkLabel::HTTP), bus.called);
    for (failure, failures) in CallFailure::ALL.iter().zip(calls.failures) {
        let reason = failure.as_str();
        let series = ReasonLabel { reason };
        set(&outside.link_failures.get_or_create(&series), failures);
    }
    let so_many = |which: fn(&PeerLink) -> bool| {
        let count = links.iter().filter(|link| which(link)).count();
        i64::try_from(count).unwrap_or(i64::MAX)
    };
    let by_http = |link: &PeerLink| link.carrier == Carrier::Http && link.is_reached;
    outside.links_http.set(so_many(by_http));
    outside.links_down.set(so_many(|link| !link.is_reached));
}

fn copy_cql(outside: &Outside, stats: &CqlStats) {
    set(&outside.cql_buckets, stats.buckets);
    set(&outside.cql_reads, stats.reads);
    set(&outside.cql_coalesced, stats.coalesced);
    set(&outside.cql_heads, stats.heads);
    set(&outside.cql_holes, stats.holes);
    set(&outside.cql_refused, stats.refused);
    set(&outside.cql_local_appends, stats.local);
    set(&outside.cql_forgotten, stats.forgotten);
    let running = i64::try_from(stats.running).unwrap_or(i64::MAX);
    outside.cql_running.set(running);
}
