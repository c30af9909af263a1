//! Rooms, members, messages, receipts, presence: each call is a frame (H-4).

use parlor_schema::{
    ErrorCode, Role,
    frame::{ClientFrame, Refusal, ack::Duplicate},
};
use serde_json::json;

use super::{
    super::Listener,
    support::{KEY, ROOM, Server, seq, signed},
};

fn server() -> Server {
    Server::new(Listener::Whole)
}

fn payload(frame: &ClientFrame) -> serde_json::Value {
    let mut bytes = Vec::new();
    frame.write_payload(&mut bytes);
    serde_json::from_slice(&bytes).unwrap()
}

#[actix_web::test]
async fn rooms_are_made_listed_and_changed() {
    let server = server();
    let body = r#"{"kind":"group","name":"tea","members":["ben"]}"#;
    let answer = server.ask("POST", "/v1/rooms", body).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["room"]["room_id"]),
        (201, &ROOM.into())
    );
    assert!(server.last().msg_id.is_some(), "a fresh one is made");
    *server.front.duplicate.lock().unwrap() = Duplicate::Yes;
    let answer = server.ask("POST", "/v1/rooms", body).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["duplicate"]),
        (200, &true.into())
    );

    server
        .ask(
            "GET",
            "/v1/rooms?public=true&limit=7&after=x%2By&other=1",
            "",
        )
        .await;
    let asked = server.last();
    assert_eq!(
        payload(&asked.frame),
        json!({ "public": true, "after": "x+y", "limit": 7 })
    );
    assert_eq!(asked.msg_id, None);
    server
        .ask("GET", &format!("/v1/rooms/{ROOM}/members?limit=3"), "")
        .await;
    assert_eq!(
        payload(&server.last().frame),
        json!({ "room_id": ROOM, "limit": 3 })
    );

    let answer = server
        .ask(
            "PATCH",
            &format!("/v1/rooms/{ROOM}"),
            r#"{"topic":null,"name":"t"}"#,
        )
        .await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["seq"]),
        (200, &9.into())
    );
    let expected = json!({ "room_id": ROOM, "name": "t", "topic": null });
    assert_eq!(payload(&server.last().frame), expected, "null clears");
}

#[actix_web::test]
async fn refusals_are_problems_with_the_same_code() {
    let server = server();
    let path = format!("/v1/rooms/{ROOM}");
    for code in ErrorCode::ALL {
        let refusal = Refusal::new(*code, "no").at("room_id");
        *server.front.refuse.lock().unwrap() = Some(refusal);
        let expected = (
            code.http_status(),
            code.to_string(),
            Some("room_id".to_owned()),
        );
        assert_eq!(server.ask("GET", &path, "").await.problem(), expected);
    }
    let until = "2026-01-01T00:00:00.000Z";
    let muted = Refusal::new(ErrorCode::Muted, "muted").until(Some(until.parse().unwrap()));
    *server.front.refuse.lock().unwrap() = Some(muted);
    assert_eq!(
        server.ask("GET", &path, "").await.json()["details"]["until"],
        until
    );
    *server.front.refuse.lock().unwrap() = Some(Refusal::unavailable("away"));
    assert_eq!(
        server.ask("GET", &path, "").await.header("retry-after"),
        "1"
    );
}

#[actix_web::test]
async fn putting_a_member_joins_invites_or_sets_the_role() {
    let server = server();
    let path = |user: &str| format!("/v1/rooms/{ROOM}/members/{user}");
    let put = async |user: &str, body: &str| {
        server.front.asked.lock().unwrap().clear();
        let answer = server.ask("PUT", &path(user), body).await;
        assert!(answer.json()["seq"].is_number());
        (answer.status.as_u16(), server.kinds())
    };
    assert_eq!(put("ana", "").await, (201, vec!["room.join"]));
    assert_eq!(put("ben", "{}").await, (201, vec!["room.invite"]));
    assert_eq!(
        put("ben", r#"{"role":"admin"}"#).await,
        (201, vec!["room.invite", "room.role"])
    );
    *server.front.role.lock().unwrap() = Some(Role::Member);
    assert_eq!(
        put("ben", r#"{"role":"admin"}"#).await,
        (200, vec!["room.role"])
    );
    assert_eq!(put("ana", "").await, (200, vec!["room.get"]));
    let answer = server.ask("PUT", &path("ben"), "{}").await;
    assert_eq!(answer.json()["seq"], 7, "the head");
    let answer = server.ask("PUT", &path("b%20n"), "{}").await;
    assert_eq!(
        answer.problem(),
        (400, "bad_frame".into(), Some("user_id".into()))
    );
    let answer = server.ask("PUT", &path("ben"), r#"{"role":"king"}"#).await;
    assert_eq!(
        answer.problem(),
        (400, "bad_frame".into(), Some("role".into()))
    );
}

#[actix_web::test]
async fn a_retried_put_of_a_member_uses_the_same_keys() {
    let server = server();
    let put = || {
        signed("PUT", &format!("/v1/rooms/{ROOM}/members/ben"))
            .insert_header(("Idempotency-Key", KEY))
            .set_payload(r#"{"role":"admin"}"#)
            .to_request()
    };
    assert_eq!(server.send(put()).await.status, 201);
    let first: Vec<_> = server
        .front
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|asked| asked.msg_id.unwrap())
        .collect();
    assert_eq!(first[1].to_string(), KEY);
    assert_ne!(first[0], first[1]);
    // The process died between the two: the member is there, the role is not.
    *server.front.role.lock().unwrap() = Some(Role::Member);
    assert_eq!(server.send(put()).await.status, 200);
    assert_eq!(server.last().msg_id.unwrap(), first[1]);
}

#[actix_web::test]
async fn deleting_a_member_leaves_or_removes() {
    let server = server();
    for user in ["ana", "ben"] {
        let answer = server
            .ask("DELETE", &format!("/v1/rooms/{ROOM}/members/{user}"), "")
            .await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["seq"]),
            (200, &9.into())
        );
    }
    assert_eq!(server.kinds(), ["room.leave", "room.remove"]);
}

#[actix_web::test]
async fn messages_are_sent_once() {
    let server = server();
    let send = || {
        signed("POST", &format!("/v1/rooms/{ROOM}/messages"))
            .insert_header(("Idempotency-Key", KEY))
            .set_payload(r#"{"room_id":"ignored","body":{"text":"hi"},"reply_to":3}"#)
            .to_request()
    };
    let answer = server.send(send()).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["seq"]),
        (201, &8.into())
    );
    let expected = json!({ "room_id": ROOM, "body": { "text": "hi" }, "reply_to": 3 });
    assert_eq!(payload(&server.last().frame), expected);
    *server.front.duplicate.lock().unwrap() = Duplicate::Yes;
    assert_eq!(server.send(send()).await.status, 200);
}

