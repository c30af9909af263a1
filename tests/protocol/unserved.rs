//! Frames that have their place in the protocol and are not served by this version: `unavailable`, and nothing is stored.

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn frames_that_are_not_served_are_unavailable() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    ana.say(&room, "x").await;
    let target = json!({ "room_id": room, "target": 2 });
    let with = |name: &str, value: serde_json::Value| {
        let mut payload = target.clone();
        payload[name] = value;
        payload
    };
    for (kind, payload) in [
        ("message.edit", with("body", json!({ "text": "y" }))),
        ("message.delete", with("for", json!("all"))),
        ("message.delete", with("for", json!("me"))),
        ("message.react", with("emoji", json!("👍"))),
        ("message.unreact", with("emoji", json!("👍"))),
        ("message.pin", target.clone()),
        ("message.unpin", target.clone()),
        ("message.report", with("reason", json!("spam"))),
        ("thread.get", json!({ "room_id": room, "thread": 2 })),
        ("search", json!({ "query": "x" })),
        ("user.block", json!({ "user_id": "ben" })),
        ("user.unblock", json!({ "user_id": "ben" })),
    ] {
        let refusal = ana.refused(kind, payload).await;
        assert_eq!(refusal["code"], "unavailable", "{kind}");
        assert!(
            refusal.get("retry_after_ms").is_none(),
            "waiting does not help"
        );
    }
    for (field, value) in [
        ("thread", json!(2)),
        (
            "attachments",
            json!([{ "id": "a", "name": "a", "size": 1, "content_type": "a/b" }]),
        ),
        ("expires_in_ms", json!(60_000)),
    ] {
        let mut payload = json!({ "room_id": room, "body": { "text": "x" } });
        payload[field] = value;
        let refusal = ana.refused("message.send", payload).await;
        assert_eq!(refusal["code"], "unavailable", "{field}");
        assert_eq!(refusal["field"], field);
    }
    let seen = ana.ok("room.get", json!({ "room_id": room })).await;
    assert_eq!(seen["room"]["head"], 2, "nothing was stored");
}

#[tokio::test]
async fn a_malformed_frame_is_bad_whether_served_or_not() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    for (kind, payload, field) in [
        ("message.edit", json!({}), "room_id"),
        ("search", json!({ "query": 7 }), "query"),
        ("user.block", json!({ "user_id": "not an id" }), "user_id"),
    ] {
        let refusal = ana.refused(kind, payload).await;
        assert_eq!(refusal["code"], "bad_frame", "{kind}");
        assert_eq!(refusal["field"], field, "{kind}");
    }
    let refusal = ana.refused("message.shout", json!({})).await;
    assert_eq!(refusal["code"], "unknown_type");
}
