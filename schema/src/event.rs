//! Timeline events: what a room's history is made of.
//!
//! Owns the kinds of event, the typed contents, and the one encoding of an event as a frame.
//!
//! Invariants:
//! - E-1: `content` is a JSON object without white space around it, holding only what is particular to the kind.
//! - E-2: sender, idempotency key and content stand in the event itself, so that a timeline alone proves what took effect.
//! - E-3: the numbers of the kinds are stored; they never change and are never used again.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    EventId, MsgId, Role, RoomId, RoomKind, Seq, Timestamp, UserId,
    frame::body::{Body, MessageBody},
};

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// The kinds of timeline event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventKind { $($(#[$doc])* $name = $number,)* }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the `type` of its frame.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Returns the number it is stored under.
            #[must_use]
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// Finds the kind stored under `number`.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

event_kinds! {
    /// What a person said.
    Message = 1, "message";
    /// A message got another text.
    MessageEdited = 2, "message.edited";
    /// A message was deleted for all.
    MessageDeleted = 3, "message.deleted";
    /// A reaction was added.
    MessageReacted = 4, "message.reacted";
    /// A reaction was taken back.
    MessageUnreacted = 5, "message.unreacted";
    /// A message was pinned.
    MessagePinned = 6, "message.pinned";
    /// A message was unpinned.
    MessageUnpinned = 7, "message.unpinned";
    /// The room began; its content lists the first members.
    RoomCreated = 16, "room.created";
    /// Name, topic, visibility or retention changed.
    RoomUpdated = 17, "room.updated";
    /// Somebody came by themselves.
    MemberJoined = 32, "member.joined";
    /// Somebody went by themselves.
    MemberLeft = 33, "member.left";
    /// Somebody was brought in.
    MemberInvited = 34, "member.invited";
    /// Somebody was put out.
    MemberRemoved = 35, "member.removed";
    /// Somebody was put out and may not come back.
    MemberBanned = 36, "member.banned";
    /// A ban was lifted.
    MemberUnbanned = 37, "member.unbanned";
    /// Somebody may not write.
    MemberMuted = 38, "member.muted";
    /// Somebody may write again.
    MemberUnmuted = 39, "member.unmuted";
    /// Somebody's role changed.
    MemberRole = 40, "member.role";
}

impl EventKind {
    /// Tells whether the event changes the room itself or its members.
    #[must_use]
    pub const fn changes_room(self) -> bool {
        self.number() >= Self::RoomCreated.number()
    }
}

/// One entry of a room's timeline, as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its position.
    pub seq: Seq,
    /// Its own id.
    pub id: EventId,
    /// What happened.
    pub kind: EventKind,
    /// Who did it.
    pub sender: UserId,
    /// When the server took it; never falls within a room.
    pub sent_at: Timestamp,
    /// The idempotency key of the frame behind it.
    pub msg_id: MsgId,
    /// The fingerprint of that frame's type and payload; see [`crate::frame::fingerprint`].
    pub fingerprint: u128,
    /// What is particular to the kind, as a JSON object.
    pub content: Arc<str>,
}

/// Whether the receiver is the event's own sender, who also sees `client_msg_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// A session of the sender.
    Sender,
    /// Anyone else.
    Other,
}

impl Event {
    /// Writes the event as a frame; the payload's own fields come first, `content` is copied as it is.
    #[must_use]
    pub fn frame(&self, room: RoomId, viewer: Viewer) -> String {
        let mut out = String::with_capacity(384 + self.content.len());
        let at = self.write(room, &mut out);
        if viewer == Viewer::Sender {
            let mut field = String::new();
            self.write_own_field(&mut field);
            out.insert_str(at, &field);
        }
        out
    }

