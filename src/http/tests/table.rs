//! The table against what is served (H-1), and the document made from it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    super::{Listener, openapi_document, routes, table::OPERATIONS},
    support::{KEY, ROOM, Server, plain, signed},
};

fn example(path: &str) -> String {
    let path = path.replace("{room_id}", ROOM).replace("{user_id}", "ben");
    let file = if path.starts_with("/docs") {
        "swagger-ui.css"
    } else {
        "icon.svg"
    };
    path.replace("{file}", file)
        .replace("{upload_id}", "u")
        .replace("{device_id}", "d")
        .replace("{session_id}", KEY)
}

#[actix_web::test]
async fn every_row_is_served() {
    let server = Server::new(Listener::Whole);
    for row in routes::table() {
        let path = example(row.path);
        let request = signed(row.method.as_str(), &path).insert_header(("Idempotency-Key", KEY));
        let status = server.send(request.to_request()).await.status;
        assert!(
            ![404, 405].contains(&status.as_u16()),
            "{} {path}: {status}",
            row.method
        );
    }
}

#[actix_web::test]
async fn rows_for_bearers_refuse_others() {
    let server = Server::new(Listener::Whole);
    for row in routes::table() {
        let request = plain(row.method.as_str(), &example(row.path)).to_request();
        let status = server.send(request).await.status.as_u16();
        let needs_token = row.access != super::super::table::Access::Open;
        assert_eq!(status == 401, needs_token, "{} {}", row.method, row.path);
    }
    assert!(server.kinds().is_empty());
}

#[actix_web::test]
async fn other_methods_and_paths_are_refused() {
    let server = Server::new(Listener::Whole);
    let answer = server.ask("DELETE", "/v1/rooms", "").await;
    assert_eq!(answer.problem().0, 405);
    assert_eq!(answer.header("allow"), "GET, HEAD, POST");
    for path in [
        "/v1",
        "/v1/rooms/",
        "/admin/v1/rooms",
        "/v2/rooms",
        "/assets/no.js",
        "/docs/index.html",
    ] {
        let answer = server.ask("GET", path, "").await;
        assert_eq!(answer.problem(), (404, "not_found".into(), None), "{path}");
    }
}

#[actix_web::test]
async fn get_can_be_asked_for_its_head() {
    let server = Server::new(Listener::Whole);
    assert_eq!(
        server
            .send(plain("HEAD", "/health/live").to_request())
            .await
            .status,
        200
    );
}

#[actix_web::test]
async fn operations_can_have_a_listener_of_their_own() {
    for row in routes::table() {
        let path = example(row.path);
        let is_operation = OPERATIONS.contains(&row.group);
        for (listener, is_served) in [
            (Listener::Public, !is_operation),
            (Listener::Operations, is_operation),
        ] {
            let request = signed(row.method.as_str(), &path).to_request();
            let status = Server::new(listener).send(request).await.status.as_u16();
            assert_eq!(status != 404, is_served, "{listener:?} {path}");
        }
    }
}

#[test]
fn no_row_stands_twice() {
    let rows = routes::table();
    let distinct: BTreeSet<_> = rows
        .iter()
        .map(|row| (row.path, row.method.as_str()))
        .collect();
    assert_eq!(distinct.len(), rows.len());
}

#[test]
fn the_document_has_every_row_and_every_reference_leads_somewhere() {
    let document = openapi_document();
    assert_eq!(document["openapi"], "3.1.0");
    let operations: usize = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .map(|path| path.as_object().unwrap().len())
        .sum();
    assert_eq!(operations, routes::table().len());
    for row in routes::table() {
        let operation = &document["paths"][row.path][row.method.as_str().to_lowercase()];
        assert!(
            operation["responses"]["default"].is_object(),
            "{}",
            row.path
        );
    }
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    assert!(references.len() > 20);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
}

#[test]
fn the_document_says_what_the_path_says_only_there() {
    let document = openapi_document();
    let post = &document["paths"]["/v1/rooms/{room_id}/messages"]["post"];
    let body = &post["requestBody"]["content"]["application/json"]["schema"];
    assert!(body["properties"]["body"].is_object());
    assert!(body["properties"]["room_id"].is_null());
    assert_eq!(body["required"], serde_json::json!(["body"]));
    let names = |operation: &Value| -> Vec<String> {
        let parameters = operation["parameters"].as_array().unwrap();
        parameters
            .iter()
            .map(|p| p["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(post), ["room_id", "Idempotency-Key", "Parlor-Device"]);
    let mut rooms = names(&document["paths"]["/v1/rooms"]["get"]);
    rooms.sort();
    assert_eq!(rooms, ["Parlor-Device", "after", "limit", "public"]);
}

fn collect(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                into.insert(reference.clone());
            }
            fields.values().for_each(|value| collect(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, into)),
        _ => {}
    }
}
