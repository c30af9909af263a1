//! Direct rooms: one per pair.

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn a_pair_has_one_room() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let first = ana
        .ok(
            "room.create",
            json!({ "kind": "direct", "members": ["ben"] }),
        )
        .await;
    let room = first["room"]["room_id"].as_str().unwrap().to_owned();
    assert_eq!(first["room"]["peer"], "ben");
    assert_eq!(first["room"]["kind"], "direct");
    assert_eq!(first["room"]["public"], false);
    let added = ben.expect("room.added").await;
    assert_eq!(added["room"]["room_id"], room.as_str());
    assert_eq!(added["room"]["peer"], "ana");
    for (who, ask) in [
        (
            &mut ana,
            json!({ "kind": "direct", "members": ["ben", "ana"] }),
        ),
        (&mut ben, json!({ "kind": "direct", "members": ["ana"] })),
    ] {
        let again = who.ok("room.create", ask).await;
        assert_eq!(again["room"]["room_id"], room.as_str());
        assert_eq!(again["room"]["head"], 1, "nothing is appended");
    }
    ana.say(&room, "you?").await;
    assert_eq!(ben.expect("message").await["body"]["text"], "you?");
}

#[tokio::test]
async fn both_who_ask_at_once_get_the_same_room() {
    let server = Server::start();
    let ana = server.register("ana").await;
    let ben = server.register("ben").await;
    for _ in 0..3 {
        let mut one = server.hello(&ana, json!({})).await;
        let mut two = server.hello(&ben, json!({})).await;
        let (a, b) = tokio::join!(
            one.ok(
                "room.create",
                json!({ "kind": "direct", "members": ["ben"] })
            ),
            two.ok(
                "room.create",
                json!({ "kind": "direct", "members": ["ana"] })
            ),
        );
        assert_eq!(a["room"]["room_id"], b["room"]["room_id"]);
    }
    let mut ana = server.hello(&ana, json!({})).await;
    let rooms = ana.ok("room.list", json!({})).await["rooms"].clone();
    assert_eq!(rooms.as_array().unwrap().len(), 1);
    assert_eq!(rooms[0]["head"], 1);
}

#[tokio::test]
async fn a_direct_room_needs_exactly_one_other() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    server.register("ben").await;
    server.register("cat").await;
    for members in [
        json!(null),
        json!([]),
        json!(["ana"]),
        json!(["ben", "cat"]),
        json!(["ana", "ben", "cat"]),
    ] {
        let refusal = ana
            .refused(
                "room.create",
                json!({ "kind": "direct", "members": members }),
            )
            .await;
        assert_eq!(refusal["code"], "bad_frame", "{members}");
        assert_eq!(refusal["field"], "members");
    }
    let code = ana
        .code(
            "room.create",
            json!({ "kind": "direct", "members": ["nobody"] }),
        )
        .await;
    assert_eq!(code, "not_found");
    let refusal = ana
        .refused(
            "room.create",
            json!({ "kind": "direct", "members": ["ben"], "public": true }),
        )
        .await;
    assert_eq!(refusal["code"], "bad_frame");
    assert_eq!(refusal["field"], "public");
}

#[tokio::test]
async fn a_direct_room_keeps_its_two_members() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    server.register("ben").await;
    server.register("cat").await;
    let ack = ana
        .ok(
            "room.create",
            json!({ "kind": "direct", "members": ["ben"] }),
        )
        .await;
    let room = ack["room"]["room_id"].as_str().unwrap();
    for (kind, payload) in [
        ("room.leave", json!({ "room_id": room })),
        (
            "room.invite",
            json!({ "room_id": room, "user_ids": ["cat"] }),
        ),
        ("room.remove", json!({ "room_id": room, "user_id": "ben" })),
        ("room.ban", json!({ "room_id": room, "user_id": "ben" })),
        ("room.mute", json!({ "room_id": room, "user_id": "ben" })),
        (
            "room.role",
            json!({ "room_id": room, "user_id": "ben", "role": "reader" }),
        ),
    ] {
        assert_eq!(ana.code(kind, payload).await, "forbidden", "{kind}");
    }
    let refusal = ana
        .refused("room.update", json!({ "room_id": room, "public": true }))
        .await;
    assert_eq!(refusal["code"], "bad_frame");
    assert_eq!(refusal["field"], "public");
    let mut cat = server.hello(&server.login("cat").await, json!({})).await;
    assert_eq!(
        cat.code("room.join", json!({ "room_id": room })).await,
        "not_found"
    );
}

#[tokio::test]
async fn a_repeated_direct_creation_is_a_duplicate() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    server.register("ben").await;
    server.register("cat").await;
    let id = uuid::Uuid::now_v7().to_string();
    let ask = json!({ "kind": "direct", "members": ["ben"] });
    let first = ana.ask_as(&id, "room.create", ask.clone()).await;
    let again = ana.ask_as(&id, "room.create", ask).await;
    assert_eq!(again["payload"]["duplicate"], true);
    assert_eq!(
        again["payload"]["room"]["room_id"],
        first["payload"]["room"]["room_id"]
    );
    let other = ana
        .ask_as(
            &id,
            "room.create",
            json!({ "kind": "direct", "members": ["cat"] }),
        )
        .await;
    assert_eq!(other["payload"]["code"], "conflict");
}
