//! What stands on Redis or Valkey: the bus, membership, the session registry, rates and counts.
//!
//! Owns the connections, on a thread of its own. All of it is hints (promise P-5): Redis may lose all, be away for hours, or
//! come back as another server, and everything here goes on by itself once something answers.
//!
//! - `servers`, `topology`: which servers there are, and which of them holds a key;
//! - `commands`, `subscriber`: connections that are looked after, one for each direction of talk;
//! - `bus`, `membership`, `sessions`, `quota`: the ports;
//! - `tails`: the newest events of rooms beside their timeline, where the settings ask for them.
//!
//! Deliberately absent: the crate's connection managers and cluster client
//! (`docs/adr/0011-redis-connections-are-our-own.md`), locks, anything that safety hangs on.

mod backoff;
mod bus;
mod commands;
mod health;
mod membership;
mod names;
mod quota;
mod script;
mod servers;
mod sessions;
mod subscriber;
mod tails;
mod topology;

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use parlor_config::Redis as Settings;
use parlor_schema::port::{Clock, Ids, NodeInfo, Timeline};
use tokio::{
    runtime::Builder,
    sync::oneshot,
    time::{Instant, sleep},
};

pub use bus::{PacketSeal, PeerLink, RedisBus};
pub use health::{BusStats, LinkState};
pub use membership::RedisMembership;
pub use quota::RedisQuota;
pub use servers::RedisStartError;
pub use sessions::RedisSessions;
pub use tails::{RedisTails, TailStats};

use crate::http::{CallStats, Calls, Seal, Stamp};
use bus::BusParts;
use commands::Commands;
use health::{Counters, LinkHealth};
use names::Names;
use servers::Servers;
use subscriber::{Probes, Subscriber};
use tails::Tails;

/// How long a start waits for Redis to answer.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// This node's connections to Redis, and the ports that stand on them.
///
/// Dropping it ends the connections; others then see the node until its key expires, unless it left.
pub struct Redis {
    bus: Arc<RedisBus>,
    membership: Arc<RedisMembership>,
    sessions: Arc<RedisSessions>,
    quota: Arc<RedisQuota>,
    commands: Arc<Commands>,
    subscription: Arc<LinkHealth>,
    counters: Arc<Counters>,
    calls: Option<Arc<Calls>>,
    tails: Option<Arc<Tails>>,
    thread: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

/// What a node shows the others that it is one of them by.
pub struct Seals {
    /// For packets over Redis.
    pub packets: PacketSeal,
    /// For calls of the internal listeners; none: this node makes none.
    pub calls: Option<Seal>,
}

/// How the talk with Redis is, for readiness and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedisHealth {
    /// The connections for commands; up when every master that is needed is connected.
    pub commands: LinkState,
    /// The subscription to this node's inbox; down until an inbox is attached.
    pub subscription: LinkState,
    /// Nobody leaves the view of the cluster at this moment.
    pub frozen: bool,
    /// Counts.
    pub bus: BusStats,
    /// What was sent around Redis.
    pub calls: CallStats,
    /// Reads and writes of the newest events; 0 where they are not kept.
    pub tails: TailStats,
}

impl Redis {
    /// Connects, writes this node's key, and looks at the other nodes. With a seal for calls, what Redis does not carry goes to the internal
    /// listeners of the others; what they send to that of this node is given to [`Redis::deliver`].
    ///
    /// # Errors
    /// Names what in the settings cannot be used, or that nothing answered within 10 s.
    pub async fn start(
        settings: &Settings,
        own: NodeInfo,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        seals: Seals,
    ) -> Result<Self, RedisStartError> {
        let calls = seals
            .calls
            .map(|seal| Calls::new(own.clone(), seal, Arc::clone(&clock)));
        let calls = calls.transpose()?.map(Arc::new);
        let servers = Arc::new(Servers::new(settings)?);
        let names = Names::new(&settings.prefix);
        let counters = Arc::new(Counters::default());
        let health = |name| Arc::new(LinkHealth::new(name, Arc::clone(&clock)));
        let (health, subscription) = (health("commands"), health("subscription"));
        let commands = Commands::new(Arc::clone(&servers), health);
        let membership = RedisMembership::new(
            own.clone(),
            Arc::clone(&commands),
            names.clone(),
            Arc::clone(&clock),
            Arc::clone(&counters),
        );
        let subscriber = Subscriber {
            servers: Arc::clone(&servers),
            channel: names.inbox(&own.node_id),
            clock: Arc::clone(&clock),
            health: Arc::clone(&subscription),
            counters: Arc::clone(&counters),
            probes: Arc::new(Probes::default()),
        };
        let tails = settings
            .tail_cache
            .then(|| Tails::new(Arc::clone(&commands), names.clone(), seals.packets.clone()));
        let bus = RedisBus::new(BusParts {
            own,
            commands: Arc::clone(&commands),
            membership: Arc::clone(&membership),
            names: names.clone(),
            clock,
            ids: Arc::clone(&ids),
            subscriber,
            calls: calls.clone(),
            seal: seals.packets,
        });
        let sessions = RedisSessions::new(
            Arc::clone(&commands),
            Arc::clone(&membership),
            names.clone(),
        );
        let quota = RedisQuota::new(Arc::clone(&commands), names);
        let redis = Self {
            sessions: Arc::new(sessions),
            quota: Arc::new(quota),
            counters,
            calls,
            tails,
            subscription,
            thread: Mutex::default(),
            bus,
            membership,
            commands,
        };
        redis.run(&servers, ids).await?;
        Ok(redis)
    }

