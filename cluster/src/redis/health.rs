//! What metrics and readiness may know of the connections to Redis.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use parlor_schema::port::Clock;

/// One direction of talk with Redis: commands, or the subscription.
pub(super) struct LinkHealth {
    name: &'static str,
    clock: Arc<dyn Clock>,
    up: AtomicBool,
    since_ms: AtomicU64,
    connects: AtomicU64,
    failures: AtomicU64,
    why: Mutex<String>,
}

/// How a direction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkState {
    /// It works, as far as the last look showed.
    pub up: bool,
    /// Milliseconds it has been as it is.
    pub for_ms: u64,
    /// Connections made; more than the servers there are when one was given up or moved.
    pub connects: u64,
    /// Times it went down, and tries to connect that failed.
    pub failures: u64,
}

impl LinkHealth {
    pub(super) fn new(name: &'static str, clock: Arc<dyn Clock>) -> Self {
        Self {
            name,
            since_ms: AtomicU64::new(clock.monotonic_ms()),
            clock,
            up: AtomicBool::new(false),
            connects: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            why: Mutex::new("nothing was tried".into()),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Relaxed)
    }

    pub(super) fn up(&self) {
        if !self.up.swap(true, Relaxed) {
            self.since_ms.store(self.clock.monotonic_ms(), Relaxed);
            tracing::info!(link = self.name, "redis is reached");
        }
    }

    /// Takes that a connection was made, the first or one more.
    pub(super) fn connected(&self) {
        self.connects.fetch_add(1, Relaxed);
    }

    pub(super) fn down(&self, why: &dyn std::fmt::Display) {
        self.failures.fetch_add(1, Relaxed);
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why.to_string();
        if self.up.swap(false, Relaxed) {
            self.since_ms.store(self.clock.monotonic_ms(), Relaxed);
            tracing::warn!(link = self.name, %why, "redis is away");
        } else {
            tracing::debug!(link = self.name, %why, "redis is still away");
        }
    }

    /// Returns what the last failure was.
    pub(super) fn why(&self) -> String {
        let why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        why.clone()
    }

    pub(super) fn state(&self) -> LinkState {
        let since = self.since_ms.load(Relaxed);
        LinkState {
            up: self.is_up(),
            for_ms: self.clock.monotonic_ms().saturating_sub(since),
            connects: self.connects.load(Relaxed),
            failures: self.failures.load(Relaxed),
        }
    }
}

/// Counts of the bus; each only rises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BusStats {
    /// Envelopes queued for other nodes.
    pub queued: u64,
    /// Envelopes and heads dropped because a queue was full.
    pub dropped: u64,
    /// Packets given to Redis.
    pub packets: u64,
    /// Packets that Redis did not take, or did not answer for.
    pub failed: u64,
    /// Packets that Redis had no subscriber for; counted by one server only, not by a cluster of them.
    pub unheard: u64,
    /// Packets received over Redis.
    pub received: u64,
    /// Packets received by calls of the internal listener.
    pub called: u64,
    /// Packets received that found the queue behind the connection full.
    pub overrun: u64,
    /// Bytes received that were no packet, and envelopes that this version does not know.
    pub garbage: u64,
    /// Packets received over Redis that were not sealed with this cluster's secret, or not for this node.
    pub forged: u64,
    /// Losses reported by the links to this node.
    pub lost: u64,
    /// Subscriptions given up because nothing came over them any more.
    pub deaf: u64,
    /// Times another process used this node's name.
    pub name_conflicts: u64,
}

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        /// The counters behind [`BusStats`].
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: AtomicU64),*
        }

        impl Counters {
            pub(super) fn snapshot(&self) -> BusStats {
                BusStats { $($name: self.$name.load(Relaxed)),* }
            }
        }
    };
}

counters!(
    queued,
    dropped,
    packets,
    failed,
    unheard,
    received,
    called,
    overrun,
    garbage,
    forged,
    lost,
    deaf,
    name_conflicts,
);

/// Adds to a counter.
pub(super) fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Relaxed);
}
