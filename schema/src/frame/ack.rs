//! The payloads of `ack`, which are also the bodies of successful HTTP answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::server::PresenceEntry;
use crate::{
    EventId, RoomId, Seq, Timestamp, UserId,
    room::{Member, Room},
};

/// Whether an effect was stored before this frame came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "bool", into = "bool")]
#[schemars(with = "bool")]
pub enum Duplicate {
    /// This frame took effect.
    #[default]
    No,
    /// An earlier one with the same `msg_id` did.
    Yes,
}

impl Duplicate {
    /// Tells whether nothing is to be said about it.
    #[must_use]
    pub fn is_no(&self) -> bool {
        *self == Self::No
    }
}

impl From<bool> for Duplicate {
    fn from(duplicate: bool) -> Self {
        if duplicate { Self::Yes } else { Self::No }
    }
}

impl From<Duplicate> for bool {
    fn from(duplicate: Duplicate) -> Self {
        duplicate == Duplicate::Yes
    }
}

/// The payload of an `ack`, by what was asked.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Ack {
    /// `message.send`.
    Sent(SentAck),
    /// `room.create`.
    Created(CreatedAck),
    /// Frames that append, and receipts.
    Seq(SeqAck),
    /// `room.subscribe`.
    Subscribed(SubscribedAck),
    /// `room.get`.
    Room(RoomAck),
    /// `room.members`.
    Members(MembersAck),
    /// `room.list`.
    Rooms(RoomsAck),
    /// `history.get`.
    History(HistoryAck),
    /// `presence.set`, `presence.watch`, `presence.unwatch`.
    Presence(PresenceAck),
    /// `user.get`, `user.update`.
    User(UserAck),
    /// `auth.refresh`.
    Refreshed(RefreshedAck),
    /// `ping`; answered as `pong` on a socket.
    Pong(Empty),
    /// Nothing to say.
    Empty(Empty),
}

macro_rules! acks {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }
    )*};
}

acks! {
    /// Nothing to say.
    Empty {}

    /// A message is in the timeline, durably.
    SentAck {
        /// The room.
        room_id: RoomId,
        /// Its position.
        seq: Seq,
        /// Its id.
        id: EventId,
        /// When the server took it.
        sent_at: Timestamp,
        /// Whether it was there before.
        #[serde(default, skip_serializing_if = "Duplicate::is_no")]
        duplicate: Duplicate,
    }

    /// An event is in the timeline, or a receipt is kept.
    SeqAck {
        /// Its position; the position kept, for receipts.
        seq: Seq,
        /// Whether it was there before.
        #[serde(default, skip_serializing_if = "Duplicate::is_no")]
        duplicate: Duplicate,
    }

    /// A room exists.
    CreatedAck {
        /// The room.
        room: Room,
        /// Whether it was there before.
        #[serde(default, skip_serializing_if = "Duplicate::is_no")]
        duplicate: Duplicate,
    }

    /// A subscription starts.
    SubscribedAck {
        /// The room's head now.
        head: Seq,
        /// The user's read position.
        read: Seq,
        /// Messages after it.
        unread: u32,
    }

    /// A room.
    RoomAck {
        /// The room.
        room: Room,
    }

    /// Members of a room.
    MembersAck {
        /// The members.
        members: Vec<Member>,
        /// Where the list goes on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }

    /// Rooms.
    RoomsAck {
        /// The rooms.
        rooms: Vec<Room>,
        /// Where the list goes on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }

    /// A piece of a timeline.
    HistoryAck {
        /// Event frames, seq rising.
        #[schemars(with = "Vec<serde_json::Value>")]
        events: Vec<Box<RawValue>>,
        /// The room's head now.
        head: Seq,
        /// The oldest kept position; head + 1 when nothing is kept.
        first: Seq,
        /// Whether nothing kept lies beyond in the direction asked.
        complete: bool,
    }

    /// Presence of users.
    PresenceAck {
        /// One entry a user.
        presence: Vec<PresenceEntry>,
    }

    /// A user.
    UserAck {
        /// The user.
        user: User,
    }

    /// A user's public profile.
    User {
        /// The id.
        user_id: UserId,
        /// The name shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// A reference to a picture.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        avatar: Option<String>,
    }

    /// The token holds until then.
    RefreshedAck {
        /// When it ends.
        expires_at: Timestamp,
    }
}

impl Ack {
    /// Makes the answer that carries only a position.
    #[must_use]
    pub const fn seq(seq: Seq) -> Self {
        Self::Seq(SeqAck {
            seq,
            duplicate: Duplicate::No,
        })
    }

    /// Makes the empty answer.
    #[must_use]
    pub const fn empty() -> Self {
        Self::Empty(Empty {})
    }
}
