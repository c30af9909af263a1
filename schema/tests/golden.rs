//! Golden frames: every frame type of both directions, as it stands on the wire.
//!
//! The client's are written by hand and must be read; the server's are written by the types and must not change unseen.
//! `UPDATE=1` rewrites the server's.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/events.rs"]
mod events;
#[path = "support/files.rs"]
mod files;
#[path = "support/server_frames.rs"]
mod server_frames;
#[path = "support/validate.rs"]
mod validate;

use std::collections::BTreeSet;

use parlor_schema::{
    EventKind, client_schema, event,
    frame::{self, ClientFrame, ServerFrame, ack, hello, refusal, server},
    server_schema,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

fn server_types() -> BTreeSet<String> {
    let events = EventKind::ALL.iter().map(|kind| kind.as_str());
    let all = ServerFrame::TYPES.iter().copied().chain(events);
    all.map(str::to_owned).collect()
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_client_type_has_a_file_and_every_file_a_type() {
    let types: BTreeSet<_> = ClientFrame::TYPES
        .iter()
        .map(|kind| (*kind).to_owned())
        .collect();
    assert_eq!(
        types.len(),
        ClientFrame::TYPES.len(),
        "F-1: each type stands once"
    );
    assert_eq!(files::types("client"), types);
}

#[test]
fn every_server_type_has_a_file_and_every_file_a_type() {
    let types = server_types();
    assert_eq!(types.len(), ServerFrame::TYPES.len() + EventKind::ALL.len());
    assert_eq!(files::types("server"), types);
}

#[test]
fn client_frames_are_read_whole() {
    for kind in ClientFrame::TYPES {
        for text in files::frames("client", kind) {
            let wire = parse(&text);
            let read = frame::read(&text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(read.frame.kind(), *kind, "{text}");
            assert_eq!(
                read.msg_id.map(|id| id.to_string()),
                wire["msg_id"].as_str().map(str::to_owned)
            );
            assert_eq!(read.msg_id.map(|id| id.to_string()), read.echo);
            let mut payload = Vec::new();
            read.frame.write_payload(&mut payload);
            let payload: Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(
                &payload,
                wire.get("payload").unwrap_or(&json!({})),
                "{text}"
            );
        }
    }
}

#[test]
fn frames_that_append_are_refused_without_a_msg_id() {
    for kind in ClientFrame::TYPES {
        for text in files::frames("client", kind) {
            let mut wire = parse(&text);
            wire.as_object_mut().unwrap().remove("msg_id");
            let refused = frame::read(&wire.to_string())
                .err()
                .map(|error| error.refusal.field);
            let expected = ClientFrame::type_needs_msg_id(kind).then(|| Some("msg_id".to_owned()));
            assert_eq!(refused, expected, "{text}");
        }
    }
}

#[test]
fn client_golden_frames_use_every_field() {
    let schema = client_schema();
    for kind in ClientFrame::TYPES {
        let payloads: Vec<_> = files::frames("client", kind)
            .iter()
            .map(|text| parse(text)["payload"].clone())
            .collect();
        let payload = &schema["$defs"][*kind]["properties"]["payload"];
        assert_used(&schema, payload, &payloads.iter().collect::<Vec<_>>(), kind);
    }
}

/// Asserts that each property of `schema` is set in one of `values`, the properties of objects inside included.
fn assert_used(root: &Value, schema: &Value, values: &[&Value], at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        return assert_used(root, root.pointer(&reference[1..]).unwrap(), values, at);
    }
    for choice in schema["anyOf"].as_array().into_iter().flatten() {
        assert_used(root, choice, values, at);
    }
    if schema.get("items").is_some() {
        let items: Vec<_> = values
            .iter()
            .filter_map(|v| v.as_array())
            .flatten()
            .collect();
        assert_used(root, &schema["items"], &items, at);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        let set: Vec<_> = values
            .iter()
            .filter_map(|value| value.get(name))
            .filter(|value| !value.is_null())
            .collect();
        assert!(!set.is_empty(), "no golden frame has {at}");
        assert_used(root, property, &set, &at);
    }
}

#[test]
fn server_frames_are_written_byte_for_byte() {
    let written = server_frames::by_type();
    let types: BTreeSet<_> = written.keys().map(|kind| (*kind).to_owned()).collect();
    assert_eq!(types, server_types(), "the table builds every type");
    for (kind, frames) in written {
        for frame in &frames {
            assert_eq!(parse(frame)["type"], kind);
        }
        files::same_or_update(&format!("server/{kind}.json"), &files::golden_text(&frames));
    }
}

#[test]
fn clients_written_with_the_same_types_read_what_the_server_writes() {
    for (kind, frames) in server_frames::by_type() {
        for text in frames {
            let payload = parse(&text)["payload"].clone();
            assert_eq!(reread(kind, payload.clone()), payload, "{text}");
        }
    }
}

fn reread(kind: &str, payload: Value) -> Value {
    fn through<T: DeserializeOwned + Serialize>(payload: Value) -> Value {
        serde_json::to_value(serde_json::from_value::<T>(payload).unwrap()).unwrap()
    }
    match kind {
        "welcome" => through::<hello::Welcome>(payload),
        "ack" => reread_ack(payload),
        "error" => through::<refusal::Refusal>(payload),
        "pong" => through::<ack::Empty>(payload),
        "room.added" => through::<server::RoomAdded>(payload),
        "room.removed" => through::<server::RoomRemoved>(payload),
        "live" => through::<server::Live>(payload),
        "gap" => through::<server::Gap>(payload),
        // `last` is kept as text; what is in it is a message, which has a file of its own.
        "head" => through::<server::Head>(payload),
        "receipt" => through::<server::ReceiptFrame>(payload),
        "typing" => through::<server::Typing>(payload),
        "presence" => through::<server::PresenceEntry>(payload),
        "message.hidden" => through::<server::MessageHidden>(payload),
        "auth.expiring" => through::<server::AuthExpiring>(payload),
        "goaway" => through::<server::Goaway>(payload),
        event => {
            let content = match event {
                "message" => through::<event::MessageContent>,
                "message.edited" => through::<server::EditedContent>,
                "message.deleted" | "message.pinned" | "message.unpinned" => {
                    through::<server::TargetContent>
                }
                "message.reacted" | "message.unreacted" => through::<server::ReactionContent>,
                "room.created" => through::<event::RoomCreatedContent>,
                "room.updated" => through::<event::RoomUpdatedContent>,
                _ => through::<event::MemberContent>,
            };
            let mut all = payload.clone();
            let read = content(payload);
            let common = ["room_id", "seq", "sender", "sent_at", "client_msg_id"];
            all.as_object_mut()
                .unwrap()
                .retain(|name, _| common.contains(&name.as_str()));
            all.as_object_mut()
                .unwrap()
                .extend(read.as_object().unwrap().clone());
            all
        }
    }
}

/// Reads an ack as a client does: by what it asked, here by the fields that are there.
fn reread_ack(payload: Value) -> Value {
    fn through<T: DeserializeOwned + Serialize>(payload: Value) -> Value {
        serde_json::to_value(serde_json::from_value::<T>(payload).unwrap()).unwrap()
    }
    let has = |name: &str| payload.get(name).is_some();
    let read = match () {
        () if has("sent_at") => through::<ack::SentAck>,
        () if has("seq") => through::<ack::SeqAck>,
        () if has("room") => through::<ack::CreatedAck>,
        () if has("unread") => through::<ack::SubscribedAck>,
        () if has("members") => through::<ack::MembersAck>,
        () if has("rooms") => through::<ack::RoomsAck>,
        () if has("events") => through::<ack::HistoryAck>,
        () if has("presence") => through::<ack::PresenceAck>,
        () if has("user") => through::<ack::UserAck>,
        () if has("expires_at") => through::<ack::RefreshedAck>,
        () => through::<ack::Empty>,
    };
    read(payload)
}

#[test]
fn golden_frames_fit_their_schemas_and_no_others() {
    for (folder, schema) in [("client", client_schema()), ("server", server_schema())] {
        for kind in files::types(folder) {
            for text in files::frames(folder, &kind) {
                let frame = parse(&text);
                validate::validate(&schema, &schema, &frame, "$")
                    .unwrap_or_else(|why| panic!("{text}: {why}"));
                let own = &schema["$defs"][&kind];
                validate::validate(&schema, own, &frame, "$").unwrap();
                let mut other = frame.clone();
                other["type"] = json!("nobody.knows");
                assert!(
                    validate::validate(&schema, &schema, &other, "$").is_err(),
                    "{text}"
                );
            }
        }
    }
}
