//! A link that changes its carrier at any moment loses nothing by the change.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    Push,
    /// Redis cannot be reached from now on, and the sender knows.
    RedisGoes,
    RedisComes,
    /// What goes over Redis is sent, and arrives.
    Write,
    /// A call begins.
    Call,
    /// The call under way arrives, and its answer.
    Answer,
    /// Nobody listens: the call under way brings nothing. It held a heartbeat alone, or what Redis would have lost as well.
    Fail,
}

fn steps(fails: u32) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Push),
        1 => Just(Step::RedisGoes),
        1 => Just(Step::RedisComes),
        4 => Just(Step::Write),
        4 => Just(Step::Call),
        4 => Just(Step::Answer),
        fails => Just(Step::Fail),
    ];
    prop::collection::vec(step, 0..200)
}

#[derive(Default)]
struct World {
    outgoing: Outgoing,
    route: Route,
    incoming: Incoming,
    is_away: bool,
    /// The packets of the call under way, and the last number in it.
    call: Option<(Vec<Vec<u8>>, u64)>,
    now_ms: u64,
    pushed: usize,
    got: Vec<usize>,
    losses: usize,
    /// How many were pushed when a loss was last reported.
    lost_after: usize,
}

impl World {
    fn step(&mut self, step: Step) {
        self.now_ms += 300;
        match step {
            Step::Push => {
                self.outgoing.push(encode(&revoked(self.pushed)).unwrap());
                self.pushed += 1;
            }
            Step::RedisGoes => {
                self.is_away = true;
                self.route.redis_failed();
            }
            Step::RedisComes => self.is_away = false,
            Step::Write => self.write(),
            Step::Call => self.begin(),
            Step::Answer => {
                if let Some((packets, last)) = self.call.take() {
                    packets.iter().for_each(|packet| self.arrive(packet));
                    self.route.call_taken(last);
                }
            }
            Step::Fail => {
                if self.call.take().is_some() {
                    self.route.call_failed(self.now_ms);
                }
            }
        }
    }

    fn write(&mut self) {
        if self.is_away {
            return;
        }
        let packets = match self.route.carrier() {
            Carrier::Redis => self.take().0,
            Carrier::Http => vec![heartbeat(self.route.confirmed())],
        };
        packets.iter().for_each(|packet| self.arrive(packet));
        self.route.redis_heard();
    }

    fn begin(&mut self) {
        let Some(load) = self.route.next_call(self.now_ms) else {
            return;
        };
        self.route.calls();
        self.call = Some(match load {
            Load::Everything => self.take(),
            Load::Heartbeat => {
                let last = self.outgoing.last();
                (vec![heartbeat(last)], last)
            }
        });
    }

    /// Takes all that waits, and a heartbeat behind it.
    fn take(&mut self) -> (Vec<Vec<u8>>, u64) {
        let mut packets = Vec::new();
        while let Some((number, contents)) = self.outgoing.take_envelopes() {
            packets.push(pack_contents(&node("n1"), boot(1), number, &contents));
        }
        let last = self.outgoing.last();
        packets.push(heartbeat(last));
        (packets, last)
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
            self.losses += 1;
            self.lost_after = self.pushed;
        }
        let inbound = packet.inbound.into_iter().filter(|_| heard.fresh);
        self.got.extend(inbound.filter_map(|inbound| match inbound {
            Inbound::Envelope(Envelope::UserRevoked { user_id }) => {
                user_id.as_str()[1..].parse::<usize>().ok()
            }
            _ => None,
        }));
    }

    /// Redis is there again, and what waits is sent.
    fn settle(&mut self) {
        for step in [
            Step::Answer,
            Step::RedisComes,
            Step::Write,
            Step::Write,
            Step::Write,
        ] {
            self.step(step);
        }
        assert_eq!(self.route.carrier(), Carrier::Redis, "RO-1: it comes back");
    }
}

fn heartbeat(last: u64) -> Vec<u8> {
    pack_heartbeat(&node("n1"), boot(1), last)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn a_change_of_the_carrier_loses_and_reports_nothing(steps in steps(0)) {
        let mut world = World::default();
        steps.iter().for_each(|step| world.step(*step));
        world.settle();
        prop_assert_eq!(world.losses, 1, "only the first contact");
        prop_assert_eq!(world.got, (0..world.pushed).collect::<Vec<_>>());
    }

    #[test]
    fn what_a_failed_call_held_is_reported_and_nothing_comes_twice(steps in steps(2)) {
        let mut world = World::default();
        steps.iter().for_each(|step| world.step(*step));
        world.settle();
        prop_assert!(world.got.is_sorted_by(|a, b| a < b), "L-2: {:?}", world.got);
        for index in (0..world.pushed).filter(|index| !world.got.contains(index)) {
            prop_assert!(index < world.lost_after, "L-3: {index} is missing, silently");
        }
    }
}
