//! The frames for programs: a JSON Schema per direction, and the AsyncAPI document of the socket.
//!
//! Owns the schema of the envelope around each payload; the payloads' own schemas come from their types.
//!
//! Invariant A-1: every type of the two tables and every kind of event has exactly one schema and one message.
//!
//! Deliberately absent: HTTP (the OpenAPI document is the server's), and the version the document states beyond this crate's own.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    CloseCode, EventId, MsgId, RoomId, Seq, Timestamp, UserId,
    frame::{ClientFrame, ServerFrame, server::event_schemas},
    limits::MSG_ID_ECHO_BYTES_MAX,
};

/// Where the socket is.
const SOCKET_PATH: &str = "/v1/ws";

/// What every timeline event's payload carries beside what is particular to its kind.
#[derive(JsonSchema)]
#[allow(
    dead_code,
    reason = "only its schema is used; `Event::frame` writes the fields"
)]
struct EventCommon {
    /// The room.
    room_id: RoomId,
    /// Its position.
    seq: Seq,
    /// Who did it.
    sender: UserId,
    /// When the server took it.
    sent_at: Timestamp,
    /// The `msg_id` of the frame behind it; only in the sender's own sessions.
    client_msg_id: Option<MsgId>,
}

/// A frame type with the schema of its whole frame.
struct Frame {
    kind: &'static str,
    schema: Value,
}

/// Returns the JSON Schema (2020-12) of everything a client may send; `$defs` has one entry per frame type beside the shared ones.
#[must_use]
pub fn client_schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let frames = client_frames(&mut generator);
    document(
        "Frames from a client to Parlor",
        generator,
        &[("ClientFrame", frames)],
    )
}

/// Returns the JSON Schema (2020-12) of everything the server sends; `$defs` has one entry per frame type beside the shared ones.
#[must_use]
pub fn server_schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let events = event_frames(&mut generator);
    let replies = server_frames(&mut generator);
    let mut document = document(
        "Frames from Parlor to a client",
        generator,
        &[("EventFrame", events), ("OtherFrame", replies)],
    );
    name_events(&mut document["$defs"], "#/$defs/EventFrame");
    document
}

/// Returns the AsyncAPI 3.0 document of the socket, in the words of the server: it receives client frames and sends the others.
#[must_use]
pub fn asyncapi() -> Value {
    let mut generator = SchemaSettings::draft07()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let client = client_frames(&mut generator);
    let events = event_frames(&mut generator);
    let mut server = server_frames(&mut generator);
    let mut schemas = generator.take_definitions(true);
    let event_refs = events
        .iter()
        .map(|event| json!({ "$ref": format!("#/components/messages/{}/payload", event.kind) }));
    schemas.insert(
        "EventFrame".into(),
        json!({ "oneOf": event_refs.collect::<Vec<_>>() }),
    );
    let mut schemas = Value::Object(schemas);
    name_events(&mut schemas, "#/components/schemas/EventFrame");
    server.extend(events);

    let message = |frame: &Frame| {
        (
            frame.kind.to_owned(),
            json!({ "name": frame.kind, "contentType": "application/json", "payload": frame.schema }),
        )
    };
    let messages: Map<String, Value> = client.iter().chain(&server).map(message).collect();
    let of_channel: Map<String, Value> = messages
        .keys()
        .map(|kind| {
            (
                kind.clone(),
                json!({ "$ref": format!("#/components/messages/{kind}") }),
            )
        })
        .collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Parlor",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!("Chat over one WebSocket, one JSON frame per text message, subprotocol parlor.v1. The first frame is hello. {}", close_codes()),
        },
        "defaultContentType": "application/json",
        "channels": {
            "socket": {
                "address": SOCKET_PATH,
                "messages": of_channel,
                "bindings": { "ws": { "method": "GET" } },
            },
        },
        "operations": {
            "receiveFrame": operation("receive", "Everything a client may ask.", &client),
            "sendFrame": operation("send", "Replies, timeline events and notices.", &server),
        },
        "components": { "messages": messages, "schemas": schemas },
    })
}

