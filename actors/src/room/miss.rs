//! Asks the timeline before somebody is refused as no member: another node may have let them in a moment ago.
//!
//! Invariants:
//! - MS-1: where there are other nodes, who is no member is refused on a state that holds whatever was appended before the question came.
//! - MS-2: one read of the head is under way at a time; who comes meanwhile waits for the next one. So strangers cost a room one read
//!   after another, and no more.
//! - MS-3: what one user asks stays in order.
//!
//! Deliberately absent: members, whose frames that append have the timeline asked by the state, in the room's queue; strangers do not hold that up.

use actix::prelude::*;
use parlor_schema::{
    Seq, UserId,
    frame::{ClientFrame, Refusal},
    limits::ROOM_QUEUE_MAX,
};

use super::{Core, Room, Waiting, answer, members::Access, state::Knowledge};

/// What waits until the timeline was asked.
#[derive(Default)]
pub(super) struct Missed {
    /// For the next read.
    next: Vec<Waiting>,
    /// For the read under way.
    asked: Vec<Waiting>,
    stage: Stage,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    /// The head is being read.
    Asking,
    /// What lies before this head is being read.
    Reading(Seq),
    /// What waited is being answered.
    Sure,
}

impl Missed {
    /// Tells whether something waits.
    pub(super) fn is_waiting(&self) -> bool {
        !(self.next.is_empty() && self.asked.is_empty())
    }

    fn holds(&self, user: &UserId) -> bool {
        let mut all = self.next.iter().chain(&self.asked);
        all.any(|waiting| waiting.user() == Some(user))
    }
}

impl Waiting {
    fn user(&self) -> Option<&UserId> {
        match self {
            Self::Ask(ask) => Some(&ask.caller.user_id),
            Self::Look(look) => Some(&look.user),
            Self::RoleOf(ask) => Some(&ask.caller),
            Self::Page(_) | Self::Summarise(_) | Self::Hear(_) => None,
        }
    }

    fn refuse(self, refusal: Refusal) {
        match self {
            Self::Ask(ask) => ask.reply.give(Err(refusal)),
            Self::Look(look) => answer(look.reply, Err(refusal)),
            Self::RoleOf(ask) => answer(ask.reply, Err(refusal)),
            Self::Page(_) | Self::Summarise(_) | Self::Hear(_) => {}
        }
    }
}

impl Room {
    /// Tells whether what `user` asks is to wait until the timeline was asked.
    pub(super) fn is_doubtful(&self, user: &UserId, frame: Option<&ClientFrame>) -> bool {
        let Core::Ready(state) = &self.core else {
            return false;
        };
        if self.missed.stage == Stage::Sure {
            return false;
        }
        if self.env.ports.is_alone() {
            // Nobody else can have brought the user in: what is refused here is to be refused.
            return self.missed.holds(user);
        }
        let access = state.members.access(user, self.env.ports.clock.now());
        let is_refused = match access {
            Access::Member(_) => false,
            Access::Banned(_) | Access::Hidden => true,
            Access::Guest => !matches!(
                frame,
                None | Some(
                    ClientFrame::RoomGet(_) | ClientFrame::HistoryGet(_) | ClientFrame::RoomJoin(_)
                )
            ),
        };
        is_refused || self.missed.holds(user)
    }

    /// Tells whether a frame that comes now may be answered, without an append, on what is known here.
    pub(super) fn knowledge(&self) -> Knowledge {
        if self.missed.stage == Stage::Sure || self.env.ports.is_alone() {
            Knowledge::Enough
        } else {
            Knowledge::Wanting
        }
    }

    /// Has it wait. When full: refused `unavailable`.
    pub(super) fn doubt(&mut self, waiting: Waiting, ctx: &mut Context<Self>) {
        if self.missed.next.len() >= ROOM_QUEUE_MAX {
            return waiting.refuse(Refusal::unavailable("the room is too busy"));
        }
        self.missed.next.push(waiting);
        self.ask_for_missed(ctx);
    }

    /// Answers what waits, without asking: the timeline was read a moment ago.
    pub(super) fn surely(&mut self, with: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.missed.stage, Stage::Sure);
        with(self);
        self.missed.stage = before;
    }

    fn ask_for_missed(&mut self, ctx: &mut Context<Self>) {
        if self.missed.stage != Stage::Idle || self.missed.next.is_empty() {
            return;
        }
        self.missed.asked = std::mem::take(&mut self.missed.next);
        self.missed.stage = Stage::Asking;
        let (ports, id) = (self.env.ports.clone(), self.id);
        let work = async move { ports.timeline.head(id).await };
        ctx.spawn(work.into_actor(self).map(|head, room, ctx| match head {
            Ok(head) => {
                room.missed.stage = Stage::Reading(head);
                room.hear_head(head, ctx);
                room.settle_missed(ctx);
            }
            Err(error) => {
                tracing::debug!(room = %room.id, %error, "who is no member here could not be looked up");
                room.missed.stage = Stage::Reading(Seq::ZERO);
                room.missed_unread(ctx);
            }
        }));
    }

    /// Answers what waited for a head that is reached.
    pub(super) fn settle_missed(&mut self, ctx: &mut Context<Self>) {
        let (Stage::Reading(to), Core::Ready(state)) = (self.missed.stage, &self.core) else {
            return;
        };
        if state.head() < to {
            return;
        }
        let asked = std::mem::take(&mut self.missed.asked);
        self.missed.stage = Stage::Idle;
        // They were counted when they came.
        self.handled -= asked.len() as u64;
        self.surely(|room| room.take_up(asked, ctx));
        self.ask_for_missed(ctx);
    }

    /// Refuses what waited: the timeline, or what it holds, cannot be read now.
    pub(super) fn missed_unread(&mut self, ctx: &mut Context<Self>) {
        let Stage::Reading(_) = self.missed.stage else {
            return;
        };
        self.missed.stage = Stage::Idle;
        for waiting in std::mem::take(&mut self.missed.asked) {
            waiting.refuse(Refusal::unavailable("the timeline cannot be read"));
        }
        self.ask_for_missed(ctx);
    }
}
