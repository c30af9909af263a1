//! What is counted and computed: the rows of the tables.

use std::ops::{Index, IndexMut};

/// A row: what happens in a second in the whole cluster, unless its name says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    Messages,
    Deliveries,
    ReceiptFrames,
    Appends,
    Forwards,
    Running,
    Leases,
    EventEnvelopes,
    InterestEnvelopes,
    ReceiptEnvelopes,
    PresenceEnvelopes,
    LinkEnvelopes,
    LinkBytes,
    Packets,
    HeadPackets,
    Heads,
    Beats,
    Commands,
    RedisMessages,
    RedisBytes,
}

impl Figure {
    /// Every row, in the order of the tables.
    pub(crate) const ALL: [Self; 20] = [
        Self::Messages,
        Self::Deliveries,
        Self::ReceiptFrames,
        Self::Appends,
        Self::Forwards,
        Self::Running,
        Self::Leases,
        Self::EventEnvelopes,
        Self::InterestEnvelopes,
        Self::ReceiptEnvelopes,
        Self::PresenceEnvelopes,
        Self::LinkEnvelopes,
        Self::LinkBytes,
        Self::Packets,
        Self::HeadPackets,
        Self::Heads,
        Self::Beats,
        Self::Commands,
        Self::RedisMessages,
        Self::RedisBytes,
    ];

    /// Returns its name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Deliveries => "deliveries to sessions",
            Self::ReceiptFrames => "receipt frames to sessions",
            Self::Appends => "appends to the store",
            Self::Forwards => "forwards to owners",
            Self::Running => "rooms running, on each node they run on",
            Self::Leases => "leases",
            Self::EventEnvelopes => "envelopes: forwards, answers, events",
            Self::InterestEnvelopes => "envelopes: interest",
            Self::ReceiptEnvelopes => "envelopes: receipts",
            Self::PresenceEnvelopes => "envelopes: presence",
            Self::LinkEnvelopes => "envelopes of a link",
            Self::LinkBytes => "bytes of a link, beats included",
            Self::Packets => "packets of envelopes",
            Self::HeadPackets => "packets of heads",
            Self::Heads => "heads in them",
            Self::Beats => "heartbeats, probes included",
            Self::Commands => "commands of membership",
            Self::RedisMessages => "messages over Redis",
            Self::RedisBytes => "bytes into Redis",
        }
    }
}

/// A number for each row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures([f64; Figure::ALL.len()]);

impl Index<Figure> for Figures {
    type Output = f64;

    fn index(&self, figure: Figure) -> &f64 {
        &self.0[figure as usize]
    }
}

impl IndexMut<Figure> for Figures {
    fn index_mut(&mut self, figure: Figure) -> &mut f64 {
        &mut self.0[figure as usize]
    }
}
