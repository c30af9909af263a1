//! The bus around Redis: calls of the internal listeners of those whom Redis does not reach.
//!
//! Deliberately absent: nodes outside the view. One that fell out of it hears nobody, knows so, and reads the timelines instead.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use parlor_schema::{
    NodeId,
    port::{Membership as _, View},
};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{Arrived, BEAT_EVERY, Link, RedisBus, count};
use crate::{
    http::{CallFailure, Peer, Stamp},
    link::{Carrier, Contents, Load, pack_contents, pack_heartbeat},
};

/// Pause after a call: what is said meanwhile goes with the next.
const CALL_PAUSE: Duration = Duration::from_millis(5);
/// Bytes of packets after which a call takes no more; the last may be one long envelope.
const CALL_BYTES: usize = 256 << 10;
/// How long somebody who calls is thought to be able to: four beats.
const HEARD_MS: u64 = 1_000;

/// How this node reaches another of the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerLink {
    /// The other node.
    pub node: NodeId,
    /// What carries the link to it.
    pub carrier: Carrier,
    /// What is sent can be expected to arrive.
    pub is_reached: bool,
}

/// One call to make.
struct Call {
    node: NodeId,
    peer: Peer,
    body: Bytes,
    packets: usize,
    /// The last number in it.
    last: u64,
}

impl RedisBus {
    /// Calls those whom Redis does not reach, for ever.
    pub(in super::super) async fn call(self: Arc<Self>) {
        if self.calls.is_none() {
            return;
        }
        let mut beat = interval(BEAT_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_beat = tokio::select! {
                _ = beat.tick() => true,
                () = self.calling.notified() => false,
            };
            // As on the way to Redis: what is published at once shares a call.
            tokio::task::yield_now().await;
            for call in self.next_calls(is_beat) {
                tokio::spawn(Arc::clone(&self).make(call));
            }
        }
    }

    async fn make(self: Arc<Self>, call: Call) {
        let Some(calls) = &self.calls else { return };
        let answer = calls.post(&call.peer, call.body, call.packets).await;
        match &answer {
            Ok(()) => sleep(CALL_PAUSE).await,
            Err(failure) => {
                tracing::debug!(node = %call.node, why = failure.as_str(), "a call to another node failed");
            }
        }
        self.called(&call.node, call.last, answer);
    }

    fn called(&self, node: &NodeId, last: u64, answer: Result<(), CallFailure>) {
        let mut links = self.links();
        let Some(link) = links.get_mut(node) else {
            return;
        };
        let was_reached = link.route.is_reached();
        let returns = match answer {
            Ok(()) => link.route.call_taken(last),
            Err(_) => link.route.call_failed(self.clock.monotonic_ms()),
        };
        match (was_reached, link.route.is_reached()) {
            (false, true) if !returns => tracing::info!(%node, "reached over http"),
            (true, false) => tracing::warn!(%node, "not reached over http either"),
            _ => {}
        }
        if returns {
            tracing::info!(%node, "reached over redis again");
            self.waiting.notify_one();
        } else if link.outgoing.has_envelopes() {
            self.calling.notify_one();
        }
    }

    /// Takes what goes with the next calls.
    fn next_calls(&self, is_beat: bool) -> Vec<Call> {
        let (view, now) = (self.membership.view(), self.clock.monotonic_ms());
        let mut calls = Vec::new();
        for (node, link) in self.links().iter_mut() {
            if link.route.carrier() == Carrier::Redis {
                continue;
            }
            let Some(peer) = peer(&view, node) else {
                link.route.only_redis();
                continue;
            };
            let Some(load) = link.route.next_call(now) else {
                continue;
            };
            let is_due = is_beat || load == Load::Everything && link.outgoing.has_envelopes();
            if is_due {
                link.route.calls();
                calls.push(self.call_of(node, peer, link, load, is_beat));
            }
        }
        calls
    }

