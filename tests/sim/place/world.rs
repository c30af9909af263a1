//! The nodes, the people, and chance.

use std::{collections::HashMap, sync::Arc};

use parlor_actors::{
    place::leases::{Leases, RENEW_MS},
    room::{
        forward::state::{Doubt, FORWARD_MS, Forwards, Route, Step},
        state::{Effect, Facts, Found, Moment, Pending, RoomState, Ticket},
    },
};
use parlor_cluster::link::Incoming;
use parlor_schema::{
    BootId, ErrorCode, Event, EventId, EventKind, MsgId, NodeId, RoomId, RoomKind, Seq, Timestamp,
    UserId,
    envelope::{ForwardedFrame, Outcome},
    event::RoomCreatedContent,
    frame::{
        Ack, ClientFrame, Refusal,
        body::MessageBody,
        client::{Caller, MessageSend},
        fingerprint,
    },
    port::{Append, NodeInfo},
};

use super::mail::{Letter, Links, Said};
use crate::{
    checker::{self, Acked, Delivered, End, History, Report, Segment, Stored, View},
    dice::Dice,
    node::{CountedIds, Node, Off, Reply, Store, Work, away},
};

#[path = "act.rs"]
mod act;
#[path = "end.rs"]
mod end;

pub(super) use act::schedule;

const STEPS: u64 = 260;
const NODES: usize = 3;
const BEAT_MS: u64 = 250;
/// How long an owner that was silent gets no frames.
const SUSPECT_MS: u64 = 2_000;
/// Who waits for a reply, from here on: a forward of another node.
const FORWARDS: usize = 1_000;

/// A frame somebody wants to take effect.
struct Asked {
    msg_id: MsgId,
    waits: bool,
    stored: Option<Seq>,
    /// It was sent more than once, so that its order says nothing.
    again: bool,
    /// Its owner refused it, and may have stored what came behind it.
    is_overtaken: bool,
    /// Whoever sent it does so no more once it is refused.
    gives_up: bool,
    refused: bool,
}

struct Person {
    user: UserId,
    asked: Vec<Asked>,
}

/// A forward that an owner took.
struct Taken {
    by: usize,
    id: u64,
    outcomes: Vec<Option<Outcome>>,
    msg_ids: Vec<MsgId>,
}

/// A node.
struct Place {
    hold: Node,
    outward: Forwards,
    /// Frames on their way to the owner.
    sessions: HashMap<Ticket, (usize, MsgId)>,
    doubtful: Vec<MsgId>,
    taken: HashMap<usize, Taken>,
    leases: Leases,
    /// Whom it thinks the owner.
    owner: usize,
    suspect: Option<(usize, u64)>,
    renew_ms: u64,
    boot: u8,
    /// The highest head it was told.
    told: Seq,
    incoming: Incoming,
    /// How far its clock is behind.
    skew_ms: u64,
}

/// What happened, in numbers.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    conflicts: u64,
    deaths: u64,
    taken: u64,
    given_back: u64,
    silent: u64,
    doubted: u64,
    relayed: u64,
    handed_on: u64,
    carried: u64,
    lost: u64,
    late: u64,
    gave_up: u64,
}

/// Which protection is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// None.
    Nothing,
    /// Frames go to the owner while others are decided here (F-1).
    Order,
    /// Heartbeats bring no heads, and losses are not noticed (PC-1).
    Heads,
}

/// What went wrong, beside what the checker of histories finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Somebody heard of an event later than after a second.
    Late,
    /// Frames of one sender took effect in another order.
    Reordered,
    /// A frame was refused as not stored, and stored.
    RefusedAndStored,
}

/// An event that others are to have heard of.
struct Lag {
    seq: Seq,
    at_ms: u64,
    boots: [u8; NODES],
}

pub(super) struct World {
    dice: Dice,
    room: RoomId,
    now_ms: u64,
    beat_ms: u64,
    ids: CountedIds,
    store: Store,
    nodes: Vec<Place>,
    people: Vec<Person>,
    links: Links,
    late: Vec<(Seq, Vec<Arc<Event>>)>,
    lags: Vec<Lag>,
    next: u64,
    history: History,
    tally: Tally,
    /// How many appends, of forty, the store refuses.
    refuses: u64,
    broken: Broken,
    found: Vec<Wrong>,
}

fn name(node: usize) -> NodeId {
    format!("n{node}").parse().unwrap()
}

fn time(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms.try_into().unwrap())
}

fn index(node: &NodeId) -> usize {
    node.as_str()[1..].parse().unwrap()
}

