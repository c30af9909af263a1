//! One case: the same crowd at a ruler and at nodes, measured in the same rounds.
//!
//! Invariants:
//! - BA-1: all entrants of a round have the same client, the same number of sockets and the same bytes both ways.
//! - BA-2: an entrant follows another one, never itself: TCP acknowledges the first 16 segments at once after a pause, and later ones
//!   together with others, so that whoever goes on without a pause has less to do. More than two take turns at being first.

use std::net::SocketAddr;

use parlor_schema::limits::RING_EVENTS_MAX;
use uuid::Uuid;

use super::{
    crowd::{Crowd, Shape},
    ruler::Ruler,
};
use crate::{
    board::TEXT_BYTES,
    client,
    figures::{self, Bound, Series, print_head, print_ratio, setting},
    node::{Node, Store},
    wire::{self, Wire},
};

/// Messages in each room before the first round: as many as a node keeps ready of a room, so that rounds find it as it stays, not growing.
const WARM_UP: usize = RING_EVENTS_MAX;

/// What serves a crowd.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A bare loop.
    Bare(Ruler),
    /// A node; so many members of a room never read.
    Node(Store, usize),
}

/// A crowd and what serves it.
pub(crate) struct Entrant {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What its rate must be, as a part of the first entrant's.
    pub(crate) bound: Option<Bound>,
}

/// One case.
pub(crate) struct Case {
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) shape: Shape,
    /// Messages of one round.
    pub(crate) messages: usize,
    /// The first is what the others are measured by.
    pub(crate) entrants: Vec<Entrant>,
}

/// A crowd, and its node where it has one.
pub(crate) struct Served {
    pub(crate) crowd: Crowd,
    pub(crate) node: Option<Node>,
}

impl Case {
    /// Connects everyone and has a few messages said; answers the entrants in order.
    pub(crate) async fn gather(&self) -> Vec<Served> {
        let mut served = Vec::new();
        let mut sample = Vec::new();
        // The nodes before the bare loops, which write what nodes do.
        for entrant in self.entrants.iter().rev() {
            let one = match entrant.kind {
                Kind::Bare(ruler) => self.gather_bare(ruler, &sample).await,
                Kind::Node(store, stuck) => self.gather_node(store, stuck).await,
            };
            one.crowd.say(self.shape.rooms * WARM_UP, TEXT_BYTES).await;
            sample = one.crowd.board.sample();
            served.push(one);
        }
        served.reverse();
        served
    }

    async fn gather_bare(&self, ruler: Ruler, sample: &[u8]) -> Served {
        let addr = ruler.start(self.shape, sample.to_vec());
        let mut wires = Vec::new();
        for _ in 0..self.shape.sessions() {
            wires.push(Wire::bare(wire::connect(addr).await));
        }
        let rooms = vec![Uuid::nil().to_string(); self.shape.rooms];
        let crowd = Crowd::new(self.shape, rooms, wires, Vec::new());
        Served { crowd, node: None }
    }

    async fn gather_node(&self, store: Store, stuck: usize) -> Served {
        let shape = Shape {
            stuck,
            ..self.shape
        };
        let workers = setting("PARLOR_BENCH_WORKERS", 1);
        let node = Node::start(&figures::disk(), store, workers);
        let (mut rooms, mut reading, mut never) = (Vec::new(), Vec::new(), Vec::new());
        for room in 0..shape.rooms {
            let name = |member| format!("user-{room:03}-{member:05}");
            let users: Vec<String> = (0..shape.members).map(name).collect();
            rooms.push(client::room(node.addr, &users).await);
            let (readers, stuck) = users.split_at(shape.readers());
            for user in readers {
                reading.push(client::session(node.addr, user).await);
            }
            for user in stuck {
                never.push(narrow(node.addr, user).await);
            }
        }
        let crowd = Crowd::new(shape, rooms, reading, never);
        Served {
            crowd,
            node: Some(node),
        }
    }

    /// Runs the rounds; prints each, the medians and the ratios.
    pub(crate) async fn measure(&self, served: &[Served], rounds: usize) {
        let bytes = served[0].crowd.board.sample().len();
        println!(
            "\ncase {}: {}; {} sessions, {} messages a round, {bytes} bytes each, {rounds} rounds",
            self.key,
            self.title,
            self.shape.sessions(),
            self.messages
        );
        let mut series: Vec<Series> = self
            .entrants
            .iter()
            .map(|one| Series::new(one.name))
            .collect();
        for round in 0..rounds {
            for turn in 0..served.len() {
                let first = if served.len() > 2 { round } else { 0 };
                let at = (turn + first) % served.len();
                let figures = served[at].crowd.round(self.messages).await;
                series[at].rounds.push(figures);
            }
            report(round, &series);
        }
        print_head("deliveries");
        for one in &series {
            one.print();
        }
        for (one, entrant) in series.iter().zip(&self.entrants).skip(1) {
            let what = format!("{} / {}, deliveries per second", one.name, series[0].name);
            let ratio = one.ratio(&series[0], |round| round.rate);
            print_ratio(&what, ratio, entrant.bound);
        }
        for one in served {
            // The shortest frame of a case is its first, whose position has the fewest digits.
            one.crowd
                .board
                .check(bytes.min(one.crowd.board.sample().len()));
        }
        println!("every receiver of every entrant got every message, in order");
    }
}

async fn narrow(addr: SocketAddr, user: &str) -> Wire {
    let mut wire = Wire::connect_narrow(addr).await;
    client::greet(&mut wire, user).await;
    wire
}

/// Has everyone leave and stops the nodes.
pub(crate) async fn disperse(served: Vec<Served>) {
    for one in served {
        one.crowd.leave().await;
        if let Some(node) = one.node {
            node.stop();
        }
    }
}

fn report(round: usize, series: &[Series]) {
    let base = series[0].rounds[round].rate;
    print!("round {round}:");
    for one in series {
        let rate = one.rounds[round].rate;
        print!("  {} {:.0}/s ({:.2})", one.name, rate, rate / base);
    }
    println!();
}
