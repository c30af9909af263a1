//! The room as a pure state: frames that append go in, appends, replies and durable events come out.
//!
//! Owns the order of a room: the queue of frames, the append in flight, the durable head, the members, the dedupe window.
//!
//! Invariants:
//! - at most one append is in flight, and it starts at the durable head + 1 (promise P-2).
//! - a frame is acknowledged, and an event published, only after its append is durable (P-1, rule C).
//! - a frame is decided on the state of all events before its own; therefore an event that changes the room ends its batch.
//! - a `msg_id` is looked for in the window, in the append in flight and in the batch being made before it is decided (P-3, rule A).
//! - after `Conflict` or `Unknown` the tail is read before anything else (rule B).
//! - what other nodes appended is folded in as durable events in order: from the timeline, or from an envelope that carries the very next (rule C).
//! - a frame is refused as not stored only where no append of it can be stored any more.
//! - where others append, an answer that appends nothing is given on a state that holds what was appended before the frame came.
//!
//! Deliberately absent: receipts and typing (`live`), reading, delivery, clocks, I/O.

mod doubt;
mod follow;
mod sure;

use std::{collections::VecDeque, sync::Arc};

use parlor_schema::{
    Event, EventId, RoomId, Seq, Timestamp,
    frame::Refusal,
    limits::{APPEND_EVENTS_MAX, ROOM_QUEUE_MAX},
    port::{Append, StoreError},
};

pub use super::step::{
    Effect, Evicted, Facts, Found, Knowledge, KnownUsers, Lookup, Moment, Origin, Pending,
    RoomRules, Ticket,
};
use super::{
    decide::{self, Verdict},
    dedupe::{Dedupe, Key},
    members::Members,
    packet::Evicts,
    reply,
};

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Looking,
    Appending { expected: Seq },
    Recovering { after: Seq, outcome: Outcome },
    Following { to: Seq },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Conflict,
    Unknown,
}

#[derive(Debug)]
struct Flying {
    pending: Pending,
    /// The last of its events in the batch.
    last: usize,
    /// Copies of the same frame that came while it was in flight.
    followers: Vec<Ticket>,
}

/// The state. Its id stands first, to fetch it by.
#[derive(Debug)]
#[repr(C)]
pub struct RoomState {
    /// The room.
    pub id: RoomId,
    /// Who is in it, as of the durable head.
    pub members: Members,
    rules: RoomRules,
    head: Seq,
    /// The highest head that another node named; what is above `head` is yet to be read.
    heard: Seq,
    /// Durable events above `head` that other nodes told, in order; few, and only until they fit.
    carried: VecDeque<Arc<Event>>,
    last_sent_at: Timestamp,
    window: Option<Dedupe>,
    queue: VecDeque<Pending>,
    flying: Vec<Flying>,
    batch: Vec<Arc<Event>>,
    phase: Phase,
}

impl RoomState {
    /// Starts from the members at `head`, and the time of the last event.
    #[must_use]
    pub fn new(
        id: RoomId,
        rules: RoomRules,
        members: Members,
        head: Seq,
        last_sent_at: Timestamp,
    ) -> Self {
        Self {
            id,
            members,
            rules,
            head,
            heard: head,
            carried: VecDeque::new(),
            last_sent_at,
            window: None,
            queue: VecDeque::new(),
            flying: Vec::new(),
            batch: Vec::new(),
            phase: Phase::Idle,
        }
    }

    /// Returns the durable head.
    #[must_use]
    pub const fn head(&self) -> Seq {
        self.head
    }

