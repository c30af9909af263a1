//! The simulated world around a room: a timeline, nodes that hold the room's state, and what they wait for.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parlor_actors::room::{
    dedupe::Key,
    members::Members,
    state::{Effect, Found, KnownUsers, Lookup, Moment, Origin, RoomRules, RoomState, Ticket},
};
use parlor_schema::{
    Event, EventId, MsgId, RoomId, Seq, Timestamp,
    frame::{Ack, Refusal},
    port::{Append, Ids, StoreError},
};
use uuid::Uuid;

/// Which protection is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Off {
    /// None.
    Nothing,
    /// A room that starts does not read which frames took effect.
    Dedupe,
    /// The store appends wherever the head is.
    ExpectedHead,
    /// Frames are answered without an append on whatever a node knows.
    Asking,
}

/// Ids that come again with the schedule.
#[derive(Default)]
pub(crate) struct CountedIds(AtomicU64);

impl Ids for CountedIds {
    fn uuid(&self, _: Timestamp) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1)
    }

    fn secret(&self) -> [u8; 32] {
        [0; 32]
    }

    fn below(&self, _: u64) -> u64 {
        0
    }
}

/// The timeline of the one room.
pub(crate) struct Store {
    /// What is durable.
    pub(crate) events: Vec<Arc<Event>>,
    /// What is broken about it.
    pub(crate) off: Off,
}

impl Store {
    /// Returns the head.
    pub(crate) fn head(&self) -> Seq {
        Seq::new(self.events.len() as u64)
    }

    /// Compares and appends.
    pub(crate) fn append(&mut self, expected: Seq, mut events: Vec<Arc<Event>>) -> Append {
        let head = self.head();
        if self.off == Off::ExpectedHead {
            for (event, place) in events.iter_mut().zip(1..) {
                Arc::make_mut(event).seq = head.plus(place);
            }
        } else if expected != head {
            return Append::Conflict { head };
        }
        self.events.extend(events);
        Append::Appended
    }

    /// Returns what lies after a position.
    pub(crate) fn after(&self, seq: Seq) -> &[Arc<Event>] {
        let from = usize::try_from(seq.get()).unwrap();
        self.events.get(from..).unwrap_or_default()
    }
}

impl Store {
    /// Returns what lies after a position, up to another that is durable.
    pub(crate) fn between(&self, after: Seq, to: Seq) -> Vec<Arc<Event>> {
        let count = usize::try_from(to.since(after)).unwrap();
        self.after(after)[..count].to_vec()
    }
}

/// What a node waits for.
#[derive(Debug)]
pub(crate) enum Work {
    Append {
        expected: Seq,
        events: Vec<Arc<Event>>,
    },
    Lookup(Lookup),
    Recover(Seq),
    Follow {
        after: Seq,
        to: Seq,
    },
}

/// A reply to somebody.
pub(crate) struct Reply {
    pub(crate) who: usize,
    pub(crate) msg_id: MsgId,
    pub(crate) answer: Result<Ack, Refusal>,
}

/// A node that holds the room.
pub(crate) struct Node {
    /// The state under test.
    pub(crate) state: RoomState,
    /// What it waits for.
    pub(crate) work: Option<Work>,
    /// Whom it owes a reply.
    pub(crate) waiting: HashMap<Ticket, (usize, MsgId)>,
    /// Where its deliveries begin.
    pub(crate) after: Seq,
    /// What it published.
    pub(crate) published: Vec<(Seq, EventId)>,
    /// Those that other nodes are to be told.
    pub(crate) news: Vec<Arc<Event>>,
    /// How many of them came with a hint.
    pub(crate) carried: u64,
    /// Set when the state gave up.
    pub(crate) failed: bool,
}

impl Node {
    /// Starts from the store, as a process does.
    pub(crate) fn start(room: RoomId, store: &Store) -> Self {
        let mut members = Members::default();
        for event in &store.events {
            members.apply(event);
        }
        let last = store.events.last().map(|event| event.sent_at);
        let rules = RoomRules {
            dedupe_window_ms: 7 * 24 * 3_600_000,
            body_bytes: 1024,
            users: KnownUsers::Accounts,
        };
        Self {
            state: RoomState::new(room, rules, members, store.head(), last.unwrap_or_default()),
            work: None,
            waiting: HashMap::new(),
            after: store.head(),
            published: Vec::new(),
            news: Vec::new(),
            carried: 0,
            failed: false,
        }
    }

    /// Looks up what was asked.
    pub(crate) fn look_up(&self, lookup: &Lookup, store: &Store) -> Found {
        match lookup {
            Lookup::Users(_) => Found::MissingUsers(Vec::new()),
            Lookup::Event(seq) => {
                let event = store.after(seq.prev()).first().cloned();
                Found::Event(*seq, event)
            }
            Lookup::Window if store.off == Off::Dedupe => Found::Window(Vec::new()),
            Lookup::Window => {
                let known = store
                    .events
                    .iter()
                    .filter(|event| event.seq <= self.state.head());
                let entry = |event: &Arc<Event>| {
                    let key = Key::new(&event.sender, event.msg_id);
                    (key, event.seq, event.sent_at)
                };
                Found::Window(known.map(entry).collect())
            }
            Lookup::Head => Found::Head(store.head()),
        }
    }

    /// Gives the state an input and takes what it wants; answers the replies.
    pub(crate) fn step(
        &mut self,
        at: &Moment<'_>,
        input: impl FnOnce(&mut RoomState, &Moment<'_>) -> Vec<Effect>,
    ) -> Vec<Reply> {
        let mut replies = Vec::new();
        for effect in input(&mut self.state, at) {
            match effect {
                Effect::Reply(ticket, answer) => {
                    let (who, msg_id) = self.waiting.remove(&ticket).expect("one reply a frame");
                    replies.push(Reply {
                        who,
                        msg_id,
                        answer,
                    });
                }
                Effect::Append {
                    expected, events, ..
                } => self.wants(Work::Append { expected, events }),
                Effect::Lookup(lookup) => self.wants(Work::Lookup(lookup)),
                Effect::Recover(after) => self.wants(Work::Recover(after)),
                Effect::Follow { after, to } => self.wants(Work::Follow { after, to }),
                Effect::LookAgain => {}
                Effect::Publish { event, origin, .. } => {
                    self.carried += u64::from(origin == Origin::Carried);
                    self.published.push((event.seq, event.id));
                    if origin == Origin::Here {
                        self.news.push(event);
                    }
                }
                Effect::Fail => self.failed = true,
            }
        }
        self.state.check_invariants();
        replies
    }

    fn wants(&mut self, work: Work) {
        assert!(
            self.work.is_none(),
            "R-1: {:?} and {work:?} at once",
            self.work
        );
        self.work = Some(work);
    }
}

/// Makes the error of a store that is away.
pub(crate) fn away() -> StoreError {
    StoreError::Unavailable("away".into())
}
