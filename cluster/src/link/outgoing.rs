//! The sending end of a link to one node.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use parlor_schema::{RoomId, Seq};

use super::packet::Contents;

/// What waits for one destination at most, and what one packet carries.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Envelopes that wait.
    pub waiting: usize,
    /// Bytes of envelopes that wait.
    pub waiting_bytes: usize,
    /// Rooms whose heads wait for the next heartbeat.
    pub heads: usize,
    /// Envelopes, or heads, in one packet.
    pub packet: usize,
    /// Bytes of envelopes in one packet; an envelope that is longer goes alone.
    pub packet_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting: 8192,
            waiting_bytes: 8 << 20,
            heads: 4096,
            packet: 512,
            packet_bytes: 256 << 10,
        }
    }
}

/// What waits for one destination, and the numbers of its link.
///
/// When full: the oldest envelope is dropped, the new head of a room is not taken; either is counted, and its number left
/// out, so that the receiver notices (L-1).
#[derive(Debug, Default)]
pub struct Outgoing {
    limits: Limits,
    envelopes: VecDeque<Bytes>,
    bytes: usize,
    heads: HashMap<RoomId, Seq>,
    /// The last number used.
    last: u64,
    /// Something was dropped since the last number.
    dropped: bool,
}

impl Outgoing {
    /// Makes the end of a link on which nothing was sent in this run.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Queues an encoded envelope; returns how many were dropped for it.
    pub fn push(&mut self, envelope: Bytes) -> usize {
        self.bytes += envelope.len();
        self.envelopes.push_back(envelope);
        let mut dropped = 0;
        while self.envelopes.len() > self.limits.waiting
            || self.bytes > self.limits.waiting_bytes && self.envelopes.len() > 1
        {
            let Some(oldest) = self.envelopes.pop_front() else {
                break;
            };
            self.bytes -= oldest.len();
            dropped += 1;
        }
        self.dropped |= dropped > 0;
        dropped
    }

    /// Queues the head of a room; tells whether it was taken.
    pub fn note_head(&mut self, room: RoomId, head: Seq) -> bool {
        if let Some(known) = self.heads.get_mut(&room) {
            *known = head.max(*known);
        } else if self.heads.len() < self.limits.heads {
            self.heads.insert(room, head);
        } else {
            self.dropped = true;
            return false;
        }
        true
    }

    /// Notes that something was not even queued, because the node was thought gone; it counts as dropped.
    pub fn note_missed(&mut self) {
        self.dropped = true;
    }

    /// Tells whether envelopes wait.
    #[must_use]
    pub fn has_envelopes(&self) -> bool {
        !self.envelopes.is_empty()
    }

    /// Takes the next packet of envelopes and its number.
    pub fn take_envelopes(&mut self) -> Option<(u64, Contents)> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(envelope) = self.envelopes.front() {
            let is_full = taken.len() == self.limits.packet
                || !taken.is_empty() && bytes + envelope.len() > self.limits.packet_bytes;
            if is_full {
                break;
            }
            bytes += envelope.len();
            taken.extend(self.envelopes.pop_front());
        }
        self.bytes -= bytes;
        if taken.is_empty() {
            return None;
        }
        Some((self.number(), Contents::Envelopes(taken)))
    }

    /// Takes the next packet of heads and its number; for the moment of a heartbeat.
    pub fn take_heads(&mut self) -> Option<(u64, Contents)> {
        if self.heads.is_empty() {
            return None;
        }
        let taken = if self.heads.len() <= self.limits.packet {
            self.heads.drain().collect()
        } else {
            let rooms: Vec<RoomId> = self
                .heads
                .keys()
                .take(self.limits.packet)
                .copied()
                .collect();
            rooms
                .into_iter()
                .filter_map(|room| self.heads.remove_entry(&room))
                .collect()
        };
        Some((self.number(), Contents::Heads(taken)))
    }

    /// Returns the last number used, for a heartbeat; one that follows what was dropped is used up by that.
    pub fn last(&mut self) -> u64 {
        if std::mem::take(&mut self.dropped) {
            self.last += 1;
        }
        self.last
    }

    fn number(&mut self) -> u64 {
        self.last = self.last() + 1;
        self.last
    }
}
