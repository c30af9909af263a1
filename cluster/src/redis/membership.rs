//! Membership by keys that expire: each node writes its own again and again, and looks at all.
//!
//! A node that was not heard for [`NODE_TTL`] is gone; see [`ViewState`] for when that is not believed. Nodes are found
//! by a set of names beside the keys, because looking for keys by pattern reads all of Redis.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use parlor_schema::{
    BootId, NodeId,
    port::{Clock, Load, Membership, NodeInfo, View},
};
use redis::{RedisError, Value, cmd};
use serde::{Deserialize, Serialize};

use super::{
    commands::{Commands, Keyed},
    health::{Counters, count},
    names::Names,
    topology::{slot, text},
};
use crate::link::{Seen, ViewState};

/// How often a node writes its key, and looks at those of the others.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// How long a node's key lives without being written.
const NODE_TTL: Duration = Duration::from_secs(5);
/// Nodes that are looked at; more names in the set are passed over.
const NODES_MAX: usize = 4096;

/// A node's key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    boot: BootId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    internal: Option<Arc<str>>,
    #[serde(default)]
    sessions: u32,
    #[serde(default)]
    rooms: u32,
    #[serde(default)]
    owned: u32,
    /// It ends, and says so.
    #[serde(default)]
    left: bool,
}

/// The view of the cluster that Redis gives.
pub struct RedisMembership {
    own: NodeInfo,
    commands: Arc<Commands>,
    names: Names,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    inside: Mutex<Inside>,
}

struct Inside {
    state: ViewState,
    load: Load,
    loads: BTreeMap<NodeId, Load>,
    /// When this node's key was last written.
    written_ms: Option<u64>,
    leaving: bool,
}

impl RedisMembership {
    pub(super) fn new(
        own: NodeInfo,
        commands: Arc<Commands>,
        names: Names,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
    ) -> Arc<Self> {
        let state = ViewState::new(own.clone(), millis(NODE_TTL));
        Arc::new(Self {
            own,
            commands,
            names,
            clock,
            counters,
            inside: Mutex::new(Inside {
                state,
                load: Load::default(),
                loads: BTreeMap::new(),
                written_ms: None,
                leaving: false,
            }),
        })
    }

    /// Writes this node's key and looks at the others, for ever.
    pub(super) async fn run(self: Arc<Self>) {
        let mut beat = tokio::time::interval(BEAT_EVERY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            if self.inside().leaving {
                return;
            }
            if let Err(error) = self.beat().await
                && self.inside().state.unreachable(self.clock.monotonic_ms())
            {
                tracing::warn!(%error, "the view of the cluster is frozen");
            }
        }
    }

