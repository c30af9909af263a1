//! The bus over Redis: a channel for each node, packets of numbered links on it; and calls of the nodes' internal listeners
//! where Redis does not carry them.
//!
//! Invariants:
//! - RB-1: publishing never waits: it queues, and one task sends what waits for all nodes, in one write to each server.
//!   It sends at once; what is published before the answer comes goes with the next write, as does more than a packet.
//! - RB-2: every [`BEAT_EVERY`] each peer is told the last number of its link, so that a lost packet is noticed, the last
//!   one too.
//! - RB-3: while the server of a node's inbox is away nothing is taken out of that node's queue for it.
//! - RB-4: both carriers take from one queue and one row of numbers, and what they bring goes through one [`Incoming`]: a change of
//!   the carrier doubles nothing, and what it loses is noticed.
//!
//! Deliberately absent: sending again. What was given to Redis and not answered for is not sent twice.

mod direct;
mod sealed;

use std::{
    collections::BTreeMap,
    future,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parlor_schema::{
    BootId, NodeId, RoomId, Seq, Timestamp,
    envelope::{Destination, Envelope},
    port::{Bus, BusError, Clock, Ids, Inbound, Inbox, Membership, NodeInfo, PortFuture},
};
use redis::{Value, cmd};
use tokio::{sync::Notify, time::MissedTickBehavior};

pub use direct::PeerLink;
pub use sealed::PacketSeal;

use super::{
    commands::{Commands, Keyed},
    health::{Counters, LinkHealth, count},
    membership::RedisMembership,
    names::Names,
    subscriber::{Arrived, Packets, Probes, Queue, Subscriber},
    topology::slot,
};
use crate::{
    http::Calls,
    link::{
        Carrier, Incoming, Limits, Outgoing, Route, encode, pack_contents, pack_heartbeat,
        read_packet,
    },
};

/// How often peers are told how far their link is.
const BEAT_EVERY: Duration = Duration::from_millis(250);
/// Links out of this node; their numbers are kept as long as it runs.
const LINKS_MAX: usize = 4096;
/// Bytes of an envelope.
const ENVELOPE_BYTES_MAX: usize = 8 << 20;
/// How long a link gets heartbeats after its node has left the view and nothing was queued on it.
const LINK_RESTS_MS: u64 = 60_000;
/// Packets to one node in one write.
const PACKETS_PER_WRITE: usize = 4;

/// How long a node thinks that it misses something after a packet with another secret: several beats.
const FORGED_MS: u64 = 2_000;
/// The time of what has not been.
const NEVER: u64 = u64::MAX;

/// Envelopes between nodes over Redis.
pub struct RedisBus {
    own: NodeInfo,
    commands: Arc<Commands>,
    membership: Arc<RedisMembership>,
    names: Names,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    counters: Arc<Counters>,
    probes: Arc<Probes>,
    subscription: Arc<LinkHealth>,
    calls: Option<Arc<Calls>>,
    seal: PacketSeal,
    /// When the last packet came that was not sealed with this secret.
    forged_ms: AtomicU64,
    queue: Queue,
    listening: Mutex<Option<(Subscriber, Packets)>>,
    inbox: OnceLock<Inbox>,
    attached: Notify,
    links: Mutex<BTreeMap<NodeId, Link>>,
    waiting: Notify,
    /// The same for what goes over HTTP.
    calling: Notify,
}

struct Link {
    channel: String,
    slot: u16,
    outgoing: Outgoing,
    route: Route,
    /// When its node last called, and the time that this call was sealed at.
    heard: Option<(u64, Timestamp)>,
    /// When something was queued on it, or its node was in the view.
    used_ms: u64,
    /// The run of its node that was in the view at the last beat.
    in_view: Option<BootId>,
    /// The run that left the view last. Should it come back, it was told nothing meanwhile.
    left: Option<BootId>,
}

impl Link {
    /// Takes the run of its node that is in the view now. One that comes back notices that something is missing; the first words to a new run
    /// count as a loss anyway (L-3 of [`crate::link`]).
    fn look(&mut self, run: Option<BootId>) {
        if run == self.in_view {
            return;
        }
        if run.is_some() && run == self.left {
            self.outgoing.note_missed();
        }
        self.left = self.in_view.or(self.left);
        self.in_view = run;
    }
}

fn was_of_late(at_ms: u64, now_ms: u64) -> bool {
    at_ms != NEVER && now_ms.saturating_sub(at_ms) < FORGED_MS
}

/// What the bus is made from.
pub(super) struct BusParts {
    pub(super) own: NodeInfo,
    pub(super) commands: Arc<Commands>,
    pub(super) membership: Arc<RedisMembership>,
    pub(super) names: Names,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) subscriber: Subscriber,
    /// The way around Redis, where this node has one.
    pub(super) calls: Option<Arc<Calls>>,
    pub(super) seal: PacketSeal,
}

