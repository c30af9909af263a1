//! What a node counts about itself, for operators.
//!
//! Owns every metric's name and help text ([`MetricName`]), the handles the behaviour moves, and their exposition.
//!
//! Invariants:
//! - M-1: each name stands once, in one table, and never changes its meaning.
//! - M-2: labels come from closed sets (codes, route patterns, statuses), so that what a client sends makes no series.
//!
//! Deliberately absent: serving the exposition (the HTTP module does), and names of users or rooms.

mod label;
mod outside;

use std::sync::Arc;

use parlor_schema::{CloseCode, ErrorCode};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Metric, Registry, Unit},
};

pub use label::{ActionLabel, AdminAction, SharedAnswer, SharedLabels, SharedLimit};
pub use outside::{LinkLabel, LinkRefusal, Outside, ReasonLabel, set};

/// What stands before every name.
pub const METRIC_PREFIX: &str = "parlor";

macro_rules! metric_names {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $unit:expr, $help:literal;)*) => {
        /// The metrics, without prefix, unit and `_total`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum MetricName { $(#[doc = $help] $name,)* }

        impl MetricName {
            /// Every metric, in the order of the exposition.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the name, without prefix, unit and `_total`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Returns the help text.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $help,)* }
            }

            /// Returns the unit, which ends the name.
            #[must_use]
            pub const fn unit(self) -> Option<Unit> {
                match self { $(Self::$name => $unit,)* }
            }
        }
    };
}

// The exposition ends each help text with a full stop of its own.
metric_names! {
    Connections = "connections", None, "Sockets open now";
    Sessions = "sessions", None, "Authenticated connections now";
    Rooms = "rooms", None, "Rooms active on this node now";
    Appends = "appends", None, "Appends that the timeline store took";
    AppendConflicts = "append_conflicts", None, "Appends that found another head";
    AppendUnknown = "append_unknown", None, "Appends whose outcome the store did not tell";
    AppendRefused = "append_refused", None, "Appends that the store refused, nothing stored";
    AppendSeconds = "append", Some(Unit::Seconds), "Time from an append to the store's answer";
    BatchEvents = "batch_events", None, "Events in one append";
    Deliveries = "deliveries", None, "Events given to sessions";
    QueueBytes = "queue", Some(Unit::Bytes), "Bytes waiting for sockets now";
    Gaps = "gaps", None, "Gap frames sent";
    Pulls = "pulls", None, "Reads of the log by sessions that are behind";
    ReceiptsFlushed = "receipts_flushed", None, "Receipts written to the store";
    EphemeralDropped = "ephemeral_dropped", None, "Typing, presence and receipt frames dropped under pressure";
    FramesIn = "frames_in", None, "Frames received from clients";
    Refusals = "refusals", None, "Frames and requests refused, by code";
    Closes = "closes", None, "Connections closed by the server, by close code";
    AdminActions = "admin_actions", None, "Changes made over the admin API, by action";
    Draining = "draining", None, "1 while the node leaves";
    RegistryOwed = "registry_owed", None, "Sessions that the registry of all nodes is still to be told of";
    SharedLimits = "shared_limits", None, "Answers to limits that hold over all nodes, by limit";
    Requests = "requests", None, "HTTP requests answered, by method, route and status";
    OwnedRooms = "owned_rooms", None, "Rooms active on this node now that it owns in its view";
    Interests = "interests", None, "Leases by which other nodes hear of rooms that this one owns now";
    RoomEnvelopes = "room_envelopes", None, "Envelopes about rooms heard from other nodes";
    CarriedEvents = "carried_events", None, "Events of other nodes taken from envelopes";
    FollowedEvents = "followed_events", None, "Events of other nodes read from the timeline";
    Forwards = "forwards", None, "Batches of frames forwarded to the owner of their room, by outcome";
    ForwardsHeard = "forwards_heard", None, "Batches of frames that other nodes forwarded here and this one took";
    Nodes = "nodes", None, "Nodes in the view of this one now";
    StoreUp = "store_up", None, "1 while the store answers";
    RedisCommandsUp = "redis_commands_up", None, "1 while commands to Redis are answered";
    RedisSubscriptionUp = "redis_subscription_up", None, "1 while this node hears the others over Redis";
    ViewFrozen = "view_frozen", None, "1 while nobody leaves the view because Redis rather than the nodes vanished";
    BusQueued = "bus_queued", None, "Envelopes queued for other nodes";
    BusDropped = "bus_dropped", None, "Envelopes and heads dropped because a queue was full";
    BusPackets = "bus_packets", None, "Packets given to Redis";
    BusFailed = "bus_failed", None, "Packets that Redis did not take";
    BusReceived = "bus_received", None, "Packets received from Redis";
    BusOverrun = "bus_overrun", None, "Packets received that found the queue full";
    BusLost = "bus_lost", None, "Losses that the links to this node noticed";
    BusDeaf = "bus_deaf", None, "Subscriptions given up because nothing came over them";
    BusGarbage = "bus_garbage", None, "Packets and envelopes that this node does not know";
    BusForged = "bus_forged", None, "Packets over Redis that were not sealed with the secret of this cluster";
    LinkPacketsOut = "link_packets_out", None, "Packets sent to other nodes, by link: redis, or http where that does not carry them";
    LinkPacketsIn = "link_packets_in", None, "Packets received from other nodes, by link";
    LinkFailures = "link_failures", None, "Calls of other nodes that failed, by reason";
    LinkRefused = "link_refused", None, "Calls of the internal listener refused, by reason";
    LinksHttp = "links_http", None, "Nodes that are called over HTTP now, because Redis does not carry what is for them";
    LinksDown = "links_down", None, "Nodes that are reached neither over Redis nor over HTTP now";
    NameConflicts = "name_conflicts", None, "Times another process used the name of this node";
    TailHits = "tail_hits", None, "Reads of newest events answered from Redis";
    TailMisses = "tail_misses", None, "Reads of newest events that Redis could not answer";
    TailOdd = "tail_odd", None, "Those misses where Redis held what no node had put there";
    TailDropped = "tail_dropped", None, "Newest events that were not put into Redis";
    CqlBuckets = "cql_buckets", None, "Buckets opened behind another";
    CqlReads = "cql_reads", None, "Reads of events that went to the CQL server";
    CqlCoalesced = "cql_coalesced", None, "Reads of events that took the answer of an equal one";
    CqlHeads = "cql_heads", None, "Reads of heads at serial consistency";
    CqlHoles = "cql_holes", None, "Reads that met a hole and looked again";
    CqlRefused = "cql_refused", None, "Calls of the CQL store refused because too many waited";
    CqlLocalAppends = "cql_local_appends", None, "Appends that went through a session of their room's thread";
    CqlForgotten = "cql_forgotten", None, "Buckets removed because their events were kept long enough";
    CqlRunning = "cql_running", None, "Calls of the CQL store that wait or run now";
}

