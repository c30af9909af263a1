//! The way back of an answer: from the room that gives it to whoever asked.
//!
//! A session of the room's own thread has the `ack` of what it said put into its lane by a call; every other answer goes by a channel or by the session's mailbox.
//!
//! Invariants:
//! - AN-1: a session hears of each frame it handed over once: one that is dropped unanswered is answered by the drop.
//! - AN-2: answers of one room reach a session in the order given.

use std::sync::Arc;

use actix::prelude::*;
use parlor_schema::{
    SessionId,
    frame::{Ack, Refusal},
};
use tokio::sync::oneshot;

use crate::{
    fanout::Fanout,
    front,
    room::{ask::WorkerId, reply},
};

/// What an answer says.
pub type Said = Result<Ack, Refusal>;

/// Where the answer to a frame goes.
pub enum Answer {
    /// To whoever waits at the other end; dropped where a room ends without answering.
    Once(oneshot::Sender<Said>),
    /// To a session.
    Session(ToSession),
}

impl Answer {
    /// Gives it; whoever no longer waits for it misses nothing.
    pub fn give(self, said: Said) {
        match self {
            Self::Once(to) => drop(to.send(said)),
            Self::Session(to) => to.give(said),
        }
    }
}

/// An answer that a session waits for.
pub struct ToSession(Option<Way>);

/// What becomes of a frame that is dropped unanswered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It may have taken effect.
    Unknown,
    /// It may be asked again.
    Again,
}

impl Dropped {
    /// Says so.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        match self {
            Self::Unknown => reply::unknown_outcome(),
            Self::Again => front::room_ended(),
        }
    }
}

/// The way to a session.
pub(crate) struct Way {
    /// Its thread.
    pub(crate) worker: WorkerId,
    /// Its line's place on the wheel of that thread.
    pub(crate) slot: usize,
    /// Its id: the place may be another's by then.
    pub(crate) session: SessionId,
    /// The `msg_id` that the answer repeats; none: no answer is wanted.
    pub(crate) echo: Option<String>,
    /// What it is told where nobody answers.
    pub(crate) dropped: Dropped,
    /// Its mailbox.
    pub(crate) mailbox: Arc<Recipient<Served>>,
}

/// An answer that came by a session's mailbox.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Served {
    pub(crate) echo: Option<String>,
    pub(crate) said: Said,
    /// Whether later answers wait for it ([`Hand`](crate::hand::Hand)).
    pub(crate) is_detour: bool,
}

impl ToSession {
    pub(crate) const fn new(way: Way) -> Self {
        Self(Some(way))
    }

    fn give(mut self, said: Said) {
        if let Some(way) = self.0.take() {
            way.give(said);
        }
    }
}

impl Drop for ToSession {
    fn drop(&mut self) {
        if let Some(way) = self.0.take() {
            let refusal = way.dropped.refusal();
            way.give(Err(refusal));
        }
    }
}

impl Way {
    fn give(self, said: Said) {
        let mut is_detour = false;
        if let Some(fanout) = Fanout::here(self.worker)
            && let Some(line) = fanout.line(self.slot)
            && line.session == self.session
        {
            match said {
                // These say the same to whichever session they go.
                Ok(ack @ (Ack::Sent(_) | Ack::Seq(_))) if line.hand.is_straight() => {
                    fanout.acknowledge(&line, ack, self.echo.as_deref());
                    return line.hand.served();
                }
                _ => {
                    line.hand.detour();
                    is_detour = true;
                }
            }
        }
        // Never refused: a session has no more frames under way than its hand holds.
        self.mailbox.do_send(Served {
            echo: self.echo,
            said,
            is_detour,
        });
    }
}