    fn call_of(
        &self,
        node: &NodeId,
        peer: Peer,
        link: &mut Link,
        load: Load,
        is_beat: bool,
    ) -> Call {
        let (from, boot) = (&self.own.node_id, self.own.boot_id);
        let (mut body, mut packets) = (Vec::new(), 0);
        let mut put = |packet: Vec<u8>| {
            body.extend_from_slice(&packet);
            body.push(b'\n');
            packets += 1;
            body.len() < CALL_BYTES
        };
        let mut put_numbered =
            |(number, contents): (u64, Contents)| put(pack_contents(from, boot, number, &contents));
        if load == Load::Everything {
            while let Some(next) = link.outgoing.take_envelopes() {
                if !put_numbered(next) {
                    break;
                }
            }
            while is_beat && let Some(next) = link.outgoing.take_heads() {
                put_numbered(next);
            }
        }
        let last = link.outgoing.last();
        put(pack_heartbeat(from, boot, last));
        Call {
            node: node.clone(),
            peer,
            body: body.into(),
            packets,
            last,
        }
    }

    /// Takes whether what was given to Redis for each node found somebody.
    pub(super) fn answered(&self, answers: impl Iterator<Item = (NodeId, bool)>) {
        let mut links = self.links();
        for (node, arrived) in answers {
            let Some(link) = links.get_mut(&node) else {
                continue;
            };
            if !arrived {
                self.around_redis(&node, link);
            } else if link.route.redis_heard() {
                tracing::info!(%node, "reached over redis again");
                self.waiting.notify_one();
            }
        }
    }

    /// Has a link go around Redis, where there is a way.
    pub(super) fn around_redis(&self, node: &NodeId, link: &mut Link) {
        if self.calls.is_none() || peer(&self.membership.view(), node).is_none() {
            link.route.only_redis();
        } else if link.route.redis_failed() {
            tracing::info!(%node, "not reached over redis; called over http");
            self.calling.notify_one();
        }
    }

    /// Tells whether each other node calls here, and is reached.
    pub(super) fn hears_without_redis(&self) -> bool {
        let (view, now) = (self.membership.view(), self.clock.monotonic_ms());
        let links = self.links();
        let heard = |node: &NodeId| {
            links.get(node).is_some_and(|link| {
                let calls = link
                    .heard
                    .is_some_and(|(at, _)| now.saturating_sub(at) < HEARD_MS);
                calls && link.route.is_reached()
            })
        };
        self.calls.is_some()
            && view.nodes.len() > 1
            && view
                .nodes
                .iter()
                .map(|node| &node.node_id)
                .all(|node| *node == self.own.node_id || heard(node))
    }

    pub(in super::super) fn peer_links(&self) -> Vec<PeerLink> {
        let (view, links) = (self.membership.view(), self.links());
        let nodes = view.nodes.iter().map(|node| &node.node_id);
        nodes
            .filter_map(|node| {
                let (node, link) = links.get_key_value(node)?;
                Some(PeerLink {
                    node: node.clone(),
                    carrier: link.route.carrier(),
                    is_reached: match link.route.carrier() {
                        Carrier::Redis => self.commands.reaches(link.slot),
                        Carrier::Http => link.route.is_reached(),
                    },
                })
            })
            .collect()
    }

    pub(in super::super) fn deliver(&self, stamp: &Stamp, body: &[u8]) -> bool {
        // A call that is heard again is no sign of life, or whoever repeats it could keep the timelines from being asked.
        if let Some(link) = self.links().get_mut(&stamp.from)
            && link.heard.is_none_or(|(_, sealed)| sealed < stamp.time)
        {
            link.heard = Some((self.clock.monotonic_ms(), stamp.time));
        }
        let mut all = true;
        for line in body.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            let is_taken = self.queue.put(Arrived {
                packet: line.to_vec(),
                by: Some((stamp.from.clone(), stamp.boot)),
            });
            count(&self.counters.called, usize::from(is_taken));
            all &= is_taken;
        }
        all
    }
}

/// Returns where a node of the view listens.
fn peer(view: &View, node: &NodeId) -> Option<Peer> {
    let info = view.node(node)?;
    Some(Peer {
        boot: info.boot_id,
        address: info.internal_address.clone()?,
    })
}
