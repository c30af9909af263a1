//! Operations, documents, wrong paths and methods, limits, and what is not served.

use std::{net::TcpListener, time::Duration};

use serde_json::json;
use uuid::Uuid;

use crate::support::Server;

#[tokio::test]
async fn health_and_metrics_need_no_token() {
    let server = Server::start();
    for (path, body) in [
        ("/health/live", json!({ "status": "live" })),
        ("/health/ready", json!({ "status": "ready" })),
    ] {
        let answer = server.http("GET", path, &[], None).await;
        assert_eq!((answer.status, answer.body), (200, body));
        let head = server.http("HEAD", path, &[], None).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""));
    }
    let metrics = server.http("GET", "/metrics", &[], None).await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.text.ends_with("# EOF\n"));
    assert!(metrics.text.contains("# TYPE parlor_"));
}

#[tokio::test]
async fn operations_move_to_a_listener_of_their_own() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let operations = free.local_addr().unwrap();
    drop(free);
    let server = Server::with(|settings| {
        settings.server.operations_listen = Some(operations.to_string().parse().unwrap());
    });
    for path in ["/health/live", "/health/ready", "/metrics"] {
        let public = server.http("GET", path, &[], None).await;
        public.problem(404, "not_found");
        let answer = reqwest::get(format!("http://{operations}{path}"))
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    let answer = reqwest::get(format!("http://{operations}/v1/rooms"))
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
}

