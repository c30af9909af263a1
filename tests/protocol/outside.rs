//! Accounts of an outside issuer: every well-formed user id is known, and there is no registering here.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parlor_config::{Algorithm, AuthMode};
use serde_json::{Value, json};

use crate::support::{Client, Got, PASSWORD, Server};

const SECRET: &str = "a secret that two servers share, and nobody else";

fn server() -> (Server, tempfile::NamedTempFile) {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), SECRET).unwrap();
    let path = key.path().to_owned();
    let server = Server::with(|settings| {
        settings.auth.mode = AuthMode::Jwt;
        settings.auth.jwt.key_file = Some(path);
        settings.auth.jwt.algorithms = vec![Algorithm::HS256];
    });
    (server, key)
}

fn signed(header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

/// A token that lives longer than this century.
fn token(user: &str) -> String {
    signed(
        &json!({ "alg": "HS256", "typ": "JWT" }),
        &json!({ "sub": user, "exp": 4_102_444_800_u64 }),
    )
}

#[tokio::test]
async fn there_is_no_registering() {
    let (server, _key) = server();
    let bearer = token("ana");
    for (call, body) in [
        (
            "register",
            json!({ "user_id": "ana", "password": PASSWORD }),
        ),
        ("login", json!({ "user_id": "ana", "password": PASSWORD })),
        ("refresh", json!({ "refresh_token": "x" })),
        ("logout", json!({})),
    ] {
        let path = format!("/v1/auth/{call}");
        let answer = server.call(&bearer, "POST", &path, Some(body)).await;
        answer.problem(404, "not_found");
    }
}

#[tokio::test]
async fn every_well_formed_user_is_known() {
    let (server, _key) = server();
    let mut ana = server.hello(&token("ana"), json!({})).await;
    let room = ana.room(json!({ "members": ["never-seen"] })).await;
    ana.ok(
        "room.invite",
        json!({ "room_id": room, "user_ids": ["nor:this@one"] }),
    )
    .await;
    ana.ok(
        "room.ban",
        json!({ "room_id": room, "user_id": "stranger" }),
    )
    .await;
    ana.ok(
        "room.create",
        json!({ "kind": "direct", "members": ["peer"] }),
    )
    .await;
    let seen = ana.ok("user.get", json!({ "user_id": "whoever" })).await;
    assert_eq!(seen, json!({ "user": { "user_id": "whoever" } }));
    let ack = ana.ok("user.update", json!({ "name": "Ana" })).await;
    assert_eq!(ack["user"]["name"], "Ana");
    let mut peer = server.hello(&token("never-seen"), json!({})).await;
    assert_eq!(peer.welcome["rooms"][0]["room_id"], room.as_str());
    peer.say(&room, "here after all").await;
    let ill_formed = json!({ "room_id": room, "user_ids": ["not an id"] });
    assert_eq!(ana.code("room.invite", ill_formed).await, "bad_frame");
}

#[tokio::test]
async fn tokens_that_do_not_hold_are_refused_on_both_ways_in() {
    let (server, _key) = server();
    let good = json!({ "alg": "HS256" });
    let exp = 4_102_444_800_u64;
    for (header, claims) in [
        (good.clone(), json!({ "sub": "ana" })),
        (good.clone(), json!({ "sub": "ana", "exp": 1_000 })),
        (good.clone(), json!({ "exp": exp })),
        (good.clone(), json!({ "sub": "not an id", "exp": exp })),
        (good, json!({ "sub": 7, "exp": exp })),
        (
            json!({ "alg": "HS256", "crit": ["x"], "x": 1 }),
            json!({ "sub": "ana", "exp": exp }),
        ),
        (
            json!({ "alg": "none" }),
            json!({ "sub": "ana", "exp": exp }),
        ),
    ] {
        let token = signed(&header, &claims);
        let answer = server.call(&token, "GET", "/v1/rooms", None).await;
        answer.problem(401, "unauthorized");
        let mut client = Client::connect(server.addr).await;
        let reply = client.ask("hello", json!({ "token": token })).await;
        assert_eq!(
            reply["payload"]["code"], "unauthorized",
            "{header} {claims}"
        );
        assert!(matches!(client.read().await, Got::Closed(Some(4401))));
    }
}