impl RedisBus {
    pub(super) fn new(parts: BusParts) -> Arc<Self> {
        let subscriber = parts.subscriber;
        let (queue, packets) = Queue::new(Arc::clone(&subscriber.counters));
        Arc::new(Self {
            own: parts.own,
            commands: parts.commands,
            membership: parts.membership,
            names: parts.names,
            clock: parts.clock,
            ids: parts.ids,
            counters: Arc::clone(&subscriber.counters),
            probes: Arc::clone(&subscriber.probes),
            subscription: Arc::clone(&subscriber.health),
            calls: parts.calls,
            seal: parts.seal,
            forged_ms: AtomicU64::new(NEVER),
            queue,
            listening: Mutex::new(Some((subscriber, packets))),
            inbox: OnceLock::new(),
            attached: Notify::new(),
            links: Mutex::default(),
            waiting: Notify::new(),
            calling: Notify::new(),
        })
    }

    /// Sends what waits, and heartbeats, for ever.
    pub(super) async fn run(self: Arc<Self>) {
        let mut beat = tokio::time::interval(BEAT_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_beat = tokio::select! {
                _ = beat.tick() => true,
                () = self.waiting.notified() => false,
            };
            // Those who are about to publish on this thread do so first, and share the write.
            tokio::task::yield_now().await;
            self.send(is_beat).await;
        }
    }

    async fn send(&self, is_beat: bool) {
        let (nodes, mut packets): (Vec<NodeId>, Vec<Keyed>) =
            self.packets(is_beat).into_iter().unzip();
        let probe = self.probe(is_beat);
        let is_probed = probe.is_some();
        packets.extend(probe);
        if packets.is_empty() {
            return;
        }
        count(&self.counters.packets, packets.len());
        let answers = self.commands.ask_all(packets).await;
        for answer in &answers {
            match answer {
                Ok(Value::Int(0)) => count(&self.counters.unheard, 1),
                Ok(_) => {}
                Err(_) => count(&self.counters.failed, 1),
            }
        }
        let arrived = |answer: &Result<Value, _>| !matches!(answer, Ok(Value::Int(0)) | Err(_));
        self.answered(nodes.into_iter().zip(answers.iter().map(arrived)));
        // The probe is the last.
        if is_probed && answers.last().is_some_and(Result::is_ok) {
            self.probes.sent(self.clock.monotonic_ms());
        }
    }

