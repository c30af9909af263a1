//! Making, changing, entering and leaving rooms.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Client, Server};

fn nowhere() -> String {
    Uuid::now_v7().to_string()
}

#[tokio::test]
async fn a_room_is_described_to_its_creator() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let ack = ana
        .ok(
            "room.create",
            json!({ "kind": "channel", "name": "news", "topic": "all of it", "public": true, "retention_ms": 60_000 }),
        )
        .await;
    let room = &ack["room"];
    assert!(ack.get("duplicate").is_none());
    for (field, value) in [
        ("kind", json!("channel")),
        ("name", json!("news")),
        ("topic", json!("all of it")),
        ("public", json!(true)),
        ("retention_ms", json!(60_000)),
        ("role", json!("owner")),
        ("unread", json!(0)),
        ("mentions", json!(0)),
        ("mode", json!("active")),
        ("head", json!(1)),
    ] {
        assert_eq!(room[field], value, "{field} of {room}");
    }
    assert!(room["created_at"].as_str().unwrap().ends_with('Z'));
    let added = ana.expect("room.added").await;
    assert_eq!(added["room"]["head"], 0);
    assert_eq!(added["room"]["mode"], "active");
    let created = ana.wait_for(|frame| frame["type"] == "room.created").await;
    assert!(Uuid::parse_str(created["msg_id"].as_str().unwrap()).is_ok());
    let created = &created["payload"];
    assert_eq!(created["seq"], 1);
    assert_eq!(created["sender"], "ana");
    assert_eq!(created["members"], json!(["ana"]));
    assert_eq!(created["kind"], "channel");
    assert_eq!(created["name"], "news");
    assert_eq!(created["topic"], "all of it");
    assert_eq!(created["public"], true);
    assert_eq!(created["retention_ms"], 60_000);
}

#[tokio::test]
async fn named_members_are_in_from_the_start() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let mut cat = server.session("cat").await;
    let room = ana
        .room(json!({ "members": ["ben", "cat", "ben", "ana"] }))
        .await;
    for other in [&mut ben, &mut cat] {
        let added = other.expect("room.added").await;
        assert_eq!(added["room"]["room_id"], room.as_str());
        assert_eq!(added["room"]["role"], "member");
        assert_eq!(added["room"]["head"], 0);
        let created = other.expect("room.created").await;
        assert_eq!(created["seq"], 1);
        assert_eq!(created["members"], json!(["ana", "ben", "cat"]));
    }
    let seen = ana.ok("room.get", json!({ "room_id": room })).await;
    assert_eq!(
        seen["room"]["head"], 1,
        "room.created stands for all of them"
    );
}

#[tokio::test]
async fn unknown_members_are_not_found_and_nothing_is_done() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let refusal = ana
        .refused(
            "room.create",
            json!({ "kind": "group", "members": ["nobody"] }),
        )
        .await;
    assert_eq!(refusal["code"], "not_found");
    assert_eq!(refusal["field"], "members");
    assert_eq!(ana.ok("room.list", json!({})).await["rooms"], json!([]));
    let room = ana.room(json!({})).await;
    server.register("ben").await;
    let code = ana
        .code(
            "room.invite",
            json!({ "room_id": room, "user_ids": ["ben", "nobody"] }),
        )
        .await;
    assert_eq!(code, "not_found");
    let seen = ana.ok("room.get", json!({ "room_id": room })).await;
    assert_eq!(seen["room"]["head"], 1);
}

#[tokio::test]
async fn creating_again_gives_the_same_room() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let id = Uuid::now_v7().to_string();
    let ask = json!({ "kind": "group", "name": "tea" });
    let first = ana.ask_as(&id, "room.create", ask.clone()).await;
    let again = ana.ask_as(&id.to_uppercase(), "room.create", ask).await;
    assert_eq!(again["payload"]["duplicate"], true);
    assert_eq!(
        again["payload"]["room"]["room_id"],
        first["payload"]["room"]["room_id"]
    );
    let other = ana
        .ask_as(
            &id,
            "room.create",
            json!({ "kind": "group", "name": "coffee" }),
        )
        .await;
    assert_eq!(other["payload"]["code"], "conflict");
    let rooms = ana.ok("room.list", json!({})).await;
    assert_eq!(rooms["rooms"].as_array().unwrap().len(), 1);
    // Unknown fields and absent ones do not make another payload.
    let known = ana
        .ask_as(
            &id,
            "room.create",
            json!({ "kind": "group", "name": "tea", "topic": null, "colour": "red" }),
        )
        .await;
    assert_eq!(known["payload"]["duplicate"], true, "{known}");
    // Another user's msg_id is another one.
    let mut ben = server.session("ben").await;
    let theirs = ben
        .ask_as(&id, "room.create", json!({ "kind": "group" }))
        .await;
    assert_eq!(theirs["type"], "ack");
}