impl World {
    fn new(seed: u64, broken: Broken) -> Self {
        let room = RoomId::from([7; 16]);
        let people: Vec<Person> = ["ana", "ben", "cyd"]
            .iter()
            .map(|name| Person {
                user: name.parse().unwrap(),
                asked: Vec::new(),
            })
            .collect();
        let content = RoomCreatedContent {
            kind: RoomKind::Group,
            name: None,
            topic: None,
            public: true,
            retention_ms: None,
            members: people.iter().map(|person| person.user.clone()).collect(),
        };
        let created = Event {
            seq: Seq::FIRST,
            id: EventId::from([8; 16]),
            kind: EventKind::RoomCreated,
            sender: people[0].user.clone(),
            sent_at: Timestamp::from_millis(1),
            msg_id: MsgId::from([8; 16]),
            fingerprint: 0,
            content: serde_json::to_string(&content).unwrap().into(),
        };
        let store = Store {
            events: vec![Arc::new(created)],
            off: Off::Nothing,
        };
        let mut world = Self {
            dice: Dice::new(seed),
            room,
            now_ms: 10_000_000,
            beat_ms: 0,
            ids: CountedIds::default(),
            nodes: Vec::new(),
            store,
            people,
            links: Links::default(),
            late: Vec::new(),
            lags: Vec::new(),
            next: 0,
            history: History::default(),
            tally: Tally::default(),
            refuses: if seed.is_multiple_of(3) { 12 } else { 1 },
            broken,
            found: Vec::new(),
        };
        // In some the clock of one is an hour behind: it takes what is late.
        let behind = if seed.is_multiple_of(4) { 3_600_000 } else { 0 };
        for at in 0..NODES {
            let skew_ms = if at == 0 { behind } else { 0 };
            let place = world.place(0, skew_ms);
            world.nodes.push(place);
        }
        for at in 0..NODES {
            world.renew(at);
        }
        world
    }

    fn place(&mut self, boot: u8, skew_ms: u64) -> Place {
        Place {
            hold: Node::start(self.room, &self.store),
            outward: Forwards::new(u64::from(boot) << 32),
            sessions: HashMap::new(),
            doubtful: Vec::new(),
            taken: HashMap::new(),
            leases: Leases::default(),
            owner: 0,
            suspect: None,
            renew_ms: 0,
            boot,
            told: self.store.head(),
            incoming: Incoming::default(),
            skew_ms,
        }
    }

