//! `POST /v1/frames`: what a socket can ask, without a socket.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{HttpAnswer, Server};

async fn frames(server: &Server, token: &str, body: Value) -> HttpAnswer {
    server.call(token, "POST", "/v1/frames", Some(body)).await
}

fn frame(kind: &str, payload: Value) -> Value {
    json!({ "type": kind, "msg_id": Uuid::now_v7(), "payload": payload })
}

#[tokio::test]
async fn one_frame_gets_its_reply() {
    let server = Server::start();
    let token = server.register("ana").await;
    let mut ana = server.hello(&token, json!({})).await;
    let room = ana.room(json!({})).await;
    let send = frame(
        "message.send",
        json!({ "room_id": room, "body": { "text": "x" } }),
    );
    let answer = frames(&server, &token, send.clone()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.body["type"], "ack");
    assert_eq!(answer.body["msg_id"], send["msg_id"]);
    assert_eq!(answer.body["payload"]["seq"], 2);
    let event = ana.expect("message").await;
    assert_eq!(event["client_msg_id"], send["msg_id"]);
    let again = frames(&server, &token, send.clone()).await;
    assert_eq!(again.body["payload"]["duplicate"], true);
    // The socket shares the memory.
    let id = send["msg_id"].as_str().unwrap();
    let again = ana
        .ask_as(id, "message.send", send["payload"].clone())
        .await;
    assert_eq!(again["payload"]["duplicate"], true);
    assert_eq!(again["payload"]["seq"], 2);
}

#[tokio::test]
async fn refusals_are_replies() {
    let server = Server::start();
    let token = server.register("ana").await;
    let nowhere = Uuid::now_v7();
    for (frame, code, field) in [
        (
            frame("room.get", json!({ "room_id": nowhere })),
            "not_found",
            json!(null),
        ),
        (frame("room.get", json!({})), "bad_frame", json!("room_id")),
        (
            frame("room.shout", json!({})),
            "unknown_type",
            json!("type"),
        ),
        (
            json!({ "type": "room.get", "payload": { "room_id": nowhere } }),
            "not_found",
            json!(null),
        ),
        (
            json!({ "type": "room.create", "payload": { "kind": "group" } }),
            "bad_frame",
            json!("msg_id"),
        ),
        (json!({ "type": 7 }), "bad_frame", json!("type")),
        (json!({}), "bad_frame", json!("type")),
        (
            json!({ "type": "room.get", "msg_id": "x", "payload": { "room_id": nowhere } }),
            "bad_frame",
            json!("msg_id"),
        ),
    ] {
        let answer = frames(&server, &token, frame.clone()).await;
        assert_eq!(answer.status, 200, "{frame}");
        assert_eq!(answer.body["type"], "error", "{frame}");
        assert_eq!(answer.body["payload"]["code"], code, "{frame}");
        assert_eq!(answer.body["payload"]["field"], field, "{frame}");
        assert_eq!(answer.body.get("msg_id"), frame.get("msg_id"), "{frame}");
    }
}

#[tokio::test]
async fn a_frame_without_msg_id_is_answered_too() {
    let server = Server::start();
    let token = server.register("ana").await;
    let list = json!({ "type": "room.list" });
    let answer = frames(&server, &token, list).await;
    assert_eq!(
        answer.body,
        json!({ "type": "ack", "payload": { "rooms": [] } })
    );
    let pong = frames(&server, &token, json!({ "type": "ping" })).await;
    assert_eq!(pong.body["type"], "pong");
    assert!(pong.body.get("msg_id").is_none());
}