    /// Tells whether nobody leaves the view, because Redis is away or not believed.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.inside().state.is_frozen(self.clock.monotonic_ms())
    }

    /// Tells the others that this node ends, so that they need not wait for its key to expire.
    pub(super) async fn leave(&self) -> Result<(), RedisError> {
        self.inside().leaving = true;
        let write = self.write(true);
        self.commands
            .ask(&self.names.node(&self.own.node_id), &write)
            .await
            .map(drop)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the command that writes this node's key and answers what was there.
    fn write(&self, left: bool) -> redis::Cmd {
        let load = self.inside().load;
        let record = Record {
            boot: self.own.boot_id,
            internal: self.own.internal_address.clone(),
            sessions: load.sessions,
            rooms: load.rooms,
            owned: load.owned_rooms,
            left,
        };
        let record = serde_json::to_string(&record).expect("a record is always JSON");
        let mut write = cmd("SET");
        write
            .arg(self.names.node(&self.own.node_id))
            .arg(record)
            .arg("PX")
            .arg(millis(NODE_TTL))
            .arg("GET");
        write
    }

    pub(super) async fn beat(&self) -> Result<(), RedisError> {
        let (key, set) = (self.names.node(&self.own.node_id), self.names.nodes());
        let mut add = cmd("SADD");
        add.arg(&set).arg(self.own.node_id.as_str());
        let mut list = cmd("SMEMBERS");
        list.arg(&set);
        let commands = vec![
            (slot(&key), self.write(false)),
            (slot(&set), add),
            (slot(&set), list),
        ];
        let mut answers = self.commands.ask_all(commands).await.into_iter();
        let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
        let (before, _, listed) = (next()?, next()?, next()?);
        let restarted = self.written(&before);
        let others = self.others(&listed);
        let reads: Vec<Keyed> = others
            .iter()
            .map(|node| {
                let key = self.names.node(node);
                (slot(&key), cmd("GET").arg(&key).to_owned())
            })
            .collect();
        let mut found = Vec::new();
        let mut expired = Vec::new();
        for (node, answer) in others.into_iter().zip(self.commands.ask_all(reads).await) {
            match record(&answer?) {
                Some(record) => found.push((node, record)),
                None => expired.push(node),
            }
        }
        self.look(found, restarted);
        self.forget(&set, expired).await
    }

    /// Takes what this node's key held before; tells whether Redis forgot what it was told.
    fn written(&self, before: &Value) -> bool {
        let now = self.clock.monotonic_ms();
        let was = self.inside().written_ms.replace(now);
        match (was, record(before)) {
            // Written a moment ago, and gone before it could expire.
            (Some(was), None) => now.saturating_sub(was) < millis(NODE_TTL) / 2,
            (Some(_), Some(record)) if record.boot != self.own.boot_id => {
                count(&self.counters.name_conflicts, 1);
                tracing::error!(node = %self.own.node_id, other = %record.boot, "another process runs under the name of this node");
                false
            }
            _ => false,
        }
    }

    fn others(&self, listed: &Value) -> Vec<NodeId> {
        let (Value::Set(names) | Value::Array(names)) = listed else {
            return Vec::new();
        };
        let mut others: Vec<NodeId> = names
            .iter()
            .filter_map(|name| text(name)?.parse().ok())
            .filter(|name| *name != self.own.node_id)
            .collect();
        others.sort();
        others.truncate(NODES_MAX);
        others
    }

    fn look(&self, found: Vec<(NodeId, Record)>, restarted: bool) {
        let now = self.clock.monotonic_ms();
        let mut seen = Seen {
            restarted,
            ..Seen::default()
        };
        let mut inside = self.inside();
        for (node_id, record) in found {
            if record.left {
                seen.left.push(node_id);
                continue;
            }
            let load = Load {
                sessions: record.sessions,
                rooms: record.rooms,
                owned_rooms: record.owned,
            };
            inside.loads.insert(node_id.clone(), load);
            seen.nodes.push(NodeInfo {
                node_id,
                boot_id: record.boot,
                internal_address: record.internal,
            });
        }
        if inside.state.look(now, seen) {
            let view = inside.state.view();
            inside.loads.retain(|node, _| view.node(node).is_some());
            tracing::info!(
                version = view.version,
                nodes = view.nodes.len(),
                "the view of the cluster changed"
            );
        }
    }

    /// Takes names out of the set whose keys have expired. One that comes back adds itself again.
    async fn forget(&self, set: &str, expired: Vec<NodeId>) -> Result<(), RedisError> {
        let view = self.view();
        let mut command = cmd("SREM");
        command.arg(set);
        let gone: Vec<NodeId> = expired
            .into_iter()
            .filter(|node| view.node(node).is_none())
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        for node in &gone {
            command.arg(node.as_str());
        }
        self.commands.ask(set, &command).await.map(drop)
    }
}

impl Membership for RedisMembership {
    fn own(&self) -> NodeInfo {
        self.own.clone()
    }

    fn view(&self) -> Arc<View> {
        self.inside().state.view()
    }

    fn report(&self, load: Load) {
        self.inside().load = load;
    }

    fn loads(&self) -> Vec<(NodeId, Load)> {
        let inside = self.inside();
        let nodes = &inside.state.view().nodes;
        let load = |node: &NodeInfo| match node.node_id == self.own.node_id {
            true => Some(inside.load),
            false => inside.loads.get(&node.node_id).copied(),
        };
        nodes
            .iter()
            .filter_map(|node| Some((node.node_id.clone(), load(node)?)))
            .collect()
    }
}

fn record(value: &Value) -> Option<Record> {
    serde_json::from_str(text(value)?).ok()
}

const fn millis(duration: Duration) -> u64 {
    duration.as_secs() * 1000
}