    fn step(&mut self) {
        self.now_ms += self.dice.below(40);
        let at = self.below(NODES);
        match self.dice.below(40) {
            0..=9 => self.ask_anew(),
            10..=13 => self.ask_again(),
            14..=35 => self.work(at),
            36 => self.change_view(at),
            37 => self.land_late(),
            38 if self.dice.once_in(4) => self.die(at),
            _ => {}
        }
        self.pass_time();
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.dice.below(bound as u64)).unwrap()
    }

    /// Lets letters, beats, leases and deadlines come due.
    fn pass_time(&mut self) {
        while let Some(letter) = self.links.next(self.now_ms) {
            self.deliver(letter);
        }
        if self.now_ms >= self.beat_ms + BEAT_MS {
            self.beat_ms = self.now_ms;
            for route in 0..NODES * NODES {
                self.beat(route / NODES, route % NODES);
            }
        }
        for at in 0..NODES {
            if self.now_ms >= self.nodes[at].renew_ms {
                self.renew(at);
            }
            self.overdue(at);
        }
        self.check_lags();
    }

    /// Has a node think another the owner, alone or with all.
    fn change_view(&mut self, at: usize) {
        let owner = self.below(NODES);
        let all = self.dice.once_in(2);
        for node in 0..NODES {
            if all || node == at {
                self.nodes[node].owner = owner;
                for other in (0..NODES).filter(|other| *other != node) {
                    self.nodes[node].leases.doubt(&name(other), self.now_ms);
                }
                self.renew(node);
            }
        }
    }

    fn renew(&mut self, at: usize) {
        self.nodes[at].renew_ms = self.now_ms + RENEW_MS;
        let now = self.now_ms;
        self.nodes[at].leases.expire(now, |_| true);
        let owner = self.nodes[at].owner;
        self.say(at, owner, Said::Interest);
    }

    fn say(&mut self, from: usize, to: usize, said: Said) {
        if from != to {
            let boot = self.nodes[from].boot;
            let route = (from, to);
            self.links
                .post(&mut self.dice, self.now_ms, (boot, route), said);
        }
    }

    fn beat(&mut self, from: usize, to: usize) {
        if from == to {
            return;
        }
        let Some((head, last)) = self.links.beat(&mut self.dice, from, to) else {
            return;
        };
        let boot = self.nodes[from].boot;
        if let Some((number, head)) = head
            && self.arrives(boot, (from, to), number)
            && self.broken != Broken::Heads
        {
            self.hear(to, head);
        }
        let (from, boot) = (name(from), BootId::from([boot; 16]));
        let heard = self.nodes[to].incoming.heartbeat(&from, boot, last);
        if heard.lost && self.broken != Broken::Heads {
            self.link_lost(to, &from);
        }
    }

    /// Takes the number of a letter or of heads; tells whether they are handed up.
    fn arrives(&mut self, boot: u8, (from, to): (usize, usize), number: u64) -> bool {
        let (from, boot) = (name(from), BootId::from([boot; 16]));
        let heard = self.nodes[to].incoming.packet(&from, boot, number);
        if heard.lost && self.broken != Broken::Heads {
            self.link_lost(to, &from);
        }
        heard.fresh
    }

    fn link_lost(&mut self, at: usize, from: &NodeId) {
        self.nodes[at].leases.doubt(from, self.now_ms);
        self.hear(at, self.store.head());
    }

    fn hear(&mut self, at: usize, head: Seq) {
        let told = &mut self.nodes[at].told;
        *told = head.max(*told);
        self.act(at, |state, moment| state.hear(head, moment));
    }

    fn deliver(&mut self, letter: Letter) {
        let Letter {
            from,
            boot,
            to,
            number,
            said,
            ..
        } = letter;
        if !self.arrives(boot, (from, to), number) {
            return;
        }
        match said {
            Said::Interest => self.nodes[to]
                .leases
                .name(&name(from), &[self.room], self.now_ms),
            Said::Moved(events) => self.hear_moved(to, events),
            Said::Relay(events) => {
                for other in self.wanting(to) {
                    if other != from {
                        self.tally.handed_on += 1;
                        self.say(to, other, Said::Moved(events.clone()));
                    }
                }
                self.hear_moved(to, events);
            }
            Said::Forward {
                boot,
                id,
                until,
                frames,
            } => {
                if boot == self.nodes[to].boot {
                    self.nodes[to]
                        .leases
                        .name(&name(from), &[self.room], self.now_ms);
                    self.take_forward((from, to), id, until, frames);
                }
            }
            Said::Forwarded { id, outcomes } => {
                match outcomes {
                    Some(_) => self.tally.taken += 1,
                    None => self.tally.given_back += 1,
                }
                let (route, now) = (self.route(to), self.now_ms);
                let steps = self.nodes[to].outward.answered(id, outcomes, route, now);
                self.steps(to, steps);
            }
        }
    }

    fn hear_moved(&mut self, at: usize, events: Vec<Arc<Event>>) {
        let head = events.last().map_or(Seq::ZERO, |event| event.seq);
        self.act(at, |state, moment| state.hear_events(events, moment));
        self.hear(at, head);
    }

    fn wanting(&self, at: usize) -> Vec<usize> {
        let wanting = self.nodes[at].leases.wanting(self.room, self.now_ms);
        wanting.iter().map(index).collect()
    }

    /// Tells the others what this node knows as durable first.
    fn tell(&mut self, at: usize, events: Vec<Arc<Event>>) {
        let Some(head) = events.last().map(|event| event.seq) else {
            return;
        };
        let owner = self.nodes[at].owner;
        if owner == at {
            for other in self.wanting(at) {
                self.say(at, other, Said::Moved(events.clone()));
            }
        } else {
            self.tally.relayed += 1;
            self.say(at, owner, Said::Relay(events));
        }
        for other in (0..NODES).filter(|other| *other != at) {
            self.links.noted[at][other] = self.links.noted[at][other].max(Some(head));
        }
        let boots = [0, 1, 2].map(|node: usize| self.nodes[node].boot);
        let at_ms = self.now_ms;
        self.lags.push(Lag {
            seq: head,
            at_ms,
            boots,
        });
    }

    /// Looks whether whoever lived on heard of an event within a second, and a step.
    fn check_lags(&mut self) {
        let due = self.now_ms.saturating_sub(1_000 + 40);
        for lag in self
            .lags
            .extract_if(.., |lag| lag.at_ms < due)
            .collect::<Vec<_>>()
        {
            let boots = [0, 1, 2].map(|node: usize| self.nodes[node].boot);
            if boots != lag.boots {
                continue;
            }
            for node in &self.nodes {
                let knows = node.told.max(node.hold.state.head());
                if knows < lag.seq {
                    self.found.push(Wrong::Late);
                }
            }
        }
    }
}