#[tokio::test]
async fn a_refused_creation_is_not_remembered() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let id = Uuid::now_v7().to_string();
    let ask = json!({ "kind": "group", "members": ["ben"] });
    let refused = ana.ask_as(&id, "room.create", ask.clone()).await;
    assert_eq!(refused["payload"]["code"], "not_found");
    server.register("ben").await;
    let made = ana.ask_as(&id, "room.create", ask).await;
    assert_eq!(made["type"], "ack", "{made}");
    assert!(made["payload"].get("duplicate").is_none());
}

#[tokio::test]
async fn fields_of_a_room_have_bounds() {
    let server = Server::start();
    let token = server.register("ana").await;
    let room = server.hello(&token, json!({})).await.room(json!({})).await;
    for (kind, least) in [
        ("room.create", json!({ "kind": "group" })),
        ("room.update", json!({ "room_id": room })),
    ] {
        // Ten bad frames in a minute end a connection.
        let mut ana = server.hello(&token, json!({})).await;
        for (field, value) in [
            ("name", json!("n".repeat(257))),
            ("topic", json!("t".repeat(1025))),
            ("retention_ms", json!(59_999)),
            ("retention_ms", json!(-1)),
            ("name", json!(7)),
            ("public", json!("yes")),
        ] {
            let mut payload = least.clone();
            payload[field] = value;
            let refusal = ana.refused(kind, payload).await;
            assert_eq!(refusal["code"], "bad_frame", "{kind} {field}");
            assert_eq!(refusal["field"], field, "{kind}");
        }
        let mut payload = least;
        payload["name"] = json!("n".repeat(256));
        payload["topic"] = json!("t".repeat(1024));
        payload["retention_ms"] = json!(60_000);
        ana.ok(kind, payload).await;
    }
}

#[tokio::test]
async fn the_kind_must_be_one_of_three() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    for payload in [json!({}), json!({ "kind": "party" })] {
        let refusal = ana.refused("room.create", payload).await;
        assert_eq!(refusal["code"], "bad_frame");
        assert_eq!(refusal["field"], "kind");
    }
}

#[tokio::test]
async fn an_update_reaches_everyone_and_null_clears() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana
        .room(json!({ "name": "a", "topic": "b", "retention_ms": 60_000, "members": ["ben"] }))
        .await;
    let ack = ana
        .ok("room.update", json!({ "room_id": room, "name": "tea" }))
        .await;
    assert_eq!(ack, json!({ "seq": 2 }));
    let told = ben.expect("room.updated").await;
    assert_eq!(told["seq"], 2);
    assert_eq!(told["sender"], "ana");
    assert_eq!(told["name"], "tea");
    assert!(told.get("topic").is_none(), "only what changed");
    ana.ok(
        "room.update",
        json!({ "room_id": room, "name": null, "topic": null, "retention_ms": null, "public": true }),
    )
    .await;
    let told = ben.expect("room.updated").await;
    for field in ["name", "topic", "retention_ms"] {
        assert_eq!(told.get(field), Some(&Value::Null), "{field} was cleared");
    }
    assert_eq!(told["public"], true);
    let seen = ben.ok("room.get", json!({ "room_id": room })).await;
    for field in ["name", "topic", "retention_ms"] {
        assert!(seen["room"].get(field).is_none(), "{field} is gone");
    }
    assert_eq!(seen["room"]["public"], true);
    assert_eq!(
        ana.code("room.update", json!({ "room_id": room })).await,
        "bad_frame"
    );
}

