//! The `Room` actor: a thin shell over the pure states of a room.
//!
//! Owns the effects: appends, reads, fan-out to the threads with interested sessions, notices to users, projections, timers.
//! Its mailbox holds [`ROOM_QUEUE_MAX`] messages; when full, [`Rooms::tell`] gives the message back and the frame is refused `unavailable`.
//!
//! Invariants: those of [`state`] (R-…), [`members`] (M-…) and [`live`] (L-…), and
//! - the actor waits for nothing inside a handler; what waits is spawned, and its answer is an input.
//! - steps of the stored projection are written one at a time, in order.
//!
//! Deliberately absent: sessions and sockets; a room knows threads ([`ask::WorkerId`]) only.

pub mod ask;
pub mod decide;
pub mod dedupe;
pub mod forward;
pub mod frames;
pub mod hear;
pub mod live;
pub mod load;
pub mod members;
pub mod message;
mod miss;
mod news;
pub mod packet;
pub mod pages;
mod perform;
pub mod read;
mod replies;
pub mod reply;
mod retention;
pub mod rooms;
pub mod state;
pub mod step;
mod tick;
pub mod unread;
mod view;

use std::{collections::VecDeque, rc::Rc, sync::Arc};

use actix::prelude::*;
use parlor_schema::{
    RoomId, Seq, UserId, frame::Refusal, limits::ROOM_QUEUE_MAX, record::RoomDelta,
};

use crate::{
    fanout::Fanout,
    metrics::Metrics,
    place::Places,
    ports::Ports,
    registry::Sessions,
    room::{
        ask::{Ask, Deliver, Interest, ReplyTo, WorkerId},
        forward::Outward,
        hear::Hear,
        live::Live,
        miss::Missed,
        news::News,
        packet::Ring,
        pages::Pages,
        read::{FirstKept, Reader},
        replies::Replies,
        rooms::Rooms,
        state::{Moment, RoomRules, RoomState},
    },
};

/// What every room of a node shares.
#[derive(Clone)]
pub struct RoomEnv {
    /// The outside.
    pub ports: Ports,
    /// The settings of rooms.
    pub rules: RoomRules,
    /// The sessions of this node, to tell users.
    pub sessions: Arc<Sessions>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who owns rooms, and who hears of them.
    pub places: Arc<Places>,
}

/// One room on this node. Its id stands first, to fetch it by.
#[repr(C)]
pub struct Room {
    id: RoomId,
    generation: u64,
    /// Messages taken from the mailbox, as [`Rooms::retire`] counts them.
    handled: u64,
    env: RoomEnv,
    rooms: Arc<Rooms>,
    core: Core,
    next_ticket: u64,
    replies: Replies,
    /// One of each thread; a node has few.
    interest: Vec<Target>,
    ring: Ring,
    pages: Rc<Pages>,
    live: Live,
    deltas: VecDeque<RoomDelta>,
    projecting: Projecting,
    projected: Seq,
    saving: Projecting,
    last_message: Option<Arc<parlor_schema::Event>>,
    timer: Option<(u64, SpawnHandle)>,
    quiet_since: u64,
    /// When old events are next removed, on the monotonic clock.
    removal_due: u64,
    /// The first position that the store holds.
    first_kept: FirstKept,
    /// The head this run of the room began with.
    began: Seq,
    /// What the other nodes are still to be told.
    news: News,
    /// Frames on their way to the room's owner.
    outward: Outward,
    /// Set when the timeline is to be asked for its head at the next tick.
    behind: bool,
    /// What waits until the timeline was asked.
    missed: Missed,
}

/// Whether a write of this kind is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Projecting {
    No,
    Yes,
}

/// A thread with interested sessions.
struct Target {
    worker: WorkerId,
    to: Reach,
    /// Set when its mailbox was full: it is owed a [`Deliver::Nudge`].
    owed: bool,
}

/// How a thread's fan-out is reached.
enum Reach {
    /// It is this thread: a call, which spares a turn of the loop. Nothing it does calls back into the room.
    Here(Rc<Fanout>),
    /// By its mailbox.
    There(Recipient<Deliver>),
}