    /// Tells whether nothing waits and nothing is in flight.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.phase == Phase::Idle && self.queue.is_empty()
    }

    /// Tells whether a frame waits to be decided, or flies.
    #[must_use]
    pub fn holds_frames(&self) -> bool {
        !self.queue.is_empty() || !self.flying.is_empty()
    }

    /// Takes a frame. When full ([`ROOM_QUEUE_MAX`]): refused `unavailable`.
    pub fn submit(&mut self, pending: Pending, at: &Moment<'_>) -> Vec<Effect> {
        if self.queue.len() >= ROOM_QUEUE_MAX {
            return vec![Effect::Reply(
                pending.ticket,
                Err(Refusal::unavailable("the room is too busy")),
            )];
        }
        self.queue.push_back(pending);
        self.advance(at)
    }

    /// Takes the answer to [`Effect::Append`].
    pub fn appended(&mut self, answer: Result<Append, StoreError>, at: &Moment<'_>) -> Vec<Effect> {
        let Phase::Appending { expected } = self.phase else {
            return Vec::new();
        };
        self.phase = Phase::Idle;
        match answer {
            Ok(Append::Appended) => {
                let mut effects = Vec::new();
                let batch = std::mem::take(&mut self.batch);
                for event in &batch {
                    self.take_durable(event, Origin::Here, &mut effects);
                }
                for flying in std::mem::take(&mut self.flying) {
                    self.acknowledge(&flying, &batch[flying.last], &mut effects);
                }
                effects.extend(self.advance(at));
                effects
            }
            Ok(Append::Conflict { .. }) => self.recover(expected, Outcome::Conflict),
            Ok(Append::Unknown) => self.recover(expected, Outcome::Unknown),
            Err(error) => {
                self.batch.clear();
                let mut effects = Vec::new();
                for flying in std::mem::take(&mut self.flying) {
                    self.refuse(&flying, &Refusal::from(error.clone()), &mut effects);
                }
                effects.extend(self.advance(at));
                effects
            }
        }
    }

    /// Takes the answer to [`Effect::Lookup`].
    pub fn found(&mut self, found: Found, at: &Moment<'_>) -> Vec<Effect> {
        if self.phase != Phase::Looking {
            return Vec::new();
        }
        self.phase = Phase::Idle;
        match found {
            Found::Window(events) => {
                let mut window = Dedupe::default();
                for (key, seq, sent_at) in events {
                    window.insert(key, seq, sent_at);
                }
                self.window = Some(window);
            }
            Found::MissingUsers(users) => {
                if let Some(front) = self.queue.front_mut() {
                    front.facts.missing_users = Some(users);
                }
            }
            Found::Event(seq, event) => {
                if let Some(front) = self.queue.front_mut() {
                    front.facts.events.push((seq, event));
                }
            }
            Found::Head(head) => self.found_head(head),
            Found::Failed(error) => {
                let Some(front) = self.queue.pop_front() else {
                    return Vec::new();
                };
                let told = self.told(&front, &Refusal::from(error));
                let mut effects = vec![Effect::Reply(front.ticket, Err(told))];
                effects.extend(self.advance(at));
                return effects;
            }
        }
        self.advance(at)
    }

    /// Takes the answer to [`Effect::Recover`]: the tail, or that it could not be read.
    pub fn recovered(
        &mut self,
        tail: Result<Vec<Arc<Event>>, StoreError>,
        at: &Moment<'_>,
    ) -> Vec<Effect> {
        let Phase::Recovering { outcome, .. } = self.phase else {
            return Vec::new();
        };
        self.phase = Phase::Idle;
        self.batch.clear();
        let flying = std::mem::take(&mut self.flying);
        let mut effects = Vec::new();
        let Ok(tail) = tail else {
            let refusal = match outcome {
                Outcome::Conflict => Refusal::unavailable("the store is unavailable"),
                Outcome::Unknown => reply::unknown_outcome(),
            };
            for flying in &flying {
                self.refuse(flying, &refusal, &mut effects);
            }
            let refusal = Refusal::unavailable("the store is unavailable");
            for pending in std::mem::take(&mut self.queue) {
                let told = self.told(&pending, &refusal);
                effects.push(Effect::Reply(pending.ticket, Err(told)));
            }
            effects.push(Effect::Fail);
            return effects;
        };
        for event in &tail {
            // Whoever appended it may have ended before the others were told.
            self.take_durable(event, Origin::Here, &mut effects);
        }
        // What is not in the tail goes back to the front of the queue, in order; followers after their leader.
        for mut flying in flying.into_iter().rev() {
            let own = tail.iter().rfind(|event| {
                event.sender == flying.pending.caller.user_id
                    && event.msg_id == flying.pending.msg_id
            });
            if let Some(event) = own {
                self.acknowledge(&flying, event, &mut effects);
                continue;
            }
            if outcome == Outcome::Unknown && tail.is_empty() {
                self.doubt(&mut flying.pending);
            }
            for ticket in flying.followers.iter().rev() {
                self.queue.push_front(Pending {
                    ticket: *ticket,
                    ..flying.pending.clone()
                });
            }
            self.queue.push_front(flying.pending);
        }
        effects.extend(self.advance(at));
        effects
    }

    fn recover(&mut self, after: Seq, outcome: Outcome) -> Vec<Effect> {
        self.phase = Phase::Recovering { after, outcome };
        vec![Effect::Recover(after)]
    }

    /// Folds a durable event in and has it published.
    fn take_durable(&mut self, event: &Arc<Event>, origin: Origin, effects: &mut Vec<Effect>) {
        debug_assert_eq!(event.seq, self.head.next(), "P-2: no holes");
        self.head = event.seq;
        self.last_sent_at = self.last_sent_at.max(event.sent_at);
        if let Some(window) = &mut self.window {
            window.insert(
                Key::new(&event.sender, event.msg_id),
                event.seq,
                event.sent_at,
            );
        }
        let evicted = match Evicts::of(event) {
            Evicts::User(user) if self.members.member(&user).is_some() => Evicted::Member,
            _ => Evicted::Reader,
        };
        let delta = self.members.apply(event);
        effects.push(Effect::Publish {
            event: event.clone(),
            delta,
            evicted,
            origin,
        });
    }

    fn acknowledge(&self, flying: &Flying, event: &Arc<Event>, effects: &mut Vec<Effect>) {
        let frame = &flying.pending.frame;
        effects.push(Effect::Reply(
            flying.pending.ticket,
            Ok(reply::first(self.id, frame, event)),
        ));
        for ticket in &flying.followers {
            effects.push(Effect::Reply(
                *ticket,
                Ok(reply::duplicate(self.id, frame, event)),
            ));
        }
    }

    /// Decides queued frames until the batch is full, the room changes, or something must be looked up.
    fn advance(&mut self, at: &Moment<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        if matches!(
            self.phase,
            Phase::Appending { .. } | Phase::Recovering { .. }
        ) {
            self.follow(&mut effects);
            return effects;
        }
        if matches!(self.phase, Phase::Looking | Phase::Following { .. }) {
            return effects;
        }
        self.take_carried(&mut effects);
        if let Some(effect) = self.follow_heard() {
            effects.push(effect);
            return effects;
        }
        if let Some(window) = &mut self.window {
            window.expire(at.now.minus_millis(self.rules.dedupe_window_ms));
        }
        let mut index = Vec::new();
        while let Some(front) = self.queue.front() {
            let verdict = match self.remembered(front) {
                Some(verdict) => verdict,
                None => self.decide(front, at),
            };
            match verdict {
                Verdict::Reply(reply) => {
                    if let Some(done) = self.queue.pop_front() {
                        effects.push(Effect::Reply(done.ticket, *reply));
                    }
                }
                Verdict::Needs(_) if !self.batch.is_empty() => break,
                Verdict::Needs(lookup) => {
                    self.phase = Phase::Looking;
                    effects.push(Effect::Lookup(lookup));
                    return effects;
                }
                Verdict::Follows(leader) => {
                    if let Some(copy) = self.queue.pop_front() {
                        self.flying[leader].followers.push(copy.ticket);
                    }
                }
                Verdict::Append(drafts, brings) => {
                    if self.batch.len() + drafts.len() > APPEND_EVENTS_MAX {
                        break;
                    }
                    let changes = drafts.iter().any(|draft| draft.kind.changes_room());
                    if changes && !self.batch.is_empty() {
                        break;
                    }
                    index.extend(brings);
                    self.draft(drafts, at);
                    if changes {
                        break;
                    }
                }
            }
        }
        if !self.batch.is_empty() {
            self.phase = Phase::Appending {
                expected: self.head,
            };
            effects.push(Effect::Append {
                expected: self.head,
                events: self.batch.clone(),
                index,
            });
        }
        effects
    }

    /// While an append is in flight, copies of its frames join them at once rather than wait.
    fn follow(&mut self, effects: &mut Vec<Effect>) {
        let Some(newest) = self.queue.pop_back() else {
            return;
        };
        match self.in_flight(&newest) {
            Some(Verdict::Follows(leader)) => self.flying[leader].followers.push(newest.ticket),
            Some(Verdict::Reply(reply)) => effects.push(Effect::Reply(newest.ticket, *reply)),
            _ => self.queue.push_back(newest),
        }
    }

    fn in_flight(&self, pending: &Pending) -> Option<Verdict> {
        let same = |flying: &Flying| {
            flying.pending.msg_id == pending.msg_id
                && flying.pending.caller.user_id == pending.caller.user_id
        };
        let leader = self.flying.iter().position(same)?;
        Some(
            if self.flying[leader].pending.fingerprint == pending.fingerprint {
                Verdict::Follows(leader)
            } else {
                Verdict::reply(Err(reply::other_payload()))
            },
        )
    }

    /// Looks for the frame among what took effect already, before it is authorised.
    fn remembered(&self, pending: &Pending) -> Option<Verdict> {
        if let Some(verdict) = self.in_flight(pending) {
            return Some(verdict);
        }
        let Some(window) = &self.window else {
            return Some(Verdict::Needs(Lookup::Window));
        };
        let Some(seq) = window.find(Key::new(&pending.caller.user_id, pending.msg_id)) else {
            let full = || {
                let refusal = Refusal::unavailable("the room remembers all the frames it can");
                Verdict::reply(Err(self.told(pending, &refusal)))
            };
            return window.is_full().then(full);
        };
        let Some(known) = pending.facts.event(seq) else {
            return Some(Verdict::Needs(Lookup::Event(seq)));
        };
        let event = known?;
        if event.sender != pending.caller.user_id || event.msg_id != pending.msg_id {
            return None;
        }
        Some(Verdict::reply(
            if event.fingerprint == pending.fingerprint {
                Ok(reply::duplicate(self.id, &pending.frame, event))
            } else {
                Err(reply::other_payload())
            },
        ))
    }

    fn draft(&mut self, drafts: Vec<decide::Draft>, at: &Moment<'_>) {
        let Some(pending) = self.queue.pop_front() else {
            return;
        };
        let sent_at = at.now.max(self.last_sent_at);
        for draft in drafts {
            self.batch.push(Arc::new(Event {
                seq: self.head.plus(self.batch.len() as u64 + 1),
                id: EventId::new(at.ids.uuid(sent_at)),
                kind: draft.kind,
                sender: pending.caller.user_id.clone(),
                sent_at,
                msg_id: pending.msg_id,
                fingerprint: pending.fingerprint,
                content: draft.content,
            }));
        }
        self.flying.push(Flying {
            pending,
            last: self.batch.len() - 1,
            followers: Vec::new(),
        });
    }

    /// Checks R-1 and the members.
    pub fn check_invariants(&self) {
        self.members.check_invariants();
        let appending = matches!(
            self.phase,
            Phase::Appending { .. } | Phase::Recovering { .. }
        );
        debug_assert_eq!(
            appending,
            !self.flying.is_empty(),
            "R-1: frames fly with an append and only then"
        );
        if let Phase::Appending { expected }
        | Phase::Recovering {
            after: expected, ..
        } = self.phase
        {
            debug_assert_eq!(
                expected, self.head,
                "R-1: an append starts at the durable head"
            );
        }
    }
}
