//! Removing, banning and muting, and their ends.

use std::time::Duration;

use parlor_schema::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Client, Server};

/// A time this long after the server welcomed the client.
fn from_now(client: &Client, ms: u64) -> Timestamp {
    let welcomed: Timestamp = client.welcome["server_time"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    welcomed.plus_millis(ms)
}

async fn nothing_of(client: &mut Client, room: &str) {
    let rest = client.rest().await;
    assert!(
        rest.iter().all(|frame| frame["payload"]["room_id"] != room),
        "{rest:?}"
    );
}

#[tokio::test]
async fn after_a_removal_nothing_more_comes() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.register("ben").await;
    let mut ben = server.hello(&token, json!({})).await;
    let mut other = server.hello(&token, json!({ "rooms": "none" })).await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    ben.expect("room.created").await;
    let ack = ana
        .ok(
            "room.remove",
            json!({ "room_id": room, "user_id": "ben", "reason": "spam" }),
        )
        .await;
    assert_eq!(ack["seq"], 2);
    let told = ana.expect("member.removed").await;
    assert_eq!(told["user_id"], "ben");
    assert_eq!(told["sender"], "ana");
    assert_eq!(told["reason"], "spam");
    for session in [&mut ben, &mut other] {
        let removed = session.expect("room.removed").await;
        assert_eq!(removed, json!({ "room_id": room, "reason": "removed" }));
    }
    ana.say(&room, "without you").await;
    nothing_of(&mut ben, &room).await;
    for kind in ["room.get", "history.get", "room.subscribe", "room.leave"] {
        assert_eq!(
            ben.code(kind, json!({ "room_id": room })).await,
            "not_found"
        );
    }
    // A resume does not help either.
    let resume = json!({ "resume": { "rooms": { room.clone(): 1 } } });
    let mut back = server.hello(&token, resume).await;
    assert_eq!(back.welcome["rooms"], json!([]));
    let removed = back.expect("room.removed").await;
    assert_eq!(removed, json!({ "room_id": room, "reason": "not_member" }));
    ana.say(&room, "still without you").await;
    nothing_of(&mut back, &room).await;
}

#[tokio::test]
async fn who_was_removed_may_be_invited_again() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let user = json!({ "room_id": room, "user_id": "ben" });
    ana.ok("room.remove", user.clone()).await;
    ben.expect("room.removed").await;
    assert_eq!(ana.code("room.remove", user.clone()).await, "not_found");
    assert_eq!(ana.code("room.mute", user).await, "not_found");
    ana.ok(
        "room.invite",
        json!({ "room_id": room, "user_ids": ["ben"] }),
    )
    .await;
    ben.wait_for(|frame| frame["type"] == "room.added" && frame["payload"]["room"]["head"] == 2)
        .await;
    ana.say(&room, "welcome back").await;
    assert_eq!(ben.expect("message").await["seq"], 4);
}

#[tokio::test]
async fn a_ban_shuts_a_public_room() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana
        .room(json!({ "public": true, "members": ["ben"] }))
        .await;
    ben.expect("room.created").await;
    let user = json!({ "room_id": room, "user_id": "ben", "reason": "rude" });
    ana.ok("room.ban", user.clone()).await;
    let told = ana.expect("member.banned").await;
    assert_eq!(told["user_id"], "ben");
    assert_eq!(told["reason"], "rude");
    assert!(told.get("until").is_none());
    let removed = ben.expect("room.removed").await;
    assert_eq!(removed, json!({ "room_id": room, "reason": "banned" }));
    ana.say(&room, "quiet now").await;
    nothing_of(&mut ben, &room).await;
    let about = json!({ "room_id": room, "seq": 1, "body": { "text": "x" } });
    for kind in [
        "room.get",
        "room.join",
        "room.leave",
        "room.members",
        "room.subscribe",
        "history.get",
        "message.send",
        "receipt.read",
        "typing.start",
    ] {
        let refusal = ben.refused(kind, about.clone()).await;
        assert_eq!(refusal["code"], "banned", "{kind}");
    }
    let listed = ben.ok("room.list", json!({ "public": true })).await;
    assert_eq!(listed["rooms"], json!([]), "not joinable");
    let invite = json!({ "room_id": room, "user_ids": ["ben"] });
    assert_eq!(ana.code("room.invite", invite).await, "banned");
    let ack = ana.ok("room.unban", user.clone()).await;
    let told = ana.expect("member.unbanned").await;
    assert_eq!(told["seq"], ack["seq"]);
    assert_eq!(told["user_id"], "ben");
    ben.ok("room.join", json!({ "room_id": room })).await;
    let again = ana.ok("room.unban", user).await;
    let head = ana.ok("room.get", json!({ "room_id": room })).await["room"]["head"].clone();
    assert_eq!(again, json!({ "seq": head }), "nothing is appended");
}

