//! Every kind of timeline event, built from the types of its content: the least it can say and the most.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "tests; each target uses its part"
)]

use parlor_schema::{
    Event, EventKind, Role, RoomKind, Seq,
    event::{MemberContent, MessageContent, RoomCreatedContent, RoomUpdatedContent, Viewer},
    frame::{
        body::{BodyFormat, MessageBody},
        server::{EditedContent, ReactionContent, TargetContent},
    },
};
use serde::Serialize;
use serde_json::json;

use crate::server_frames::{noon, room_id, user};

/// Returns the frames of every kind.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    for kind in EventKind::ALL {
        for content in contents(*kind) {
            all.push((kind.as_str(), frame(*kind, &content, Viewer::Other)));
        }
        let last = contents(*kind).pop().unwrap();
        all.push((kind.as_str(), frame(*kind, &last, Viewer::Sender)));
    }
    all
}

/// Returns an event frame as a history answer carries it.
pub(crate) fn message_of_history() -> String {
    frame(
        EventKind::Message,
        &contents(EventKind::Message)[0],
        Viewer::Other,
    )
}

/// Returns the payload of a message, as `head` carries it.
pub(crate) fn message_payload() -> String {
    let frame: serde_json::Value = serde_json::from_str(&message_of_history()).unwrap();
    frame["payload"].to_string()
}

fn frame(kind: EventKind, content: &str, viewer: Viewer) -> String {
    Event {
        seq: Seq::new(41),
        id: [0x22; 16].into(),
        kind,
        sender: user("ana"),
        sent_at: noon(),
        msg_id: [0x33; 16].into(),
        fingerprint: 0,
        content: content.into(),
    }
    .frame(room_id(1), viewer)
}

fn write<T: Serialize>(contents: &[T]) -> Vec<String> {
    contents
        .iter()
        .map(|one| serde_json::to_string(one).unwrap())
        .collect()
}

fn contents(kind: EventKind) -> Vec<String> {
    let target = Seq::new(7);
    match kind {
        EventKind::Message => messages(),
        EventKind::MessageEdited => write(&[EditedContent {
            target,
            body: MessageBody::text("hello"),
        }]),
        EventKind::MessageDeleted | EventKind::MessagePinned | EventKind::MessageUnpinned => {
            write(&[TargetContent { target }])
        }
        EventKind::MessageReacted | EventKind::MessageUnreacted => write(&[ReactionContent {
            target,
            emoji: "👍".into(),
        }]),
        EventKind::RoomCreated => rooms(),
        EventKind::RoomUpdated => updates(),
        EventKind::MemberJoined
        | EventKind::MemberLeft
        | EventKind::MemberInvited
        | EventKind::MemberRemoved
        | EventKind::MemberBanned
        | EventKind::MemberUnbanned
        | EventKind::MemberMuted
        | EventKind::MemberUnmuted
        | EventKind::MemberRole => members(),
    }
}

fn messages() -> Vec<String> {
    let least = MessageContent {
        body: MessageBody::text("hi"),
        reply_to: None,
        mentions: Vec::new(),
    };
    let full = MessageContent {
        body: MessageBody {
            text: Some("*hi* @bo \u{1F469}\u{200D}\u{1F467} \"\\ \u{0}".into()),
            data: Some(json!({ "order": [1, 2.5, true, null, "x"] })),
            ciphertext: Some("bm90aGluZw==".into()),
            format: Some(BodyFormat::Markdown),
        },
        reply_to: Some(Seq::new(7)),
        mentions: vec!["bo".into(), "@room".into()],
    };
    write(&[least, full])
}

fn rooms() -> Vec<String> {
    let least = RoomCreatedContent {
        kind: RoomKind::Direct,
        name: None,
        topic: None,
        public: false,
        retention_ms: None,
        members: vec![user("ana"), user("bo")],
    };
    let full = RoomCreatedContent {
        kind: RoomKind::Channel,
        name: Some("News".into()),
        topic: Some("What happens".into()),
        public: true,
        retention_ms: Some(86_400_000),
        members: vec![user("ana")],
    };
    write(&[least, full])
}

fn updates() -> Vec<String> {
    let cleared = RoomUpdatedContent {
        name: Some(None),
        topic: Some(None),
        public: None,
        retention_ms: Some(None),
    };
    let full = RoomUpdatedContent {
        name: Some(Some("News".into())),
        topic: Some(Some("What happens".into())),
        public: Some(true),
        retention_ms: Some(Some(60_000)),
    };
    write(&[cleared, full])
}

fn members() -> Vec<String> {
    let least = MemberContent {
        user_id: user("bo"),
        role: None,
        reason: None,
        until: None,
    };
    let full = MemberContent {
        role: Some(Role::Moderator),
        reason: Some("spam".into()),
        until: Some(noon()),
        ..least.clone()
    };
    write(&[least, full])
}
