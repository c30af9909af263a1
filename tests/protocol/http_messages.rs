//! Messages, history, receipts and presence over HTTP.

use serde_json::json;

use crate::http_rooms::{Web, key};

#[tokio::test]
async fn messages_need_a_key() {
    let (web, tokens) = Web::with(&["ana"]).await;
    let ana = &tokens[0];
    let room = web.room(ana, json!({ "kind": "group" })).await;
    let path = format!("/v1/rooms/{room}/messages");
    let body = json!({ "body": { "text": "hello" } });
    let without = web.ask(ana, "POST", &path, body.clone()).await;
    assert_eq!(
        without.problem(400, "bad_frame")["field"],
        "Idempotency-Key"
    );
    let bad = web.keyed(ana, &path, "x", body.clone()).await;
    assert_eq!(bad.problem(400, "bad_frame")["field"], "Idempotency-Key");
    let key = key();
    let sent = web.keyed(ana, &path, &key, body.clone()).await;
    assert_eq!(sent.status, 201);
    assert_eq!(sent.body["seq"], 2);
    assert_eq!(sent.body["room_id"], room.as_str());
    assert!(sent.body.get("duplicate").is_none());
    let again = web
        .keyed(ana, &path, &key.to_uppercase(), body.clone())
        .await;
    assert_eq!(again.status, 200);
    assert_eq!(again.body["duplicate"], true);
    assert_eq!(again.body["id"], sent.body["id"]);
    let other = web
        .keyed(ana, &path, &key, json!({ "body": { "text": "bye" } }))
        .await;
    other.problem(409, "conflict");
    // The key is the msg_id, in the same space as on the socket.
    let mut socket = web.server.hello(ana, json!({})).await;
    let send = json!({ "room_id": room, "body": { "text": "hello" } });
    let reply = socket.ask_as(&key, "message.send", send).await;
    assert_eq!(reply["payload"]["duplicate"], true);
    let history = web.get(ana, &path).await.body;
    assert_eq!(
        history["events"][1]["payload"]["client_msg_id"],
        key.as_str()
    );
}

#[tokio::test]
async fn refused_messages_are_problems() {
    let (web, tokens) = Web::with(&["ana", "ben", "cat"]).await;
    let (ana, ben, cat) = (&tokens[0], &tokens[1], &tokens[2]);
    let room = web
        .room(
            ana,
            json!({ "kind": "group", "public": true, "members": ["ben"] }),
        )
        .await;
    let path = format!("/v1/rooms/{room}/messages");
    for (body, status, code, field) in [
        (json!({ "body": {} }), 400, "bad_frame", json!("body")),
        (
            json!({ "body": { "text": "" } }),
            400,
            "bad_frame",
            json!("body.text"),
        ),
        (
            json!({ "body": { "text": "x" }, "reply_to": 9 }),
            404,
            "not_found",
            json!("reply_to"),
        ),
        (
            json!({ "body": { "text": "x".repeat(32_768) } }),
            413,
            "too_large",
            json!("body"),
        ),
        (
            json!({ "body": { "text": "x" }, "thread": 1 }),
            503,
            "unavailable",
            json!("thread"),
        ),
    ] {
        let answer = web.keyed(ana, &path, &key(), body.clone()).await;
        assert_eq!(answer.problem(status, code)["field"], field, "{body}");
    }
    let huge = json!({ "body": { "text": "x".repeat(70_000) } });
    web.keyed(ana, &path, &key(), huge)
        .await
        .problem(413, "too_large");
    let hello = json!({ "body": { "text": "x" } });
    web.keyed(cat, &path, &key(), hello.clone())
        .await
        .problem(403, "forbidden");
    let mut socket = web.server.hello(ana, json!({})).await;
    let until = "2999-01-01T00:00:00.000Z";
    let user = json!({ "room_id": room, "user_id": "ben", "until": until });
    socket.ok("room.mute", user.clone()).await;
    let muted = web.keyed(ben, &path, &key(), hello.clone()).await;
    assert_eq!(muted.problem(403, "muted")["details"]["until"], until);
    socket.ok("room.ban", user).await;
    let banned = web.keyed(ben, &path, &key(), hello).await;
    assert_eq!(banned.problem(403, "banned")["details"]["until"], until);
    web.get(ben, &path).await.problem(403, "banned");
}

