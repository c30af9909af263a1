//! Who is typing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::Server;

#[tokio::test]
async fn typing_goes_to_the_rooms_other_users_only() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.login("ana").await;
    let mut phone = server.hello(&token, json!({})).await;
    let mut ben = server.session("ben").await;
    let mut cleo = server.session("cleo").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    phone.expect("room.created").await;
    phone.rest().await;
    assert_eq!(
        ana.ok("typing.start", json!({ "room_id": room })).await,
        json!({})
    );
    let typing = ben.expect("typing").await;
    let expires = typing["expires_in_ms"].as_u64().unwrap();
    assert!(expires <= 6_000);
    assert_eq!(
        typing,
        json!({ "room_id": room, "user_id": "ana", "state": "start", "expires_in_ms": expires })
    );
    ana.ok("typing.stop", json!({ "room_id": room })).await;
    assert_eq!(
        ben.expect("typing").await,
        json!({ "room_id": room, "user_id": "ana", "state": "stop" })
    );
    for client in [&mut ana, &mut phone, &mut cleo] {
        assert_eq!(client.rest().await, Vec::<Value>::new());
    }
}

#[tokio::test]
async fn the_server_stops_by_itself_within_seven_seconds_of_the_last_start() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    ana.ok("typing.start", json!({ "room_id": room })).await;
    assert_eq!(ben.expect("typing").await["state"], "start");
    ana.ok("typing.start", json!({ "room_id": room })).await;
    let last = Instant::now();
    assert_eq!(
        ben.expect("typing").await["state"],
        "start",
        "each start is told"
    );
    drop(ana);
    assert_eq!(ben.expect("typing").await["state"], "stop");
    let waited = last.elapsed();
    assert!(
        waited > Duration::from_secs(5) && waited < Duration::from_secs(7),
        "{waited:?}"
    );
}

#[tokio::test]
async fn only_who_may_send_may_type() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let private = ana.room(json!({})).await;
    let channel = ana.room(json!({ "kind": "channel", "public": true })).await;
    let nowhere = Uuid::now_v7().to_string();
    for kind in ["typing.start", "typing.stop"] {
        assert_eq!(
            ben.code(kind, json!({ "room_id": private })).await,
            "not_found"
        );
        assert_eq!(
            ben.code(kind, json!({ "room_id": nowhere })).await,
            "not_found"
        );
        assert_eq!(
            ben.code(kind, json!({ "room_id": channel })).await,
            "forbidden"
        );
    }
    ben.ok("room.join", json!({ "room_id": channel })).await;
    assert_eq!(
        ben.code("typing.start", json!({ "room_id": channel }))
            .await,
        "forbidden",
        "a reader"
    );
    let group = ana.room(json!({ "members": ["ben"] })).await;
    ana.ok("room.mute", json!({ "room_id": group, "user_id": "ben" }))
        .await;
    assert_eq!(
        ben.code("typing.start", json!({ "room_id": group })).await,
        "muted"
    );
    let error = ben.refused("typing.start", json!({})).await;
    assert_eq!(
        (&error["code"], &error["field"]),
        (&json!("bad_frame"), &json!("room_id"))
    );
}
