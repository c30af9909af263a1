//! The envelope: types, ids, replies, and what is refused with which field.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::support::{Client, Server};

async fn bad(client: &mut Client, text: &str) -> (Value, Value) {
    client.send_text(text).await;
    let frame = client.wait_for(|frame| frame["type"] == "error").await;
    assert_eq!(frame["payload"]["code"], "bad_frame", "{text}: {frame}");
    (frame["msg_id"].clone(), frame["payload"]["field"].clone())
}

#[tokio::test]
async fn what_is_no_frame_is_refused_and_the_connection_stays() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    for text in ["", "hello", "[]", "7", "{", "null"] {
        assert_eq!(bad(&mut ana, text).await, (Value::Null, Value::Null));
    }
    ana.socket
        .send(Message::binary(vec![0x7b, 0x7d]))
        .await
        .unwrap();
    let error = ana.expect("error").await;
    assert_eq!(error["code"], "bad_frame");
    assert_eq!(ana.ask("ping", json!({})).await["type"], "pong");
}

#[tokio::test]
async fn the_envelope_names_the_field_to_blame() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let none = Value::Null;
    assert_eq!(bad(&mut ana, "{}").await, (none.clone(), json!("type")));
    assert_eq!(
        bad(&mut ana, r#"{"type":7}"#).await,
        (none.clone(), json!("type"))
    );
    assert_eq!(
        bad(&mut ana, r#"{"type":"ping","msg_id":7}"#).await,
        (none.clone(), json!("msg_id"))
    );
    assert_eq!(
        bad(&mut ana, r#"{"type":"ping","msg_id":"no uuid"}"#).await,
        (json!("no uuid"), json!("msg_id"))
    );
    let long = "x".repeat(129);
    assert_eq!(
        bad(&mut ana, &format!(r#"{{"type":"ping","msg_id":"{long}"}}"#)).await,
        (none, json!("msg_id"))
    );
    let most = "x".repeat(128);
    assert_eq!(
        bad(&mut ana, &format!(r#"{{"type":"ping","msg_id":"{most}"}}"#)).await,
        (json!(most), json!("msg_id"))
    );
    assert_eq!(
        ana.refused("ping", json!([])).await["field"],
        json!("payload")
    );
}

#[tokio::test]
async fn the_payload_names_the_field_to_blame() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    for (payload, field) in [
        (json!({ "body": { "text": "a" } }), "room_id"),
        (
            json!({ "room_id": "no uuid", "body": { "text": "a" } }),
            "room_id",
        ),
        (json!({ "room_id": room }), "body"),
        (
            json!({ "room_id": room, "body": { "text": 7 } }),
            "body.text",
        ),
        (
            json!({ "room_id": room, "body": { "text": "a" }, "reply_to": -1 }),
            "reply_to",
        ),
        (
            json!({ "room_id": room, "body": { "text": "a" }, "reply_to": 1.5 }),
            "reply_to",
        ),
        (
            json!({ "room_id": room, "body": { "text": "a" }, "reply_to": 9_007_199_254_740_992_u64 }),
            "reply_to",
        ),
        (
            json!({ "room_id": room, "body": { "text": "a" }, "mentions": ["ben", "no user"] }),
            "mentions[1]",
        ),
    ] {
        let refusal = ana.refused("message.send", payload.clone()).await;
        assert_eq!(refusal["code"], "bad_frame", "{payload}");
        assert_eq!(refusal["field"], field, "{payload}");
    }
}

#[tokio::test]
async fn what_appends_needs_a_msg_id() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    for (kind, payload) in [
        (
            "message.send",
            json!({ "room_id": room, "body": { "text": "a" } }),
        ),
        ("room.join", json!({ "room_id": room })),
        ("room.create", json!({ "kind": "group" })),
    ] {
        ana.tell(kind, payload).await;
        let error = ana.wait_for(|frame| frame["type"] == "error").await;
        assert_eq!(error["payload"]["code"], "bad_frame", "{kind}");
        assert_eq!(error["payload"]["field"], "msg_id", "{kind}");
        assert!(error.get("msg_id").is_none());
    }
    let head = ana.ok("room.get", json!({ "room_id": room })).await["room"]["head"].clone();
    assert_eq!(head, 1, "nothing was stored");
}

#[tokio::test]
async fn unknown_types_are_refused_and_the_connection_stays() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    for _ in 0..12 {
        assert_eq!(ana.code("message.shout", json!({})).await, "unknown_type");
    }
    ana.tell("message.shout", json!({})).await;
    let error = ana.wait_for(|frame| frame["type"] == "error").await;
    assert_eq!(error["payload"]["code"], "unknown_type");
    assert!(error.get("msg_id").is_none());
    assert_eq!(ana.ask("ping", json!({})).await["type"], "pong");
}

#[tokio::test]
async fn a_ping_is_answered_with_its_id_or_without_one() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    ana.send_text(r#"{"type":"ping"}"#).await;
    let pong = ana.next().await;
    assert_eq!(pong["type"], "pong");
    assert!(pong.get("msg_id").is_none());
    let written = Uuid::now_v7().to_string().to_uppercase();
    assert_eq!(
        ana.ask_as(&written, "ping", json!({})).await["type"],
        "pong",
        "the id comes back as it was written"
    );
    ana.socket
        .send(Message::Ping(b"are you there"[..].into()))
        .await
        .unwrap();
    let pong = ana.socket.next().await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong(b"are you there"[..].into()));
}

#[tokio::test]
async fn frames_without_an_id_get_no_reply() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    ana.tell("typing.start", json!({ "room_id": room })).await;
    ana.tell("room.get", json!({ "room_id": room })).await;
    ana.tell("room.get", json!({ "room_id": Uuid::now_v7().to_string() }))
        .await;
    assert_eq!(ana.rest().await, Vec::<Value>::new());
}

#[tokio::test]
async fn unknown_fields_and_null_are_as_if_absent() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    let ack = ana
        .ok(
            "message.send",
            json!({ "room_id": room, "body": { "text": "a", "format": null, "colour": "red" },
                    "reply_to": null, "mentions": null, "mood": { "deep": [1] } }),
        )
        .await;
    assert_eq!(ack["seq"], 2);
    let heard = ana.expect("message").await;
    assert_eq!(heard["body"], json!({ "text": "a" }));
    assert!(heard.get("mood").is_none() && heard.get("reply_to").is_none());
    ana.send_text(r#"{"type":"ping","payload":null,"msg_id":null,"extra":1}"#)
        .await;
    assert_eq!(ana.next().await["type"], "pong");
}

#[tokio::test]
async fn events_have_their_own_ids_and_times_have_one_form() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.login("ana").await;
    let mut phone = server.hello(&token, json!({})).await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let msg_id = Uuid::new_v4().to_string();
    let ack = ana
        .ask_as(
            &msg_id,
            "message.send",
            json!({ "room_id": room, "body": { "text": "a" } }),
        )
        .await["payload"]
        .clone();
    assert_eq!(ack["room_id"], room.as_str());
    assert!(ack.get("duplicate").is_none());
    let is_message = |frame: &Value| frame["type"] == "message";
    let own = ana.wait_for(is_message).await;
    let other_device = phone.wait_for(is_message).await;
    let theirs = ben.wait_for(is_message).await;
    let id: Uuid = own["msg_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_ne!(own["msg_id"], msg_id.as_str());
    assert_eq!(own["msg_id"], ack["id"]);
    assert_eq!(own["payload"]["client_msg_id"], msg_id.as_str());
    assert_eq!(own, other_device);
    assert_eq!(theirs["msg_id"], ack["id"]);
    assert!(theirs["payload"].get("client_msg_id").is_none());
    let at = ack["sent_at"].as_str().unwrap();
    assert_eq!(at, own["payload"]["sent_at"].as_str().unwrap());
    let form: String = at
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(form, "0000-00-00T00:00:00.000Z");
}

#[tokio::test]
async fn frames_of_one_connection_take_effect_in_order() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    let count = 300;
    let ids: Vec<String> = (0..count).map(|_| Uuid::now_v7().to_string()).collect();
    for (n, id) in ids.iter().enumerate() {
        let body = json!({ "text": n.to_string() });
        ana.post("message.send", id, json!({ "room_id": room, "body": body }))
            .await;
    }
    for (n, id) in ids.iter().enumerate() {
        let heard = ana.expect("message").await;
        assert_eq!(heard["seq"], n + 2);
        assert_eq!(heard["body"]["text"], n.to_string());
        assert_eq!(heard["client_msg_id"], id.as_str());
    }
    for (n, id) in ids.iter().enumerate() {
        let reply = ana.reply_to(id).await;
        assert_eq!(reply["payload"]["seq"], n + 2);
    }
    let kinds = ana.rest().await;
    assert!(kinds.is_empty(), "exactly one reply each: {kinds:?}");
}

#[tokio::test]
async fn what_this_version_does_not_serve_is_unavailable() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    let seq = ana.say(&room, "a").await["seq"].clone();
    let of = |more: Value| {
        let mut payload = json!({ "room_id": room });
        payload
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        payload
    };
    for (kind, payload) in [
        (
            "message.edit",
            of(json!({ "target": seq, "body": { "text": "b" } })),
        ),
        ("message.delete", of(json!({ "target": seq, "for": "all" }))),
        ("message.react", of(json!({ "target": seq, "emoji": "👍" }))),
        (
            "message.unreact",
            of(json!({ "target": seq, "emoji": "👍" })),
        ),
        ("message.pin", of(json!({ "target": seq }))),
        ("message.unpin", of(json!({ "target": seq }))),
        (
            "message.report",
            of(json!({ "target": seq, "reason": "rude" })),
        ),
        ("thread.get", of(json!({ "thread": seq }))),
        ("search", json!({ "query": "a" })),
        ("user.block", json!({ "user_id": "ben" })),
        ("user.unblock", json!({ "user_id": "ben" })),
    ] {
        assert_eq!(ana.code(kind, payload).await, "unavailable", "{kind}");
    }
}
