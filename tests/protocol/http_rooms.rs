//! Rooms, members, messages, receipts and presence over HTTP.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{HttpAnswer, Server};

/// A server and the tokens of its users.
struct Web {
    server: Server,
}

impl Web {
    async fn with(users: &[&str]) -> (Self, Vec<String>) {
        let server = Server::start();
        let mut tokens = Vec::new();
        for user in users {
            tokens.push(server.register(user).await);
        }
        (Self { server }, tokens)
    }

    async fn get(&self, token: &str, path: &str) -> HttpAnswer {
        self.server.call(token, "GET", path, None).await
    }

    async fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> HttpAnswer {
        self.server.call(token, method, path, Some(body)).await
    }

    async fn keyed(&self, token: &str, path: &str, key: &str, body: Value) -> HttpAnswer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        self.server.http("POST", path, &headers, Some(body)).await
    }

    async fn room(&self, token: &str, body: Value) -> String {
        let answer = self.ask(token, "POST", "/v1/rooms", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.body["room"]["room_id"].as_str().unwrap().to_owned()
    }
}

fn key() -> String {
    Uuid::new_v4().to_string()
}

#[tokio::test]
async fn rooms_are_made_once_a_key() {
    let (web, tokens) = Web::with(&["ana", "ben"]).await;
    let ana = &tokens[0];
    let (key, body) = (key(), json!({ "kind": "group", "name": "tea" }));
    let first = web.keyed(ana, "/v1/rooms", &key, body.clone()).await;
    assert_eq!(first.status, 201);
    assert_eq!(first.body["room"]["name"], "tea");
    assert_eq!(first.body["room"]["role"], "owner");
    let again = web.keyed(ana, "/v1/rooms", &key, body.clone()).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.body["duplicate"], true);
    assert_eq!(again.body["room"]["room_id"], first.body["room"]["room_id"]);
    let other = web
        .keyed(ana, "/v1/rooms", &key, json!({ "kind": "group" }))
        .await;
    other.problem(409, "conflict");
    let without = web.ask(ana, "POST", "/v1/rooms", body).await;
    assert_eq!(without.status, 201);
    assert_ne!(
        without.body["room"]["room_id"],
        first.body["room"]["room_id"]
    );
    let direct = json!({ "kind": "direct", "members": ["ben"] });
    let made = web.ask(ana, "POST", "/v1/rooms", direct.clone()).await;
    assert_eq!(made.status, 201);
    let there = web.ask(ana, "POST", "/v1/rooms", direct).await;
    assert_eq!(there.status, 200, "nothing was created");
    assert_eq!(there.body["room"]["room_id"], made.body["room"]["room_id"]);
    let unknown = json!({ "kind": "direct", "members": ["nobody"] });
    web.ask(ana, "POST", "/v1/rooms", unknown)
        .await
        .problem(404, "not_found");
    let bad = web.ask(ana, "POST", "/v1/rooms", json!({})).await;
    assert_eq!(bad.problem(400, "bad_frame")["field"], "kind");
}

