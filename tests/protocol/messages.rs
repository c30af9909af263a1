//! Sending messages: the ack, the event, what a body may be, replies, order and repetition.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::Server;

#[tokio::test]
async fn the_ack_and_the_event_tell_the_same() {
    let server = Server::start();
    let token = server.register("ana").await;
    let mut ana = server.hello(&token, json!({})).await;
    let mut laptop = server.hello(&token, json!({})).await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let id = Uuid::now_v7().to_string();
    let send = json!({
        "room_id": room,
        "body": { "text": "*hi*", "format": "markdown", "data": { "n": [1, 2.5, null] }, "ciphertext": "c2VjcmV0" },
        "mentions": ["ben", "@room", "ben"],
        "unknown": 1,
    });
    let ack = ana.ask_as(&id, "message.send", send.clone()).await;
    assert_eq!(ack["type"], "ack");
    let ack = ack["payload"].clone();
    assert_eq!(ack["room_id"], room.as_str());
    assert_eq!(ack["seq"], 2);
    assert!(ack.get("duplicate").is_none());
    for (session, own) in [(&mut ana, true), (&mut laptop, true), (&mut ben, false)] {
        let frame = session.wait_for(|frame| frame["type"] == "message").await;
        assert_eq!(frame["msg_id"], ack["id"], "the event's own id");
        let event = &frame["payload"];
        assert_eq!(event["room_id"], room.as_str());
        assert_eq!(event["seq"], 2);
        assert_eq!(event["sender"], "ana");
        assert_eq!(event["sent_at"], ack["sent_at"]);
        assert_eq!(event["body"], send["body"]);
        assert_eq!(event["mentions"], json!(["ben", "@room"]));
        assert!(event.get("unknown").is_none());
        if own {
            assert_eq!(event["client_msg_id"], id.as_str());
        } else {
            assert!(event.get("client_msg_id").is_none());
        }
    }
    let id = Uuid::parse_str(ack["id"].as_str().unwrap()).unwrap();
    assert_eq!(id.get_version_num(), 7);
    let sent_at = ack["sent_at"].as_str().unwrap();
    assert_eq!(sent_at.len(), "2026-01-01T00:00:00.000Z".len());
    assert!(sent_at.ends_with('Z'));
}

#[tokio::test]
async fn a_body_holds_something() {
    let server = Server::start();
    let token = server.register("ana").await;
    let mut ana = server.hello(&token, json!({})).await;
    let room = ana.room(json!({})).await;
    let bad = [
        (json!(null), "body"),
        (json!({}), "body"),
        (json!({ "format": "plain" }), "body"),
        (json!({ "text": null }), "body"),
        (json!({ "text": "" }), "body.text"),
        (json!({ "text": 7 }), "body.text"),
        (json!({ "text": "x", "format": "html" }), "body.format"),
        (json!({ "ciphertext": {} }), "body.ciphertext"),
        (json!("text"), "body"),
    ];
    for (body, field) in bad {
        let refusal = ana
            .refused("message.send", json!({ "room_id": room, "body": body }))
            .await;
        assert_eq!(refusal["code"], "bad_frame", "{body}");
        assert_eq!(refusal["field"], field, "{body}");
    }
    let mut ana = server.hello(&token, json!({})).await;
    for (index, body) in [
        json!({ "data": [] }),
        json!({ "data": false }),
        json!({ "ciphertext": "x" }),
        json!({ "text": "\u{0}\u{202e}\u{1f600}" }),
    ]
    .into_iter()
    .enumerate()
    {
        let ack = ana
            .ok("message.send", json!({ "room_id": room, "body": body }))
            .await;
        assert_eq!(ack["seq"], index + 2);
        assert_eq!(ana.expect("message").await["body"], body);
    }
}

#[tokio::test]
async fn a_body_has_a_size() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    let fits = "x".repeat(32_768 - r#"{"text":""}"#.len());
    ana.say(&room, &fits).await;
    let body = json!({ "text": format!("{fits}x") });
    let refusal = ana
        .refused("message.send", json!({ "room_id": room, "body": body }))
        .await;
    assert_eq!(refusal["code"], "too_large");
    assert_eq!(refusal["field"], "body");
    ana.say(&room, "the connection stays").await;
}

#[tokio::test]
async fn a_reply_names_a_message() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    ana.say(&room, "question").await;
    let reply =
        |to: Value| json!({ "room_id": room, "body": { "text": "answer" }, "reply_to": to });
    ana.ok("message.send", reply(json!(2))).await;
    ana.expect("message").await;
    assert_eq!(ana.expect("message").await["reply_to"], 2);
    for (to, code) in [
        (json!(1), "bad_frame"),
        (json!(0), "not_found"),
        (json!(4), "not_found"),
        (json!(9_007_199_254_740_991_u64), "not_found"),
        (json!(-1), "bad_frame"),
        (json!(1.5), "bad_frame"),
        (json!("2"), "bad_frame"),
    ] {
        let refusal = ana.refused("message.send", reply(to.clone())).await;
        assert_eq!(refusal["code"], code, "{to}");
        assert_eq!(refusal["field"], "reply_to", "{to}");
    }
    let history = ana.ok("history.get", json!({ "room_id": room })).await;
    assert_eq!(history["head"], 3);
    assert_eq!(history["events"][2]["payload"]["reply_to"], 2);
}

