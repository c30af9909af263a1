//! The documents for programs are what the types say; `UPDATE=1` rewrites them.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/files.rs"]
mod files;

use std::collections::BTreeSet;

use parlor_schema::{
    EventKind, asyncapi, client_schema,
    frame::{ClientFrame, ServerFrame},
    server_schema,
};
use serde_json::Value;

#[test]
fn the_client_schema_is_written_down() {
    files::same_or_update("schema/client.json", &files::pretty(&client_schema()));
}

#[test]
fn the_server_schema_is_written_down() {
    files::same_or_update("schema/server.json", &files::pretty(&server_schema()));
}

#[test]
fn the_asyncapi_document_is_written_down() {
    files::same_or_update("asyncapi.json", &files::pretty(&asyncapi()));
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(root: &Value, value: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    let target = reference.strip_prefix('#').and_then(|at| root.pointer(at));
                    assert!(target.is_some(), "{reference}");
                }
                fields.values().for_each(|field| walk(root, field));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(root, item)),
            _ => {}
        }
    }
    for document in [client_schema(), server_schema(), asyncapi()] {
        walk(&document, &document);
    }
}

#[test]
fn every_frame_is_a_message_of_one_operation() {
    let document = asyncapi();
    let of = |operation: &str| -> BTreeSet<String> {
        let messages = document["operations"][operation]["messages"]
            .as_array()
            .unwrap();
        let names = messages.iter().map(|one| one["$ref"].as_str().unwrap());
        names
            .map(|name| name.rsplit('/').next().unwrap().to_owned())
            .collect()
    };
    let client: BTreeSet<_> = ClientFrame::TYPES
        .iter()
        .map(|kind| (*kind).to_owned())
        .collect();
    let events = EventKind::ALL.iter().map(|kind| kind.as_str());
    let server: BTreeSet<_> = ServerFrame::TYPES
        .iter()
        .copied()
        .chain(events)
        .map(str::to_owned)
        .collect();
    assert_eq!(of("receiveFrame"), client);
    assert_eq!(of("sendFrame"), server);
    let messages = document["components"]["messages"].as_object().unwrap();
    assert_eq!(
        messages.len(),
        client.len() + server.len(),
        "A-1: no type in both directions"
    );
}
