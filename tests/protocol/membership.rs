//! What comes when somebody is brought in or put out: in which order, and what when much happens at once.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Client, Server};

/// The next frame that is about this room, in the order sent.
async fn next_of(client: &mut Client, room: &str) -> Value {
    loop {
        let frame = client.next().await;
        if frame["payload"]["room_id"] == room || frame["payload"]["room"]["room_id"] == room {
            return frame;
        }
    }
}

/// Sends without waiting; answers the ids.
async fn hail(client: &mut Client, room: &str, count: usize) -> Vec<String> {
    let ids: Vec<String> = (0..count).map(|_| Uuid::new_v4().to_string()).collect();
    for id in &ids {
        let send = json!({ "room_id": room, "body": { "text": "x" } });
        client.post("message.send", id, send).await;
    }
    ids
}

#[tokio::test]
async fn room_added_comes_before_the_first_event() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "public": true })).await;
    ana.say(&room, "x").await;
    let user = json!({ "room_id": room, "user_id": "ben" });
    let invite = json!({ "room_id": room, "user_ids": ["ben"] });
    let join = json!({ "room_id": room });
    for (round, first) in ["member.invited", "member.joined"].iter().enumerate() {
        if round == 0 {
            ana.ok("room.invite", invite.clone()).await;
        } else {
            ben.ok("room.join", join.clone()).await;
        }
        let added = next_of(&mut ben, &room).await;
        assert_eq!(added["type"], "room.added", "{added}");
        assert_eq!(added["payload"]["room"]["mode"], "active");
        let head = added["payload"]["room"]["head"].as_u64().unwrap();
        let event = next_of(&mut ben, &room).await;
        assert_eq!(event["type"], *first);
        assert_eq!(event["payload"]["seq"], head + 1);
        ana.ok("room.remove", user.clone()).await;
        let removed = next_of(&mut ben, &room).await;
        assert_eq!(removed["type"], "room.removed", "{removed}");
    }
}

#[tokio::test]
async fn a_session_that_wants_no_rooms_hears_of_them_only() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.register("ben").await;
    let mut ben = server.hello(&token, json!({ "rooms": "none" })).await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let added = next_of(&mut ben, &room).await;
    assert_eq!(added["type"], "room.added");
    assert_eq!(added["payload"]["room"]["mode"], "none");
    ana.say(&room, "x").await;
    assert!(ben.rest().await.is_empty());
    ben.ok("room.subscribe", json!({ "room_id": room })).await;
    assert_eq!(ben.expect("live").await["seq"], 2);
    ana.say(&room, "y").await;
    assert_eq!(ben.expect("message").await["seq"], 3);
    ana.ok("room.remove", json!({ "room_id": room, "user_id": "ben" }))
        .await;
    assert_eq!(ben.expect("room.removed").await["reason"], "removed");
}

#[tokio::test]
async fn a_newcomer_in_a_hail_of_messages_misses_none_and_gets_none_twice() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut boss = server.session("boss").await;
    let mut ben = server.session("ben").await;
    let room = boss.room(json!({ "members": ["ana"] })).await;
    for _ in 0..5 {
        let before = hail(&mut ana, &room, 30).await;
        let invite = boss.ok(
            "room.invite",
            json!({ "room_id": room, "user_ids": ["ben"] }),
        );
        let invited = invite.await["seq"].as_u64().unwrap();
        let after = hail(&mut ana, &room, 30).await;
        let mut last = 0;
        for id in before.iter().chain(&after) {
            let reply = ana.reply_to(id).await;
            last = last.max(reply["payload"]["seq"].as_u64().unwrap());
        }
        let added = next_of(&mut ben, &room).await;
        assert_eq!(added["payload"]["room"]["head"], invited - 1);
        for seq in invited..=last {
            let event = next_of(&mut ben, &room).await;
            assert_eq!(event["payload"]["seq"], seq, "{event}");
        }
        // Out again, in the middle of another hail: nothing after `room.removed`.
        let before = hail(&mut ana, &room, 30).await;
        let user = json!({ "room_id": room, "user_id": "ben" });
        let out = boss.ok("room.remove", user).await["seq"].as_u64().unwrap();
        let after = hail(&mut ana, &room, 30).await;
        for id in before.iter().chain(&after) {
            ana.reply_to(id).await;
        }
        let mut expected = last + 1;
        loop {
            let frame = next_of(&mut ben, &room).await;
            if frame["type"] == "room.removed" {
                break;
            }
            assert_eq!(frame["payload"]["seq"], expected);
            assert!(expected < out, "nothing of after the removal");
            expected += 1;
        }
        let rest = ben.rest().await;
        assert!(
            rest.iter()
                .all(|frame| frame["payload"]["room_id"] != room.as_str()),
            "{rest:?}"
        );
    }
}

