//! Frames on their way to the owner of their room, as a pure state.
//!
//! Owns the frames of this node's sessions that append, from their coming until the owner answered them or they are decided here.
//!
//! Invariants:
//! - F-1: frames take effect in the order they came: one forward is in flight, and none while frames wait to be decided here; what
//!   follows one that failed is decided here, behind it.
//! - F-2: a forward whose outcome is not known is given up after [`FORWARD_MS`], tried once more where the room has another owner by
//!   then, and at last decided here; its frames are in doubt: where they were stored, their `msg_id` is found (rules A and B).
//! - F-3: what waits is bounded by [`ROOM_QUEUE_MAX`] frames, a forward by [`APPEND_EVENTS_MAX`] frames and [`FORWARD_BYTES_MAX`].
//! - F-4: a frame in doubt is refused as `unknown_outcome`, whoever refuses it, whatever the reason.
//!
//! Deliberately absent: who owns the room ([`crate::place`]), deciding frames ([`crate::room::state`]).

use std::collections::VecDeque;

use parlor_schema::{
    ErrorCode,
    envelope::{ForwardedFrame, Outcome},
    frame::Refusal,
    limits::{APPEND_EVENTS_MAX, ROOM_QUEUE_MAX},
    port::NodeInfo,
};

use crate::room::{
    reply,
    state::{Pending, Ticket},
};

/// How long an owner has to answer.
pub const FORWARD_MS: u64 = 2_000;
/// Bytes of frames in one forward; one that is longer goes alone.
pub const FORWARD_BYTES_MAX: usize = 256 << 10;

/// Where frames of the room go now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// They are decided here.
    Here,
    /// To this owner.
    There(NodeInfo),
    /// To an owner, once those that are being decided here are (F-1).
    Later,
}

/// Whether an owner may have stored a frame that is decided here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It never had it, or said that it did not take it.
    No,
    /// It may have.
    Yes,
}

impl Doubt {
    /// Returns what a frame is told in place of a refusal: another than who refuses it may have stored it (F-4).
    #[must_use]
    pub fn told(self, refusal: Refusal) -> Refusal {
        // Where its `msg_id` is that of another frame, that one is remembered wherever this one comes.
        match (self, refusal.code) {
            (Self::No, _) | (Self::Yes, ErrorCode::Conflict) => refusal,
            (Self::Yes, _) => reply::unknown_outcome(),
        }
    }
}

/// What the shell must do, in order.
#[derive(Debug)]
pub enum Step {
    /// Hand these frames to the owner.
    Send {
        /// The forward.
        id: u64,
        /// The owner.
        to: NodeInfo,
        /// The frames.
        frames: Vec<ForwardedFrame>,
    },
    /// Decide these here.
    Decide(Vec<Pending>, Doubt),
    /// Answer these.
    Answer(Vec<(Ticket, Outcome)>),
}

/// The frames on their way.
#[derive(Debug)]
pub struct Forwards {
    waiting: VecDeque<Passing>,
    flight: Option<Flight>,
    next_id: u64,
}

#[derive(Debug)]
struct Passing {
    pending: Pending,
    frame: ForwardedFrame,
}

#[derive(Debug)]
struct Flight {
    id: u64,
    to: NodeInfo,
    due_ms: u64,
    frames: Vec<Passing>,
    try_no: u8,
    doubt: Doubt,
}

impl Forwards {
    /// Makes an empty state whose forwards are numbered from a number that no other run of the room on this node uses.
    #[must_use]
    pub const fn new(first_id: u64) -> Self {
        Self {
            waiting: VecDeque::new(),
            flight: None,
            next_id: first_id,
        }
    }

