//! `room.subscribe` and `room.unsubscribe`, and rooms that appear.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Client, Server};

async fn quiet(server: &Server, user: &str) -> Client {
    let token = server.login(user).await;
    server.hello(&token, json!({ "rooms": "none" })).await
}

fn seqs(frames: &[Value]) -> Vec<u64> {
    frames
        .iter()
        .filter_map(|frame| frame["payload"]["seq"].as_u64())
        .collect()
}

fn kinds(frames: &[Value]) -> Vec<&str> {
    frames
        .iter()
        .map(|frame| frame["type"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_ack_comes_before_the_first_event_and_live_follows() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    for _ in 0..3 {
        ana.say(&room, "a").await;
    }
    let mut other = quiet(&server, "ana").await;
    let id = Uuid::now_v7().to_string();
    other
        .post(
            "room.subscribe",
            &id,
            json!({ "room_id": room, "after": 1 }),
        )
        .await;
    let frames = other.rest().await;
    assert_eq!(
        kinds(&frames),
        ["ack", "message", "message", "message", "live"]
    );
    assert_eq!(
        frames[0],
        json!({ "type": "ack", "msg_id": id, "payload": { "head": 4, "read": 0, "unread": 0 } })
    );
    assert_eq!(seqs(&frames), [2, 3, 4, 4]);
}

#[tokio::test]
async fn without_after_delivery_starts_at_the_head() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    ana.say(&room, "before").await;
    let mut other = quiet(&server, "ana").await;
    let ack = other.ok("room.subscribe", json!({ "room_id": room })).await;
    assert_eq!(ack["head"], 2);
    assert_eq!(
        other.expect("live").await,
        json!({ "room_id": room, "seq": 2 })
    );
    ana.say(&room, "after").await;
    assert_eq!(other.expect("message").await["seq"], 3);
    assert_eq!(other.rest().await, Vec::<Value>::new());
}

#[tokio::test]
async fn after_on_a_subscribed_room_restarts_delivery_there() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    ana.say(&room, "a").await;
    ana.say(&room, "b").await;
    ana.rest().await;
    for _ in 0..2 {
        let id = Uuid::now_v7().to_string();
        ana.post(
            "room.subscribe",
            &id,
            json!({ "room_id": room, "after": 0 }),
        )
        .await;
        let frames = ana.rest().await;
        assert_eq!(
            kinds(&frames),
            ["ack", "room.created", "message", "message", "live"]
        );
        assert_eq!(seqs(&frames), [1, 2, 3, 3]);
    }
    let ack = ana.ok("room.subscribe", json!({ "room_id": room })).await;
    assert_eq!(ack["head"], 3, "without it nothing is repeated");
    let frames = ana.rest().await;
    assert!(kinds(&frames).iter().all(|kind| *kind == "live"));
    ana.say(&room, "c").await;
    assert_eq!(ana.expect("message").await["seq"], 4);
    assert_eq!(ana.rest().await, Vec::<Value>::new());
}

#[tokio::test]
async fn after_above_the_head_is_a_gap_with_reset() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    ana.ok("room.subscribe", json!({ "room_id": room, "after": 99 }))
        .await;
    assert_eq!(
        ana.next().await["payload"],
        json!({ "room_id": room, "from": 1, "to": 1, "head": 1, "reset": true })
    );
    assert_eq!(ana.expect("live").await["seq"], 1);
    ana.say(&room, "a").await;
    assert_eq!(ana.expect("message").await["seq"], 2);
}

#[tokio::test]
async fn unsubscribe_stops_delivery_and_keeps_membership() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    ben.expect("room.created").await;
    let ack = ben.ok("room.unsubscribe", json!({ "room_id": room })).await;
    assert_eq!(ack, json!({}));
    ana.say(&room, "unheard").await;
    let frames = ben.rest().await;
    assert!(
        frames.iter().all(|frame| frame["type"] == "room.added"),
        "{frames:?}"
    );
    let seen = ben.ok("room.get", json!({ "room_id": room })).await["room"].clone();
    assert_eq!(
        (&seen["role"], &seen["mode"]),
        (&json!("member"), &json!("none"))
    );
    assert_eq!(ben.say(&room, "still a member").await["seq"], 3);
    ben.ok("room.subscribe", json!({ "room_id": room, "after": 1 }))
        .await;
    assert_eq!(ben.expect("message").await["seq"], 2);
    assert_eq!(ben.expect("message").await["seq"], 3);
}

