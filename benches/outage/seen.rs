//! What people sent, and what they got for it.
//!
//! Owns the account and its judgement (BO-1, BO-2).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    ops::Range,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::figures::Times;

/// One message.
struct Sent {
    /// When, since counting began; none while it warmed up.
    at: Option<Duration>,
    wrote: Instant,
    room: usize,
    node: usize,
    acks: Vec<u64>,
    acked: Option<Duration>,
    /// How long it took to those on the other node.
    crossed: Vec<Duration>,
}

/// One person, who is in one room and on one node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Its number among all.
    pub(crate) person: usize,
    /// The number of the room.
    pub(crate) room: usize,
    /// The number of the node.
    pub(crate) node: usize,
}

/// The account.
pub(crate) struct Seen {
    began: Instant,
    sent: Vec<Sent>,
    by_id: HashMap<String, usize>,
    /// What each person was delivered, in order: number and position.
    given: Vec<Vec<(usize, u64)>>,
    rooms: BTreeMap<usize, BTreeSet<usize>>,
    /// Frames that say that something did not work, and `gap`.
    refused: usize,
    /// Sockets that ended.
    disconnects: usize,
    /// How late a message was sent at most.
    pub(crate) late: Duration,
}

/// What a second or a phase had.
pub(crate) type Window = Range<Duration>;

impl Seen {
    /// Begins; what is sent before `began` is delivered and judged, and not timed.
    pub(crate) fn new(began: Instant, people: usize) -> Self {
        Self {
            began,
            sent: Vec::new(),
            by_id: HashMap::new(),
            given: vec![Vec::new(); people],
            rooms: BTreeMap::new(),
            refused: 0,
            disconnects: 0,
            late: Duration::ZERO,
        }
    }

    /// Notes that a message is sent now that was due at a time; answers its number.
    pub(crate) fn sends(&mut self, place: Place, msg_id: String, due: Instant) -> usize {
        let (number, wrote) = (self.sent.len(), Instant::now());
        self.by_id.insert(msg_id, number);
        self.late = self.late.max(wrote - due);
        self.sent.push(Sent {
            at: wrote.checked_duration_since(self.began),
            wrote,
            room: place.room,
            node: place.node,
            acks: Vec::new(),
            acked: None,
            crossed: Vec::new(),
        });
        number
    }

    /// Takes a frame that came just now.
    pub(crate) fn takes(&mut self, place: Place, frame: &Value) {
        let now = Instant::now();
        let payload = &frame["payload"];
        match frame["type"].as_str().unwrap() {
            "ack" => {
                let number = self.by_id[frame["msg_id"].as_str().unwrap()];
                let sent = &mut self.sent[number];
                sent.acks.push(payload["seq"].as_u64().unwrap());
                sent.acked.get_or_insert(now - sent.wrote);
            }
            "message" => {
                let number = number_of(frame);
                let seq = payload["seq"].as_u64().unwrap();
                self.given[place.person].push((number, seq));
                self.rooms
                    .entry(place.room)
                    .or_default()
                    .insert(place.person);
                let sent = &mut self.sent[number];
                assert_eq!(sent.room, place.room, "a message of another room: {frame}");
                if sent.node != place.node {
                    sent.crossed.push(now - sent.wrote);
                }
            }
            "error" | "gap" | "goaway" => {
                println!("{frame}");
                self.refused += 1;
            }
            _ => {}
        }
    }

    /// Notes that a socket ended.
    pub(crate) fn ended(&mut self) {
        self.disconnects += 1;
    }

    /// Tells whether all that was sent is acknowledged, and delivered as often as a room has people.
    pub(crate) fn is_level(&self, people: usize) -> bool {
        let given: usize = self.given.iter().map(Vec::len).sum();
        self.sent.iter().all(|sent| !sent.acks.is_empty()) && given >= self.sent.len() * people
    }

    /// Returns the times to the ack of what was sent in a window.
    pub(crate) fn acked(&self, window: &Window) -> Times {
        let mut times = Times::new();
        for sent in self.within(window) {
            sent.acked.into_iter().for_each(|time| times.add(time));
        }
        times
    }

    /// Returns the times to each delivery on the other node of what was sent in a window.
    pub(crate) fn crossed(&self, window: &Window) -> Times {
        let mut times = Times::new();
        for sent in self.within(window) {
            sent.crossed.iter().for_each(|time| times.add(*time));
        }
        times
    }

    /// Returns p50 and p99 of each second, in milliseconds.
    pub(crate) fn seconds(
        &self,
        end: Duration,
        of: impl Fn(&Self, &Window) -> Times,
    ) -> Vec<[f64; 2]> {
        let second = |at: u64| {
            let times = of(
                self,
                &(Duration::from_secs(at)..Duration::from_secs(at + 1)),
            );
            [0.5, 0.99].map(|quantile| times.quantile(quantile) / 1_000.0)
        };
        (0..end.as_secs()).map(second).collect()
    }

    fn within(&self, window: &Window) -> impl Iterator<Item = &Sent> {
        self.sent
            .iter()
            .filter(|sent| sent.at.is_some_and(|at| window.contains(&at)))
    }

    /// Returns the numbers of a room's messages by position, as they were acknowledged.
    pub(crate) fn timeline(&self, room: usize) -> BTreeMap<u64, usize> {
        let sent = self.sent.iter().enumerate();
        sent.filter(|(_, sent)| sent.room == room)
            .flat_map(|(number, sent)| sent.acks.iter().map(move |seq| (*seq, number)))
            .collect()
    }

    /// Sums up what must hold.
    pub(crate) fn judge(&self) -> Totals {
        let mut totals = Totals {
            sent: self.sent.len(),
            refused: self.refused,
            disconnects: self.disconnects,
            ..Totals::default()
        };
        for sent in &self.sent {
            totals.acked += sent.acks.len();
            totals.lost += usize::from(sent.acks.is_empty());
            totals.doubled += sent.acks.len().saturating_sub(1);
        }
        for (room, people) in &self.rooms {
            let wanted: Vec<(usize, u64)> = self
                .timeline(*room)
                .into_iter()
                .map(|(seq, number)| (number, seq))
                .collect();
            for person in people {
                let given = &self.given[*person];
                let once: BTreeSet<_> = given.iter().collect();
                totals.delivered += given.len();
                totals.doubled += given.len() - once.len();
                totals.lost += wanted.iter().filter(|one| !once.contains(one)).count();
                let steps = given.windows(2).filter(|pair| pair[1].1 != pair[0].1 + 1);
                totals.misplaced += steps.count();
            }
        }
        totals
    }
}

/// Returns the number that a message begins with.
pub(crate) fn number_of(frame: &Value) -> usize {
    let text = frame["payload"]["body"]["text"].as_str().unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// What must hold.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    sent: usize,
    acked: usize,
    delivered: usize,
    lost: usize,
    doubled: usize,
    misplaced: usize,
    refused: usize,
    disconnects: usize,
}

impl Totals {
    /// Ends the bench where a promise was broken (BO-1, BO-2).
    pub(crate) fn check(&self) {
        assert_eq!(self.acked, self.sent, "BO-1");
        let broken = [self.lost, self.doubled, self.misplaced, self.refused];
        assert_eq!(broken, [0; 4], "BO-1: {self}");
        assert_eq!(self.disconnects, 0, "BO-2");
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sent {}, acknowledged {}, delivered {}, lost {}, doubled {}, out of place {}, refused {}, disconnects {}",
            self.sent,
            self.acked,
            self.delivered,
            self.lost,
            self.doubled,
            self.misplaced,
            self.refused,
            self.disconnects
        )
    }
}
