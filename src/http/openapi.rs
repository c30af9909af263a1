//! The OpenAPI 3.1 document, made from the route table and the types of the frames.

use actix_web::http::StatusCode;
use parlor_schema::{
    DeviceId, MsgId, RoomId, SessionId, UserId,
    frame::{Ack, ClientFrame, Refusal, ack::Empty},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};

use super::{
    access::{DEVICE_HEADER, KEY_HEADER},
    frames::SOCKET_ONLY,
    problem::ProblemDocument,
    routes,
    table::{Access, Content, KeyUse, Row},
};

const TITLE: &str = "Parlor over HTTP";
const ABOUT: &str = "The fallback for those without a socket, and the server's own API. Successes carry the payloads that `ack` \
                     frames carry on the socket; errors are problem documents (RFC 9457) with the same codes.";

/// Makes the OpenAPI document.
#[must_use]
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = problem_answer(&mut generator);
    let mut paths: Map<String, Value> = Map::new();
    for row in routes::table() {
        let operation = operation(&row, &mut generator);
        let path = paths.entry(row.path).or_insert_with(|| json!({}));
        path[row.method.as_str().to_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": TITLE, "description": ABOUT, "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": { "Problem": problem },
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "An access token" },
                "admin_key": { "type": "http", "scheme": "bearer", "description": "The key in `auth.admin_key_file`" },
            },
        },
    })
}

fn problem_answer(generator: &mut SchemaGenerator) -> Value {
    let schema = generator.subschema_for::<ProblemDocument>();
    json!({
        "description": "Refused; `code` says why",
        "headers": { "Retry-After": { "description": "Seconds until a retry makes sense", "schema": { "type": "integer" } } },
        "content": { "application/problem+json": { "schema": schema } },
    })
}

fn operation(row: &Row, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "summary": row.summary,
        "operationId": operation_id(row),
        "tags": [row.group],
        "parameters": parameters(row, generator),
        "responses": responses(row, generator),
    });
    match row.access {
        Access::Open => {}
        Access::Bearer => operation["security"] = json!([{ "bearer": [] }]),
        Access::AdminKey => operation["security"] = json!([{ "admin_key": [] }]),
    }
    if let Some(body) = row.body {
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": body(generator) } } });
    }
    operation
}

/// `get_v1_rooms_room_id`: the method and the words of the path.
fn operation_id(row: &Row) -> String {
    let words = row
        .path
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty());
    std::iter::once(row.method.as_str().to_lowercase())
        .chain(words.map(str::to_owned))
        .collect::<Vec<_>>()
        .join("_")
}

fn responses(row: &Row, generator: &mut SchemaGenerator) -> Value {
    let mut responses = json!({ "default": { "$ref": "#/components/responses/Problem" } });
    for success in &row.successes {
        let mut response = json!({ "description": success.what });
        match success.content {
            Content::Empty => {}
            Content::Json(schema) => {
                response["content"] =
                    json!({ "application/json": { "schema": schema(generator) } });
            }
            Content::Other(kind) => response["content"] = json!({ kind: {} }),
        }
        responses[success.status.to_string()] = response;
    }
    let mut refused = vec![];
    if row.access != Access::Open {
        refused.push(StatusCode::UNAUTHORIZED);
    }
    if row.body.is_some() || row.query.is_some() || row.path.contains("_id}") {
        refused.push(StatusCode::BAD_REQUEST);
    }
    if row.body.is_some() {
        refused.extend([StatusCode::REQUEST_TIMEOUT, StatusCode::PAYLOAD_TOO_LARGE]);
    }
    for status in refused {
        responses[status.as_str()] = json!({ "$ref": "#/components/responses/Problem" });
    }
    responses
}

fn parameters(row: &Row, generator: &mut SchemaGenerator) -> Vec<Value> {
    let mut parameters: Vec<Value> = row
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            let schema = path_schema(name, generator);
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    if let Some(query) = row.query {
        parameters.extend(query_parameters(&query(generator), generator));
    }
    let mut header = |name, required, schema: Schema| {
        parameters
            .push(json!({ "name": name, "in": "header", "required": required, "schema": schema }));
    };
    match row.key {
        KeyUse::Ignored => {}
        KeyUse::Optional => header(KEY_HEADER, false, generator.subschema_for::<MsgId>()),
        KeyUse::Required => header(KEY_HEADER, true, generator.subschema_for::<MsgId>()),
    }
    if row.access == Access::Bearer {
        header(DEVICE_HEADER, false, generator.subschema_for::<DeviceId>());
    }
    parameters
}

fn path_schema(name: &str, generator: &mut SchemaGenerator) -> Schema {
    match name {
        "room_id" => generator.subschema_for::<RoomId>(),
        "user_id" => generator.subschema_for::<UserId>(),
        "session_id" => generator.subschema_for::<SessionId>(),
        "device_id" => generator.subschema_for::<DeviceId>(),
        _ => json_schema!({ "type": "string" }),
    }
}

/// Makes a parameter of each property of an object's schema, which may be a reference.
fn query_parameters(schema: &Schema, generator: &SchemaGenerator) -> Vec<Value> {
    let object = match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => {
            let name = reference.rsplit('/').next().unwrap_or_default();
            generator
                .definitions()
                .get(name)
                .cloned()
                .unwrap_or_default()
        }
        None => schema.clone().to_value(),
    };
    let required: Vec<&Value> = object["required"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let properties = object["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, schema)| {
            let is_required = required.iter().any(|required| *required == name);
            json!({ "name": name, "in": "query", "required": is_required, "schema": schema })
        })
        .collect()
}

/// The body of `POST /v1/frames`.
pub(super) fn frames_body(generator: &mut SchemaGenerator) -> Schema {
    let frames: Vec<Value> = ClientFrame::schemas(generator)
        .into_iter()
        .filter(|(kind, _)| !SOCKET_ONLY.contains(kind))
        .map(|(kind, payload)| frame_schema(kind, &payload, generator))
        .collect();
    let max = parlor_schema::limits::HTTP_FRAMES_MAX;
    json_schema!({ "anyOf": [
        { "oneOf": frames },
        { "type": "array", "maxItems": max, "items": { "oneOf": frames } },
    ] })
}

/// The answer of `POST /v1/frames`.
pub(super) fn frames_answer(generator: &mut SchemaGenerator) -> Schema {
    let replies = [
        reply_schema::<Ack>("ack", generator),
        reply_schema::<Refusal>("error", generator),
        reply_schema::<Empty>("pong", generator),
    ];
    json_schema!({ "anyOf": [{ "oneOf": replies }, { "type": "array", "items": { "oneOf": replies } }] })
}

fn frame_schema(kind: &str, payload: &Schema, generator: &mut SchemaGenerator) -> Value {
    let msg_id = generator.subschema_for::<MsgId>();
    json!({
        "type": "object",
        "properties": { "type": { "const": kind }, "msg_id": msg_id, "payload": payload },
        "required": ["type"],
    })
}

fn reply_schema<T: JsonSchema>(kind: &str, generator: &mut SchemaGenerator) -> Value {
    let payload = generator.subschema_for::<T>();
    json!({
        "type": "object",
        "properties": { "type": { "const": kind }, "msg_id": { "type": "string" }, "payload": payload },
        "required": ["type", "payload"],
    })
}