impl Reach {
    /// Answers whether the fan-out took it.
    fn deliver(&self, what: Deliver) -> bool {
        match self {
            Self::Here(fanout) => {
                fanout.deliver(&what);
                true
            }
            Self::There(to) => to.try_send(what).is_ok(),
        }
    }
}

/// The state, once it is loaded.
enum Core {
    Loading(VecDeque<Waiting>),
    Ready(Box<RoomState>),
    Failed(Refusal),
}

/// A message that waits for the state.
enum Waiting {
    Ask(Box<Ask>),
    Look(ask::Look),
    Page(ask::ReadPage),
    Summarise(ask::Summarise),
    RoleOf(ask::RoleOf),
    Hear(Hear),
}

impl Room {
    /// Makes a room that loads its state when it starts.
    #[must_use]
    pub fn new(id: RoomId, generation: u64, env: RoomEnv, rooms: Arc<Rooms>) -> Self {
        let quiet_since = env.ports.clock.monotonic_ms();
        // Another run of the room, or of this node, does not take an answer to this one.
        let outward = Outward::new(env.ports.ids.below(1 << 62));
        Self {
            id,
            generation,
            handled: 0,
            env,
            core: Core::Loading(VecDeque::new()),
            next_ticket: 0,
            replies: Replies::default(),
            interest: Vec::new(),
            ring: Ring::default(),
            pages: Rc::new(Pages::new(id, rooms.pages())),
            live: Live::default(),
            deltas: VecDeque::new(),
            projecting: Projecting::No,
            projected: Seq::ZERO,
            saving: Projecting::No,
            last_message: None,
            timer: None,
            quiet_since,
            removal_due: quiet_since + retention::first_ms(id),
            first_kept: FirstKept::default(),
            began: Seq::ZERO,
            news: News::default(),
            outward,
            behind: false,
            missed: Missed::default(),
            rooms,
        }
    }

    /// Starts a room on this thread. The bound of its mailbox holds from the first message on, not only from its first turn.
    pub(crate) fn launch(
        id: RoomId,
        generation: u64,
        env: RoomEnv,
        rooms: Arc<Rooms>,
    ) -> Addr<Self> {
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(ROOM_QUEUE_MAX);
            Self::new(id, generation, env, rooms)
        })
    }

    /// What was acknowledged is written even by a room that cannot go on; given up, and logged, after [`tick::SAVE_TRIES`].
    fn save_elsewhere(&mut self) {
        let Core::Ready(state) = &self.core else {
            return;
        };
        let records = self.live.take_unsaved(self.id, &state.members);
        let (ports, room) = (self.env.ports.clone(), self.id);
        actix_rt::spawn(async move {
            for _ in 0..tick::SAVE_TRIES {
                if records.is_empty() || ports.directory.put_receipts(records.clone()).await.is_ok()
                {
                    return;
                }
                actix_rt::time::sleep(std::time::Duration::from_millis(tick::RETRY_MS)).await;
            }
            tracing::error!(%room, receipts = records.len(), "receipts lost: the store stayed away");
        });
    }

    fn moment(env: &RoomEnv) -> Moment<'_> {
        Moment {
            now: env.ports.clock.now(),
            ids: &*env.ports.ids,
        }
    }

    fn loaded(
        &mut self,
        loaded: Result<load::Loaded, parlor_schema::port::StoreError>,
        ctx: &mut Context<Self>,
    ) {
        let Core::Loading(waiting) = &mut self.core else {
            return;
        };
        let waiting = std::mem::take(waiting);
        // They were counted when they came.
        self.handled -= waiting.len() as u64;
        match loaded {
            Ok(loaded) => {
                self.projected = loaded.applied;
                if loaded.head == Seq::ZERO {
                    // Nobody made this room: it is not kept for whoever guessed its id.
                    self.arm(tick::ABSENT_LINGER_MS, ctx);
                }
                self.deltas.extend(loaded.missing);
                self.began = loaded.head;
                let (members, head, last) = (loaded.members, loaded.head, loaded.last_sent_at);
                self.core = Core::Ready(Box::new(RoomState::new(
                    self.id,
                    self.env.rules,
                    members,
                    head,
                    last,
                )));
            }
            Err(error) => {
                tracing::warn!(room = %self.id, %error, "room could not be loaded");
                self.core = Core::Failed(error.into());
                self.leave(ctx);
            }
        }
        self.remove_old(self.env.ports.clock.monotonic_ms(), ctx);
        self.project(ctx);
        self.nudge_all();
        self.take_up(waiting, ctx);
    }

    /// Handles messages that waited.
    fn take_up(&mut self, waiting: impl IntoIterator<Item = Waiting>, ctx: &mut Context<Self>) {
        for message in waiting {
            match message {
                Waiting::Ask(ask) => self.handle(*ask, ctx),
                Waiting::Look(look) => self.handle(look, ctx),
                Waiting::Page(page) => self.handle(page, ctx),
                Waiting::Summarise(ask) => self.handle(ask, ctx),
                Waiting::RoleOf(ask) => self.handle(ask, ctx),
                Waiting::Hear(hear) => self.handle(hear, ctx),
            }
        }
    }

    /// Returns the state, or keeps the message until it is loaded, or answers that it cannot be.
    fn ready<M>(
        &mut self,
        message: M,
        wait: impl FnOnce(M) -> Waiting,
        fail: impl FnOnce(M, Refusal),
    ) -> Option<(M, &mut RoomState)> {
        match &mut self.core {
            Core::Ready(state) => Some((message, state)),
            Core::Loading(waiting) if waiting.len() < ROOM_QUEUE_MAX => {
                waiting.push_back(wait(message));
                None
            }
            Core::Loading(_) => {
                fail(message, Refusal::unavailable("the room is too busy"));
                None
            }
            Core::Failed(refusal) => {
                let refusal = refusal.clone();
                fail(message, refusal);
                None
            }
        }
    }

    /// Leaves the registry and ends: the next who asks starts the room afresh.
    fn leave(&mut self, ctx: &mut Context<Self>) {
        self.rooms.forget(self.id, self.generation);
        // What was sent before the registry forgot this actor is still in the mailbox; it is answered before the end.
        ctx.run_later(std::time::Duration::from_millis(1), |_, ctx| ctx.stop());
    }

    fn reader(&self, state: &RoomState) -> Reader {
        let retention = state
            .members
            .room
            .as_ref()
            .and_then(|room| room.retention_ms);
        Reader {
            ports: self.env.ports.clone(),
            room: self.id,
            head: state.head(),
            horizon: retention.map(|kept| self.env.ports.clock.now().minus_millis(kept)),
            first_kept: self.first_kept.clone(),
            pages: self.pages.clone(),
        }
    }
}