fn operation(action: &str, summary: &str, frames: &[Frame]) -> Value {
    let messages = frames
        .iter()
        .map(|frame| json!({ "$ref": format!("#/channels/socket/messages/{}", frame.kind) }));
    json!({
        "action": action,
        "summary": summary,
        "channel": { "$ref": "#/channels/socket" },
        "messages": messages.collect::<Vec<_>>(),
    })
}

fn close_codes() -> String {
    let codes = CloseCode::ALL
        .iter()
        .map(|code| format!("{} {}", code.number(), code.reason()));
    format!("Close codes: {}.", codes.collect::<Vec<_>>().join(", "))
}

fn client_frames(generator: &mut SchemaGenerator) -> Vec<Frame> {
    let id = generator.subschema_for::<MsgId>().to_value();
    ClientFrame::schemas(generator)
        .into_iter()
        .map(|(kind, payload)| {
            let payload = payload.to_value();
            let mut required = vec!["type"];
            if ClientFrame::type_needs_msg_id(kind) {
                required.push("msg_id");
            }
            if requires_fields(&payload, generator) {
                required.push("payload");
            }
            envelope(kind, Some(&id), &payload, &required)
        })
        .collect()
}

fn server_frames(generator: &mut SchemaGenerator) -> Vec<Frame> {
    // What a client sent comes back as it was written, a UUID or not.
    let echo = json!({ "type": "string", "maxLength": MSG_ID_ECHO_BYTES_MAX });
    ServerFrame::schemas(generator)
        .into_iter()
        .map(|(kind, payload)| {
            let answers = matches!(kind, "welcome" | "ack" | "error" | "pong");
            envelope(
                kind,
                answers.then_some(&echo),
                &payload.to_value(),
                &["type", "payload"],
            )
        })
        .collect()
}

fn event_frames(generator: &mut SchemaGenerator) -> Vec<Frame> {
    let id = generator.subschema_for::<EventId>().to_value();
    let common = generator.subschema_for::<EventCommon>().to_value();
    event_schemas(generator)
        .into_iter()
        .map(|(kind, content)| {
            let payload = json!({ "allOf": [common, content.to_value()] });
            envelope(kind, Some(&id), &payload, &["type", "msg_id", "payload"])
        })
        .collect()
}

fn envelope(
    kind: &'static str,
    msg_id: Option<&Value>,
    payload: &Value,
    required: &[&str],
) -> Frame {
    let mut properties = json!({ "type": { "const": kind }, "payload": payload });
    if let Some(id) = msg_id {
        properties["msg_id"] = id.clone();
    }
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    Frame { kind, schema }
}

/// Tells whether a payload that is left out would lack a field.
fn requires_fields(payload: &Value, generator: &SchemaGenerator) -> bool {
    let named = payload["$ref"]
        .as_str()
        .and_then(|reference| reference.rsplit('/').next())
        .and_then(|name| generator.definitions().get(name));
    named.unwrap_or(payload)["required"]
        .as_array()
        .is_some_and(|required| !required.is_empty())
}

/// Makes the schema document: each group is a definition that is one of its frames, and the root is one of the groups.
fn document(title: &str, mut generator: SchemaGenerator, groups: &[(&str, Vec<Frame>)]) -> Value {
    let mut definitions = generator.take_definitions(true);
    for (group, frames) in groups {
        let choices = frames
            .iter()
            .map(|frame| json!({ "$ref": format!("#/$defs/{}", frame.kind) }));
        definitions.insert(
            (*group).to_owned(),
            json!({ "oneOf": choices.collect::<Vec<_>>() }),
        );
        for frame in frames {
            let before = definitions.insert(frame.kind.to_owned(), frame.schema.clone());
            debug_assert!(before.is_none(), "A-1: {} has one schema", frame.kind);
        }
    }
    let roots = groups
        .iter()
        .map(|(group, _)| json!({ "$ref": format!("#/$defs/{group}") }));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "oneOf": roots.collect::<Vec<_>>(),
        "$defs": definitions,
    })
}

/// History answers carry whole event frames, kept as text: their type cannot tell, so the schema is told here.
fn name_events(definitions: &mut Value, reference: &str) {
    definitions["HistoryAck"]["properties"]["events"]["items"] = json!({ "$ref": reference });
}
