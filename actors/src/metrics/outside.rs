//! What the adapters count of themselves. They know no metrics: the wiring copies their numbers in.

use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};

use super::{MetricName, Metrics};

/// The label of a series by carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LinkLabel {
    /// `redis` or `http`.
    pub link: &'static str,
}

impl LinkLabel {
    /// What goes over Redis.
    pub const REDIS: Self = Self { link: "redis" };
    /// What goes over the internal listeners.
    pub const HTTP: Self = Self { link: "http" };
}

/// The label of a series by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// One word of a closed set.
    pub reason: &'static str,
}

/// Why a call of the internal listener is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkRefusal {
    /// It was not sealed with the secret of this cluster.
    Seal,
    /// It was sealed at another time.
    Clock,
    /// It is for another run, or another node.
    Misdirected,
    /// Its length is not said, not what was said, or too much.
    Length,
    /// Its body did not come in time.
    Slow,
    /// Its address calls too often.
    Rate,
    /// Too much is being read, or waits to be heard.
    Busy,
}

impl LinkRefusal {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::Seal,
        Self::Clock,
        Self::Misdirected,
        Self::Length,
        Self::Slow,
        Self::Rate,
        Self::Busy,
    ];

    /// Returns it as a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Clock => "clock",
            Self::Misdirected => "misdirected",
            Self::Length => "length",
            Self::Slow => "slow",
            Self::Rate => "rate",
            Self::Busy => "busy",
        }
    }
}

impl From<LinkRefusal> for ReasonLabel {
    fn from(reason: LinkRefusal) -> Self {
        Self {
            reason: reason.as_str(),
        }
    }
}

type ByLink = Family<LinkLabel, Counter>;
type ByReason = Family<ReasonLabel, Counter>;

impl Outside {
    /// Makes the series of each carrier and each refusal, so that a rate over them starts at 0.
    pub(super) fn touch(&self) {
        for link in [LinkLabel::REDIS, LinkLabel::HTTP] {
            drop(self.link_packets_out.get_or_create(&link));
            drop(self.link_packets_in.get_or_create(&link));
        }
        for reason in LinkRefusal::ALL {
            drop(self.link_refused.get_or_create(&reason.into()));
        }
        // The others are the adapter's words; the wiring makes their series where there is one.
        let unreachable = ReasonLabel {
            reason: "unreachable",
        };
        drop(self.link_failures.get_or_create(&unreachable));
    }
}

macro_rules! outside {
    ($($field:ident: $kind:ident = $name:ident;)*) => {
        /// The handles; 0 for what a node does not stand on.
        #[derive(Debug, Default)]
        #[allow(missing_docs, reason = "each has its help in MetricName")]
        pub struct Outside { $(pub $field: $kind,)* }

        impl Metrics {
            pub(super) fn register_outside(&mut self) {
                $({
                    let handle = self.outside.$field.clone();
                    self.register(MetricName::$name, handle);
                })*
            }
        }
    };
}

outside! {
    nodes: Gauge = Nodes;
    store_up: Gauge = StoreUp;
    redis_commands_up: Gauge = RedisCommandsUp;
    redis_subscription_up: Gauge = RedisSubscriptionUp;
    view_frozen: Gauge = ViewFrozen;
    bus_queued: Counter = BusQueued;
    bus_dropped: Counter = BusDropped;
    bus_packets: Counter = BusPackets;
    bus_failed: Counter = BusFailed;
    bus_received: Counter = BusReceived;
    bus_overrun: Counter = BusOverrun;
    bus_lost: Counter = BusLost;
    bus_deaf: Counter = BusDeaf;
    bus_garbage: Counter = BusGarbage;
    bus_forged: Counter = BusForged;
    link_packets_out: ByLink = LinkPacketsOut;
    link_packets_in: ByLink = LinkPacketsIn;
    link_failures: ByReason = LinkFailures;
    link_refused: ByReason = LinkRefused;
    links_http: Gauge = LinksHttp;
    links_down: Gauge = LinksDown;
    name_conflicts: Counter = NameConflicts;
    tail_hits: Counter = TailHits;
    tail_misses: Counter = TailMisses;
    tail_odd: Counter = TailOdd;
    tail_dropped: Counter = TailDropped;
    cql_buckets: Counter = CqlBuckets;
    cql_reads: Counter = CqlReads;
    cql_coalesced: Counter = CqlCoalesced;
    cql_heads: Counter = CqlHeads;
    cql_holes: Counter = CqlHoles;
    cql_refused: Counter = CqlRefused;
    cql_local_appends: Counter = CqlLocalAppends;
    cql_forgotten: Counter = CqlForgotten;
    cql_running: Gauge = CqlRunning;
}

/// Sets a counter to what an adapter has counted.
pub fn set(counter: &Counter, count: u64) {
    counter.inner().store(count, Relaxed);
}
