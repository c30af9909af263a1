//! The formulas of `docs/SCALING.md`. Each stands there with the same letters.

use crate::{
    figure::{Figure, Figures},
    load::{
        APPEND_US, BEATS_PER_S, Kind, LOOK_COMMANDS, NAMED_MAX, PLACES_US, RENEW_S, SAYS_PER_S,
        SESSION_S, WRITE_US,
    },
    sizes::Sizes,
};

/// A cluster, and what its rooms come to.
pub(crate) struct Formula<'a> {
    /// Nodes (`N`).
    pub(crate) nodes: usize,
    /// Sessions of all nodes (`U`).
    pub(crate) sessions: usize,
    pub(crate) kinds: &'a [Kind],
    pub(crate) sizes: &'a Sizes,
}

/// What the rooms of all kinds come to.
#[derive(Debug, Default)]
struct Sum {
    /// Appends, and times of them at which others are told.
    appends: f64,
    told: f64,
    /// Rooms that moved between two heartbeats (`D`).
    moved: f64,
    /// Bytes of news.
    bytes: f64,
    /// Tellings of receipts, their envelopes and bytes.
    tellings: f64,
    receipts: f64,
    receipt_bytes: f64,
}

/// Appends in a second of a room that gets `rate` frames in it: an idle room appends at once, and what comes meanwhile goes together
/// (`A`).
pub(crate) fn appends(rate: f64) -> f64 {
    let busy = rate * APPEND_US as f64 / 1e6;
    rate / (busy + (-busy).exp())
}