#[tokio::test]
async fn the_documents_are_served() {
    let server = Server::start();
    let openapi = server.http("GET", "/openapi.json", &[], None).await;
    assert_eq!(openapi.status, 200);
    assert_eq!(openapi.header("content-type"), "application/json");
    assert!(openapi.body["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = openapi.body["paths"].as_object().unwrap();
    for (path, methods) in [
        ("/v1/auth/register", vec!["post"]),
        ("/v1/auth/login", vec!["post"]),
        ("/v1/auth/refresh", vec!["post"]),
        ("/v1/auth/logout", vec!["post"]),
        ("/v1/frames", vec!["post"]),
        ("/v1/rooms", vec!["get", "post"]),
        ("/v1/rooms/{room_id}", vec!["get", "patch"]),
        ("/v1/rooms/{room_id}/members", vec!["get"]),
        (
            "/v1/rooms/{room_id}/members/{user_id}",
            vec!["put", "delete"],
        ),
        ("/v1/rooms/{room_id}/messages", vec!["get", "post"]),
        ("/v1/rooms/{room_id}/receipts", vec!["put"]),
        ("/v1/presence", vec!["get", "put"]),
        ("/health/live", vec!["get"]),
        ("/health/ready", vec!["get"]),
        ("/metrics", vec!["get"]),
    ] {
        for method in methods {
            assert!(paths[path].get(method).is_some(), "{method} {path}");
        }
    }
    let asyncapi = server.http("GET", "/asyncapi.json", &[], None).await;
    assert_eq!(asyncapi.status, 200);
    assert!(
        asyncapi.body["asyncapi"]
            .as_str()
            .unwrap()
            .starts_with("3.")
    );
    let docs = server.http("GET", "/docs", &[], None).await;
    assert_eq!(docs.status, 200);
    assert!(docs.header("content-type").starts_with("text/html"));
}

#[tokio::test]
async fn wrong_paths_and_methods_are_problems() {
    let server = Server::start();
    let token = server.register("ana").await;
    for path in [
        "/v1/nothing",
        "/v1",
        "/v2/rooms",
        "/v1/rooms/a/b/c/d",
        "/health",
    ] {
        let answer = server.call(&token, "GET", path, None).await;
        answer.problem(404, "not_found");
    }
    for (method, path, allow) in [
        ("DELETE", "/v1/rooms", "GET, HEAD, POST"),
        ("GET", "/v1/frames", "POST"),
        ("GET", "/v1/auth/login", "POST"),
        ("POST", "/health/live", "GET, HEAD"),
        ("PUT", "/v1/rooms/x", "GET, HEAD, PATCH"),
    ] {
        let answer = server.call(&token, method, path, None).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
}

#[tokio::test]
async fn the_socket_needs_an_upgrade() {
    let server = Server::start();
    let answer = server.http("GET", "/v1/ws", &[], None).await;
    assert_eq!(answer.status, 426);
    assert_eq!(answer.header("upgrade"), "websocket");
    assert_eq!(answer.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn what_is_not_served_is_unavailable() {
    let server = Server::start();
    let token = server.register("ana").await;
    for (method, path) in [
        ("GET", "/v1/events"),
        ("POST", "/v1/events"),
        ("GET", "/v1/events/stream"),
        ("POST", "/v1/uploads"),
        ("GET", "/v1/uploads/x"),
        ("PUT", "/v1/devices/x"),
        ("DELETE", "/v1/devices/x"),
    ] {
        let answer = server.call(&token, method, path, None).await;
        answer.problem(503, "unavailable");
    }
}

#[tokio::test]
async fn a_body_is_a_json_object_of_bounded_size() {
    let server = Server::with(|settings| {
        settings.limits.frame_bytes = 4_096;
        settings.limits.body_bytes = 1_024;
    });
    let token = server.register("ana").await;
    let bearer = format!("Bearer {token}");
    for (body, status) in [
        ("[]".to_owned(), 400),
        ("7".to_owned(), 400),
        ("{".to_owned(), 400),
        (
            format!(r#"{{"kind":"group","x":"{}"}}"#, "y".repeat(4_096)),
            413,
        ),
    ] {
        let response = reqwest::Client::new()
            .post(server.url("/v1/rooms"))
            .header("authorization", &bearer)
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
    }
    let mut ana = server.hello(&token, json!({})).await;
    assert_eq!(ana.welcome["limits"]["frame_bytes"], 4_096);
    assert_eq!(ana.welcome["limits"]["body_bytes"], 1_024);
    let room = ana.room(json!({})).await;
    let send = json!({ "room_id": room, "body": { "text": "x".repeat(1_024) } });
    assert_eq!(ana.code("message.send", send).await, "too_large");
}

#[tokio::test]
async fn sends_are_limited_by_user() {
    let server = Server::with(|settings| {
        settings.limits.sends_per_s = 1;
        settings.limits.burst = 4;
    });
    let token = server.register("ana").await;
    let mut ana = server.hello(&token, json!({})).await;
    assert_eq!(ana.welcome["limits"]["sends_per_s"], 1);
    assert_eq!(ana.welcome["limits"]["burst"], 4);
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let send = json!({ "room_id": room, "body": { "text": "x" } });
    let mut refusal = json!(null);
    for _ in 0..20 {
        let reply = ana.ask("message.send", send.clone()).await;
        if reply["type"] == "error" {
            refusal = reply["payload"].clone();
            break;
        }
    }
    assert_eq!(refusal["code"], "rate_limited");
    let wait = refusal["retry_after_ms"].as_u64().unwrap();
    assert!((1..=1_000).contains(&wait), "{wait}");
    // Whichever way the frame comes, and over HTTP with the header.
    let bearer = format!("Bearer {token}");
    let key = Uuid::new_v4().to_string();
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", &key),
    ];
    let path = format!("/v1/rooms/{room}/messages");
    let mut answer = server
        .http("POST", &path, &headers, Some(send.clone()))
        .await;
    for _ in 0..20 {
        if answer.status == 429 {
            break;
        }
        answer = server
            .http("POST", &path, &headers, Some(send.clone()))
            .await;
    }
    let wait = answer.problem(429, "rate_limited")["retry_after_ms"]
        .as_u64()
        .unwrap();
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert_eq!(seconds, wait.div_ceil(1000));
    // Reading is not sending, and ben is not ana.
    ana.ok("room.get", json!({ "room_id": room })).await;
    ana.ok("history.get", json!({ "room_id": room })).await;
    ben.ok("message.send", send.clone()).await;
    tokio::time::sleep(Duration::from_millis(wait + 50)).await;
    ana.ok("message.send", send).await;
}
