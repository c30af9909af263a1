//! Messages to a room.

use std::sync::Arc;

use actix::prelude::*;
use parlor_schema::{
    MsgId, Role, RoomId, Seq, UserId,
    frame::{ClientFrame, Refusal, client::Caller},
    room::Room,
};
use tokio::sync::oneshot;

use super::packet::Batch;
use crate::{answer::Answer, ports::Packed};

/// Where a reply goes. A room that ends without answering drops it.
pub type ReplyTo<T> = oneshot::Sender<Result<T, Refusal>>;

/// A client frame about this room.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ask {
    /// Whose frame it is.
    pub caller: Caller,
    /// Its idempotency key; always there for frames that append.
    pub msg_id: Option<MsgId>,
    /// What it asks.
    pub frame: ClientFrame,
    /// Whose session it came by.
    pub via: Via,
    /// Where the answer goes.
    pub reply: Answer,
}

/// Whose session a frame came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// One of this node.
    Session,
    /// One of another node, which forwarded it.
    Node,
}

/// Asks for the room as a user sees it, to list it or to subscribe to it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Look {
    /// Who.
    pub user: UserId,
    /// Where the answer goes.
    pub reply: ReplyTo<Seen>,
}

/// A room as a user sees it.
#[derive(Debug)]
pub struct Seen {
    /// The room, with the user's own state where the user is a member.
    pub room: Room,
    /// The first kept position; head + 1 when nothing is kept.
    pub first: Seq,
}

/// Asks for packed events after a position, for a session that reads at its own pace.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ReadPage {
    /// For whom.
    pub user: UserId,
    /// The position the session has.
    pub after: Seq,
    /// Where the answer goes.
    pub reply: ReplyTo<Page>,
}

/// Packed events in order.
#[derive(Debug)]
pub struct Page {
    /// Events in order, the next after the position asked for (or `first`, where that is higher) among them; none: there is none.
    pub batch: Option<Arc<Batch>>,
    /// The room's head when it was read.
    pub head: Seq,
    /// The first kept position.
    pub first: Seq,
}

/// Asks for counts and the last message, for a `head` frame.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Summarise {
    /// For whom.
    pub user: UserId,
    /// Where the answer goes.
    pub reply: ReplyTo<Summary>,
}

/// What a `head` frame says.
#[derive(Debug)]
pub struct Summary {
    /// The head.
    pub head: Seq,
    /// Messages by others after the read position.
    pub unread: u32,
    /// Those that name the user.
    pub mentions: u32,
    /// The payload of the last message, where it is near the head.
    pub last: Option<Box<serde_json::value::RawValue>>,
}

/// Asks for a member's role, on behalf of somebody who may see the room.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RoleOf {
    /// Who asks.
    pub caller: UserId,
    /// Whose role.
    pub user: UserId,
    /// Where the answer goes.
    pub reply: ReplyTo<Option<Role>>,
}

/// Names a thread's fan-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkerId(pub u64);

/// Says that a thread has, or no longer has, sessions that want this room.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Interest {
    /// Which thread.
    pub worker: WorkerId,
    /// Where to deliver; none: nowhere any more.
    pub to: Option<Recipient<Deliver>>,
}

/// What a room delivers to a thread.
#[derive(Message, Clone)]
#[rtype(result = "()")]
pub enum Deliver {
    /// Durable events.
    Events(Arc<Batch>),
    /// There are events up to this position that could not be delivered; read them.
    Nudge(RoomId, Seq),
    /// Something that may be lost.
    Ephemeral(Arc<Ephemeral>),
}

/// A frame that may be lost, and that a newer one of the same key replaces.
#[derive(Debug)]
pub struct Ephemeral {
    /// The room.
    pub room: RoomId,
    /// What replaces what.
    pub key: EphemeralKey,
    /// The packed frame.
    pub bytes: Packed,
    /// Who does not get it.
    pub except: Option<UserId>,
}

/// The key under which only the last value counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EphemeralKey {
    /// Receipts of a user in a room.
    Receipt(RoomId, UserId),
    /// Typing of a user in a room.
    Typing(RoomId, UserId),
    /// Presence of a user.
    Presence(UserId),
    /// The head of a passive room.
    Head(RoomId),
}

impl EphemeralKey {
    /// Returns the room it is about, where it is about one.
    #[must_use]
    pub const fn room(&self) -> Option<RoomId> {
        match self {
            Self::Receipt(room, _) | Self::Typing(room, _) | Self::Head(room) => Some(*room),
            Self::Presence(_) => None,
        }
    }
}