/// The labels of one HTTP series.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The method.
    pub method: String,
    /// The route's pattern, never a path.
    pub route: String,
    /// The status answered.
    pub status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: String,
}

/// What became of a forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardOutcome {
    /// The owner decided its frames.
    Taken,
    /// The owner gave it back.
    NotTaken,
    /// Nobody answered in time.
    Silent,
}

impl ForwardOutcome {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Taken, Self::NotTaken, Self::Silent];
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

impl From<ForwardOutcome> for OutcomeLabel {
    fn from(outcome: ForwardOutcome) -> Self {
        Self {
            outcome: match outcome {
                ForwardOutcome::Taken => "taken",
                ForwardOutcome::NotTaken => "not_taken",
                ForwardOutcome::Silent => "silent",
            },
        }
    }
}

/// Holds a handle of every metric of one node; a handle is moved from any thread.
#[derive(Debug)]
pub struct Metrics {
    /// Sockets open now.
    pub connections: Gauge,
    /// Authenticated connections now.
    pub sessions: Gauge,
    /// Rooms active on this node now.
    pub rooms: Gauge,
    /// Appends that the timeline store took.
    pub appends: Counter,
    /// Appends that found another head.
    pub append_conflicts: Counter,
    /// Appends whose outcome the store did not tell.
    pub append_unknown: Counter,
    /// Appends that the store refused, nothing stored.
    pub append_refused: Counter,
    /// Seconds from an append to the store's answer.
    pub append_seconds: Histogram,
    /// Events in one append.
    pub batch_events: Histogram,
    /// Events given to sessions.
    pub deliveries: Counter,
    /// Bytes waiting for sockets now.
    pub queue_bytes: Gauge,
    /// Gap frames sent.
    pub gaps: Counter,
    /// Reads of the log by sessions that are behind.
    pub pulls: Counter,
    /// Receipts written to the store.
    pub receipts_flushed: Counter,
    /// Typing, presence and receipt frames dropped under pressure.
    pub ephemeral_dropped: Counter,
    /// Frames received from clients.
    pub frames_in: Counter,
    /// Rooms active on this node that it owns.
    pub owned_rooms: Gauge,
    /// Leases of other nodes.
    pub interests: Gauge,
    /// Envelopes about rooms heard from other nodes.
    pub room_envelopes: Counter,
    /// Events of other nodes taken from envelopes.
    pub carried_events: Counter,
    /// Events of other nodes read from the timeline.
    pub followed_events: Counter,
    /// Batches of frames taken from other nodes.
    pub forwards_heard: Counter,
    forwards: Family<OutcomeLabel, Counter>,
    /// What the adapters count.
    pub outside: Outside,
    /// 1 while the node leaves.
    pub draining: Gauge,
    /// Sessions that the registry of all nodes is still to be told of.
    pub registry_owed: Gauge,
    admin_actions: Family<ActionLabel, Counter>,
    shared_limits: Family<SharedLabels, Counter>,
    /// HTTP requests answered.
    pub requests: Family<RequestLabels, Counter>,
    refusals: Family<CodeLabel, Counter>,
    closes: Family<CodeLabel, Counter>,
    registry: Registry,
}