#[actix_web::test]
async fn history_is_asked_by_position_or_time() {
    let server = server();
    let path = format!("/v1/rooms/{ROOM}/messages");
    for (query, expected) in [
        ("", json!({ "room_id": ROOM })),
        (
            "?before=7&limit=9",
            json!({ "room_id": ROOM, "before": 7, "limit": 9 }),
        ),
        (
            "?at=2026-01-01T02:00:00%2B02:00",
            json!({ "room_id": ROOM, "at": "2026-01-01T00:00:00.000Z" }),
        ),
        (
            "?at=2026-01-01T02:00:00+02:00",
            json!({ "room_id": ROOM, "at": "2026-01-01T00:00:00.000Z" }),
        ),
    ] {
        assert_eq!(
            server
                .ask("GET", &format!("{path}{query}"), "")
                .await
                .status,
            200,
            "{query}"
        );
        assert_eq!(payload(&server.last().frame), expected, "{query}");
    }
}

#[actix_web::test]
async fn receipts_are_kept_delivered_first() {
    let server = server();
    let path = format!("/v1/rooms/{ROOM}/receipts");
    let answer = server
        .ask("PUT", &path, r#"{"delivered":5,"read":4}"#)
        .await;
    assert_eq!(
        answer.json(),
        json!({ "seq": 4, "delivered": 5, "read": 4 })
    );
    assert_eq!(server.kinds(), ["receipt.delivered", "receipt.read"]);
    let answer = server.ask("PUT", &path, r#"{"read":6}"#).await;
    assert_eq!(answer.json(), json!({ "seq": 6, "read": 6 }));
    for (body, field) in [
        ("", "read"),
        (r#"{"read":-1}"#, "read"),
        (r#"{"delivered":"x"}"#, "delivered"),
    ] {
        let expected = (400, "bad_frame".into(), Some(field.into()));
        assert_eq!(
            server.ask("PUT", &path, body).await.problem(),
            expected,
            "{body}"
        );
    }
    assert_eq!(seq(6), serde_json::from_value(json!(6)).unwrap());
}

#[actix_web::test]
async fn presence_is_set_and_looked_at() {
    let server = server();
    let answer = server
        .ask("PUT", "/v1/presence", r#"{"status":"away"}"#)
        .await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
    let answer = server
        .ask("GET", "/v1/presence?users=ben,eva%40x", "")
        .await;
    assert_eq!(answer.json(), json!({ "presence": [] }));
    assert_eq!(
        payload(&server.last().frame),
        json!({ "user_ids": ["ben", "eva@x"] })
    );
    for query in ["", "?users=", "?users=a,,b", "?users=a%20b"] {
        let answer = server.ask("GET", &format!("/v1/presence{query}"), "").await;
        assert_eq!(
            answer.problem(),
            (400, "bad_frame".into(), Some("users".into())),
            "{query}"
        );
    }
}

#[actix_web::test]
async fn later_calls_say_that_they_are_not_served() {
    let server = server();
    for (method, path) in [
        ("GET", "/v1/events"),
        ("PUT", "/v1/devices/d"),
        ("POST", "/v1/uploads"),
    ] {
        let answer = server.ask(method, path, "").await;
        assert_eq!(answer.problem(), (503, "unavailable".into(), None));
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.ends_with("is not served by this version"),
            "{detail}"
        );
    }
}
