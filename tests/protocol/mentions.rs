//! Unread and mention counts, and who may name everybody.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Client, Server};

async fn counts(client: &mut Client, room: &str) -> (u64, u64) {
    let seen = client.ok("room.get", json!({ "room_id": room })).await;
    both(&seen["room"])
}

fn both(room: &Value) -> (u64, u64) {
    (
        room["unread"].as_u64().unwrap(),
        room["mentions"].as_u64().unwrap(),
    )
}

async fn mention(client: &mut Client, room: &str, mentions: &[&str]) -> Value {
    client
        .ask(
            "message.send",
            json!({ "room_id": room, "body": { "text": "x" }, "mentions": mentions }),
        )
        .await
}

#[tokio::test]
async fn counts_follow_the_read_position_on_every_device() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.register("ben").await;
    let mut phone = server.hello(&token, json!({})).await;
    let mut laptop = server.hello(&token, json!({ "rooms": "none" })).await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    assert_eq!(counts(&mut phone, &room).await, (0, 0));
    ana.say(&room, "one").await;
    mention(&mut ana, &room, &["ben"]).await;
    mention(&mut ana, &room, &["@room"]).await;
    mention(&mut ana, &room, &["ana"]).await;
    mention(&mut ana, &room, &["ben", "@room"]).await;
    // Neither other events nor one's own sends count, nor does sending move `read`.
    ana.ok("room.update", json!({ "room_id": room, "name": "x" }))
        .await;
    mention(&mut phone, &room, &["ben"]).await;
    for device in [&mut phone, &mut laptop] {
        assert_eq!(counts(device, &room).await, (5, 3));
        let listed = device.ok("room.list", json!({})).await;
        assert_eq!(both(&listed["rooms"][0]), (5, 3));
    }
    assert_eq!(counts(&mut ana, &room).await, (1, 0), "ben's only");
    laptop
        .ok("receipt.read", json!({ "room_id": room, "seq": 3 }))
        .await;
    for device in [&mut phone, &mut laptop] {
        assert_eq!(counts(device, &room).await, (3, 2));
    }
    let fresh = server.hello(&token, json!({})).await;
    assert_eq!(both(&fresh.welcome["rooms"][0]), (3, 2));
    assert_eq!(fresh.welcome["rooms"][0]["read"], 3);
    let ack = laptop
        .ok("room.subscribe", json!({ "room_id": room }))
        .await;
    assert_eq!(ack, json!({ "head": 8, "read": 3, "unread": 3 }));
    phone
        .ok("receipt.read", json!({ "room_id": room, "seq": 8 }))
        .await;
    for device in [&mut phone, &mut laptop] {
        assert_eq!(counts(device, &room).await, (0, 0));
    }
}

#[tokio::test]
async fn a_newcomer_has_read_what_was_said_before() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "public": true })).await;
    ana.say(&room, "before").await;
    ben.ok("room.join", json!({ "room_id": room })).await;
    assert_eq!(counts(&mut ben, &room).await, (0, 0));
    ana.say(&room, "after").await;
    assert_eq!(counts(&mut ben, &room).await, (1, 0));
}

#[tokio::test]
async fn counts_are_exact_up_to_999() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.register("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let mut ben = server.hello(&token, json!({ "rooms": "none" })).await;
    send_many(&mut ana, &room, 998).await;
    assert_eq!(counts(&mut ben, &room).await, (998, 998));
    for expected in [999, 1000, 1000] {
        send_many(&mut ana, &room, 1).await;
        assert_eq!(counts(&mut ben, &room).await, (expected, expected));
    }
    let ack = ben.ok("room.subscribe", json!({ "room_id": room })).await;
    assert_eq!(ack["unread"], 1000);
    ben.ok("receipt.read", json!({ "room_id": room, "seq": 3 }))
        .await;
    assert_eq!(counts(&mut ben, &room).await, (999, 999));
}

async fn send_many(client: &mut Client, room: &str, count: usize) {
    let ids: Vec<String> = (0..count).map(|_| Uuid::new_v4().to_string()).collect();
    for ids in ids.chunks(100) {
        for id in ids {
            let send = json!({ "room_id": room, "body": { "text": "x" }, "mentions": ["@room"] });
            client.post("message.send", id, send).await;
        }
        for id in ids {
            assert_eq!(client.reply_to(id).await["type"], "ack");
        }
    }
}

#[tokio::test]
async fn in_a_large_room_only_moderators_name_everybody() {
    let server = Server::start();
    let mut boss = server.session("boss").await;
    let mut member = server.session("member").await;
    let others: Vec<String> = (0..49).map(|index| format!("user{index}")).collect();
    for user in &others {
        server.register(user).await;
    }
    let mut members = others[..48].to_vec();
    members.push("member".into());
    let room = boss.room(json!({ "members": members })).await;
    let reply = mention(&mut member, &room, &["@room"]).await;
    assert_eq!(reply["type"], "ack", "fifty members: {reply}");
    boss.ok(
        "room.invite",
        json!({ "room_id": room, "user_ids": [others[48]] }),
    )
    .await;
    let reply = mention(&mut member, &room, &["@room"]).await;
    assert_eq!(reply["payload"]["code"], "forbidden");
    assert_eq!(mention(&mut member, &room, &["boss"]).await["type"], "ack");
    assert_eq!(mention(&mut boss, &room, &["@room"]).await["type"], "ack");
    boss.ok(
        "room.role",
        json!({ "room_id": room, "user_id": "member", "role": "moderator" }),
    )
    .await;
    assert_eq!(mention(&mut member, &room, &["@room"]).await["type"], "ack");
}

#[tokio::test]
async fn a_mention_is_a_user_id_or_the_room() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    for bad in ["@everyone?", "", "a b", "naïve"] {
        let reply = mention(&mut ana, &room, &["ana", bad]).await;
        assert_eq!(reply["payload"]["code"], "bad_frame", "{bad}");
        assert_eq!(reply["payload"]["field"], "mentions[1]");
    }
    let refusal = ana
        .refused(
            "message.send",
            json!({ "room_id": room, "body": { "text": "x" }, "mentions": "ana" }),
        )
        .await;
    assert_eq!(refusal["code"], "bad_frame");
    assert_eq!(refusal["field"], "mentions");
}
