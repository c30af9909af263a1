//! The subscription to this node's inbox: one connection, given up and made anew whenever it is in doubt.
//!
//! Invariants:
//! - RS-1: a connection that is silent is found out: by a PING, and by probes that this node sends to its own inbox. A
//!   connection can be healthy and deaf, when its server was demoted or no longer holds the channel.
//! - RS-2: reading never waits for what is read: behind the connection is a bounded queue. When full, a packet is dropped
//!   and counted, and its link reports the loss.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use parlor_schema::{
    BootId, NodeId,
    port::{Clock, Ids},
};
use redis::{AsyncConnectionConfig, ErrorKind, PushInfo, PushKind, RedisError, Value, cmd};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep},
};

use super::{
    backoff::Backoff,
    commands::{LOOK_AGAIN, PING_DEADLINE, PING_EVERY},
    health::{Counters, LinkHealth, count},
    servers::{Servers, within},
    topology::slot,
};

/// Packets that may wait to be read.
const QUEUE: usize = 16_384;
/// Bytes of packets that may wait to be read.
const QUEUE_BYTES: usize = 64 << 20;
/// How much younger the last probe sent may be than the last one heard.
const DEAF_MS: u64 = 2000;

/// What subscribes.
pub(super) struct Subscriber {
    pub(super) servers: Arc<Servers>,
    pub(super) channel: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) health: Arc<LinkHealth>,
    pub(super) counters: Arc<Counters>,
    pub(super) probes: Arc<Probes>,
}

/// When this node last spoke to itself, and heard it.
#[derive(Debug, Default)]
pub(super) struct Probes {
    sent_ms: AtomicU64,
    heard_ms: AtomicU64,
}

impl Probes {
    /// Takes that Redis accepted a probe.
    pub(super) fn sent(&self, now_ms: u64) {
        self.sent_ms.store(now_ms, Relaxed);
    }

    /// Takes that a probe came back.
    pub(super) fn heard(&self, now_ms: u64) {
        self.heard_ms.store(now_ms, Relaxed);
    }

    fn is_deaf(&self) -> bool {
        self.sent_ms.load(Relaxed) > self.heard_ms.load(Relaxed) + DEAF_MS
    }
}

/// A packet, as it came.
pub(super) struct Arrived {
    pub(super) packet: Vec<u8>,
    /// Whose call brought it; nothing for what came over Redis.
    pub(super) by: Option<(NodeId, BootId)>,
}

/// The receiving end of the queue behind the connection.
pub(super) struct Packets {
    queue: mpsc::Receiver<Arrived>,
    waiting: Arc<AtomicUsize>,
}

impl Packets {
    /// Waits for the next packet; nothing when the subscriber has ended.
    pub(super) async fn next(&mut self) -> Option<Arrived> {
        let arrived = self.queue.recv().await?;
        self.waiting.fetch_sub(arrived.packet.len(), Relaxed);
        Some(arrived)
    }
}

/// The sending end.
#[derive(Clone)]
pub(super) struct Queue {
    queue: mpsc::Sender<Arrived>,
    waiting: Arc<AtomicUsize>,
    counters: Arc<Counters>,
}

impl Queue {
    pub(super) fn new(counters: Arc<Counters>) -> (Self, Packets) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let packets = Packets {
            queue: receiver,
            waiting: Arc::clone(&waiting),
        };
        let queue = Self {
            queue: sender,
            waiting,
            counters,
        };
        (queue, packets)
    }

    /// Queues a packet; tells whether it was taken.
    pub(super) fn put(&self, arrived: Arrived) -> bool {
        let length = arrived.packet.len();
        let before = self.waiting.fetch_add(length, Relaxed);
        let taken = before + length <= QUEUE_BYTES && self.queue.try_send(arrived).is_ok();
        if !taken {
            self.waiting.fetch_sub(length, Relaxed);
            count(&self.counters.overrun, 1);
        }
        taken
    }
}

impl Subscriber {
    /// Keeps the subscription for ever.
    pub(super) async fn run(self, ids: Arc<dyn Ids>, queue: Queue) {
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let why = match self.once(&queue).await {
                Ok(why) => RedisError::from((ErrorKind::Io, why)),
                Err(error) => error,
            };
            self.health.down(&why);
            // One that lasted is no failure to connect; one that ends at once is.
            if began.elapsed() > PING_EVERY {
                backoff.reset();
            }
            sleep(backoff.failed(&*ids)).await;
        }
    }

    /// Subscribes, and says why it is over.
    async fn once(&self, queue: &Queue) -> Result<&'static str, RedisError> {
        let topology = self.servers.topology().await?;
        let server = self.server(&topology)?;
        let ended = Arc::new(Notify::new());
        let config = AsyncConnectionConfig::new().set_push_sender(self.receive(queue, &ended));
        let mut connection = self.servers.connect(server, config).await?;
        let word = match self.servers.is_sharded() {
            true => "SSUBSCRIBE",
            false => "SUBSCRIBE",
        };
        let subscribe = cmd(word).arg(&self.channel).to_owned();
        within(PING_DEADLINE, connection.send_packed_command(&subscribe))
            .await?
            .extract_error()?;
        self.probes.heard(self.clock.monotonic_ms());
        self.health.connected();
        self.health.up();
        let mut looked = Instant::now();
        loop {
            tokio::select! {
                () = ended.notified() => return Ok("the server ended the subscription"),
                () = sleep(PING_EVERY) => {}
            }
            let question = cmd("PING");
            within(PING_DEADLINE, connection.send_packed_command(&question))
                .await?
                .extract_error()?;
            if self.probes.is_deaf() {
                count(&self.counters.deaf, 1);
                return Ok("nothing comes over the subscription");
            }
            if self.servers.may_move() && looked.elapsed() >= LOOK_AGAIN {
                looked = Instant::now();
                // That nobody can say who the master is does not end what works.
                if let Ok(topology) = self.servers.topology().await
                    && self.server(&topology)?.addr() != server.addr()
                {
                    return Ok("another server holds the channel");
                }
            }
        }
    }

    fn server<'a>(
        &self,
        topology: &'a super::topology::Topology,
    ) -> Result<&'a redis::ConnectionInfo, RedisError> {
        let place = topology.server_of(slot(&self.channel));
        place
            .map(|place| &topology.servers[place])
            .ok_or_else(|| RedisError::from((ErrorKind::Client, "the channel has no master")))
    }

    /// Makes what takes pushes off the connection; it never waits (RS-2).
    fn receive(
        &self,
        queue: &Queue,
        ended: &Arc<Notify>,
    ) -> impl Fn(PushInfo) -> Result<(), std::convert::Infallible> + Send + Sync + 'static {
        let (queue, ended, counters) =
            (queue.clone(), Arc::clone(ended), Arc::clone(&self.counters));
        move |push| {
            match push.kind {
                PushKind::Message | PushKind::SMessage => match push.data.into_iter().nth(1) {
                    Some(Value::BulkString(packet)) => {
                        // One that is not taken is counted, and its link reports the loss.
                        queue.put(Arrived { packet, by: None });
                    }
                    _ => count(&counters.garbage, 1),
                },
                PushKind::Disconnection | PushKind::Unsubscribe | PushKind::SUnsubscribe => {
                    ended.notify_one();
                }
                _ => {}
            }
            Ok(())
        }
    }
}