#[tokio::test]
async fn history_is_read_by_query() {
    let (web, tokens) = Web::with(&["ana"]).await;
    let ana = &tokens[0];
    let room = web.room(ana, json!({ "kind": "group" })).await;
    let path = format!("/v1/rooms/{room}/messages");
    for index in 0..9 {
        let body = json!({ "body": { "text": index.to_string() } });
        web.keyed(ana, &path, &key(), body).await;
    }
    for (query, seqs, complete) in [
        ("", (1..=10).collect::<Vec<u64>>(), true),
        ("?limit=2", vec![9, 10], false),
        ("?before=3", vec![1, 2], true),
        ("?after=8", vec![9, 10], true),
        ("?around=5&limit=3", vec![4, 5, 6], false),
        ("?at=2000-01-01T00:00:00%2B02:00&limit=1", vec![1], false),
        ("?at=2999-01-01T00:00:00Z", vec![], true),
    ] {
        let answer = web.get(ana, &format!("{path}{query}")).await;
        assert_eq!(answer.status, 200, "{query}");
        let found: Vec<u64> = answer.body["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["payload"]["seq"].as_u64().unwrap())
            .collect();
        assert_eq!(found, seqs, "{query}");
        assert_eq!(answer.body["complete"], complete, "{query}");
        assert_eq!(answer.body["head"], 10);
        assert_eq!(answer.body["first"], 1);
    }
    for query in [
        "before=1&after=1",
        "limit=0",
        "limit=-1",
        "at=soon",
        "around=x",
    ] {
        let answer = web.get(ana, &format!("{path}?{query}")).await;
        answer.problem(400, "bad_frame");
    }
}

#[tokio::test]
async fn receipts_are_put() {
    let (web, tokens) = Web::with(&["ana", "ben"]).await;
    let (ana, ben) = (&tokens[0], &tokens[1]);
    let room = web
        .room(ana, json!({ "kind": "group", "members": ["ben"] }))
        .await;
    let mut socket = web.server.hello(ana, json!({})).await;
    socket.say(&room, "x").await;
    socket.say(&room, "y").await;
    let path = format!("/v1/rooms/{room}/receipts");
    for (body, seq) in [
        (json!({ "delivered": 2 }), 2),
        (json!({ "read": 1 }), 1),
        (json!({ "delivered": 99, "read": 2 }), 2),
        (json!({ "read": 1 }), 2),
    ] {
        let answer = web.ask(ben, "PUT", &path, body.clone()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body["seq"], seq, "{body}");
    }
    let receipt = socket
        .wait_for(|frame| frame["type"] == "receipt" && frame["payload"]["delivered"] == 3)
        .await;
    assert_eq!(receipt["payload"]["user_id"], "ben");
    web.ask(ben, "PUT", &path, json!({}))
        .await
        .problem(400, "bad_frame");
    let bad = web.ask(ben, "PUT", &path, json!({ "read": "x" })).await;
    assert_eq!(bad.problem(400, "bad_frame")["field"], "read");
}

#[tokio::test]
async fn presence_is_put_and_got() {
    let (web, tokens) = Web::with(&["ana", "ben", "cat"]).await;
    let (ana, ben, cat) = (&tokens[0], &tokens[1], &tokens[2]);
    web.room(ana, json!({ "kind": "group", "members": ["ben"] }))
        .await;
    let _socket = web
        .server
        .hello(ana, json!({ "device": { "id": "phone" } }))
        .await;
    let bearer = format!("Bearer {ana}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("parlor-device", "phone"),
    ];
    let body = json!({ "status": "dnd", "text": "busy" });
    let put = web
        .server
        .http("PUT", "/v1/presence", &headers, Some(body))
        .await;
    assert_eq!(put.status, 200, "{}", put.text);
    let seen = web.get(ben, "/v1/presence?users=ana,cat").await;
    assert_eq!(seen.status, 200);
    let entries = seen.body["presence"].as_array().unwrap();
    assert_eq!(entries[0]["user_id"], "ana");
    assert_eq!(entries[0]["status"], "dnd");
    assert_eq!(entries[0]["text"], "busy");
    assert_eq!(entries[1], json!({ "user_id": "cat", "status": "offline" }));
    let strange = web.get(cat, "/v1/presence?users=ana").await;
    assert_eq!(
        strange.body["presence"],
        json!([{ "user_id": "ana", "status": "offline" }])
    );
    for path in [
        "/v1/presence",
        "/v1/presence?users=a%20b",
        "/v1/presence?users=",
    ] {
        let answer = web.get(ana, path).await;
        assert_eq!(answer.problem(400, "bad_frame")["field"], "users");
    }
    let bad = web
        .ask(ana, "PUT", "/v1/presence", json!({ "status": "gone" }))
        .await;
    assert_eq!(bad.problem(400, "bad_frame")["field"], "status");
    let headers = [("authorization", bearer.as_str()), ("parlor-device", "a b")];
    let bad = web.server.http("GET", "/v1/rooms", &headers, None).await;
    assert_eq!(bad.problem(400, "bad_frame")["field"], "Parlor-Device");
}
