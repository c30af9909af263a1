//! Links between which any packet may be lost, doubled or reordered, and either end may restart.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Push,
    NoteHead(u8),
    Flush,
    Heartbeat,
    Deliver(usize),
    Lose(usize),
    Double(usize),
    SenderRestarts,
}

fn steps(faults: bool) -> impl Strategy<Value = Vec<Step>> {
    let weight = if faults { 1 } else { 0 };
    // Without faults packets arrive in order: only the first on the way is delivered.
    let at = if faults { 0..8_usize } else { 0..1 };
    let step = prop_oneof![
        6 => Just(Step::Push),
        2 => any::<u8>().prop_map(Step::NoteHead),
        4 => Just(Step::Flush),
        2 => Just(Step::Heartbeat),
        6 => at.prop_map(Step::Deliver),
        2 * weight => (0..8_usize).prop_map(Step::Lose),
        weight => (0..8_usize).prop_map(Step::Double),
        weight => Just(Step::SenderRestarts),
    ];
    prop::collection::vec(step, 0..200)
}

/// A sender, a receiver, and what is on the way.
struct World {
    outgoing: Outgoing,
    run: u8,
    incoming: Incoming,
    way: Vec<Vec<u8>>,
    pushed: usize,
    /// When each envelope was pushed, in steps.
    pushed_at: Vec<usize>,
    got: BTreeSet<usize>,
    lost_at: Vec<usize>,
    numbers: Vec<(BootId, u64)>,
    dropped: usize,
    now: usize,
}

impl World {
    fn new() -> Self {
        Self {
            outgoing: Self::end(),
            run: 1,
            incoming: Incoming::default(),
            way: Vec::new(),
            pushed: 0,
            pushed_at: Vec::new(),
            got: BTreeSet::new(),
            lost_at: Vec::new(),
            numbers: Vec::new(),
            dropped: 0,
            now: 0,
        }
    }

    fn end() -> Outgoing {
        Outgoing::new(Limits {
            waiting: 6,
            heads: 4,
            packet: 3,
            ..Limits::default()
        })
    }

    fn step(&mut self, step: &Step) {
        self.now += 1;
        match *step {
            Step::Push => {
                let envelope = encode(&revoked(self.pushed)).unwrap();
                self.dropped += self.outgoing.push(envelope);
                self.pushed += 1;
                self.pushed_at.push(self.now);
            }
            Step::NoteHead(room) => {
                let taken = self
                    .outgoing
                    .note_head(RoomId::from([room; 16]), Seq::FIRST);
                self.dropped += usize::from(!taken);
            }
            Step::Flush => {
                while let Some((number, contents)) = self.outgoing.take_envelopes() {
                    self.send(number, &contents);
                }
            }
            Step::Heartbeat => self.heartbeat(),
            Step::Deliver(at) if at < self.way.len() => {
                let bytes = self.way.remove(at);
                self.arrive(&bytes);
            }
            Step::Lose(at) if at < self.way.len() => drop(self.way.remove(at)),
            Step::Double(at) if at < self.way.len() => self.way.push(self.way[at].clone()),
            Step::Deliver(_) | Step::Lose(_) | Step::Double(_) => {}
            // As many runs as a receiver tells apart.
            Step::SenderRestarts if self.run > 4 => {}
            Step::SenderRestarts => {
                self.outgoing = Self::end();
                self.run += 1;
            }
        }
    }

    fn send(&mut self, number: u64, contents: &Contents) {
        let bytes = pack_contents(&node("n1"), boot(self.run), number, contents);
        self.way.push(bytes);
    }

    fn heartbeat(&mut self) {
        while let Some((number, contents)) = self.outgoing.take_heads() {
            self.send(number, &contents);
        }
        let last = self.outgoing.last();
        self.way
            .push(pack_heartbeat(&node("n1"), boot(self.run), last));
    }

    fn arrive(&mut self, bytes: &[u8]) {
        let packet = read_packet(bytes).unwrap();
        let heard = match packet.number {
            Some(number) => self.incoming.packet(&packet.from, packet.boot, number),
            None => self
                .incoming
                .heartbeat(&packet.from, packet.boot, packet.last),
        };
        if heard.lost {
            self.lost_at.push(self.now);
        }
        let Some(number) = packet.number.filter(|_| heard.fresh) else {
            return;
        };
        self.numbers.push((packet.boot, number));
        for inbound in packet.inbound {
            if let Inbound::Envelope(Envelope::UserRevoked { user_id }) = inbound {
                let index = user_id.as_str()[1..].parse().unwrap();
                assert!(self.got.insert(index), "L-2: handed up twice");
            }
        }
    }

    /// The faults end: all that waits is sent, and what is sent arrives in order.
    fn settle(&mut self) {
        self.way.clear();
        self.step(&Step::Flush);
        // As many as it takes to hear a run again that was thought over.
        for _ in 0..3 {
            self.step(&Step::Heartbeat);
        }
        while !self.way.is_empty() {
            self.step(&Step::Deliver(0));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn what_is_not_handed_up_is_reported_after_it_was_pushed(steps in steps(true)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle();
        for index in 0..world.pushed {
            let told = world.lost_at.iter().any(|at| *at > world.pushed_at[index]);
            prop_assert!(world.got.contains(&index) || told, "L-3: {index} is missing, silently");
        }
        for pair in world.numbers.windows(2) {
            prop_assert!(pair[0].0 != pair[1].0 || pair[0].1 < pair[1].1, "L-2: numbers rise");
        }
    }

    #[test]
    fn nothing_is_reported_where_nothing_is_lost(steps in steps(false)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        while !world.way.is_empty() {
            world.step(&Step::Deliver(0));
        }
        world.settle();
        if world.dropped == 0 {
            prop_assert!(world.lost_at.len() <= 1, "only the first contact");
            prop_assert_eq!(world.got.len(), world.pushed);
        }
    }
}