#[tokio::test]
async fn joining_a_public_room() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    for (kind, role) in [("group", "member"), ("channel", "reader")] {
        let room = ana.room(json!({ "kind": kind, "public": true })).await;
        let ack = ben.ok("room.join", json!({ "room_id": room })).await;
        assert_eq!(ack["seq"], 2);
        let added = ben.expect("room.added").await;
        assert_eq!(added["room"]["role"], role);
        assert_eq!(
            added["room"]["head"], 1,
            "the event that brings the user in is the first one delivered"
        );
        assert_eq!(ben.expect("member.joined").await["seq"], 2);
        let told = ana.expect("member.joined").await;
        assert_eq!(told["user_id"], "ben");
        assert_eq!(told["sender"], "ben");
        assert_eq!(told["role"], role);
        let again = ben.ok("room.join", json!({ "room_id": room })).await;
        assert_eq!(
            again,
            json!({ "seq": 2 }),
            "the head, and nothing is appended"
        );
    }
}

#[tokio::test]
async fn a_private_room_is_not_there_for_others() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({})).await;
    for room in [room, nowhere()] {
        let mut answers = Vec::new();
        for (kind, extra) in every_frame_about_a_room() {
            let mut payload = extra;
            payload["room_id"] = json!(room);
            let refusal = ben.refused(kind, payload).await;
            assert_eq!(refusal["code"], "not_found", "{kind}");
            assert!(refusal.get("details").is_none());
            answers.push(refusal);
        }
        assert!(
            answers
                .iter()
                .all(|answer| answer["message"] == "no such room")
        );
    }
}

fn every_frame_about_a_room() -> Vec<(&'static str, Value)> {
    vec![
        ("room.get", json!({})),
        ("room.join", json!({})),
        ("room.leave", json!({})),
        ("room.members", json!({})),
        ("room.subscribe", json!({})),
        ("room.update", json!({ "name": "x" })),
        ("room.invite", json!({ "user_ids": ["ben"] })),
        ("room.remove", json!({ "user_id": "ana" })),
        ("room.ban", json!({ "user_id": "ana" })),
        ("room.unban", json!({ "user_id": "ana" })),
        ("room.mute", json!({ "user_id": "ana" })),
        ("room.unmute", json!({ "user_id": "ana" })),
        ("room.role", json!({ "user_id": "ana", "role": "reader" })),
        ("message.send", json!({ "body": { "text": "x" } })),
        ("receipt.read", json!({ "seq": 1 })),
        ("receipt.delivered", json!({ "seq": 1 })),
        ("typing.start", json!({})),
        ("typing.stop", json!({})),
        ("history.get", json!({})),
    ]
}

#[tokio::test]
async fn a_public_room_can_be_read_by_anyone_and_written_by_members() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "kind": "channel", "public": true })).await;
    ana.say(&room, "hello").await;
    let seen = ben.ok("room.get", json!({ "room_id": room })).await;
    for field in ["role", "read", "delivered", "unread", "mentions", "mode"] {
        assert!(seen["room"].get(field).is_none(), "{field} is a member's");
    }
    let history = ben.ok("history.get", json!({ "room_id": room })).await;
    assert_eq!(history["events"].as_array().unwrap().len(), 2);
    let ack = ben.ok("room.subscribe", json!({ "room_id": room })).await;
    assert_eq!(ack, json!({ "head": 2, "read": 0, "unread": 0 }));
    assert_eq!(ben.expect("live").await["seq"], 2);
    ana.say(&room, "again").await;
    assert_eq!(ben.expect("message").await["seq"], 3);
    for (kind, extra) in every_frame_about_a_room() {
        if matches!(
            kind,
            "room.get" | "room.join" | "room.subscribe" | "history.get"
        ) {
            continue;
        }
        let mut payload = extra;
        payload["room_id"] = json!(room);
        assert_eq!(ben.code(kind, payload).await, "forbidden", "{kind}");
    }
}

