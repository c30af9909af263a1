//! What goes into a room's state, and what comes out of it.
//!
//! Deliberately absent: deciding anything; that is [`super::state`] and [`super::decide`].

use std::sync::Arc;

use parlor_schema::{
    Event, MsgId, Seq, Timestamp, UserId,
    frame::{Ack, ClientFrame, Refusal, client::Caller},
    port::{Ids, StoreError},
    record::RoomDelta,
};

use super::dedupe::Key;
#[cfg(doc)]
use super::state::RoomState;

/// Names a frame that waits for its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A frame that wants to append.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Where the reply goes.
    pub ticket: Ticket,
    /// Whose frame it is.
    pub caller: Caller,
    /// Its idempotency key.
    pub msg_id: MsgId,
    /// Its fingerprint.
    pub fingerprint: u128,
    /// What it asks.
    pub frame: ClientFrame,
    /// What was looked up for it.
    pub facts: Facts,
}

/// What deciding a frame may need from outside the state.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Users named that do not exist.
    pub missing_users: Option<Vec<UserId>>,
    /// Events asked for, by position; `None`: there is none.
    pub events: Vec<(Seq, Option<Arc<Event>>)>,
    /// The head behind which an append of the frame ended unknown.
    pub doubt: Option<Seq>,
    /// Whether it may be answered without an append.
    pub knowledge: Knowledge,
}

/// Whether a frame may be answered, without an append, on what is known of the room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Knowledge {
    /// It may: nobody else appends, or the timeline was asked since it came.
    #[default]
    Enough,
    /// The timeline is to be asked for its head before.
    Wanting,
    /// It may on this head, which the timeline had since it came.
    UpTo(Seq),
}

impl Facts {
    /// Finds what is known of the position; `None`: it was not looked up yet.
    #[must_use]
    pub fn event(&self, seq: Seq) -> Option<Option<&Arc<Event>>> {
        self.events
            .iter()
            .find(|(at, _)| *at == seq)
            .map(|(_, event)| event.as_ref())
    }
}

/// Something to look up before the queue can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// Which of these users do not exist.
    Users(Vec<UserId>),
    /// The event at a position.
    Event(Seq),
    /// The dedupe window: every event since the horizon.
    Window,
    /// The head of the timeline.
    Head,
}

/// What the shell must do.
#[derive(Debug)]
pub enum Effect {
    /// Answer a frame.
    Reply(Ticket, Result<Ack, Refusal>),
    /// Put the room into the lists of `index`, then append; answer with [`RoomState::appended`].
    Append {
        /// The head there must be.
        expected: Seq,
        /// The events.
        events: Vec<Arc<Event>>,
        /// Users the events bring in.
        index: Vec<UserId>,
    },
    /// Look something up; answer with [`RoomState::found`].
    Lookup(Lookup),
    /// Read the tail after this position; answer with [`RoomState::recovered`].
    Recover(Seq),
    /// Fan out an event that is durable now, and tell those it concerns.
    Publish {
        /// The event.
        event: Arc<Event>,
        /// The members' projection step, where the event changes the room.
        delta: Option<RoomDelta>,
        /// What the user whom the event puts out was before.
        evicted: Evicted,
        /// Who is to tell the other nodes.
        origin: Origin,
    },
    /// Read the events after `after` up to `to`, which another node appended; answer with [`RoomState::followed`].
    Follow {
        /// The position the state has.
        after: Seq,
        /// The head that was named.
        to: Seq,
    },
    /// Look again soon: what another node appended could not be read.
    LookAgain,
    /// The room cannot go on; whoever asks next starts it afresh.
    Fail,
}

/// Where an event became known as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// By an append of this node, whatever its answer: this node tells the others.
    Here,
    /// From the timeline, after a hint of another node, which told whoever wants to know.
    Elsewhere,
    /// From the envelope of another node, which appended or read it (V-2 of [`parlor_schema::envelope`]).
    Carried,
}

/// What a user who is put out was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evicted {
    /// A member: every session hears of it.
    Member,
    /// A reader of a public room, or nobody: only sessions that read along hear of it.
    Reader,
}

/// What was looked up.
#[derive(Debug, Clone)]
pub enum Found {
    /// Users that do not exist.
    MissingUsers(Vec<UserId>),
    /// The event at the position.
    Event(Seq, Option<Arc<Event>>),
    /// The window's events, in order: key, position, time.
    Window(Vec<(Key, Seq, Timestamp)>),
    /// The head of the timeline.
    Head(Seq),
    /// The store did not answer.
    Failed(StoreError),
}

/// Time and chance for one step.
pub struct Moment<'a> {
    /// The time.
    pub now: Timestamp,
    /// Fresh ids.
    pub ids: &'a dyn Ids,
}

/// Settings of a room.
#[derive(Debug, Clone, Copy)]
pub struct RoomRules {
    /// How long a `msg_id` is remembered.
    pub dedupe_window_ms: u64,
    /// Bytes of a body as compact JSON.
    pub body_bytes: usize,
    /// Whether every well-formed user exists (an outside issuer), or only those with an account.
    pub users: KnownUsers,
}

/// Which users exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownUsers {
    /// Those with an account.
    Accounts,
    /// Every well-formed id.
    All,
}
