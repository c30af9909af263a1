//! Client frames: the table of types, and the payload of each.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de::Error};

use super::{
    Refusal,
    body::{Body, MessageBody},
    clearable,
    hello::{Hello, PresenceSetting},
    number, object, read, word,
};
use crate::{DeviceId, ErrorCode, Role, RoomId, RoomKind, Seq, Timestamp, UserId, room::Mode};

macro_rules! client_frames {
    ($($text:literal => $name:ident($payload:ty), $repeat:ident;)*) => {
        /// What a client asks.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs, reason = "each variant is its payload, documented there")]
        pub enum ClientFrame { $($name($payload),)* }

        impl ClientFrame {
            /// Every `type`, in the order of PROTOCOL section 4.
            pub const TYPES: &'static [&'static str] = &[$($text,)*];

            /// Reads the payload of a frame of type `kind`.
            ///
            /// # Errors
            /// `unknown_type`, or `bad_frame` with the field to blame.
            pub fn read(kind: &str, payload: &str) -> Result<Self, Refusal> {
                match kind {
                    $($text => read::payload::<$payload>(payload).map(Self::$name),)*
                    _ => Err(Refusal { field: Some("type".into()), ..Refusal::new(ErrorCode::UnknownType, "unknown frame type") }),
                }
            }

            /// Reads the payload of a frame of type `kind`, with nobody to blame.
            pub(super) fn deserialize<'de, D: Deserializer<'de>>(kind: &str, payload: D) -> Result<Self, D::Error> {
                match kind {
                    $($text => object::deserialize::<D, $payload>(payload).map(Self::$name),)*
                    _ => Err(D::Error::unknown_variant(kind, Self::TYPES)),
                }
            }

            /// Returns the `type`.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self { $(Self::$name(_) => $text,)* }
            }

            /// Tells whether the frame appends to a timeline, so that it needs a `msg_id` and is remembered.
            #[must_use]
            pub const fn needs_msg_id(&self) -> bool {
                match self { $(Self::$name(_) => client_frames!(@ $repeat),)* }
            }

            /// Tells the same of a `type`; false for one that is not in the table.
            #[must_use]
            pub fn type_needs_msg_id(kind: &str) -> bool {
                match kind { $($text => client_frames!(@ $repeat),)* _ => false }
            }

            /// Appends the payload as compact JSON, known fields only.
            pub fn write_payload(&self, out: &mut Vec<u8>) {
                let done = match self { $(Self::$name(payload) => serde_json::to_writer(out, payload),)* };
                debug_assert!(done.is_ok(), "payloads are plain data");
            }

            /// Returns the JSON Schema of each payload, by type.
            pub fn schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
                vec![$(($text, generator.subschema_for::<$payload>()),)*]
            }
        }
    };
    (@ appends) => { true };
    (@ asks) => { false };
}

client_frames! {
    "hello" => Hello(Hello), asks;
    "auth.refresh" => AuthRefresh(AuthRefresh), asks;
    "room.create" => RoomCreate(RoomCreate), appends;
    "room.update" => RoomUpdate(RoomUpdate), appends;
    "room.join" => RoomJoin(RoomOnly), appends;
    "room.leave" => RoomLeave(RoomOnly), appends;
    "room.invite" => RoomInvite(RoomInvite), appends;
    "room.remove" => RoomRemove(MemberAction), appends;
    "room.ban" => RoomBan(MemberAction), appends;
    "room.unban" => RoomUnban(MemberAction), appends;
    "room.mute" => RoomMute(MemberAction), appends;
    "room.unmute" => RoomUnmute(MemberAction), appends;
    "room.role" => RoomRole(RoomRole), appends;
    "room.subscribe" => RoomSubscribe(RoomSubscribe), asks;
    "room.unsubscribe" => RoomUnsubscribe(RoomOnly), asks;
    "room.get" => RoomGet(RoomOnly), asks;
    "room.members" => RoomMembers(RoomMembers), asks;
    "room.list" => RoomList(RoomList), asks;
    "message.send" => MessageSend(MessageSend), appends;
    "message.edit" => MessageEdit(MessageEdit), appends;
    "message.delete" => MessageDelete(MessageDelete), appends;
    "message.react" => MessageReact(MessageReact), appends;
    "message.unreact" => MessageUnreact(MessageReact), appends;
    "message.pin" => MessagePin(MessageTarget), appends;
    "message.unpin" => MessageUnpin(MessageTarget), appends;
    "message.report" => MessageReport(MessageReport), asks;
    "receipt.delivered" => ReceiptDelivered(Receipt), asks;
    "receipt.read" => ReceiptRead(Receipt), asks;
    "typing.start" => TypingStart(RoomOnly), asks;
    "typing.stop" => TypingStop(RoomOnly), asks;
    "presence.set" => PresenceSet(PresenceSet), asks;
    "presence.watch" => PresenceWatch(Users), asks;
    "presence.unwatch" => PresenceUnwatch(Users), asks;
    "history.get" => HistoryGet(HistoryGet), asks;
    "thread.get" => ThreadGet(ThreadGet), asks;
    "search" => Search(Search), asks;
    "user.get" => UserGet(UserOnly), asks;
    "user.update" => UserUpdate(UserUpdate), asks;
    "user.block" => UserBlock(UserOnly), asks;
    "user.unblock" => UserUnblock(UserOnly), asks;
    "ping" => Ping(Empty), asks;
}

macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }
    )*};
}

payloads! {
    /// No payload.
    Empty {}

    /// The payload of `auth.refresh`.
    AuthRefresh {
        /// A fresh access token of the same user.
        token: String,
    }

    /// The payload of frames that only name a room.
    RoomOnly {
        /// The room.
        room_id: RoomId,
    }

    /// The payload of frames that only name a user.
    UserOnly {
        /// The user.
        user_id: UserId,
    }

    /// The payload of frames that name users.
    Users {
        /// The users.
        user_ids: Vec<UserId>,
    }

    /// The payload of `room.create`.
    RoomCreate {
        /// The kind of room.
        #[serde(deserialize_with = "word::deserialize")]
        kind: RoomKind,
        /// Its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Its topic.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        topic: Option<String>,
        /// Members from the start, beside the creator.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        members: Option<Vec<UserId>>,
        /// Whether anyone may read and join; absent: no.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        public: Option<bool>,
        /// How long events are kept, in milliseconds; absent: for ever.
        #[serde(default, deserialize_with = "number::optional::deserialize", skip_serializing_if = "Option::is_none")]
        #[schemars(range(max = 9_007_199_254_740_991_u64))]
        retention_ms: Option<u64>,
    }

    /// The payload of `room.update`: at least one field besides the room; `null` clears.
    RoomUpdate {
        /// The room.
        room_id: RoomId,
        /// The new name.
        #[serde(default, with = "clearable", skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        name: Option<Option<String>>,
        /// The new topic.
        #[serde(default, with = "clearable", skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        topic: Option<Option<String>>,
        /// The new visibility.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        public: Option<bool>,
        /// The new retention, in milliseconds.
        #[serde(default, with = "number::clearable", skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<u64>", range(max = 9_007_199_254_740_991_u64))]
        retention_ms: Option<Option<u64>>,
    }

    /// The payload of `room.invite`.
    RoomInvite {
        /// The room.
        room_id: RoomId,
        /// Whom to bring in.
        user_ids: Vec<UserId>,
    }

    /// The payload of `room.remove`, `room.ban`, `room.unban`, `room.mute` and `room.unmute`.
    MemberAction {
        /// The room.
        room_id: RoomId,
        /// Whom it concerns.
        user_id: UserId,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Until when; absent: for ever.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    }

    /// The payload of `room.role`.
    RoomRole {
        /// The room.
        room_id: RoomId,
        /// Whose role.
        user_id: UserId,
        /// The new role.
        #[serde(deserialize_with = "word::deserialize")]
        role: Role,
    }

    /// The payload of `room.subscribe`.
    RoomSubscribe {
        /// The room.
        room_id: RoomId,
        /// The last position the client holds; absent: live from the head.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Seq>,
        /// `active` or `passive`; absent: active.
        #[serde(default, deserialize_with = "word::optional::deserialize", skip_serializing_if = "Option::is_none")]
        mode: Option<Mode>,
    }

    /// The payload of `room.members`.
    RoomMembers {
        /// The room.
        room_id: RoomId,
        /// What `next` said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        /// How many.
        #[serde(default, deserialize_with = "number::limit::deserialize", skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        limit: Option<u32>,
    }

    /// The payload of `room.list`.
    RoomList {
        /// Joinable rooms instead of one's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        public: Option<bool>,
        /// What `next` said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        /// How many.
        #[serde(default, deserialize_with = "number::limit::deserialize", skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        limit: Option<u32>,
    }

    /// A file named by a message.
    Attachment {
        /// What the upload answered.
        id: String,
        /// The file's name.
        name: String,
        /// Its bytes.
        #[serde(deserialize_with = "number::deserialize")]
        #[schemars(range(max = 9_007_199_254_740_991_u64))]
        size: u64,
        /// Its media type.
        content_type: String,
    }

    /// The payload of `message.send`.
    MessageSend {
        /// The room.
        room_id: RoomId,
        /// What is said.
        #[schemars(with = "MessageBody")]
        body: Body,
        /// The message this one answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<Seq>,
        /// The root of the thread it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thread: Option<Seq>,
        /// Users named, or `@room`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mentions: Option<Vec<String>>,
        /// Files.
        #[serde(default, deserialize_with = "object::list::deserialize", skip_serializing_if = "Option::is_none")]
        attachments: Option<Vec<Attachment>>,
        /// When its body goes, in milliseconds from now.
        #[serde(default, deserialize_with = "number::optional::deserialize", skip_serializing_if = "Option::is_none")]
        #[schemars(range(max = 9_007_199_254_740_991_u64))]
        expires_in_ms: Option<u64>,
    }

    /// The payload of `message.edit`.
    MessageEdit {
        /// The room.
        room_id: RoomId,
        /// The message.
        target: Seq,
        /// What it says from now on.
        #[schemars(with = "MessageBody")]
        body: Body,
    }

    /// The payload of `message.delete`.
    MessageDelete {
        /// The room.
        room_id: RoomId,
        /// The message.
        target: Seq,
        /// For whom.
        #[serde(deserialize_with = "word::deserialize")]
        r#for: DeleteFor,
    }

    /// The payload of `message.react` and `message.unreact`.
    MessageReact {
        /// The room.
        room_id: RoomId,
        /// The message.
        target: Seq,
        /// The reaction.
        emoji: String,
    }

    /// The payload of `message.pin` and `message.unpin`.
    MessageTarget {
        /// The room.
        room_id: RoomId,
        /// The message.
        target: Seq,
    }

    /// The payload of `message.report`.
    MessageReport {
        /// The room.
        room_id: RoomId,
        /// The message.
        target: Seq,
        /// Why.
        reason: String,
    }

    /// The payload of `receipt.delivered` and `receipt.read`.
    Receipt {
        /// The room.
        room_id: RoomId,
        /// All up to here.
        seq: Seq,
    }

    /// The payload of `presence.set`.
    PresenceSet {
        /// The device's presence.
        #[serde(deserialize_with = "word::deserialize")]
        status: PresenceSetting,
        /// A few words beside it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    }

    /// The payload of `history.get`: at most one of the four positions.
    HistoryGet {
        /// The room.
        room_id: RoomId,
        /// Events before this position.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Seq>,
        /// Events after this position.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Seq>,
        /// Events on both sides of this position, itself included.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        around: Option<Seq>,
        /// Events from this time on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
        /// How many.
        #[serde(default, deserialize_with = "number::limit::deserialize", skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        limit: Option<u32>,
    }

    /// The payload of `thread.get`.
    ThreadGet {
        /// The room.
        room_id: RoomId,
        /// The root.
        thread: Seq,
        /// Answers after this position of the room.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Seq>,
        /// How many.
        #[serde(default, deserialize_with = "number::limit::deserialize", skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        limit: Option<u32>,
    }

    /// The payload of `search`.
    Search {
        /// What to look for.
        query: String,
        /// Only in this room.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room_id: Option<RoomId>,
        /// What `next` said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<String>,
        /// How many.
        #[serde(default, deserialize_with = "number::limit::deserialize", skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        limit: Option<u32>,
    }

    /// The payload of `user.update`; `null` clears.
    UserUpdate {
        /// The new name.
        #[serde(default, with = "clearable", skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        name: Option<Option<String>>,
        /// The new avatar.
        #[serde(default, with = "clearable", skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        avatar: Option<Option<String>>,
    }
}

/// For whom a message is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeleteFor {
    /// For everybody.
    All,
    /// For the asking user only.
    Me,
}

/// Whose frame it is: what every frame is authorised against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user the token names.
    pub user_id: UserId,
    /// The installation.
    pub device_id: DeviceId,
}