    /// Writes the frame for others behind what is in `out`; returns where in that frame its sender's own field goes
    /// ([`write_own_field`](Self::write_own_field)).
    /// Nothing here needs escaping, by the alphabets of ids, kinds, names and times.
    pub fn write(&self, room: RoomId, out: &mut String) -> usize {
        let from = out.len();
        let mut uuid = Uuid::encode_buffer();
        out.push_str(r#"{"type":""#);
        out.push_str(self.kind.as_str());
        out.push_str(r#"","msg_id":""#);
        out.push_str(self.id.encode(&mut uuid));
        out.push_str(r#"","payload":{"room_id":""#);
        out.push_str(room.encode(&mut uuid));
        out.push_str(r#"","seq":"#);
        self.seq.push(out);
        out.push_str(r#","sender":""#);
        out.push_str(self.sender.as_str());
        out.push_str(r#"","sent_at":""#);
        out.push_str(self.sent_at.encode(&mut [0; Timestamp::TEXT_BYTES]));
        out.push('"');
        let at = out.len() - from;
        let inner = self.content.strip_prefix('{').unwrap_or("}");
        if inner != "}" {
            out.push(',');
        }
        out.push_str(inner);
        out.push('}');
        at
    }

    /// Writes what the frame for its sender has beside what all see, behind what is in `out`.
    pub fn write_own_field(&self, out: &mut String) {
        out.push_str(r#","client_msg_id":""#);
        out.push_str(self.msg_id.encode(&mut Uuid::encode_buffer()));
        out.push('"');
    }

    /// Returns the bytes the event takes in memory, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.content.len() + 160
    }

    /// Parses the content as `T`.
    ///
    /// # Errors
    /// The stored content is not what its kind says.
    pub fn content<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.content)
    }
}

/// The content of `message`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageContent {
    /// What was said.
    pub body: MessageBody,
    /// The message this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// Users named, or `@room`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<String>,
}

impl MessageContent {
    /// Writes the content of a message whose body is kept as JSON already, which is copied as it is, behind what is in `out`.
    pub fn write(out: &mut String, body: &Body, reply_to: Option<Seq>, mentions: &[String]) {
        let mentions = match mentions {
            [] => String::new(),
            some => serde_json::to_string(some).expect("invariant: names are plain data"),
        };
        out.push_str(r#"{"body":"#);
        out.push_str(body.json());
        if let Some(seq) = reply_to {
            out.push_str(r#","reply_to":"#);
            out.push_str(&seq.to_string());
        }
        if !mentions.is_empty() {
            out.push_str(r#","mentions":"#);
            out.push_str(&mentions);
        }
        out.push('}');
    }
}

/// Only the mentions of a `message`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct MessageMentions {
    /// Users named, or `@room`.
    #[serde(default)]
    pub mentions: Vec<String>,
}

/// The content of `room.created`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomCreatedContent {
    /// The room's kind.
    pub kind: RoomKind,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Whether anyone may read and join.
    pub public: bool,
    /// How long events are kept, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<u64>,
    /// Everyone in it from the start, the creator first.
    pub members: Vec<UserId>,
}

/// The content of `room.updated`: the fields that changed; `null` where one was cleared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomUpdatedContent {
    /// The new name.
    #[serde(
        default,
        with = "crate::frame::clearable",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<String>")]
    pub name: Option<Option<String>>,
    /// The new topic.
    #[serde(
        default,
        with = "crate::frame::clearable",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<String>")]
    pub topic: Option<Option<String>>,
    /// The new visibility.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
    /// The new retention.
    #[serde(
        default,
        with = "crate::frame::clearable",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<u64>")]
    pub retention_ms: Option<Option<u64>>,
}

/// The content of every `member.…` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberContent {
    /// Whom it concerns.
    pub user_id: UserId,
    /// The role the user has from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when, for mutes and bans with an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn event(content: &str) -> Event {
        Event {
            seq: Seq::new(7),
            id: EventId::from([1; 16]),
            kind: EventKind::Message,
            sender: "ana".parse().unwrap(),
            sent_at: Timestamp::from_millis(0),
            msg_id: MsgId::from([2; 16]),
            fingerprint: 0,
            content: content.into(),
        }
    }

    #[test]
    fn a_frame_is_valid_json_with_and_without_content() {
        for content in ["{}", r#"{"body":{"text":"hi"}}"#] {
            for viewer in [Viewer::Sender, Viewer::Other] {
                let frame = event(content).frame(RoomId::from([3; 16]), viewer);
                let value: serde_json::Value = serde_json::from_str(&frame).unwrap();
                assert_eq!(value["type"], "message");
                assert_eq!(value["payload"]["seq"], 7);
                assert_eq!(
                    value["payload"].get("client_msg_id").is_some(),
                    viewer == Viewer::Sender
                );
            }
            let (room, mut behind) = (RoomId::from([3; 16]), "x".to_owned());
            let at = event(content).write(room, &mut behind);
            let other = event(content).frame(room, Viewer::Other);
            assert_eq!(behind, format!("x{other}"));
            assert!(other[at..].starts_with([',', '}']), "{other}, {at}");
        }
    }

    #[test]
    fn a_written_message_is_what_its_type_says() {
        let body = MessageBody {
            data: Some(serde_json::json!({ "a": [1, "\u{0}"] })),
            ..MessageBody::text("hi \"bo\"")
        };
        for reply_to in [None, Some(Seq::new(7))] {
            for mentions in [vec![], vec!["bo".to_owned(), "@room".to_owned()]] {
                let mut written = String::new();
                MessageContent::write(&mut written, &Body::from(&body), reply_to, &mentions);
                let content = MessageContent {
                    body: body.clone(),
                    reply_to,
                    mentions,
                };
                assert_eq!(written, serde_json::to_string(&content).unwrap());
            }
        }
    }

    #[test]
    fn kinds_keep_their_numbers() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_number(kind.number()), Some(*kind));
        }
        assert_eq!(EventKind::MemberRole.number(), 40);
    }
}