impl Formula<'_> {
    fn n(&self) -> f64 {
        self.nodes as f64
    }

    fn links(&self) -> f64 {
        self.n() * (self.n() - 1.0)
    }

    /// The part of the nodes on which at least one of `members` is (`q`).
    pub(crate) fn part(&self, members: f64) -> f64 {
        1.0 - (1.0 - 1.0 / self.n()).powf(members)
    }

    fn members(&self, kind: &Kind) -> f64 {
        kind.members_of(self.sessions) as f64
    }

    /// Messages in a second.
    fn messages(&self) -> f64 {
        self.sessions as f64 * SAYS_PER_S
    }

    /// Pairs of a room and a node it runs on.
    pub(crate) fn running(&self) -> f64 {
        let of = |kind: &Kind| {
            kind.rooms(self.sessions) as f64 * self.n() * self.part(self.members(kind))
        };
        self.kinds.iter().map(of).sum()
    }

    fn leases(&self) -> f64 {
        self.running() * (self.n() - 1.0) / self.n()
    }

    fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        for kind in self.kinds {
            let members = self.members(kind);
            let rooms = kind.rooms(self.sessions);
            let wanting = (self.n() - 1.0) * self.part(members);
            let others =
                (self.n() - 1.0) / self.n() * (1.0 + (self.n() - 1.0) * self.part(members - 1.0));
            let there = self.n() * self.part(members);
            for weight in kind.weights(rooms) {
                let rate = self.messages() * kind.share * weight;
                let appends = appends(rate);
                sum.appends += appends;
                sum.told += appends * wanting;
                sum.moved += 1.0 - (-appends / BEATS_PER_S).exp();
                sum.bytes += wanting
                    * (appends * f64::from(self.sizes.moved.base)
                        + rate * f64::from(self.sizes.moved.each));
                let given = rate * kind.receipts * (members - 1.0);
                if given > 0.0 {
                    let on_node = given / there;
                    let tellings = given / (1.0 + on_node * PLACES_US as f64 / 1e6);
                    sum.tellings += tellings;
                    sum.receipts += tellings * others;
                    sum.receipt_bytes += tellings
                        * (others * self.sizes.places.mean(given / tellings)
                            + (1.0 - 1.0 / self.n()) * f64::from(self.sizes.relay));
                }
            }
        }
        sum
    }

    /// Sessions that begin in a second, and those whom one of them asks for.
    fn begin(&self) -> (f64, f64) {
        let watched = self.kinds[0].each;
        let asked = watched * (-watched / self.n()).exp();
        (self.sessions as f64 / SESSION_S, asked)
    }

    fn interest(&self) -> f64 {
        let on_link = self.leases() / self.links();
        let envelopes = match on_link < 10.0 {
            true => 1.0 - (-on_link).exp(),
            false => (on_link / NAMED_MAX as f64).ceil(),
        };
        self.links() * envelopes / RENEW_S
    }

    /// Rooms on nodes that begin to run there when the sessions of a node that died come to the others.
    pub(crate) fn starts(&self) -> f64 {
        let (n, others) = (self.n(), self.n() - 1.0);
        let without = |nodes: f64, members: f64| (1.0 - 1.0 / nodes).powf(members);
        let of = |kind: &Kind| {
            let members = self.members(kind);
            kind.rooms(self.sessions) as f64
                * others
                * (without(n, members) - without(others, members))
        };
        self.kinds.iter().map(of).sum()
    }

    /// Computes every row.
    pub(crate) fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        let sum = self.sum();
        figures[Figure::Messages] = self.messages();
        figures[Figure::Deliveries] = self
            .kinds
            .iter()
            .map(|kind| self.messages() * kind.share * self.members(kind))
            .sum();
        let receipts = |kind: &Kind| {
            let members = self.members(kind);
            self.messages() * kind.share * kind.receipts * (members - 1.0) * members
        };
        figures[Figure::ReceiptFrames] = self.kinds.iter().map(receipts).sum();
        figures[Figure::Appends] = sum.appends;
        figures[Figure::Running] = self.running();
        if self.nodes > 1 {
            self.between(&mut figures, &sum);
        }
        figures
    }

    /// Computes what several nodes tell each other.
    fn between(&self, figures: &mut Figures, sum: &Sum) {
        let (n, links, sizes) = (self.n(), self.links(), self.sizes);
        let forwards = self.messages() * (1.0 - 1.0 / n);
        let (begin, asked) = self.begin();
        let answers = asked * (n - 1.0) / n;
        figures[Figure::Forwards] = forwards;
        figures[Figure::Leases] = self.leases();
        figures[Figure::EventEnvelopes] = sum.told + 2.0 * forwards;
        figures[Figure::InterestEnvelopes] = self.interest();
        figures[Figure::ReceiptEnvelopes] = sum.receipts;
        figures[Figure::PresenceEnvelopes] = begin * ((2.0 + asked) * (n - 1.0) + answers);
        let envelopes = figures[Figure::EventEnvelopes]
            + figures[Figure::InterestEnvelopes]
            + figures[Figure::ReceiptEnvelopes]
            + figures[Figure::PresenceEnvelopes];
        figures[Figure::LinkEnvelopes] = envelopes / links;
        figures[Figure::Packets] = self.packets(sum, forwards);
        let moved = sum.moved / n;
        let of_beat = (1.0 - (-moved).exp()).max(moved / 512.0);
        figures[Figure::HeadPackets] = BEATS_PER_S * links * of_beat;
        figures[Figure::Heads] = BEATS_PER_S * links * moved;
        figures[Figure::Beats] = BEATS_PER_S * n * n;
        figures[Figure::Commands] = n * (LOOK_COMMANDS + n - 1.0);
        figures[Figure::RedisMessages] =
            figures[Figure::Packets] + figures[Figure::HeadPackets] + figures[Figure::Beats];
        let presence = begin
            * (n - 1.0)
            * (2.0 * f64::from(sizes.part)
                + asked * f64::from(sizes.asked)
                + answers / (n - 1.0) * f64::from(sizes.part));
        let bytes = sum.bytes
            + forwards * (sizes.forward.mean(1.0) + sizes.forwarded.mean(1.0))
            + figures[Figure::InterestEnvelopes] * f64::from(sizes.interest.base)
            + self.leases() / RENEW_S * f64::from(sizes.interest.each)
            + sum.receipt_bytes
            + presence
            + envelopes
            + figures[Figure::Packets] * f64::from(sizes.packet)
            + figures[Figure::HeadPackets] * f64::from(sizes.heads.base)
            + figures[Figure::Heads] * f64::from(sizes.heads.each);
        let beat = f64::from(sizes.beat);
        figures[Figure::RedisBytes] = bytes + figures[Figure::Beats] * beat;
        figures[Figure::LinkBytes] = bytes / links + BEATS_PER_S * beat;
    }

    /// Packets of envelopes: moments at which a node says something, those that share a write, and the links each touches.
    fn packets(&self, sum: &Sum, forwards: f64) -> f64 {
        let n = self.n();
        let (begin, asked) = self.begin();
        let answers = begin * asked * (n - 1.0) / n;
        // An answer to a forward goes with the news of its events; what a session asks goes together with the news of it.
        let relays = sum.tellings * (1.0 - 1.0 / n);
        let moments = sum.appends + forwards + sum.tellings + relays + 2.0 * begin + answers;
        let touched = sum.told + forwards + sum.receipts + 2.0 * begin * (n - 1.0) + answers;
        let write = WRITE_US as f64 / 1e6;
        let by_node = moments / n;
        let by_link = touched / self.links();
        let idle = (-by_node * write).exp();
        let writes = 1.0 / (write + idle / by_node);
        let of_write = idle * by_link / by_node + 1.0 - (-by_link * write).exp();
        writes * of_write * self.links() + self.interest()
    }
}
