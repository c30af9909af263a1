//! What connects the nodes, as the settings name it.

use std::sync::Arc;

use parlor_cluster::{
    MemoryBus, PeerLink, RandomIds, Redis, RedisHealth, RedisStartError, Seals, SingleMembership,
    SystemClock,
};
use parlor_schema::port::{Bus, Membership, NodeInfo, Quota, SessionRegistry, Timeline};

use crate::internal::Deliver;

/// The other nodes, or that there are none.
#[derive(Clone)]
pub enum Cluster {
    /// One node.
    Alone(Arc<MemoryBus>, Arc<SingleMembership>),
    /// Nodes that meet through Redis.
    Redis(Arc<Redis>),
}

impl Cluster {
    /// Makes a node that is alone.
    pub(super) fn alone(node: NodeInfo) -> Self {
        Self::Alone(
            MemoryBus::new(node.node_id.clone()),
            SingleMembership::new(node),
        )
    }

    /// Joins the nodes that meet through a Redis.
    ///
    /// # Errors
    /// Names what of it is missing (WI-1).
    pub(super) async fn on_redis(
        settings: &parlor_config::Redis,
        node: NodeInfo,
        clock: Arc<SystemClock>,
        ids: Arc<RandomIds>,
        seals: Seals,
    ) -> Result<Self, RedisStartError> {
        let redis = Redis::start(settings, node, clock, ids, seals).await?;
        Ok(Self::Redis(Arc::new(redis)))
    }

    /// Returns the bus.
    #[must_use]
    pub fn bus(&self) -> Arc<dyn Bus> {
        match self {
            Self::Alone(bus, _) => bus.clone(),
            Self::Redis(redis) => redis.bus(),
        }
    }

    /// Returns the membership.
    #[must_use]
    pub fn membership(&self) -> Arc<dyn Membership> {
        match self {
            Self::Alone(_, membership) => membership.clone(),
            Self::Redis(redis) => redis.membership(),
        }
    }

    /// Returns the registry that all nodes share, where there are others.
    #[must_use]
    pub fn sessions(&self) -> Option<Arc<dyn SessionRegistry>> {
        match self {
            Self::Alone(..) => None,
            Self::Redis(redis) => Some(redis.sessions()),
        }
    }

    /// Returns the rates that all nodes share, where there are others.
    #[must_use]
    pub fn quota(&self) -> Option<Arc<dyn Quota>> {
        match self {
            Self::Alone(..) => None,
            Self::Redis(redis) => Some(redis.quota()),
        }
    }

    /// Returns a timeline whose newest events Redis has too, where the settings ask for it; else the timeline itself.
    #[must_use]
    pub fn timeline(&self, timeline: Arc<dyn Timeline>) -> Arc<dyn Timeline> {
        match self {
            Self::Alone(..) => timeline,
            Self::Redis(redis) => redis.timeline(timeline),
        }
    }

    /// Tells how the talk with Redis is, where there is one.
    #[must_use]
    pub fn redis_health(&self) -> Option<RedisHealth> {
        match self {
            Self::Alone(..) => None,
            Self::Redis(redis) => Some(redis.health()),
        }
    }

    /// Tells how each other node is reached.
    #[must_use]
    pub fn links(&self) -> Vec<PeerLink> {
        match self {
            Self::Alone(..) => Vec::new(),
            Self::Redis(redis) => redis.links(),
        }
    }

    /// Returns what takes the calls of other nodes, where there are some.
    pub(super) fn deliver(&self) -> Option<Deliver> {
        match self {
            Self::Alone(..) => None,
            Self::Redis(redis) => {
                let redis = Arc::downgrade(redis);
                Some(Arc::new(move |stamp, body| {
                    let redis = redis.upgrade();
                    redis.is_some_and(|redis| redis.deliver(stamp, body))
                }))
            }
        }
    }

    /// Takes this node out of the views of the others.
    pub(super) async fn leave(&self) {
        if let Self::Redis(redis) = self {
            redis.leave().await;
        }
    }
}
