//! Rooms and members over HTTP.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{HttpAnswer, Server};

/// A server, asked over HTTP.
pub(crate) struct Web {
    /// The server.
    pub(crate) server: Server,
}

impl Web {
    /// Starts a server with these users; answers their tokens too.
    pub(crate) async fn with(users: &[&str]) -> (Self, Vec<String>) {
        let server = Server::start();
        let mut tokens = Vec::new();
        for user in users {
            tokens.push(server.register(user).await);
        }
        (Self { server }, tokens)
    }

    /// Gets a path.
    pub(crate) async fn get(&self, token: &str, path: &str) -> HttpAnswer {
        self.server.call(token, "GET", path, None).await
    }

    /// Asks with a body.
    pub(crate) async fn ask(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> HttpAnswer {
        self.server.call(token, method, path, Some(body)).await
    }

    /// Posts with an idempotency key.
    pub(crate) async fn keyed(
        &self,
        token: &str,
        path: &str,
        key: &str,
        body: Value,
    ) -> HttpAnswer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        self.server.http("POST", path, &headers, Some(body)).await
    }

    /// Makes a room; answers its id.
    pub(crate) async fn room(&self, token: &str, body: Value) -> String {
        let answer = self.ask(token, "POST", "/v1/rooms", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.body["room"]["room_id"].as_str().unwrap().to_owned()
    }
}

/// Makes an idempotency key.
pub(crate) fn key() -> String {
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
    let (web, tokens) = Web::with(&["ana", "ben", "cat"]).await;
    let (ana, ben) = (&tokens[0], &tokens[1]);
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
    let removed = web.server.call(ben, "DELETE", &member("cat"), None).await;
    assert_eq!(removed.status, 200);
    let left = web.server.call(ben, "DELETE", &member("ben"), None).await;
    assert_eq!(left.status, 200);
    assert_eq!(ben_socket.expect("room.removed").await["reason"], "left");
}

#[tokio::test]
async fn refused_memberships_are_problems() {
    let (web, tokens) = Web::with(&["ana", "ben", "dan"]).await;
    let (ana, ben, dan) = (&tokens[0], &tokens[1], &tokens[2]);
    let room = web
        .room(ana, json!({ "kind": "group", "members": ["ben"] }))
        .await;
    let member = |user: &str| format!("/v1/rooms/{room}/members/{user}");
    web.ask(ana, "PUT", &member("ben"), json!({ "role": "moderator" }))
        .await;
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
    web.get(dan, &format!("/v1/rooms/{room}/members"))
        .await
        .problem(404, "not_found");
    let public = json!({ "public": true });
    web.ask(ana, "PATCH", &format!("/v1/rooms/{room}"), public)
        .await;
    web.get(dan, &format!("/v1/rooms/{room}/members"))
        .await
        .problem(403, "forbidden");
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