#[tokio::test]
async fn rooms_are_read_and_changed() {
    let (web, tokens) = Web::with(&["ana", "ben"]).await;
    let (ana, ben) = (&tokens[0], &tokens[1]);
    let room = web
        .room(
            ana,
            json!({ "kind": "group", "name": "tea", "topic": "green" }),
        )
        .await;
    let path = format!("/v1/rooms/{room}");
    let seen = web.get(ana, &path).await;
    assert_eq!(seen.status, 200);
    assert_eq!(seen.body["room"]["name"], "tea");
    let hidden = web.get(ben, &path).await;
    let nowhere = web.get(ben, &format!("/v1/rooms/{}", key())).await;
    hidden.problem(404, "not_found");
    assert_eq!(hidden.text, nowhere.text, "as if it did not exist");
    let bad = web.get(ana, "/v1/rooms/x").await;
    assert_eq!(bad.problem(400, "bad_frame")["field"], "room_id");
    let patch = json!({ "topic": null, "name": "coffee", "room_id": key() });
    let changed = web.ask(ana, "PATCH", &path, patch).await;
    assert_eq!((changed.status, changed.body), (200, json!({ "seq": 2 })));
    let seen = web.get(ana, &path).await.body;
    assert_eq!(seen["room"]["name"], "coffee");
    assert!(seen["room"].get("topic").is_none());
    web.ask(ana, "PATCH", &path, json!({}))
        .await
        .problem(400, "bad_frame");
    web.ask(ben, "PATCH", &path, json!({ "name": "x" }))
        .await
        .problem(404, "not_found");
    web.ask(ana, "PATCH", &path, json!({ "public": true }))
        .await;
    web.ask(ben, "PATCH", &path, json!({ "name": "x" }))
        .await
        .problem(403, "forbidden");
}

#[tokio::test]
async fn rooms_are_listed() {
    let (web, tokens) = Web::with(&["ana", "ben"]).await;
    let (ana, ben) = (&tokens[0], &tokens[1]);
    for public in [true, true, false] {
        web.room(ana, json!({ "kind": "group", "public": public }))
            .await;
    }
    let page = web.get(ana, "/v1/rooms?limit=2").await.body;
    assert_eq!(page["rooms"].as_array().unwrap().len(), 2);
    let next = page["next"].as_str().unwrap();
    let rest = web.get(ana, &format!("/v1/rooms?after={next}")).await.body;
    assert_eq!(rest["rooms"].as_array().unwrap().len(), 1);
    assert!(rest.get("next").is_none());
    assert_eq!(web.get(ben, "/v1/rooms").await.body["rooms"], json!([]));
    let public = web.get(ben, "/v1/rooms?public=true").await.body;
    assert_eq!(public["rooms"].as_array().unwrap().len(), 2);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("public=7", "public"),
    ] {
        let answer = web.get(ana, &format!("/v1/rooms?{query}")).await;
        assert_eq!(answer.problem(400, "bad_frame")["field"], field);
    }
}