#[tokio::test]
async fn of_two_owners_who_step_down_at_once_one_stays() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    server.register("cat").await;
    for kind in ["room.leave", "room.role"] {
        for _ in 0..5 {
            let room = ana.room(json!({ "members": ["ben", "cat"] })).await;
            let up = json!({ "room_id": room, "user_id": "ben", "role": "owner" });
            ana.ok("room.role", up).await;
            let down = |user: &str| json!({ "room_id": room, "user_id": user, "role": "member" });
            let (one, two) = tokio::join!(ana.ask(kind, down("ana")), ben.ask(kind, down("ben")));
            let mut codes = [
                one["payload"]["code"].clone(),
                two["payload"]["code"].clone(),
            ];
            codes.sort_by_key(|code| code.is_null());
            assert_eq!(codes, [json!("conflict"), json!(null)], "{kind}");
        }
    }
}

#[tokio::test]
async fn a_passive_reader_is_put_out_too() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    for (kind, payload, reason) in [
        ("room.update", json!({ "public": false }), "not_member"),
        ("room.ban", json!({ "user_id": "ben" }), "banned"),
    ] {
        let room = ana.room(json!({ "public": true })).await;
        ben.ok(
            "room.subscribe",
            json!({ "room_id": room, "mode": "passive" }),
        )
        .await;
        let mut payload = payload;
        payload["room_id"] = json!(room);
        ana.ok(kind, payload).await;
        let removed = ben
            .wait_for(|frame| {
                frame["type"] == "room.removed" && frame["payload"]["room_id"] == room.as_str()
            })
            .await;
        assert_eq!(removed["payload"]["reason"], reason);
        ben.rest().await;
        ana.say(&room, "x").await;
        let rest = ben.rest().await;
        assert!(rest.is_empty(), "{rest:?}");
    }
}

#[tokio::test]
async fn membership_outlasts_a_restart() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let ana_token = server.login("ana").await;
    let mut tokens = Vec::new();
    for user in ["ben", "cat", "dan"] {
        tokens.push(server.register(user).await);
    }
    let room = ana
        .room(json!({ "public": true, "name": "tea", "members": ["ben", "cat", "dan"] }))
        .await;
    let of = |user: &str| json!({ "room_id": room, "user_id": user });
    ana.ok("room.mute", of("ben")).await;
    ana.ok("room.ban", of("cat")).await;
    let up = json!({ "room_id": room, "user_id": "dan", "role": "admin" });
    ana.ok("room.role", up).await;
    ana.ok("room.update", json!({ "room_id": room, "topic": "green" }))
        .await;
    drop(ana);
    let server = server.restart();
    let ana = server.hello(&ana_token, json!({})).await;
    assert_eq!(ana.welcome["rooms"][0]["role"], "owner");
    assert_eq!(ana.welcome["rooms"][0]["topic"], "green");
    let send = json!({ "room_id": room, "body": { "text": "x" } });
    for (token, code) in tokens.iter().zip(["muted", "banned"]) {
        let mut client = server.hello(token, json!({})).await;
        assert_eq!(client.code("message.send", send.clone()).await, code);
    }
    let mut dan = server.hello(&tokens[2], json!({})).await;
    dan.ok("room.unmute", of("ben")).await;
    dan.ok("room.unban", of("cat")).await;
    dan.ok("message.send", send).await;
}
