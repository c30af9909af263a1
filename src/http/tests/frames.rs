//! `POST /v1/frames`.

use parlor_schema::{ErrorCode, frame::Refusal};
use serde_json::json;

use super::{
    super::{Listener, frames::SOCKET_ONLY},
    support::{KEY, ROOM, Server},
};

fn server() -> Server {
    Server::new(Listener::Whole)
}

fn send(text: &str) -> String {
    json!({ "type": "message.send", "msg_id": KEY, "payload": { "room_id": ROOM, "body": { "text": text } } })
        .to_string()
}

#[actix_web::test]
async fn a_frame_is_answered_by_its_reply() {
    let server = server();
    let answer = server.ask("POST", "/v1/frames", &send("hi")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    let json = answer.json();
    assert_eq!(
        (&json["type"], &json["msg_id"]),
        (&"ack".into(), &KEY.into())
    );
    assert_eq!(json["payload"]["seq"], 8);
    assert_eq!(server.last().msg_id, Some(KEY.parse().unwrap()));
    let pong = server
        .ask("POST", "/v1/frames", r#" {"type":"ping"}"#)
        .await
        .json();
    assert_eq!(pong, json!({ "type": "pong", "payload": {} }));
}

#[actix_web::test]
async fn an_array_is_answered_in_order_errors_included() {
    let server = server();
    let body = format!(
        r#"[{},{{"type":"nope"}},7,{{"type":"ping","msg_id":"x"}},{}]"#,
        send("one"),
        send("two")
    );
    let json = server.ask("POST", "/v1/frames", &body).await.json();
    let types: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|reply| &reply["type"])
        .collect();
    assert_eq!(types, ["ack", "error", "error", "error", "ack"]);
    assert_eq!(json[1]["payload"]["code"], "unknown_type");
    assert_eq!(json[2]["payload"]["code"], "bad_frame");
    assert_eq!(json[3]["msg_id"], "x");
    assert_eq!(server.kinds(), ["message.send", "message.send"]);
    assert_eq!(
        server.ask("POST", "/v1/frames", "[]").await.json(),
        json!([])
    );
}

#[actix_web::test]
async fn refusals_are_replies_and_counted() {
    let server = server();
    *server.front.refuse.lock().unwrap() = Some(Refusal::new(ErrorCode::Muted, "muted"));
    let answer = server.ask("POST", "/v1/frames", &send("hi")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["payload"]["code"], "muted");
    let text = server.metrics.encode();
    assert!(text.contains("parlor_refusals_total{code=\"muted\"} 1"));
    assert!(text.contains("parlor_frames_in_total 1"));
}

#[actix_web::test]
async fn frames_about_a_session_need_a_socket() {
    let server = server();
    for kind in SOCKET_ONLY {
        let payload = json!({ "token": "t", "room_id": ROOM, "user_ids": ["ben"] });
        let body = json!({ "type": kind, "msg_id": KEY, "payload": payload }).to_string();
        let json = server.ask("POST", "/v1/frames", &body).await.json();
        assert_eq!(json["msg_id"], KEY, "{kind}");
        assert_eq!(json["payload"]["code"], "bad_frame", "{kind}");
        assert_eq!(json["payload"]["field"], "type", "{kind}");
    }
    assert!(server.kinds().is_empty());
}

#[actix_web::test]
async fn what_is_no_frame_is_a_problem() {
    let server = server();
    for body in ["", "{", "7", "\"ping\"", "null", "[1,", "{}{}"] {
        let answer = server.ask("POST", "/v1/frames", body).await;
        assert_eq!(answer.problem(), (400, "bad_frame".into(), None), "{body}");
    }
}

#[actix_web::test]
async fn numbers_and_sizes_are_bounded() {
    let server = server();
    let pings = |count: usize| format!("[{}]", vec![r#"{"type":"ping"}"#; count].join(","));
    let answer = server.ask("POST", "/v1/frames", &pings(100)).await;
    assert_eq!(answer.json().as_array().unwrap().len(), 100);
    let answer = server.ask("POST", "/v1/frames", &pings(101)).await;
    assert_eq!(answer.problem(), (413, "too_large".into(), None));
    let large = send(&"x".repeat(65_536));
    let answer = server.ask("POST", "/v1/frames", &large).await;
    assert_eq!(answer.problem(), (413, "too_large".into(), None));
    // In an array only the frame that is too large is refused.
    let json = server
        .ask("POST", "/v1/frames", &format!("[{large},{}]", send("hi")))
        .await
        .json();
    assert_eq!(json[0]["payload"]["code"], "too_large");
    assert_eq!(json[0]["msg_id"], KEY);
    assert_eq!(json[1]["type"], "ack");
    let answer = server
        .ask(
            "POST",
            "/v1/frames",
            &format!("[{}]", vec![large; 17].join(",")),
        )
        .await;
    assert_eq!(answer.problem(), (413, "too_large".into(), None));
}
