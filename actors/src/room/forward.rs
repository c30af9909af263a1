//! How a room of this node has frames decided by the owner of the room, and takes back what that answers.
//!
//! Invariants: those of [`state`] (F-…), and
//! - F-5: who is acknowledged for an event finds it here: the answer waits until this node has followed that far, or cannot.
//!
//! Deliberately absent: forwarding on. What another node forwards is decided here, or given back.

pub mod state;

use actix::prelude::*;
use parlor_schema::{
    Seq,
    envelope::{Envelope, Forward, ForwardedFrame, Outcome},
    frame::{Ack, Refusal},
    port::NodeInfo,
};

use super::{
    Core, Room,
    state::{Pending, Ticket},
};
use crate::{metrics::ForwardOutcome, place::Passage};
use state::{Doubt, FORWARD_MS, Forwards, Route, Step};

/// What a room has on its way to the owner.
pub(super) struct Outward {
    frames: Forwards,
    /// Counts the forward in flight among those to its owner.
    passage: Option<Passage>,
    /// Frames decided here whose owner may have stored them.
    doubtful: Vec<Ticket>,
    /// Answers whose events are not here yet.
    held: Vec<(Seq, Ticket, Ack)>,
}

impl Outward {
    pub(super) const fn new(first_id: u64) -> Self {
        Self {
            frames: Forwards::new(first_id),
            passage: None,
            doubtful: Vec::new(),
            held: Vec::new(),
        }
    }

    /// Tells whether nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.held.is_empty()
    }

    /// Returns what a frame is told that was decided here.
    pub(super) fn told(
        &mut self,
        ticket: Ticket,
        answer: Result<Ack, Refusal>,
    ) -> Result<Ack, Refusal> {
        let Some(at) = self.doubtful.iter().position(|known| *known == ticket) else {
            return answer;
        };
        self.doubtful.swap_remove(at);
        answer.map_err(|refusal| Doubt::Yes.told(refusal))
    }
}

impl Room {
    /// Takes a frame of a session that appends.
    pub(super) fn pass(&mut self, pending: Pending, ctx: &mut Context<Self>) {
        if self.outward.frames.is_full() {
            let refusal = Refusal::unavailable("the room is too busy");
            return self.reply(pending.ticket, Err(refusal));
        }
        let route = self.route();
        if route == Route::Here && self.outward.frames.is_empty() {
            // What the steps would say; nearly every frame of a room that is at home goes this way.
            return self.submit_here(pending, ctx);
        }
        let now = self.now_ms();
        let steps = self.outward.frames.take(pending, route, now);
        self.step(steps, ctx);
    }

    /// Sends what waits, once what was decided here is done.
    pub(super) fn pass_waiting(&mut self, ctx: &mut Context<Self>) {
        if !self.outward.frames.is_empty() {
            let (route, now) = (self.route(), self.now_ms());
            let steps = self.outward.frames.advance(route, now);
            self.step(steps, ctx);
        }
    }

    /// Takes what the owner answered.
    pub(super) fn hear_forwarded(
        &mut self,
        id: u64,
        outcomes: Option<Vec<Outcome>>,
        ctx: &mut Context<Self>,
    ) {
        let counts = &self.env.metrics;
        match &outcomes {
            Some(_) => counts.forwarded(ForwardOutcome::Taken),
            None => counts.forwarded(ForwardOutcome::NotTaken),
        }
        let (route, now) = (self.route(), self.now_ms());
        let steps = self.outward.frames.answered(id, outcomes, route, now);
        self.step(steps, ctx);
    }

    /// Gives a forward up whose time is over, and has the next tick come in time.
    pub(super) fn tick_forwards(&mut self, now: u64, ctx: &mut Context<Self>) {
        if let Some(owner) = self.outward.frames.overdue(now) {
            self.env.metrics.forwarded(ForwardOutcome::Silent);
            self.env.places.suspect(owner);
            let steps = self.outward.frames.tick(self.route(), now);
            self.step(steps, ctx);
        }
        if let Some(due) = self.outward.frames.due_ms() {
            self.arm(due.saturating_sub(now).max(1), ctx);
        }
    }

    fn step(&mut self, steps: Vec<Step>, ctx: &mut Context<Self>) {
        for step in steps {
            match step {
                Step::Send { id, to, frames } => self.send_on(id, &to, frames, ctx),
                Step::Decide(frames, doubt) => self.decide_here(frames, doubt, ctx),
                Step::Answer(answers) => self.answer_all(answers, ctx),
            }
        }
        if self.outward.frames.due_ms().is_none() {
            self.outward.passage = None;
        }
    }

    fn send_on(
        &mut self,
        id: u64,
        to: &NodeInfo,
        frames: Vec<ForwardedFrame>,
        ctx: &mut Context<Self>,
    ) {
        let ports = &self.env.ports;
        self.outward.passage = Some(self.env.places.pass_to(&to.node_id));
        let forward = Forward {
            by: ports.membership.own().node_id,
            to: to.boot_id,
            room_id: self.id,
            id,
            until: ports.clock.now().plus_millis(FORWARD_MS),
            frames,
        };
        ports.peers().tell(&to.node_id, Envelope::Forward(forward));
        self.arm(FORWARD_MS, ctx);
    }

    fn decide_here(&mut self, frames: Vec<Pending>, doubt: Doubt, ctx: &mut Context<Self>) {
        if doubt == Doubt::Yes {
            let tickets = frames.iter().map(|frame| frame.ticket);
            self.outward.doubtful.extend(tickets);
        }
        for pending in frames {
            self.submit_here(pending, ctx);
        }
    }

    /// Has a frame decided by this node's own state.
    pub(super) fn submit_here(&mut self, pending: Pending, ctx: &mut Context<Self>) {
        let Core::Ready(state) = &mut self.core else {
            return;
        };
        let effects = state.submit(pending, &Self::moment(&self.env));
        self.perform(effects, ctx);
    }

    fn answer_all(&mut self, answers: Vec<(Ticket, Outcome)>, ctx: &mut Context<Self>) {
        let mut highest = Seq::ZERO;
        for (ticket, outcome) in answers {
            let seq = outcome.seq();
            highest = highest.max(seq);
            match outcome.answer(self.id) {
                Ok(ack) => self.outward.held.push((seq, ticket, ack)),
                Err(refusal) => self.reply(ticket, Err(refusal)),
            }
        }
        self.hear_head(highest, ctx);
        self.release();
    }

    /// Answers those whose events are here (F-5).
    pub(super) fn release(&mut self) {
        let Core::Ready(state) = &self.core else {
            return;
        };
        let head = state.head();
        self.release_to(head);
    }

    /// Answers all, as this node cannot follow now.
    pub(super) fn release_all(&mut self) {
        self.release_to(Seq::MAX);
    }

    fn release_to(&mut self, head: Seq) {
        let here = self.outward.held.extract_if(.., |(seq, ..)| *seq <= head);
        for (_, ticket, ack) in here.collect::<Vec<_>>() {
            self.reply(ticket, Ok(ack));
        }
    }

    fn reply(&mut self, ticket: Ticket, result: Result<Ack, Refusal>) {
        if let Some(reply) = self.replies.take(ticket) {
            reply.give(result);
        }
    }

    fn now_ms(&self) -> u64 {
        self.env.ports.clock.monotonic_ms()
    }

    fn route(&self) -> Route {
        let Core::Ready(state) = &self.core else {
            return Route::Here;
        };
        match self.env.places.forward_to(self.id) {
            None => Route::Here,
            Some(_) if state.holds_frames() => Route::Later,
            Some(owner) => Route::There(owner),
        }
    }
}