#[tokio::test]
async fn a_room_one_may_not_see_is_not_found() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let private = ana.room(json!({})).await;
    let nowhere = Uuid::now_v7().to_string();
    let one = ben
        .refused("room.subscribe", json!({ "room_id": private }))
        .await;
    let two = ben
        .refused("room.subscribe", json!({ "room_id": nowhere }))
        .await;
    assert_eq!(one["code"], "not_found");
    assert_eq!(one, two, "the same as for a room that does not exist");
    ana.say(&private, "secret").await;
    assert_eq!(ben.rest().await, Vec::<Value>::new());
    let error = ben
        .refused(
            "room.subscribe",
            json!({ "room_id": private, "mode": "loud" }),
        )
        .await;
    assert_eq!(
        (&error["code"], &error["field"]),
        (&json!("bad_frame"), &json!("mode"))
    );
}

#[tokio::test]
async fn a_public_room_can_be_read_along_until_it_turns_private() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "public": true })).await;
    let ack = ben
        .ok("room.subscribe", json!({ "room_id": room, "after": 0 }))
        .await;
    assert_eq!(ack, json!({ "head": 1, "read": 0, "unread": 0 }));
    assert_eq!(ben.expect("room.created").await["seq"], 1);
    ana.say(&room, "open").await;
    assert_eq!(ben.expect("message").await["seq"], 2);
    let send = json!({ "room_id": room, "body": { "text": "me too" } });
    assert_eq!(ben.code("message.send", send).await, "forbidden");
    ana.ok("room.update", json!({ "room_id": room, "public": false }))
        .await;
    assert_eq!(
        ben.expect("room.removed").await,
        json!({ "room_id": room, "reason": "not_member" })
    );
    ben.rest().await;
    ana.say(&room, "closed").await;
    assert_eq!(ben.rest().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_room_that_appears_is_told_before_its_first_event() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let mut none = quiet(&server, "ben").await;
    let ack = ana
        .ok("room.create", json!({ "kind": "group", "name": "tea" }))
        .await;
    let room = ack["room"]["room_id"].as_str().unwrap().to_owned();
    let (added, created) = (ana.next().await, ana.next().await);
    assert_eq!(added["type"], "room.added");
    assert_eq!(added["payload"]["room"]["head"], 0);
    assert_eq!(added["payload"]["room"]["mode"], "active");
    assert_eq!(created["type"], "room.created");
    assert_eq!(created["payload"]["seq"], 1);
    ana.say(&room, "before ben").await;
    ana.ok(
        "room.invite",
        json!({ "room_id": room, "user_ids": ["ben"] }),
    )
    .await;
    ana.say(&room, "after ben").await;
    let added = ben.next().await;
    assert_eq!(added["type"], "room.added");
    assert_eq!(added["payload"]["room"]["head"], 2);
    let invited = ben.next().await;
    assert_eq!(invited["type"], "member.invited");
    assert_eq!(invited["payload"]["seq"], 3);
    assert_eq!(ben.next().await["payload"]["seq"], 4);
    let frames = none.rest().await;
    assert_eq!(kinds(&frames), ["room.added"]);
    assert_eq!(frames[0]["payload"]["room"]["mode"], "none");
    none.ok("room.subscribe", json!({ "room_id": room, "after": 2 }))
        .await;
    assert_eq!(none.expect("member.invited").await["seq"], 3);
    assert_eq!(none.expect("message").await["seq"], 4);
}

#[tokio::test]
async fn a_room_that_goes_is_told_and_sends_nothing_more() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let mut none = quiet(&server, "ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    ben.expect("room.created").await;
    ana.ok("room.remove", json!({ "room_id": room, "user_id": "ben" }))
        .await;
    let removed = json!({ "room_id": room, "reason": "removed" });
    assert_eq!(ben.expect("room.removed").await, removed);
    assert_eq!(none.expect("room.removed").await, removed);
    ben.rest().await;
    ana.say(&room, "behind the back").await;
    assert_eq!(ben.rest().await, Vec::<Value>::new());
    assert_eq!(
        ben.code("room.subscribe", json!({ "room_id": room })).await,
        "not_found"
    );
}

#[tokio::test]
async fn who_left_a_public_room_reads_on_over_the_own_departure() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "kind": "channel", "public": true })).await;
    ben.ok("room.join", json!({ "room_id": room })).await;
    let left = ben.ok("room.leave", json!({ "room_id": room })).await["seq"].clone();
    ben.expect("room.removed").await;
    ben.ok("room.subscribe", json!({ "room_id": room, "after": 2 }))
        .await;
    let live = ben.wait_for(|frame| frame["type"] == "live").await;
    assert_eq!(live["payload"]["seq"], left);
}
