//! Receipts: they move forward, everyone in the room hears of them, and they last.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use crate::support::{Client, Server};

async fn places(client: &mut Client, room: &str) -> (Value, Value) {
    let seen = client.ok("room.get", json!({ "room_id": room })).await;
    let room = &seen["room"];
    (room["delivered"].clone(), room["read"].clone())
}

#[tokio::test]
async fn receipts_only_move_forward() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    for _ in 0..9 {
        ana.say(&room, "x").await;
    }
    for (kind, seq, kept, delivered, read) in [
        ("receipt.delivered", 3, 3, 3, 0),
        ("receipt.delivered", 2, 3, 3, 0),
        ("receipt.read", 2, 2, 3, 2),
        ("receipt.read", 5, 5, 5, 5),
        ("receipt.read", 4, 5, 5, 5),
        ("receipt.delivered", 4, 5, 5, 5),
        ("receipt.read", 0, 5, 5, 5),
        ("receipt.delivered", 999, 10, 10, 5),
        ("receipt.read", 9_007_199_254_740_991_u64, 10, 10, 10),
    ] {
        let ack = ben.ok(kind, json!({ "room_id": room, "seq": seq })).await;
        assert_eq!(ack, json!({ "seq": kept }), "{kind} {seq}");
        let places = places(&mut ben, &room).await;
        assert_eq!(places, (json!(delivered), json!(read)), "{kind} {seq}");
    }
    let ack = ben
        .ok("receipt.delivered", json!({ "room_id": room, "seq": 1 }))
        .await;
    assert_eq!(ack["seq"], 10);
}

#[tokio::test]
async fn everyone_in_the_room_hears_of_a_receipt() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.register("ben").await;
    let mut phone = server.hello(&token, json!({})).await;
    let mut laptop = server.hello(&token, json!({})).await;
    let mut cat = server.session("cat").await;
    let room = ana.room(json!({ "members": ["ben", "cat"] })).await;
    for client in [&mut phone, &mut laptop, &mut cat] {
        client.expect("room.created").await;
    }
    ana.say(&room, "x").await;
    phone
        .ok("receipt.read", json!({ "room_id": room, "seq": 2 }))
        .await;
    for client in [&mut ana, &mut laptop, &mut cat] {
        let receipt = client.expect("receipt").await;
        assert_eq!(receipt["room_id"], room.as_str());
        assert_eq!(receipt["user_id"], "ben");
        assert_eq!(receipt["read"], 2);
        assert_eq!(receipt["delivered"], 2, "read implies delivered");
    }
    phone.rest().await;
    // What moves nothing is told to nobody.
    phone
        .ok("receipt.read", json!({ "room_id": room, "seq": 1 }))
        .await;
    for client in [&mut ana, &mut laptop, &mut cat] {
        let rest = client.rest().await;
        assert!(
            rest.iter().all(|frame| frame["type"] != "receipt"),
            "{rest:?}"
        );
    }
}

#[tokio::test]
async fn a_receipt_names_a_position() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    for kind in ["receipt.read", "receipt.delivered"] {
        for seq in [
            json!(null),
            json!(-1),
            json!("1"),
            json!(9_007_199_254_740_992_u64),
        ] {
            let refusal = ana
                .refused(kind, json!({ "room_id": room, "seq": seq }))
                .await;
            assert_eq!(refusal["code"], "bad_frame", "{kind} {seq}");
            assert_eq!(refusal["field"], "seq", "{kind} {seq}");
        }
    }
}

#[tokio::test]
async fn receipts_outlast_a_restart() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.register("ben").await;
    let mut ben = server.hello(&token, json!({})).await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    for _ in 0..5 {
        ana.say(&room, "x").await;
    }
    ben.ok("receipt.read", json!({ "room_id": room, "seq": 3 }))
        .await;
    ben.ok("receipt.delivered", json!({ "room_id": room, "seq": 5 }))
        .await;
    drop((ana, ben));
    let server = server.restart();
    let mut ben = server.hello(&token, json!({})).await;
    assert_eq!(places(&mut ben, &room).await, (json!(5), json!(3)));
    assert_eq!(ben.welcome["rooms"][0]["unread"], 3);
}

#[tokio::test]
async fn an_acknowledged_receipt_is_durable_within_a_second() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.register("ben").await;
    let mut ben = server.hello(&token, json!({})).await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    ana.say(&room, "x").await;
    ben.ok("receipt.read", json!({ "room_id": room, "seq": 2 }))
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // What a crash leaves now: the files as they are, while the node lives on.
    let crashed = tempfile::tempdir().unwrap();
    copy(server.folder.path(), crashed.path());
    let after = Server::in_folder(crashed, |_| {});
    let mut ben = after.hello(&token, json!({})).await;
    assert_eq!(places(&mut ben, &room).await, (json!(2), json!(2)));
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_newcomer_stands_before_the_event_that_brought_them_in() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({})).await;
    for _ in 0..3 {
        ana.say(&room, "x").await;
    }
    ana.ok(
        "room.invite",
        json!({ "room_id": room, "user_ids": ["ben"] }),
    )
    .await;
    assert_eq!(places(&mut ben, &room).await, (json!(4), json!(4)));
}