#[tokio::test]
async fn members_are_put_and_deleted() {
    let (web, tokens) = Web::with(&["ana", "ben", "cat", "dan"]).await;
    let (ana, ben, dan) = (&tokens[0], &tokens[1], &tokens[3]);
    let room = web.room(ana, json!({ "kind": "group" })).await;
    let member = |user: &str| format!("/v1/rooms/{room}/members/{user}");
    let mut ben_socket = web.server.hello(ben, json!({})).await;
    let put = web.ask(ana, "PUT", &member("ben"), json!({})).await;
    assert_eq!((put.status, put.body), (201, json!({ "seq": 2 })));
    assert_eq!(
        ben_socket.expect("room.added").await["room"]["room_id"],
        room.as_str()
    );
    assert_eq!(ben_socket.expect("member.invited").await["sender"], "ana");
    let again = web.ask(ana, "PUT", &member("ben"), json!({})).await;
    assert_eq!((again.status, again.body), (200, json!({ "seq": 2 })));
    let role = web
        .ask(ana, "PUT", &member("ben"), json!({ "role": "moderator" }))
        .await;
    assert_eq!((role.status, role.body), (200, json!({ "seq": 3 })));
    assert_eq!(ben_socket.expect("member.role").await["role"], "moderator");
    let with_role = web
        .ask(ana, "PUT", &member("cat"), json!({ "role": "reader" }))
        .await;
    assert_eq!(with_role.status, 201);
    let members = web
        .get(ana, &format!("/v1/rooms/{room}/members"))
        .await
        .body;
    let roles: Vec<_> = members["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| {
            (
                member["user_id"].as_str().unwrap(),
                member["role"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        roles,
        [("ana", "owner"), ("ben", "moderator"), ("cat", "reader")]
    );
    let page = web
        .get(ana, &format!("/v1/rooms/{room}/members?limit=2"))
        .await
        .body;
    assert_eq!(page["members"].as_array().unwrap().len(), 2);
    let next = page["next"].as_str().unwrap();
    let rest = web
        .get(ana, &format!("/v1/rooms/{room}/members?after={next}"))
        .await
        .body;
    assert_eq!(rest["members"].as_array().unwrap().len(), 1);
    for (token, method, user, body, status, code) in [
        (ana, "PUT", "nobody", json!({}), 404, "not_found"),
        (
            ana,
            "PUT",
            "ben",
            json!({ "role": "king" }),
            400,
            "bad_frame",
        ),
        (
            ben,
            "PUT",
            "ben",
            json!({ "role": "admin" }),
            403,
            "forbidden",
        ),
        (dan, "PUT", "dan", json!({}), 404, "not_found"),
        (dan, "DELETE", "ben", json!(null), 404, "not_found"),
        (ana, "DELETE", "dan", json!(null), 404, "not_found"),
        (ana, "DELETE", "ana", json!(null), 409, "conflict"),
        (ben, "DELETE", "ana", json!(null), 403, "forbidden"),
    ] {
        let body = Some(body).filter(|body| !body.is_null());
        let answer = web.server.call(token, method, &member(user), body).await;
        answer.problem(status, code);
    }
    let removed = web.server.call(ben, "DELETE", &member("cat"), None).await;
    assert_eq!(removed.status, 200);
    let left = web.server.call(ben, "DELETE", &member("ben"), None).await;
    assert_eq!(left.status, 200);
    assert_eq!(ben_socket.expect("room.removed").await["reason"], "left");
}

#[tokio::test]
async fn a_key_makes_any_call_that_appends_safe_to_repeat() {
    let (web, tokens) = Web::with(&["ana", "nor:this@one"]).await;
    let (ana, other) = (&tokens[0], &tokens[1]);
    let room = web.room(ana, json!({ "kind": "group" })).await;
    let path = format!("/v1/rooms/{room}");
    let member = format!("{path}/members/nor%3Athis%40one");
    for (token, method, path, body, statuses, seq) in [
        (ana, "PATCH", &path, json!({ "name": "tea" }), [200, 200], 2),
        (ana, "PUT", &member, json!({}), [201, 200], 3),
        (other, "DELETE", &member, json!(null), [200, 200], 4),
    ] {
        let (bearer, key) = (format!("Bearer {token}"), key());
        let headers = [
            ("authorization", bearer.as_str()),
            ("idempotency-key", key.as_str()),
        ];
        for (round, status) in statuses.into_iter().enumerate() {
            let body = Some(body.clone()).filter(|body| !body.is_null());
            let answer = web.server.http(method, path, &headers, body).await;
            assert_eq!(answer.status, status, "{method}: {}", answer.text);
            assert_eq!(answer.body["seq"], seq, "{method}");
            assert_eq!(answer.body["duplicate"] == true, round == 1, "{method}");
        }
    }
}

#[tokio::test]
async fn one_joins_by_putting_oneself() {
    let (web, tokens) = Web::with(&["ana", "ben"]).await;
    let (ana, ben) = (&tokens[0], &tokens[1]);
    let room = web
        .room(ana, json!({ "kind": "channel", "public": true }))
        .await;
    let path = format!("/v1/rooms/{room}/members/ben");
    let joined = web.ask(ben, "PUT", &path, json!({})).await;
    assert_eq!((joined.status, joined.body), (201, json!({ "seq": 2 })));
    let again = web.ask(ben, "PUT", &path, json!({})).await;
    assert_eq!((again.status, again.body), (200, json!({ "seq": 2 })));
    let seen = web.get(ben, &format!("/v1/rooms/{room}")).await.body;
    assert_eq!(seen["room"]["role"], "reader");
}

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