impl Metrics {
    /// Makes the metrics of one node, all at 0.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let mut metrics = Self {
            connections: Gauge::default(),
            sessions: Gauge::default(),
            rooms: Gauge::default(),
            appends: Counter::default(),
            append_conflicts: Counter::default(),
            append_unknown: Counter::default(),
            append_refused: Counter::default(),
            // 0.1 ms to 13 s, each twice the one before: an fsync takes from one to some tens of milliseconds.
            append_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 18)),
            // 1 to 128, the largest batch (`limits::APPEND_EVENTS_MAX`).
            batch_events: Histogram::new(exponential_buckets(1.0, 2.0, 8)),
            deliveries: Counter::default(),
            queue_bytes: Gauge::default(),
            gaps: Counter::default(),
            pulls: Counter::default(),
            receipts_flushed: Counter::default(),
            ephemeral_dropped: Counter::default(),
            frames_in: Counter::default(),
            owned_rooms: Gauge::default(),
            interests: Gauge::default(),
            room_envelopes: Counter::default(),
            carried_events: Counter::default(),
            followed_events: Counter::default(),
            forwards_heard: Counter::default(),
            forwards: Family::default(),
            outside: Outside::default(),
            draining: Gauge::default(),
            registry_owed: Gauge::default(),
            admin_actions: Family::default(),
            shared_limits: Family::default(),
            requests: Family::default(),
            refusals: Family::default(),
            closes: Family::default(),
            registry: Registry::with_prefix(METRIC_PREFIX),
        };
        metrics.register_all();
        metrics.touch_codes();
        Arc::new(metrics)
    }

    /// Counts one refusal.
    pub fn refused(&self, code: ErrorCode) {
        self.refusals.get_or_create(&code.into()).inc();
    }

    /// Counts one connection that the server closed.
    pub fn closed(&self, code: CloseCode) {
        self.closes.get_or_create(&code.into()).inc();
    }

    /// Counts one forward.
    pub fn forwarded(&self, outcome: ForwardOutcome) {
        self.forwards.get_or_create(&outcome.into()).inc();
    }

    /// Counts one change over the admin API.
    pub fn admin_action(&self, action: AdminAction) {
        self.admin_actions.get_or_create(&action.into()).inc();
    }

    /// Counts one answer to a limit that holds over all nodes.
    pub fn shared_limit(&self, limit: SharedLimit, answer: SharedAnswer) {
        let labels = SharedLabels::new(limit, answer);
        self.shared_limits.get_or_create(&labels).inc();
    }

    /// Counts one call of the internal listener that was refused.
    pub fn link_refused(&self, reason: LinkRefusal) {
        let family = &self.outside.link_refused;
        family.get_or_create(&reason.into()).inc();
    }

    /// Writes all metrics as OpenMetrics text.
    ///
    /// # Panics
    /// Never: writing to a string succeeds.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("invariant: writing to a string succeeds");
        out
    }

    fn register_all(&mut self) {
        use MetricName as N;
        self.register(N::Connections, self.connections.clone());
        self.register(N::Sessions, self.sessions.clone());
        self.register(N::Rooms, self.rooms.clone());
        self.register(N::Appends, self.appends.clone());
        self.register(N::AppendConflicts, self.append_conflicts.clone());
        self.register(N::AppendUnknown, self.append_unknown.clone());
        self.register(N::AppendRefused, self.append_refused.clone());
        self.register(N::AppendSeconds, self.append_seconds.clone());
        self.register(N::BatchEvents, self.batch_events.clone());
        self.register(N::Deliveries, self.deliveries.clone());
        self.register(N::QueueBytes, self.queue_bytes.clone());
        self.register(N::Gaps, self.gaps.clone());
        self.register(N::Pulls, self.pulls.clone());
        self.register(N::ReceiptsFlushed, self.receipts_flushed.clone());
        self.register(N::EphemeralDropped, self.ephemeral_dropped.clone());
        self.register(N::FramesIn, self.frames_in.clone());
        self.register(N::Refusals, self.refusals.clone());
        self.register(N::Closes, self.closes.clone());
        self.register(N::Draining, self.draining.clone());
        self.register(N::RegistryOwed, self.registry_owed.clone());
        self.register(N::AdminActions, self.admin_actions.clone());
        self.register(N::SharedLimits, self.shared_limits.clone());
        self.register(N::Requests, self.requests.clone());
        self.register(N::OwnedRooms, self.owned_rooms.clone());
        self.register(N::Interests, self.interests.clone());
        self.register(N::RoomEnvelopes, self.room_envelopes.clone());
        self.register(N::CarriedEvents, self.carried_events.clone());
        self.register(N::FollowedEvents, self.followed_events.clone());
        self.register(N::Forwards, self.forwards.clone());
        self.register(N::ForwardsHeard, self.forwards_heard.clone());
        self.register_outside();
    }

    fn register(&mut self, name: MetricName, metric: impl Metric) {
        match name.unit() {
            None => self.registry.register(name.as_str(), name.help(), metric),
            Some(unit) => {
                self.registry
                    .register_with_unit(name.as_str(), name.help(), unit, metric);
            }
        }
    }

    /// Makes the series of every code, so that a rate over them starts at 0 and not at the first refusal.
    fn touch_codes(&self) {
        for code in ErrorCode::ALL {
            drop(self.refusals.get_or_create(&(*code).into()));
        }
        for outcome in ForwardOutcome::ALL {
            drop(self.forwards.get_or_create(&outcome.into()));
        }
        for code in CloseCode::ALL {
            drop(self.closes.get_or_create(&(*code).into()));
        }
        for action in AdminAction::ALL {
            drop(self.admin_actions.get_or_create(&(*action).into()));
        }
        for limit in SharedLimit::ALL {
            for answer in SharedAnswer::ALL {
                let labels = SharedLabels::new(*limit, *answer);
                drop(self.shared_limits.get_or_create(&labels));
            }
        }
        self.outside.touch();
    }
}