    /// Takes what goes with the next write, and to whom.
    fn packets(&self, is_beat: bool) -> Vec<(NodeId, Keyed)> {
        let (from, boot) = (&self.own.node_id, self.own.boot_id);
        let now = self.clock.monotonic_ms();
        let mut packets = Vec::new();
        let mut put = |node: &NodeId, link: &Link, packet| {
            let publication = self.publication(link.slot, &link.channel, packet);
            packets.push((node.clone(), publication));
        };
        let mut links = self.links();
        if is_beat {
            let view = self.membership.view();
            for node in &view.nodes {
                if node.node_id != *from {
                    self.link(&mut links, &node.node_id);
                }
            }
            for (node, link) in links.iter_mut() {
                link.look(view.node(node).map(|node| node.boot_id));
            }
        }
        let mut more = false;
        for (node, link) in links.iter_mut() {
            if !self.commands.reaches(link.slot) {
                self.around_redis(node, link);
                continue;
            }
            let rests = now.saturating_sub(link.used_ms) >= LINK_RESTS_MS;
            if link.route.carrier() == Carrier::Http {
                if is_beat && !rests {
                    let known = link.route.confirmed();
                    put(node, link, pack_heartbeat(from, boot, known));
                }
                continue;
            }
            for _ in 0..PACKETS_PER_WRITE {
                let Some((number, contents)) = link.outgoing.take_envelopes() else {
                    break;
                };
                let packet = pack_contents(from, boot, number, &contents);
                put(node, link, packet);
            }
            more |= link.outgoing.has_envelopes();
            if is_beat && !rests {
                while let Some((number, contents)) = link.outgoing.take_heads() {
                    let packet = pack_contents(from, boot, number, &contents);
                    put(node, link, packet);
                }
                let last = link.outgoing.last();
                put(node, link, pack_heartbeat(from, boot, last));
            }
        }
        if more {
            self.waiting.notify_one();
        }
        packets
    }

    /// Makes a heartbeat to this node itself, by which the subscription shows that it is not deaf.
    fn probe(&self, is_beat: bool) -> Option<Keyed> {
        let channel = self.names.inbox(&self.own.node_id);
        let slot = slot(&channel);
        if !is_beat || !self.commands.reaches(slot) {
            return None;
        }
        let packet = pack_heartbeat(&self.own.node_id, self.own.boot_id, 0);
        Some(self.publication(slot, &channel, packet))
    }

    fn publication(&self, slot: u16, channel: &str, mut packet: Vec<u8>) -> Keyed {
        self.seal.seal(channel, &mut packet);
        let word = match self.commands.is_sharded() {
            true => "SPUBLISH",
            false => "PUBLISH",
        };
        (slot, cmd(word).arg(channel).arg(packet).to_owned())
    }

