//! Profiles.

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn a_profile_is_seen_by_everyone() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let plain = ben.ok("user.get", json!({ "user_id": "ana" })).await;
    assert_eq!(plain, json!({ "user": { "user_id": "ana" } }));
    let set = json!({ "name": "Ana", "avatar": "https://example.org/ana.png" });
    let ack = ana.ok("user.update", set).await;
    let whole = json!({ "user": {
        "user_id": "ana", "name": "Ana", "avatar": "https://example.org/ana.png"
    } });
    assert_eq!(ack, whole);
    assert_eq!(ben.ok("user.get", json!({ "user_id": "ana" })).await, whole);
    // What is not named stays; null clears.
    let ack = ana.ok("user.update", json!({ "name": "Ann" })).await;
    assert_eq!(ack["user"]["avatar"], "https://example.org/ana.png");
    let ack = ana.ok("user.update", json!({ "avatar": null })).await;
    assert_eq!(ack, json!({ "user": { "user_id": "ana", "name": "Ann" } }));
    assert_eq!(ana.ok("user.get", json!({ "user_id": "ana" })).await, ack);
}

#[tokio::test]
async fn the_name_given_at_registration_is_the_profiles() {
    let server = Server::start();
    let body = json!({ "user_id": "ana", "password": "correct horse", "name": "Ana" });
    let answer = server
        .http("POST", "/v1/auth/register", &[], Some(body))
        .await;
    let mut ana = server
        .hello(answer.body["token"].as_str().unwrap(), json!({}))
        .await;
    let seen = ana.ok("user.get", json!({ "user_id": "ana" })).await;
    assert_eq!(seen["user"]["name"], "Ana");
}

#[tokio::test]
async fn what_is_wrong_with_a_profile_is_named() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    assert_eq!(
        ana.code("user.get", json!({ "user_id": "nobody" })).await,
        "not_found"
    );
    for (kind, ask, field) in [
        ("user.get", json!({}), "user_id"),
        ("user.get", json!({ "user_id": "not an id" }), "user_id"),
        ("user.get", json!({ "user_id": "x".repeat(129) }), "user_id"),
        ("user.update", json!({ "name": 7 }), "name"),
        ("user.update", json!({ "name": "n".repeat(257) }), "name"),
        (
            "user.update",
            json!({ "avatar": "a".repeat(2049) }),
            "avatar",
        ),
    ] {
        let refusal = ana.refused(kind, ask.clone()).await;
        assert_eq!(refusal["code"], "bad_frame", "{kind} {ask}");
        assert_eq!(refusal["field"], field, "{kind} {ask}");
    }
}