impl From<ErrorCode> for CodeLabel {
    fn from(code: ErrorCode) -> Self {
        Self {
            code: code.as_str().to_owned(),
        }
    }
}

impl From<CloseCode> for CodeLabel {
    fn from(code: CloseCode) -> Self {
        Self {
            code: code.number().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> RequestLabels {
        RequestLabels {
            method: "GET".into(),
            route: "/v1/rooms/{room_id}".into(),
            status: 404,
        }
    }

    #[test]
    fn every_name_is_in_the_exposition_once_with_its_help() {
        let metrics = Metrics::new();
        // A family without a series is left out of the exposition.
        drop(metrics.requests.get_or_create(&labels()));
        let text = metrics.encode();
        for name in MetricName::ALL {
            let unit = name
                .unit()
                .map_or_else(String::new, |u| format!("_{}", u.as_str()));
            let help = format!(
                "# HELP {METRIC_PREFIX}_{}{unit} {}.\n",
                name.as_str(),
                name.help()
            );
            assert_eq!(text.matches(&help).count(), 1, "{help}{text}");
        }
        assert_eq!(
            text.matches("# TYPE ").count(),
            MetricName::ALL.len(),
            "a metric outside the table"
        );
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::new();
        metrics.sessions.inc();
        metrics.queue_bytes.set(7);
        metrics.appends.inc_by(3);
        metrics.append_seconds.observe(0.003);
        metrics.batch_events.observe(2.0);
        metrics.refused(ErrorCode::Muted);
        metrics.closed(CloseCode::TooSlow);
        metrics.requests.get_or_create(&labels()).inc();
        let text = metrics.encode();
        for line in [
            "parlor_sessions 1",
            "parlor_queue_bytes 7",
            "parlor_appends_total 3",
            "parlor_append_seconds_bucket{le=\"0.0032\"} 1",
            "parlor_append_seconds_count 1",
            "parlor_batch_events_bucket{le=\"1.0\"} 0",
            "parlor_batch_events_bucket{le=\"128.0\"} 1",
            "parlor_refusals_total{code=\"muted\"} 1",
            "parlor_refusals_total{code=\"internal\"} 0",
            "parlor_closes_total{code=\"4501\"} 1",
            "parlor_requests_total{method=\"GET\",route=\"/v1/rooms/{room_id}\",status=\"404\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
