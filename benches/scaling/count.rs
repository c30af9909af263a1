//! Counting: everything that the nodes of one size of cluster do in the time that is looked at.

use std::collections::HashSet;

use crate::{
    chance::Chance,
    figure::{Figure, Figures},
    line::{self, Step},
    load::{BEATS_PER_S, HOP_US, LOOK_COMMANDS, NAMED_MAX, PLACES_US, RENEW_S},
    post::{About, Post},
    sizes::Sizes,
    talk::{Deed, Talk},
    world::{Places, World},
};

/// A cluster of one size.
pub(crate) struct Count<'a> {
    pub(crate) world: &'a World,
    pub(crate) talk: &'a Talk,
    pub(crate) places: &'a Places,
    pub(crate) sizes: &'a Sizes,
}

/// Heads that the heartbeats carry.
#[derive(Debug, Default)]
struct Heads {
    /// Owner, beat and room of each append.
    appends: HashSet<(u16, u64, u32)>,
}

impl Count<'_> {
    fn nodes(&self) -> usize {
        self.places.nodes.len()
    }

    fn node_of(&self, session: u32) -> u16 {
        self.places.of[session as usize]
    }

    /// Counts.
    pub(crate) fn run(&self, chance: &mut Chance) -> Figures {
        let mut figures = Figures::default();
        let (mut post, mut heads) = (Post::default(), Heads::default());
        let seconds = self.talk.seconds as f64;
        self.messages(&mut figures, &mut post, &mut heads);
        for figure in [
            Figure::Messages,
            Figure::Deliveries,
            Figure::Appends,
            Figure::Forwards,
        ] {
            figures[figure] /= seconds;
        }
        self.interest(&mut figures, &mut post, chance);
        self.receipts(&mut figures, &mut post);
        self.presence(&mut post);
        for (figure, about) in [
            (Figure::EventEnvelopes, About::Events),
            (Figure::InterestEnvelopes, About::Interest),
            (Figure::ReceiptEnvelopes, About::Receipts),
            (Figure::PresenceEnvelopes, About::Presence),
        ] {
            figures[figure] = post.count(about) as f64 / seconds;
        }
        self.redis(&mut figures, post, &heads);
        figures
    }

    /// Plays what is said in every room.
    fn messages(&self, figures: &mut Figures, post: &mut Post, heads: &mut Heads) {
        for said in self.talk.messages.chunk_by(|one, two| one.room == two.room) {
            let room = said[0].room;
            let (owner, there) = (
                self.places.owners[room as usize],
                self.places.there(room as usize),
            );
            let members = self.world.members(&self.world.rooms[room as usize]).len();
            figures[Figure::Messages] += said.len() as f64;
            let posts = said
                .iter()
                .map(|deed| (deed.at_us, self.node_of(deed.session)));
            line::play(owner, posts, &mut |at_us, step| match step {
                Step::Forward { from, frames } => {
                    figures[Figure::Forwards] += 1.0;
                    let bytes = self.sizes.forward.with(frames);
                    post.send(About::Events, (from, owner), at_us, bytes);
                }
                Step::Answer { to, frames } => {
                    let bytes = self.sizes.forwarded.with(frames);
                    post.send(About::Events, (owner, to), at_us, bytes);
                }
                Step::Append { events } => {
                    figures[Figure::Appends] += 1.0;
                    figures[Figure::Deliveries] += f64::from(events) * members as f64;
                    let beat = at_us / (1e6 / BEATS_PER_S) as u64;
                    heads.appends.insert((owner, beat, room));
                    let bytes = self.sizes.moved.with(events);
                    for node in there.iter().filter(|node| **node != owner) {
                        post.send(About::Events, (owner, *node), at_us, bytes);
                    }
                }
            });
        }
    }

    /// Has each node name its rooms to their owners.
    fn interest(&self, figures: &mut Figures, post: &mut Post, chance: &mut Chance) {
        let nodes = self.nodes();
        let mut named = vec![0_usize; nodes * nodes];
        for (room, owner) in self.places.owners.iter().enumerate() {
            let there = self.places.there(room);
            figures[Figure::Running] += there.len() as f64;
            for node in there.iter().filter(|node| *node != owner) {
                named[usize::from(*node) * nodes + usize::from(*owner)] += 1;
                figures[Figure::Leases] += 1.0;
            }
        }
        let every_us = (RENEW_S * 1e6) as u64;
        for by in 0..nodes {
            let mut at_us = chance.below(every_us as usize) as u64;
            while at_us < self.talk.seconds * 1_000_000 {
                for to in 0..nodes {
                    let mut rooms = named[by * nodes + to];
                    while rooms > 0 {
                        let some = rooms.min(NAMED_MAX);
                        let bytes = self.sizes.interest.with(u32::try_from(some).unwrap());
                        let link = (u16::try_from(by).unwrap(), u16::try_from(to).unwrap());
                        post.send(About::Interest, link, at_us, bytes);
                        rooms -= some;
                    }
                }
                at_us += every_us;
            }
        }
    }

    /// Collects receipts of a room on a node, and has them handed on.
    fn receipts(&self, figures: &mut Figures, post: &mut Post) {
        for given in self.talk.receipts.chunk_by(|one, two| one.room == two.room) {
            let room = &self.world.rooms[given[0].room as usize];
            let frames = given.len() * self.world.members(room).len();
            figures[Figure::ReceiptFrames] += frames as f64 / self.talk.seconds as f64;
            let mut given: Vec<(u16, Deed)> = given
                .iter()
                .map(|deed| (self.node_of(deed.session), *deed))
                .collect();
            given.sort_unstable();
            let mut rest = &given[..];
            while let Some((node, first)) = rest.first() {
                let told_us = first.at_us + PLACES_US;
                let many = rest.partition_point(|(by, deed)| by == node && deed.at_us <= told_us);
                rest = &rest[many..];
                self.tell_places(post, first.room as usize, *node, told_us, many);
            }
        }
    }

    fn tell_places(&self, post: &mut Post, room: usize, by: u16, at_us: u64, many: usize) {
        let owner = self.places.owners[room];
        let bytes = self.sizes.places.with(u32::try_from(many).unwrap());
        let mut at_us = at_us;
        if by != owner {
            post.send(
                About::Receipts,
                (by, owner),
                at_us,
                bytes + self.sizes.relay,
            );
            at_us += HOP_US;
        }
        for node in self.places.there(room) {
            if *node != owner && *node != by {
                post.send(About::Receipts, (owner, *node), at_us, bytes);
            }
        }
    }

    /// Has sessions begin and end: all nodes are told of it, and asked for those whom the session watches and nobody there watched.
    fn presence(&self, post: &mut Post) {
        let end_us = self.talk.seconds * 1_000_000;
        for (session, at_us) in &self.talk.begun {
            let (own, at_us) = (self.node_of(*session), *at_us);
            let nodes = 0..u16::try_from(self.nodes()).unwrap();
            let others: Vec<u16> = nodes.filter(|node| *node != own).collect();
            let ends_us = (at_us + end_us / 2) % end_us;
            for node in &others {
                post.send(About::Presence, (own, *node), at_us, self.sizes.part);
                post.send(About::Presence, (own, *node), ends_us, self.sizes.part);
            }
            for friend in &self.world.friends[*session as usize] {
                let watchers = &self.world.friends[*friend as usize];
                let is_watched = |by: &u32| by != session && self.node_of(*by) == own;
                if watchers.iter().any(is_watched) {
                    continue;
                }
                for node in &others {
                    post.send(About::Presence, (own, *node), at_us, self.sizes.asked);
                }
                let home = self.node_of(*friend);
                if home != own {
                    let link = (home, own);
                    post.send(About::Presence, link, at_us + HOP_US, self.sizes.part);
                }
            }
        }
    }

    /// Sends it all, heartbeats and looks at the others beside it.
    fn redis(&self, figures: &mut Figures, post: Post, heads: &Heads) {
        let nodes = self.nodes();
        if nodes < 2 {
            return;
        }
        let seconds = self.talk.seconds as f64;
        let (count, links) = (nodes as f64, (nodes * (nodes - 1)) as f64);
        let carried = post.carry(nodes, self.sizes);
        let mut rooms: std::collections::HashMap<(u16, u64), u32> =
            std::collections::HashMap::new();
        for (owner, beat, _) in &heads.appends {
            *rooms.entry((*owner, *beat)).or_default() += 1;
        }
        let (mut packets, mut named, mut bytes) = (0_u64, 0_u64, 0_u64);
        for rooms in rooms.values() {
            let some = u64::from(rooms.div_ceil(512));
            packets += some;
            named += u64::from(*rooms);
            bytes += some * u64::from(self.sizes.heads.base)
                + u64::from(*rooms) * u64::from(self.sizes.heads.each);
        }
        let to_all = |number: u64| number as f64 * (count - 1.0) / seconds;
        figures[Figure::LinkEnvelopes] = carried.envelopes as f64 / seconds / links;
        figures[Figure::Packets] = carried.packets as f64 / seconds;
        figures[Figure::HeadPackets] = to_all(packets);
        figures[Figure::Heads] = to_all(named);
        // One of the beats of each node is to itself.
        figures[Figure::Beats] = BEATS_PER_S * count * count;
        figures[Figure::Commands] = count * (LOOK_COMMANDS + count - 1.0);
        figures[Figure::RedisMessages] =
            figures[Figure::Packets] + figures[Figure::HeadPackets] + figures[Figure::Beats];
        let beats = figures[Figure::Beats] * f64::from(self.sizes.beat);
        let rest = carried.bytes as f64 / seconds + to_all(bytes);
        figures[Figure::RedisBytes] = rest + beats;
        figures[Figure::LinkBytes] = (rest + beats * (count - 1.0) / count) / links;
    }
}
