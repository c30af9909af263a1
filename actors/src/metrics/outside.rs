//! What the adapters count of themselves. They know no metrics: the wiring copies their numbers in.

use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

use super::{MetricName, Metrics};

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
    name_conflicts: Counter = NameConflicts;
    cql_buckets: Counter = CqlBuckets;
    cql_reads: Counter = CqlReads;
    cql_coalesced: Counter = CqlCoalesced;
    cql_heads: Counter = CqlHeads;
    cql_holes: Counter = CqlHoles;
    cql_refused: Counter = CqlRefused;
    cql_running: Gauge = CqlRunning;
}

/// Sets a counter to what an adapter has counted.
pub fn set(counter: &Counter, count: u64) {
    counter.inner().store(count, Relaxed);
}
