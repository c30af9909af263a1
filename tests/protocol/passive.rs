//! Rooms in `passive` mode: heads instead of events.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Client, Server};

async fn mode(client: &mut Client, room: &str) -> Value {
    client.ok("room.get", json!({ "room_id": room })).await["room"]["mode"].clone()
}

async fn passive(client: &mut Client, room: &str) -> Value {
    client
        .ok(
            "room.subscribe",
            json!({ "room_id": room, "mode": "passive" }),
        )
        .await
}

#[tokio::test]
async fn a_passive_room_sends_heads_and_no_events() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    ana.say(&room, "before").await;
    ben.expect("message").await;
    let ack = passive(&mut ben, &room).await;
    assert_eq!(ack, json!({ "head": 2, "read": 0, "unread": 1 }));
    assert_eq!(mode(&mut ben, &room).await, "passive");
    let sent = ana
        .ok(
            "message.send",
            json!({ "room_id": room, "body": { "text": "look" }, "mentions": ["ben"] }),
        )
        .await;
    let head = ben.expect("head").await;
    assert_eq!(
        head,
        json!({ "room_id": room, "head": 3, "unread": 2, "mentions": 1,
                "last": { "room_id": room, "seq": 3, "sender": "ana", "sent_at": sent["sent_at"],
                          "body": { "text": "look" }, "mentions": ["ben"] } })
    );
    let rest = ben.rest().await;
    assert!(
        rest.iter().all(|frame| frame["type"] != "message"),
        "{rest:?}"
    );
}

#[tokio::test]
async fn heads_come_at_most_once_a_second() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    ben.expect("room.created").await;
    passive(&mut ben, &room).await;
    let mut last = 0;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2_500) {
        last = ana.say(&room, "again").await["seq"].as_u64().unwrap();
    }
    let (mut at, mut heads) = (None::<Instant>, 0);
    loop {
        let head = ben.expect("head").await;
        heads += 1;
        if head["head"] == last {
            assert_eq!(head["unread"], (last - 1).min(1_000));
            assert_eq!(head["last"]["seq"], last);
            break;
        }
        at.get_or_insert_with(Instant::now);
    }
    let spent = began.elapsed().as_secs() + 2;
    assert!(heads >= 2 && heads <= spent, "{heads} in {spent} s");
}

#[tokio::test]
async fn passive_to_active_goes_on_after_the_acks_head_without_gap() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    ben.expect("room.created").await;
    ben.forget();
    passive(&mut ben, &room).await;
    for _ in 0..5 {
        ana.say(&room, "unseen").await;
    }
    let ack = ben
        .ok(
            "room.subscribe",
            json!({ "room_id": room, "mode": "active" }),
        )
        .await;
    assert_eq!(ack, json!({ "head": 6, "read": 0, "unread": 5 }));
    assert_eq!(
        ben.expect("live").await,
        json!({ "room_id": room, "seq": 6 })
    );
    assert_eq!(mode(&mut ben, &room).await, "active");
    ana.say(&room, "seen").await;
    assert_eq!(ben.expect("message").await["seq"], 7);
    let rest = ben.rest().await;
    assert!(
        rest.iter().all(|frame| frame["type"] == "head"),
        "no gap, nothing of before: {rest:?}"
    );
}

#[tokio::test]
async fn an_active_room_turned_passive_sends_no_more_events() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    ana.say(&room, "one").await;
    assert_eq!(ben.expect("message").await["seq"], 2);
    passive(&mut ben, &room).await;
    ana.say(&room, "two").await;
    assert_eq!(ben.expect("head").await["head"], 3);
    ben.ok(
        "room.subscribe",
        json!({ "room_id": room, "after": 1, "mode": "active" }),
    )
    .await;
    assert_eq!(ben.expect("message").await["seq"], 2);
    assert_eq!(ben.expect("message").await["seq"], 3);
    assert_eq!(ben.expect("live").await["seq"], 3);
}