#[tokio::test]
async fn inviting_makes_members_at_once() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let mut cat = server.session("cat").await;
    let room = ana.room(json!({})).await;
    ana.say(&room, "before").await;
    let ask = json!({ "room_id": room, "user_ids": ["ben", "cat", "ben", "ana"] });
    let ack = ana.ok("room.invite", ask.clone()).await;
    assert_eq!(ack, json!({ "seq": 4 }), "the last of two");
    for (other, user, seq) in [(&mut ben, "ben", 3), (&mut cat, "cat", 4)] {
        let added = other.expect("room.added").await;
        assert_eq!(added["room"]["role"], "member");
        assert_eq!(added["room"]["head"], seq - 1);
        let first = other
            .wait_for(|frame| frame["type"] == "member.invited")
            .await;
        assert_eq!(first["payload"]["seq"], seq);
        assert_eq!(first["payload"]["user_id"], user);
        assert_eq!(first["payload"]["sender"], "ana");
    }
    let history = ben.ok("history.get", json!({ "room_id": room })).await;
    assert_eq!(
        history["events"].as_array().unwrap().len(),
        4,
        "members see all kept history"
    );
    let again = ana.ok("room.invite", ask).await;
    assert_eq!(again, json!({ "seq": 4 }), "all are there already");
    for payload in [
        json!({ "room_id": room, "user_ids": [] }),
        json!({ "room_id": room }),
        json!({ "room_id": room, "user_ids": ["not an id"] }),
    ] {
        assert_eq!(ana.code("room.invite", payload).await, "bad_frame");
    }
}

#[tokio::test]
async fn leaving_ends_delivery_everywhere() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.register("ben").await;
    let mut phone = server
        .hello(&token, json!({ "device": { "id": "phone" } }))
        .await;
    let mut laptop = server
        .hello(&token, json!({ "device": { "id": "laptop" } }))
        .await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    for device in [&mut phone, &mut laptop] {
        device.expect("room.created").await;
    }
    let ack = phone.ok("room.leave", json!({ "room_id": room })).await;
    assert_eq!(ack["seq"], 2);
    for device in [&mut phone, &mut laptop] {
        let removed = device.expect("room.removed").await;
        assert_eq!(removed, json!({ "room_id": room, "reason": "left" }));
    }
    let told = ana.expect("member.left").await;
    assert_eq!(told["user_id"], "ben");
    assert_eq!(told["sender"], "ben");
    ana.say(&room, "gone?").await;
    for device in [&mut phone, &mut laptop] {
        nothing_of(device, &room).await;
        let code = device.code("room.get", json!({ "room_id": room })).await;
        assert_eq!(code, "not_found");
    }
}

async fn nothing_of(client: &mut Client, room: &str) {
    let rest = client.rest().await;
    assert!(
        rest.iter().all(|frame| frame["payload"]["room_id"] != room),
        "{rest:?}"
    );
}

#[tokio::test]
async fn the_last_owner_stays_while_others_are_there() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let leave = json!({ "room_id": room });
    assert_eq!(ana.code("room.leave", leave.clone()).await, "conflict");
    let demote = json!({ "room_id": room, "user_id": "ana", "role": "member" });
    assert_eq!(ana.code("room.role", demote.clone()).await, "conflict");
    ana.ok(
        "room.role",
        json!({ "room_id": room, "user_id": "ben", "role": "owner" }),
    )
    .await;
    ana.ok("room.role", demote).await;
    ana.ok("room.leave", leave.clone()).await;
    ben.ok("room.leave", leave).await;
    // Alone, the last owner may go.
    let alone = ana.room(json!({ "public": true })).await;
    ana.ok("room.leave", json!({ "room_id": alone })).await;
}

#[tokio::test]
async fn a_room_that_turns_private_puts_its_readers_out() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let mut cat = server.session("cat").await;
    let room = ana
        .room(json!({ "kind": "channel", "public": true, "members": ["cat"] }))
        .await;
    ben.ok("room.subscribe", json!({ "room_id": room })).await;
    ben.expect("live").await;
    ana.ok("room.update", json!({ "room_id": room, "public": false }))
        .await;
    let removed = ben.expect("room.removed").await;
    assert_eq!(removed, json!({ "room_id": room, "reason": "not_member" }));
    ana.say(&room, "among us").await;
    nothing_of(&mut ben, &room).await;
    let code = ben.code("room.subscribe", json!({ "room_id": room })).await;
    assert_eq!(code, "not_found");
    // A member notices nothing but the update.
    cat.expect("room.updated").await;
    assert_eq!(cat.expect("message").await["body"]["text"], "among us");
    assert!(
        cat.rest()
            .await
            .iter()
            .all(|frame| frame["type"] != "room.removed")
    );
}