#[tokio::test]
async fn a_ban_from_a_private_room_looks_like_no_room() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    ana.ok("room.ban", json!({ "room_id": room, "user_id": "ben" }))
        .await;
    assert_eq!(ben.expect("room.removed").await["reason"], "banned");
    for kind in ["room.get", "room.join", "history.get"] {
        assert_eq!(
            ben.code(kind, json!({ "room_id": room })).await,
            "not_found"
        );
    }
}

#[tokio::test]
async fn a_ban_of_somebody_outside_keeps_them_out() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "public": true })).await;
    ana.ok("room.ban", json!({ "room_id": room, "user_id": "ben" }))
        .await;
    assert_eq!(
        ben.code("room.join", json!({ "room_id": room })).await,
        "banned"
    );
    nothing_of(&mut ben, &room).await;
    let nobody = json!({ "room_id": room, "user_id": "nobody" });
    assert_eq!(ana.code("room.ban", nobody).await, "not_found");
}

#[tokio::test]
async fn a_ban_ends_the_subscription_of_a_reader() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "kind": "channel", "public": true })).await;
    ben.ok("room.subscribe", json!({ "room_id": room })).await;
    ben.expect("live").await;
    ana.ok("room.ban", json!({ "room_id": room, "user_id": "ben" }))
        .await;
    let removed = ben.expect("room.removed").await;
    assert_eq!(removed, json!({ "room_id": room, "reason": "banned" }));
    ana.say(&room, "quiet now").await;
    nothing_of(&mut ben, &room).await;
    assert_eq!(
        ben.code("room.subscribe", json!({ "room_id": room })).await,
        "banned"
    );
}

#[tokio::test]
async fn a_ban_with_an_end_ends() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "public": true })).await;
    let far = from_now(&ana, 3_600_000).to_string();
    let ban = |until: &str| json!({ "room_id": room, "user_id": "ben", "until": until });
    ana.ok("room.ban", ban(&far)).await;
    assert_eq!(ana.expect("member.banned").await["until"], far.as_str());
    let refusal = ben.refused("room.join", json!({ "room_id": room })).await;
    assert_eq!(refusal["code"], "banned");
    assert_eq!(refusal["details"]["until"], far.as_str());
    // The new end replaces the old one.
    let soon = from_now(
        &server.hello(&server.login("ana").await, json!({})).await,
        900,
    );
    ana.ok("room.ban", ban(&soon.to_string())).await;
    assert_eq!(
        ben.code("room.join", json!({ "room_id": room })).await,
        "banned"
    );
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let unban = json!({ "room_id": room, "user_id": "ben" });
    let ack = ana.ok("room.unban", unban).await;
    assert_eq!(ack, json!({ "seq": 3 }), "a ban that is over is none");
    ben.ok("room.join", json!({ "room_id": room })).await;
}