    fn links(&self) -> MutexGuard<'_, BTreeMap<NodeId, Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link<'a>(&self, links: &'a mut BTreeMap<NodeId, Link>, to: &NodeId) -> Option<&'a mut Link> {
        if !links.contains_key(to) && links.len() >= LINKS_MAX {
            return None;
        }
        let link = links.entry(to.clone()).or_insert_with(|| {
            let channel = self.names.inbox(to);
            Link {
                slot: slot(&channel),
                channel,
                outgoing: Outgoing::new(Limits::default()),
                route: Route::default(),
                heard: None,
                used_ms: 0,
                in_view: None,
                left: None,
            }
        });
        link.used_ms = self.clock.monotonic_ms();
        Some(link)
    }

    fn queue(&self, to: &Destination, envelope: &Envelope) -> Result<(), BusError> {
        let encoded = encode(envelope).map_err(|error| BusError(error.to_string()))?;
        if encoded.len() > ENVELOPE_BYTES_MAX {
            return Err(BusError(format!("{} bytes in one envelope", encoded.len())));
        }
        let view = self.membership.view();
        let to: Vec<&NodeId> = match to {
            Destination::Node(node) => vec![node],
            Destination::Nodes(nodes) => nodes.iter().collect(),
            Destination::All => {
                let all = view.nodes.iter().map(|node| &node.node_id);
                all.filter(|node| **node != self.own.node_id).collect()
            }
        };
        let mut links = self.links();
        for node in to {
            let Some(link) = self.link(&mut links, node) else {
                return Err(BusError(format!("more than {LINKS_MAX} nodes")));
            };
            let dropped = link.outgoing.push(encoded.clone());
            count(&self.counters.queued, 1);
            count(&self.counters.dropped, dropped);
        }
        drop(links);
        self.waiting.notify_one();
        self.calling.notify_one();
        Ok(())
    }

    /// Subscribes once there is an inbox, and reads packets for ever.
    pub(super) async fn listen(self: Arc<Self>) {
        self.attached.notified().await;
        let held = {
            let mut held = self
                .listening
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            held.take()
        };
        let (Some(inbox), Some((subscriber, packets))) = (self.inbox.get(), held) else {
            return;
        };
        tokio::spawn(subscriber.run(Arc::clone(&self.ids), self.queue.clone()));
        self.receive(packets, inbox).await;
    }

    /// Takes that somebody has another secret: a node of this cluster perhaps, whose words are missing here.
    fn hear_forged(&self) {
        count(&self.counters.forged, 1);
        let now = self.clock.monotonic_ms();
        if !was_of_late(self.forged_ms.swap(now, Relaxed), now) {
            tracing::warn!("what comes over redis is not sealed with the secret of this cluster");
        }
    }

    async fn receive(&self, mut packets: Packets, inbox: &Inbox) {
        let mut incoming = Incoming::default();
        let channel = self.names.inbox(&self.own.node_id);
        while let Some(Arrived { packet, by }) = packets.next().await {
            let open = match by {
                None => {
                    count(&self.counters.received, 1);
                    self.seal.open(&channel, &packet)
                }
                // A call is sealed as a whole; it was checked, and its packets are counted.
                Some(_) => Some(&packet[..]),
            };
            let Some(open) = open else {
                self.hear_forged();
                continue;
            };
            let packet = match read_packet(open) {
                Ok(packet) => packet,
                Err(error) => {
                    count(&self.counters.garbage, 1);
                    tracing::debug!(%error, "what came over the bus is no packet");
                    continue;
                }
            };
            count(&self.counters.garbage, packet.unknown);
            // Who calls speaks for itself alone.
            if by.is_some_and(|(node, boot)| packet.from != node || packet.boot != boot) {
                count(&self.counters.garbage, 1);
                continue;
            }
            if packet.from == self.own.node_id {
                if packet.boot == self.own.boot_id {
                    self.probes.heard(self.clock.monotonic_ms());
                }
                continue;
            }
            let heard = match packet.number {
                Some(number) => incoming.packet(&packet.from, packet.boot, number),
                None => incoming.heartbeat(&packet.from, packet.boot, packet.last),
            };
            if heard.lost {
                count(&self.counters.lost, 1);
                inbox(Inbound::LinkLost(packet.from));
            }
            if heard.fresh {
                packet.inbound.into_iter().for_each(&**inbox);
            }
        }
    }
}

impl Bus for RedisBus {
    /// Subscribes. A second inbox is not taken.
    fn attach(&self, inbox: Inbox) {
        let attached = self.inbox.set(inbox);
        debug_assert!(attached.is_ok(), "attach is called once");
        self.attached.notify_one();
    }

    fn publish(&self, to: Destination, envelope: Envelope) -> PortFuture<'_, Result<(), BusError>> {
        let Some(inbox) = self.inbox.get() else {
            let error = BusError("no inbox is attached".into());
            return Box::pin(future::ready(Err(error)));
        };
        let is_own = match &to {
            Destination::Node(node) => *node == self.own.node_id,
            Destination::Nodes(_) | Destination::All => false,
        };
        let queued = match is_own {
            true => Ok(()),
            false => self.queue(&to, &envelope),
        };
        if is_own || to == Destination::All {
            inbox(Inbound::Envelope(envelope));
        }
        Box::pin(future::ready(queued))
    }

    fn is_hearing(&self) -> bool {
        let now = self.clock.monotonic_ms();
        let forged = was_of_late(self.forged_ms.load(Relaxed), now);
        let by_redis = self.subscription.is_up() && self.commands.health.is_up() && !forged;
        by_redis || self.hears_without_redis()
    }

    fn note_head(&self, to: &NodeId, room: RoomId, head: Seq) {
        if *to == self.own.node_id {
            return;
        }
        let mut links = self.links();
        let taken = self
            .link(&mut links, to)
            .is_some_and(|link| link.outgoing.note_head(room, head));
        count(&self.counters.dropped, usize::from(!taken));
    }
}