#[tokio::test]
async fn the_same_msg_id_stores_once() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    let other = ana.room(json!({})).await;
    let id = Uuid::now_v7().to_string();
    let send = json!({ "room_id": room, "body": { "text": "once" }, "mentions": null });
    let first = ana.ask_as(&id, "message.send", send).await["payload"].clone();
    let same =
        json!({ "body": { "format": null, "text": "once" }, "room_id": room, "extra": true });
    let again = ana.ask_as(&id.to_uppercase(), "message.send", same).await;
    assert_eq!(again["msg_id"], id.to_uppercase(), "echoed as it came");
    let mut again = again["payload"].clone();
    assert_eq!(again["duplicate"], true);
    again.as_object_mut().unwrap().remove("duplicate");
    assert_eq!(again, first);
    for (kind, payload) in [
        (
            "message.send",
            json!({ "room_id": room, "body": { "text": "twice" } }),
        ),
        (
            "message.send",
            json!({ "room_id": room, "body": { "text": "once" }, "mentions": ["ana"] }),
        ),
        ("room.update", json!({ "room_id": room, "name": "once" })),
    ] {
        let reply = ana.ask_as(&id, kind, payload).await;
        assert_eq!(reply["payload"]["code"], "conflict", "{kind}");
    }
    // Another room and another user have their own memory.
    let send = json!({ "room_id": other, "body": { "text": "twice" } });
    let elsewhere = ana.ask_as(&id, "message.send", send).await;
    assert_eq!(elsewhere["payload"]["seq"], 2);
    let mut ben = server.session("ben").await;
    ana.ok(
        "room.invite",
        json!({ "room_id": room, "user_ids": ["ben"] }),
    )
    .await;
    let send = json!({ "room_id": room, "body": { "text": "mine" } });
    let theirs = ben.ask_as(&id, "message.send", send).await;
    assert_eq!(theirs["payload"]["seq"], 4, "{theirs}");
}

#[tokio::test]
async fn two_copies_in_flight_get_one_seq() {
    let server = Server::start();
    let token = server.register("ana").await;
    let mut one = server.hello(&token, json!({})).await;
    let mut two = server.hello(&token, json!({})).await;
    let room = one.room(json!({})).await;
    for round in 0..10 {
        let id = Uuid::now_v7().to_string();
        let send = json!({ "room_id": room, "body": { "text": round.to_string() } });
        let (a, b) = tokio::join!(
            one.ask_as(&id, "message.send", send.clone()),
            two.ask_as(&id, "message.send", send.clone()),
        );
        assert_eq!(a["payload"]["seq"], round + 2);
        assert_eq!(b["payload"]["seq"], round + 2);
        let duplicates = [&a, &b]
            .iter()
            .filter(|reply| reply["payload"]["duplicate"] == true)
            .count();
        assert_eq!(duplicates, 1, "the later one: {a} {b}");
    }
}

#[tokio::test]
async fn errors_are_not_remembered() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    let id = Uuid::now_v7().to_string();
    let send = |to: u64| json!({ "room_id": room, "body": { "text": "x" }, "reply_to": to });
    let refused = ana.ask_as(&id, "message.send", send(2)).await;
    assert_eq!(refused["payload"]["code"], "not_found");
    ana.say(&room, "there").await;
    let sent = ana.ask_as(&id, "message.send", send(2)).await;
    assert_eq!(sent["payload"]["seq"], 3, "{sent}");
    assert!(sent["payload"].get("duplicate").is_none());
}

#[tokio::test]
async fn what_appends_needs_a_msg_id() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    for (kind, payload) in [
        (
            "message.send",
            json!({ "room_id": room, "body": { "text": "x" } }),
        ),
        ("room.create", json!({ "kind": "group" })),
        ("room.update", json!({ "room_id": room, "name": "x" })),
        ("room.join", json!({ "room_id": room })),
    ] {
        ana.tell(kind, payload).await;
        let error = ana.expect("error").await;
        assert_eq!(error["code"], "bad_frame", "{kind}");
        assert_eq!(error["field"], "msg_id", "{kind}");
    }
    let reply = ana
        .ask_as(
            "no-uuid",
            "message.send",
            json!({ "room_id": room, "body": { "text": "x" } }),
        )
        .await;
    assert_eq!(reply["payload"]["code"], "bad_frame");
    assert_eq!(reply["payload"]["field"], "msg_id");
}

#[tokio::test]
async fn frames_of_one_connection_take_effect_in_order() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let ids: Vec<String> = (0..100).map(|_| Uuid::new_v4().to_string()).collect();
    for (index, id) in ids.iter().enumerate() {
        ana.post(
            "message.send",
            id,
            json!({ "room_id": room, "body": { "text": index.to_string() } }),
        )
        .await;
    }
    for (index, id) in ids.iter().enumerate() {
        assert_eq!(ana.reply_to(id).await["payload"]["seq"], index + 2);
        let event = ben.expect("message").await;
        assert_eq!(event["seq"], index + 2);
        assert_eq!(event["body"]["text"], index.to_string());
    }
}