#[tokio::test]
async fn an_array_is_served_in_order() {
    let server = Server::start();
    let token = server.register("ana").await;
    let mut ana = server.hello(&token, json!({})).await;
    let room = ana.room(json!({})).await;
    let mut asked = Vec::new();
    for index in 0..98 {
        let body = json!({ "text": index.to_string() });
        asked.push(frame(
            "message.send",
            json!({ "room_id": room, "body": body }),
        ));
    }
    asked.insert(
        10,
        frame("message.send", json!({ "room_id": room, "body": {} })),
    );
    asked.push(frame("room.get", json!({ "room_id": room })));
    let answer = frames(&server, &token, json!(asked)).await;
    assert_eq!(answer.status, 200);
    let replies = answer.body.as_array().unwrap();
    assert_eq!(replies.len(), 100);
    let mut seq = 1;
    for (index, (asked, reply)) in asked.iter().zip(replies).enumerate() {
        assert_eq!(reply["msg_id"], asked["msg_id"]);
        match index {
            10 => assert_eq!(reply["payload"]["code"], "bad_frame"),
            99 => assert_eq!(reply["payload"]["room"]["head"], 99),
            _ => {
                seq += 1;
                assert_eq!(reply["payload"]["seq"], seq);
            }
        }
    }
    for index in 0..98 {
        let event = ana.expect("message").await;
        assert_eq!(event["body"]["text"], index.to_string());
    }
}

#[tokio::test]
async fn an_array_has_at_most_100_frames() {
    let server = Server::start();
    let token = server.register("ana").await;
    let many = |count: usize| json!(vec![json!({ "type": "ping" }); count]);
    assert_eq!(frames(&server, &token, many(100)).await.status, 200);
    frames(&server, &token, many(101))
        .await
        .problem(413, "too_large");
    let none = frames(&server, &token, many(0)).await;
    assert_eq!((none.status, none.body), (200, json!([])));
}

#[tokio::test]
async fn what_concerns_a_session_needs_a_socket() {
    let server = Server::start();
    let token = server.register("ana").await;
    let room = server.hello(&token, json!({})).await.room(json!({})).await;
    let (of_room, users) = (json!({ "room_id": room }), json!({ "user_ids": ["ana"] }));
    for (kind, payload) in [
        ("hello", json!({})),
        ("auth.refresh", json!({ "token": token })),
        ("room.subscribe", of_room.clone()),
        ("room.unsubscribe", of_room),
        ("presence.watch", users.clone()),
        ("presence.unwatch", users),
    ] {
        let answer = frames(&server, &token, frame(kind, payload)).await;
        assert_eq!(answer.status, 200, "{kind}");
        assert_eq!(answer.body["payload"]["code"], "bad_frame", "{kind}");
        assert_eq!(answer.body["payload"]["field"], "type", "{kind}");
    }
}

#[tokio::test]
async fn what_is_no_frame_is_a_problem() {
    let server = Server::start();
    let token = server.register("ana").await;
    for body in [json!(7), json!("frame"), json!(null), json!(true)] {
        frames(&server, &token, body)
            .await
            .problem(400, "bad_frame");
    }
    let bearer = format!("Bearer {token}");
    for body in ["", "{", "[{]", "nonsense"] {
        let response = reqwest::Client::new()
            .post(server.url("/v1/frames"))
            .header("authorization", &bearer)
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 400, "{body}");
    }
    let answer = server
        .http("POST", "/v1/frames", &[], Some(json!({ "type": "ping" })))
        .await;
    answer.problem(401, "unauthorized");
}

#[tokio::test]
async fn each_frame_keeps_to_its_size() {
    let server = Server::start();
    let token = server.register("ana").await;
    let room = server.hello(&token, json!({})).await.room(json!({})).await;
    let big = |bytes: usize| {
        let body = json!({ "text": "x", "data": "y".repeat(bytes) });
        frame("message.send", json!({ "room_id": room, "body": body }))
    };
    let answer = frames(&server, &token, json!([big(65_536), big(40_000), big(10)])).await;
    assert_eq!(answer.status, 200);
    for index in [0, 1] {
        assert_eq!(answer.body[index]["payload"]["code"], "too_large");
    }
    assert_eq!(answer.body[2]["payload"]["seq"], 2);
    frames(&server, &token, big(65_536))
        .await
        .problem(413, "too_large");
    let whole = json!(vec![big(60_000); 20]);
    frames(&server, &token, whole)
        .await
        .problem(413, "too_large");
}
