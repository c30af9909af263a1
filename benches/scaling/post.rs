//! What nodes give the bus, and the packets that it makes of that: what waits when a write is answered goes with the next, to all nodes
//! at once.

use crate::{load::WRITE_US, sizes::Sizes};

/// Envelopes in one packet, and their bytes: `Limits` of `cluster/src/link/outgoing.rs`.
const PACKET_MAX: u32 = 512;
const PACKET_BYTES_MAX: u64 = 256 << 10;

/// What an envelope is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    Events,
    Interest,
    Receipts,
    Presence,
}

/// An envelope.
#[derive(Debug, Clone, Copy)]
struct Sent {
    from: u16,
    to: u16,
    bytes: u32,
    at_us: u64,
}

/// All that was given to the bus.
#[derive(Debug, Default)]
pub(crate) struct Post {
    sent: Vec<Sent>,
    counts: [u64; 4],
}

/// What became of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) envelopes: u64,
    pub(crate) packets: u64,
    /// Bytes of the packets.
    pub(crate) bytes: u64,
}

/// What waits for one node.
#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    envelopes: u32,
    bytes: u64,
}

impl Post {
    /// Gives the bus an envelope.
    pub(crate) fn send(&mut self, about: About, (from, to): (u16, u16), at_us: u64, bytes: u32) {
        assert_ne!(from, to, "nobody sends to itself");
        self.counts[about as usize] += 1;
        self.sent.push(Sent {
            from,
            to,
            bytes,
            at_us,
        });
    }

    /// Counts the envelopes about something.
    pub(crate) const fn count(&self, about: About) -> u64 {
        self.counts[about as usize]
    }

    /// Sends all of it from so many nodes.
    pub(crate) fn carry(mut self, nodes: usize, sizes: &Sizes) -> Carried {
        self.sent
            .sort_unstable_by_key(|sent| (sent.from, sent.at_us, sent.to));
        let mut carried = Carried {
            envelopes: self.sent.len() as u64,
            ..Carried::default()
        };
        let mut waiting = vec![Waiting::default(); nodes];
        let mut touched: Vec<u16> = Vec::new();
        let mut rest = &self.sent[..];
        while let Some(first) = rest.first() {
            let own = rest.partition_point(|sent| sent.from == first.from);
            let (mut mine, others) = rest.split_at(own);
            rest = others;
            let mut free_us = 0;
            while let Some(next) = mine.first() {
                // Who is idle writes at once what was given in this moment.
                let begins = next.at_us.max(free_us);
                free_us = begins + WRITE_US;
                let taken = mine.partition_point(|sent| sent.at_us <= begins);
                for sent in &mine[..taken] {
                    let link = &mut waiting[usize::from(sent.to)];
                    if link.envelopes == 0 {
                        touched.push(sent.to);
                    }
                    link.envelopes += 1;
                    link.bytes += u64::from(sent.bytes) + 1;
                }
                mine = &mine[taken..];
                for to in touched.drain(..) {
                    let link = std::mem::take(&mut waiting[usize::from(to)]);
                    let by_bytes = link.bytes.div_ceil(PACKET_BYTES_MAX);
                    let packets = u64::from(link.envelopes.div_ceil(PACKET_MAX)).max(by_bytes);
                    carried.packets += packets;
                    carried.bytes += link.bytes + packets * u64::from(sizes.packet);
                }
            }
        }
        carried
    }
}