    /// Tells whether nothing is on its way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.flight.is_none()
    }

    /// Tells whether no frame more is taken (F-3).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= ROOM_QUEUE_MAX
    }

    /// Returns when the owner's time is over.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.flight.as_ref().map(|flight| flight.due_ms)
    }

    /// Takes a frame. The caller has looked whether there is space.
    pub fn take(&mut self, pending: Pending, route: Route, now_ms: u64) -> Vec<Step> {
        if self.is_empty() && route == Route::Here {
            return vec![Step::Decide(vec![pending], Doubt::No)];
        }
        debug_assert!(!self.is_full(), "F-3");
        let frame = ForwardedFrame::of(&pending.caller, pending.msg_id, &pending.frame);
        self.waiting.push_back(Passing { pending, frame });
        self.advance(route, now_ms)
    }

    /// Sends what waits, where nothing is in flight.
    pub fn advance(&mut self, route: Route, now_ms: u64) -> Vec<Step> {
        if self.flight.is_some() || self.waiting.is_empty() {
            return Vec::new();
        }
        match route {
            Route::Later => Vec::new(),
            Route::Here => vec![Step::Decide(self.drain_waiting(), Doubt::No)],
            Route::There(to) => {
                let mut frames: Vec<Passing> = Vec::new();
                let mut bytes = 0;
                while let Some(next) = self.waiting.front() {
                    bytes += next.frame.bytes();
                    let fits = frames.len() < APPEND_EVENTS_MAX && bytes <= FORWARD_BYTES_MAX;
                    if !frames.is_empty() && !fits {
                        break;
                    }
                    frames.extend(self.waiting.pop_front());
                }
                vec![self.send(to, frames, 1, Doubt::No, now_ms)]
            }
        }
    }

    /// Takes an owner's answer; none: it did not take the frames. An answer to another forward than the one in flight says nothing.
    pub fn answered(
        &mut self,
        id: u64,
        outcomes: Option<Vec<Outcome>>,
        route: Route,
        now_ms: u64,
    ) -> Vec<Step> {
        let Some(flight) = self.flight.take_if(|flight| flight.id == id) else {
            return Vec::new();
        };
        match outcomes {
            Some(outcomes) if outcomes.len() == flight.frames.len() => {
                let tickets = flight.frames.iter().map(|frame| frame.pending.ticket);
                let told = outcomes.into_iter().map(|outcome| match outcome {
                    Outcome::Refused(refusal) => Outcome::Refused(flight.doubt.told(refusal)),
                    stored => stored,
                });
                let mut steps = vec![Step::Answer(tickets.zip(told).collect())];
                steps.extend(self.advance(route, now_ms));
                steps
            }
            Some(_) => {
                let flight = Flight {
                    doubt: Doubt::Yes,
                    ..flight
                };
                self.again(flight, route, now_ms)
            }
            None => self.again(flight, route, now_ms),
        }
    }

    /// Returns the owner whose time to answer is over.
    #[must_use]
    pub fn overdue(&self, now_ms: u64) -> Option<&NodeInfo> {
        let overdue = self
            .flight
            .as_ref()
            .filter(|flight| flight.due_ms <= now_ms);
        overdue.map(|flight| &flight.to)
    }

    /// Gives up a forward whose time is over; `route` is that past the owner which was silent.
    pub fn tick(&mut self, route: Route, now_ms: u64) -> Vec<Step> {
        let Some(flight) = self.flight.take_if(|flight| flight.due_ms <= now_ms) else {
            return Vec::new();
        };
        let flight = Flight {
            doubt: Doubt::Yes,
            ..flight
        };
        self.again(flight, route, now_ms)
    }

    fn again(&mut self, flight: Flight, route: Route, now_ms: u64) -> Vec<Step> {
        let Flight {
            to,
            frames,
            try_no,
            doubt,
            ..
        } = flight;
        if let Route::There(other) = route
            && try_no == 1
            && other.node_id != to.node_id
        {
            return vec![self.send(other, frames, 2, doubt, now_ms)];
        }
        let frames = frames.into_iter().map(|frame| frame.pending).collect();
        let rest = self.drain_waiting();
        let mut steps = vec![Step::Decide(frames, doubt)];
        if !rest.is_empty() {
            steps.push(Step::Decide(rest, Doubt::No));
        }
        steps
    }

    fn send(
        &mut self,
        to: NodeInfo,
        frames: Vec<Passing>,
        try_no: u8,
        doubt: Doubt,
        now_ms: u64,
    ) -> Step {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let told = frames.iter().map(|frame| frame.frame.clone()).collect();
        self.flight = Some(Flight {
            id,
            to: to.clone(),
            due_ms: now_ms.saturating_add(FORWARD_MS),
            frames,
            try_no,
            doubt,
        });
        Step::Send {
            id,
            to,
            frames: told,
        }
    }

    fn drain_waiting(&mut self) -> Vec<Pending> {
        self.waiting.drain(..).map(|frame| frame.pending).collect()
    }
}

#[cfg(test)]
mod tests;
