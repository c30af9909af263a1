//! Presence: who sees whom, and how.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Client, Server};

fn quick() -> Server {
    Server::with(|settings| settings.presence.offline_after_ms = 500)
}

async fn watch(client: &mut Client, users: &[&str]) -> Value {
    client
        .ok("presence.watch", json!({ "user_ids": users }))
        .await["presence"]
        .clone()
}

fn is(user: &str, status: &str) -> Value {
    json!({ "user_id": user, "status": status })
}

async fn set(client: &mut Client, status: &str) {
    client.ok("presence.set", json!({ "status": status })).await;
}

#[tokio::test]
async fn who_shares_a_room_is_seen_and_followed() {
    let server = quick();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    ana.room(json!({ "members": ["ben"] })).await;
    ben.expect("room.created").await;
    assert_eq!(
        watch(&mut ben, &["ana"]).await,
        json!([is("ana", "online")])
    );
    ana.ok(
        "presence.set",
        json!({ "status": "away", "text": "at lunch" }),
    )
    .await;
    assert_eq!(
        ben.expect("presence").await,
        json!({ "user_id": "ana", "status": "away", "text": "at lunch" })
    );
    set(&mut ana, "dnd").await;
    assert_eq!(
        ben.expect("presence").await,
        is("ana", "dnd"),
        "without words the old ones go"
    );
    let gone = Instant::now();
    drop(ana);
    let offline = ben.expect("presence").await;
    assert!(gone.elapsed() >= Duration::from_millis(450), "the grace");
    assert_eq!(offline["status"], "offline");
    assert!(offline["last_seen"].is_string());
    let token = server.login("ana").await;
    let _ana = server.hello(&token, json!({ "presence": "away" })).await;
    assert_eq!(ben.expect("presence").await, is("ana", "away"));
}

#[tokio::test]
async fn a_connection_that_comes_back_in_time_was_never_gone() {
    let server = Server::start();
    let token = server.register("ana").await;
    let device = json!({ "device": { "id": "phone" } });
    let mut ana = server.hello(&token, device.clone()).await;
    let mut ben = server.session("ben").await;
    ana.room(json!({ "members": ["ben"] })).await;
    watch(&mut ben, &["ana"]).await;
    set(&mut ana, "dnd").await;
    assert_eq!(ben.expect("presence").await, is("ana", "dnd"));
    ben.rest().await;
    drop(ana);
    let _again = server.hello(&token, device).await;
    assert_eq!(ben.rest().await, Vec::<Value>::new());
    assert_eq!(watch(&mut ben, &["ana"]).await, json!([is("ana", "dnd")]));
}

#[tokio::test]
async fn strangers_are_offline_without_last_seen() {
    let server = quick();
    let mut ana = server.session("ana").await;
    let mut cleo = server.session("cleo").await;
    assert_eq!(
        watch(&mut cleo, &["ana", "nobody"]).await,
        json!([is("ana", "offline"), is("nobody", "offline")])
    );
    set(&mut ana, "dnd").await;
    assert_eq!(cleo.rest().await, Vec::<Value>::new());
    // A room in common opens the watch that is there, and its end closes it.
    let room = ana.room(json!({ "members": ["cleo"] })).await;
    assert_eq!(cleo.expect("presence").await, is("ana", "dnd"));
    ana.ok("room.remove", json!({ "room_id": room, "user_id": "cleo" }))
        .await;
    assert_eq!(cleo.expect("presence").await, is("ana", "offline"));
    set(&mut ana, "away").await;
    let rest = cleo.rest().await;
    assert!(
        rest.iter().all(|frame| frame["type"] != "presence"),
        "{rest:?}"
    );
}

#[tokio::test]
async fn invisible_on_any_device_is_offline() {
    let server = quick();
    let token = server.register("ana").await;
    let mut laptop = server.hello(&token, json!({})).await;
    let mut ben = server.session("ben").await;
    laptop.room(json!({ "members": ["ben"] })).await;
    assert_eq!(
        watch(&mut ben, &["ana"]).await,
        json!([is("ana", "online")])
    );
    let mut phone = server
        .hello(&token, json!({ "presence": "invisible" }))
        .await;
    let hidden = ben.expect("presence").await;
    assert_eq!(hidden["status"], "offline");
    set(&mut laptop, "dnd").await;
    assert!(
        ben.rest()
            .await
            .iter()
            .all(|frame| frame["type"] != "presence"),
        "nothing shows through"
    );
    set(&mut phone, "online").await;
    assert_eq!(ben.expect("presence").await, is("ana", "dnd"));
}

#[tokio::test]
async fn many_devices_merge_dnd_over_online_over_away() {
    let server = quick();
    let token = server.register("ana").await;
    let mut one = server.hello(&token, json!({ "presence": "away" })).await;
    let mut ben = server.session("ben").await;
    one.room(json!({ "members": ["ben"] })).await;
    assert_eq!(watch(&mut ben, &["ana"]).await, json!([is("ana", "away")]));
    let mut two = server.hello(&token, json!({ "presence": "online" })).await;
    assert_eq!(ben.expect("presence").await, is("ana", "online"));
    set(&mut one, "dnd").await;
    assert_eq!(ben.expect("presence").await, is("ana", "dnd"));
    set(&mut two, "away").await;
    assert!(
        ben.rest()
            .await
            .iter()
            .all(|frame| frame["type"] != "presence"),
        "dnd over away"
    );
    drop(one);
    assert_eq!(
        ben.expect("presence").await,
        is("ana", "away"),
        "the last device is still there"
    );
}

#[tokio::test]
async fn unwatch_ends_it_and_wrong_shapes_are_refused() {
    let server = quick();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    ana.room(json!({ "members": ["ben"] })).await;
    ben.expect("room.created").await;
    watch(&mut ben, &["ana"]).await;
    ben.forget();
    ben.ok("presence.unwatch", json!({ "user_ids": ["ana"] }))
        .await;
    set(&mut ana, "away").await;
    assert_eq!(ben.rest().await, Vec::<Value>::new());
    for (kind, payload, field) in [
        ("presence.set", json!({ "status": "asleep" }), "status"),
        ("presence.set", json!({}), "status"),
        ("presence.watch", json!({}), "user_ids"),
        (
            "presence.watch",
            json!({ "user_ids": ["no user"] }),
            "user_ids[0]",
        ),
    ] {
        let error = ben.refused(kind, payload).await;
        assert_eq!(
            (&error["code"], &error["field"]),
            (&json!("bad_frame"), &json!(field))
        );
    }
}