    /// Starts the thread, and waits until Redis has answered once.
    async fn run(&self, servers: &Servers, ids: Arc<dyn Ids>) -> Result<(), RedisStartError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let (ready, answered) = oneshot::channel();
        let (bus, membership) = (Arc::clone(&self.bus), Arc::clone(&self.membership));
        let commands = Arc::clone(&self.commands);
        let tails = self.tails.clone();
        let thread = thread::Builder::new()
            .name("parlor-redis".into())
            .spawn(move || {
                runtime.block_on(async move {
                    tokio::spawn(Arc::clone(&commands).run(ids));
                    // Whoever waited may have gone; the thread then is told to stop as well.
                    let _ = ready.send(first_answer(&commands, &membership).await);
                    tokio::spawn(membership.run());
                    tokio::spawn(Arc::clone(&bus).listen());
                    tokio::spawn(Arc::clone(&bus).call());
                    tokio::spawn(bus.run());
                    if let Some(tails) = tails {
                        tokio::spawn(tails.run());
                    }
                    let _ = stopped.await;
                });
            })?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some((stop, thread));
        let answer = answered.await;
        answer
            .unwrap_or_else(|_| Err("the thread ended".to_owned()))
            .map_err(|why| RedisStartError::Away {
                servers: servers.shown().to_owned(),
                why,
            })
    }

    /// Returns the bus.
    #[must_use]
    pub fn bus(&self) -> Arc<RedisBus> {
        Arc::clone(&self.bus)
    }

    /// Returns the membership.
    #[must_use]
    pub fn membership(&self) -> Arc<RedisMembership> {
        Arc::clone(&self.membership)
    }

    /// Returns the session registry.
    #[must_use]
    pub fn sessions(&self) -> Arc<RedisSessions> {
        Arc::clone(&self.sessions)
    }

    /// Returns a timeline whose newest events are kept here too, where the settings ask for it; else the timeline itself.
    #[must_use]
    pub fn timeline(&self, timeline: Arc<dyn Timeline>) -> Arc<dyn Timeline> {
        match &self.tails {
            Some(tails) => Arc::new(RedisTails::new(timeline, Arc::clone(tails))),
            None => timeline,
        }
    }

    /// Returns the shared rates and counts.
    #[must_use]
    pub fn quota(&self) -> Arc<RedisQuota> {
        Arc::clone(&self.quota)
    }

    /// Tells how the talk with Redis is.
    #[must_use]
    pub fn health(&self) -> RedisHealth {
        RedisHealth {
            commands: self.commands.health.state(),
            subscription: self.subscription.state(),
            frozen: self.membership.is_frozen(),
            bus: self.counters.snapshot(),
            calls: self
                .calls
                .as_ref()
                .map_or_else(CallStats::default, |calls| calls.stats()),
            tails: self
                .tails
                .as_ref()
                .map_or_else(TailStats::default, |tails| tails.stats()),
        }
    }

    /// Tells how this node reaches each other of the view, in id order.
    #[must_use]
    pub fn links(&self) -> Vec<PeerLink> {
        self.bus.peer_links()
    }

    /// Takes the body of a call whose seal was checked; tells whether all of it was queued.
    ///
    /// When full: what does not fit is dropped and counted, and its link reports the loss.
    #[must_use]
    pub fn deliver(&self, stamp: &Stamp, body: &[u8]) -> bool {
        self.bus.deliver(stamp, body)
    }

    /// Takes this node out of the views of the others, for one that ends. The bus goes on until this is dropped.
    pub async fn leave(&self) {
        if let Err(error) = self.membership.leave().await {
            tracing::warn!(%error, "the others were not told that this node ends; its key expires");
        }
    }
}

async fn first_answer(commands: &Commands, membership: &RedisMembership) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let failed = match commands.health.is_up() {
            true => match membership.beat().await {
                Ok(()) => return Ok(()),
                Err(error) => error.to_string(),
            },
            false => commands.health.why(),
        };
        if began.elapsed() > START_DEADLINE {
            return Err(failed);
        }
        sleep(Duration::from_millis(20)).await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let held = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some((stop, thread)) = held {
            // An error says that the thread has ended already.
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}
