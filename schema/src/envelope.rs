//! Envelopes: what nodes tell each other over the bus.
//!
//! Invariants:
//! - V-1: an envelope is a hint; losing one costs latency, never truth (promise P-5).
//! - V-2: events in an envelope were durable when it was written (rule C).

mod carried;
mod forward;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use carried::Carried;
pub use forward::{Forward, Forwarded, ForwardedFrame, Outcome};

use crate::{BootId, LoginId, NodeId, RoomId, Seq, SessionId, Timestamp, UserId};

/// To whom an envelope goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Every node, the sender included.
    All,
    /// One node.
    Node(NodeId),
    /// These nodes, each named once and none of them the sender.
    Nodes(Arc<[NodeId]>),
}

/// What one node tells others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Envelope {
    /// A login ended, by logout or by the reuse of a spent refresh token.
    LoginEnded {
        /// Whose login.
        user_id: UserId,
        /// Which.
        login_id: LoginId,
    },
    /// Every login of a user ended, because an operator said so.
    UserRevoked {
        /// Whose.
        user_id: UserId,
    },
    /// An operator closed sockets of a user, who may come back.
    Disconnected {
        /// Whose.
        user_id: UserId,
        /// Which; none: all of them.
        session_id: Option<SessionId>,
    },
    /// A room's timeline grew.
    RoomMoved {
        /// The room.
        room_id: RoomId,
        /// Its head, at least.
        head: Seq,
        /// Who came and went, in order.
        changes: Vec<MemberChange>,
        /// The last events up to the head, in order; none where they are too long, or not at hand.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        events: Vec<Carried>,
    },
    /// A node has these rooms running, and wants what is told of them, for the time of a lease. For their owner.
    Interest {
        /// The node.
        by: NodeId,
        /// The rooms.
        rooms: Vec<RoomId>,
    },
    /// Something about a room, for its owner to hear, and to hand to the others that want the room.
    Relay {
        /// Who says it.
        by: NodeId,
        /// The room.
        room_id: RoomId,
        /// What; never another relay.
        envelope: Box<Envelope>,
    },
    /// Frames for the owner of their room.
    Forward(Forward),
    /// What the owner answers.
    Forwarded(Forwarded),
    /// Members of a room got or read events.
    ReceiptsMoved {
        /// The room.
        room_id: RoomId,
        /// The whole place of each.
        places: Vec<Place>,
    },
    /// A member of a room types, or no longer does.
    Typing {
        /// The room.
        room_id: RoomId,
        /// Who.
        user_id: UserId,
        /// Whether it begins or ends.
        edge: TypingEdge,
    },
    /// A node wants to know what a user's devices on others come to.
    PresenceAsked {
        /// The user.
        user_id: UserId,
        /// Who asks.
        by: NodeId,
    },
    /// What a user's devices on one node come to.
    PresencePart {
        /// The user.
        user_id: UserId,
        /// The node.
        node_id: NodeId,
        /// Its run.
        boot_id: BootId,
        /// What they come to there.
        part: Part,
    },
}

/// What a user's devices on one node come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// How they are seen.
    pub sight: Sight,
    /// A few words beside it.
    pub text: Option<String>,
    /// When the user was last there, as far as the node knows.
    pub last_seen: Option<Timestamp>,
}

/// How a user's devices on one node are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// None is there.
    Offline,
    /// They want the user not to be seen, whatever other devices say.
    Hidden,
    /// Away.
    Away,
    /// There.
    Online,
    /// There, and not to be disturbed.
    Dnd,
}

/// How far a member of a room is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Who.
    pub user_id: UserId,
    /// The highest event that reached one of the member's devices.
    pub delivered: Seq,
    /// The highest event the member has read.
    pub read: Seq,
}

/// Says that somebody is in a room, or no longer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberChange {
    /// The event that says so.
    pub seq: Seq,
    /// Who.
    pub user_id: UserId,
    /// What happened.
    pub to: Standing,
}

/// What a user is to a room from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// A member.
    Member,
    /// None any more, by leaving.
    Left,
    /// None any more, put out by another.
    Removed,
    /// None any more, and may not come back.
    Banned,
}

/// Whether typing begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TypingEdge {
    /// It begins.
    Start,
    /// It ends.
    Stop,
}