impl Actor for Room {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.env.metrics.rooms.inc();
        // Before the head is read: what is appended behind it is told here, or named by the next heartbeat.
        self.env.places.want(self.id);
        let (ports, id) = (self.env.ports.clone(), self.id);
        let load = async move { load::load(&ports, id).await };
        ctx.spawn(
            load.into_actor(self)
                .map(|loaded, room, ctx| room.loaded(loaded, ctx)),
        );
        self.arm(tick::LINGER_MS, ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.env.metrics.rooms.dec();
        self.rooms.forget(self.id, self.generation);
    }
}

impl Handler<Interest> for Room {
    type Result = ();

    fn handle(&mut self, message: Interest, ctx: &mut Self::Context) {
        self.handled += 1;
        let worker = message.worker;
        self.interest.retain(|target| target.worker != worker);
        if let Some(to) = message.to {
            let to = Fanout::here(worker).map_or(Reach::There(to), Reach::Here);
            let owed = true;
            self.interest.push(Target { worker, to, owed });
            self.nudge();
        }
        self.quiet_since = self.env.ports.clock.monotonic_ms();
        self.arm(tick::LINGER_MS, ctx);
    }
}

/// Sends an answer; whoever no longer waits for it misses nothing.
fn answer<T>(reply: ReplyTo<T>, result: Result<T, Refusal>) {
    let _ = reply.send(result);
}

/// Answers a look-up that needs the user to see the room.
fn visible(
    state: &RoomState,
    user: &UserId,
    now: parlor_schema::Timestamp,
) -> Result<members::Access, Refusal> {
    match state.members.access(user, now) {
        members::Access::Hidden => Err(Refusal::not_found("room")),
        members::Access::Banned(until) => Err(decide::banned(until)),
        access => Ok(access),
    }
}