#[tokio::test]
async fn a_muted_member_reads_and_does_not_write() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let user = json!({ "room_id": room, "user_id": "ben", "reason": "too loud" });
    let ack = ana.ok("room.mute", user.clone()).await;
    assert_eq!(ack["seq"], 2);
    let told = ben.expect("member.muted").await;
    assert_eq!(told["user_id"], "ben");
    assert_eq!(told["sender"], "ana");
    assert_eq!(told["reason"], "too loud");
    assert!(told.get("until").is_none());
    for (kind, payload) in [
        (
            "message.send",
            json!({ "room_id": room, "body": { "text": "x" } }),
        ),
        ("typing.start", json!({ "room_id": room })),
    ] {
        let refusal = ben.refused(kind, payload).await;
        assert_eq!(refusal["code"], "muted", "{kind}");
        assert!(refusal.get("details").is_none(), "no end: {refusal}");
    }
    ben.ok("history.get", json!({ "room_id": room })).await;
    ben.ok("receipt.read", json!({ "room_id": room, "seq": 2 }))
        .await;
    assert_eq!(listed(&mut ana, &room, "ben").await["muted"], true);
    let ack = ana.ok("room.unmute", user.clone()).await;
    assert_eq!(ack["seq"], 3);
    assert_eq!(ben.expect("member.unmuted").await["user_id"], "ben");
    ben.say(&room, "thanks").await;
    for user_id in ["ben", "nobody"] {
        let ask = json!({ "room_id": room, "user_id": user_id });
        for kind in ["room.unmute", "room.unban"] {
            let ack = ana.ok(kind, ask.clone()).await;
            assert_eq!(ack, json!({ "seq": 4 }), "{kind} {user_id}");
        }
    }
}

async fn listed(client: &mut Client, room: &str, user: &str) -> Value {
    let answer = client.ok("room.members", json!({ "room_id": room })).await;
    let members = answer["members"].as_array().unwrap().clone();
    members
        .into_iter()
        .find(|member| member["user_id"] == user)
        .unwrap()
}

#[tokio::test]
async fn a_mute_with_an_end_ends() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let until = from_now(&ben, 1_500).to_string();
    ana.ok(
        "room.mute",
        json!({ "room_id": room, "user_id": "ben", "until": until }),
    )
    .await;
    assert_eq!(ben.expect("member.muted").await["until"], until.as_str());
    let send = json!({ "room_id": room, "body": { "text": "x" } });
    let refusal = ben.refused("message.send", send.clone()).await;
    assert_eq!(refusal["code"], "muted");
    assert_eq!(refusal["details"]["until"], until.as_str());
    assert_eq!(
        listed(&mut ana, &room, "ben").await["muted_until"],
        until.as_str()
    );
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    ben.ok("message.send", send).await;
    assert!(
        listed(&mut ana, &room, "ben")
            .await
            .get("muted_until")
            .is_none()
    );
}

#[tokio::test]
async fn an_end_lies_in_the_future() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    server.register("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    for kind in ["room.mute", "room.ban"] {
        for until in [
            json!("2020-01-01T00:00:00.000Z"),
            json!("tomorrow"),
            json!(1_700_000_000),
        ] {
            let ask = json!({ "room_id": room, "user_id": "ben", "until": until });
            let refusal = ana.refused(kind, ask).await;
            assert_eq!(refusal["code"], "bad_frame", "{kind} {until}");
            assert_eq!(refusal["field"], "until");
        }
    }
}

#[tokio::test]
async fn a_retry_is_answered_from_memory_before_it_is_authorised() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let id = Uuid::now_v7().to_string();
    let send = json!({ "room_id": room, "body": { "text": "x" } });
    let first = ben.ask_as(&id, "message.send", send.clone()).await["payload"].clone();
    let user = json!({ "room_id": room, "user_id": "ben" });
    ana.ok("room.mute", user.clone()).await;
    for _ in 0..2 {
        let mut again = ben.ask_as(&id, "message.send", send.clone()).await["payload"].clone();
        assert_eq!(again["duplicate"], true, "{again}");
        again.as_object_mut().unwrap().remove("duplicate");
        assert_eq!(again, first);
        // Removed, the next time round.
        ana.ask("room.remove", user.clone()).await;
    }
    assert_eq!(ben.code("message.send", send).await, "not_found");
}
