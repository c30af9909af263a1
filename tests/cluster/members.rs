//! What of a room reaches the other node besides its events: receipts, typing, who comes and goes, logins that end.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    node::Site,
    people::{about, up_to},
};

#[tokio::test]
async fn receipts_and_typing_cross_the_nodes() {
    let site = Site::new();
    let (one, two) = site.pair().await;
    let mut ana = one.session("ana").await;
    let mut ben = two.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    about(&mut ben, "room.created", &room).await;

    for turn in 2..12 {
        ana.say(&room, "x").await;
        up_to(&mut ben, &room, turn - 1, turn).await;
        ben.ok("receipt.read", json!({ "room_id": room, "seq": turn }))
            .await;
    }
    let mut places = Vec::new();
    while places.last() != Some(&11) {
        let receipt = about(&mut ana, "receipt", &room).await;
        assert_eq!(receipt["user_id"], "ben");
        places.push(receipt["read"].as_u64().unwrap());
    }
    assert!(places.is_sorted(), "receipts never fall: {places:?}");

    ben.ok("typing.start", json!({ "room_id": room })).await;
    let typing = about(&mut ana, "typing", &room).await;
    assert_eq!(
        (&typing["user_id"], &typing["state"]),
        (&json!("ben"), &json!("start"))
    );
    ben.ok("typing.stop", json!({ "room_id": room })).await;
    let typing = about(&mut ana, "typing", &room).await;
    assert_eq!(typing["state"], "stop");
}

#[tokio::test]
async fn who_is_removed_on_one_node_hears_nothing_more_on_the_other() {
    let site = Site::new();
    let (one, two) = site.pair().await;
    let mut ana = one.session("ana").await;
    let mut ben = two.session("ben").await;
    let mut cat = two.session("cat").await;
    let room = ana.room(json!({ "members": ["ben", "cat"] })).await;
    about(&mut ben, "room.created", &room).await;
    about(&mut cat, "room.created", &room).await;

    let removed = Instant::now();
    let user = json!({ "room_id": room, "user_id": "ben" });
    ana.ok("room.remove", user).await;
    about(&mut ben, "room.removed", &room).await;
    assert!(
        removed.elapsed() < Duration::from_secs(1),
        "P-6: {:?}",
        removed.elapsed()
    );
    ben.rest().await;
    for _ in 0..5 {
        ana.say(&room, "not for ben").await;
    }
    up_to(&mut cat, &room, 1, 7).await;
    let heard = ben.rest().await;
    let about_room = |frame: &&serde_json::Value| frame["payload"]["room_id"] == room.as_str();
    assert_eq!(heard.iter().filter(about_room).count(), 0, "{heard:?}");
    assert_eq!(
        ben.code("room.get", json!({ "room_id": room })).await,
        "not_found"
    );

    // Back in, by somebody on the other node; and another, to whom the room is new.
    let mut dan = two.session("dan").await;
    let invite = json!({ "room_id": room, "user_ids": ["ben", "dan"] });
    ana.ok("room.invite", invite).await;
    for back in [&mut ben, &mut dan] {
        about(back, "room.added", &room).await;
    }
    ana.say(&room, "for all").await;
    for back in [&mut ben, &mut dan] {
        let message = about(back, "message", &room).await;
        assert_eq!(message["body"]["text"], "for all");
    }
}

#[tokio::test]
async fn a_login_that_ends_on_one_node_ends_on_the_other() {
    let site = Site::new();
    let (one, two) = site.pair().await;
    let token = one.register("ana").await;
    let mut there = two.hello(&token, json!({})).await;
    let url = format!("http://{}/v1/auth/logout", one.address);
    let ended = Instant::now();
    let answer = reqwest::Client::new().post(url).bearer_auth(&token);
    assert!(answer.send().await.unwrap().status().is_success());
    there.closed().await;
    assert!(
        ended.elapsed() < Duration::from_secs(1),
        "P-6: {:?}",
        ended.elapsed()
    );
}

#[tokio::test]
async fn devices_on_both_nodes_are_one_presence() {
    let site = Site::new();
    let (one, two) = site.pair().await;
    let token = one.register("ana").await;
    let laptop = json!({ "device": { "id": "laptop" } });
    let mut laptop = one.hello(&token, laptop).await;
    let mut ben = two.session("ben").await;
    laptop.room(json!({ "members": ["ben"] })).await;
    ben.expect("room.created").await;

    let watch = json!({ "user_ids": ["ana"] });
    let seen = ben.ok("presence.watch", watch).await;
    assert_eq!(seen["presence"][0]["status"], "online", "{seen}");
    let away = json!({ "status": "away", "text": "at lunch" });
    laptop.ok("presence.set", away).await;
    let seen = ben.expect("presence").await;
    assert_eq!(
        (&seen["status"], &seen["text"]),
        (&json!("away"), &json!("at lunch"))
    );

    // A second device, on the node of the watcher.
    let phone = json!({ "device": { "id": "phone" }, "presence": "dnd" });
    let mut phone = two.hello(&token, phone).await;
    assert_eq!(ben.expect("presence").await["status"], "dnd");
    let hidden = json!({ "status": "invisible" });
    laptop.ok("presence.set", hidden).await;
    assert_eq!(
        ben.expect("presence").await["status"],
        "offline",
        "hidden on one is hidden"
    );
    phone.ok("presence.set", json!({ "status": "away" })).await;
    laptop
        .ok("presence.set", json!({ "status": "online" }))
        .await;
    assert_eq!(ben.expect("presence").await["status"], "online");

    // The node of the laptop ends without a word: what its devices came to ends with it.
    one.kill();
    assert_eq!(ben.expect("presence").await["status"], "away");
    drop(phone);
    assert_eq!(ben.expect("presence").await["status"], "offline");
}

#[tokio::test]
async fn who_was_let_in_on_one_node_is_not_refused_on_the_other() {
    let mut site = Site::new();
    let (one, two) = site.pair().await;
    let mut ana = one.session("ana").await;
    let mut ben = two.session("ben").await;
    let mut cat = two.session("cat").await;
    let room = ana.room(json!({ "members": ["cat"] })).await;
    about(&mut cat, "room.created", &room).await;
    // The room runs on both, and the second hears up to a second late of what the first appends.
    site.redis.kill();
    let ask = json!({ "room_id": room });
    for _ in 0..3 {
        let invite = json!({ "room_id": room, "user_ids": ["ben"] });
        ana.ok("room.invite", invite).await;
        ben.ok("room.get", ask.clone()).await;
        ben.say(&room, "I am in").await;
        ben.ok("room.leave", ask.clone()).await;
        assert_eq!(ben.code("room.get", ask.clone()).await, "not_found");
        // Else she would be told that he is in already.
        about(&mut ana, "member.left", &room).await;
    }
}

#[tokio::test]
async fn what_a_moderator_loses_on_one_node_is_lost_on_the_other() {
    let site = Site::new();
    let (one, two) = site.pair().await;
    let mut ana = one.session("ana").await;
    let ben_token = two.register("ben").await;
    let mut ben = two.hello(&ben_token, json!({})).await;
    let mut cat = two.session("cat").await;
    let room = ana.room(json!({ "members": ["ben", "cat"] })).await;
    about(&mut cat, "room.created", &room).await;
    let of = |user: &str| json!({ "room_id": room, "user_id": user });
    let role = |role: &str| json!({ "room_id": room, "user_id": "ben", "role": role });

    ana.ok("room.role", role("moderator")).await;
    about(&mut ben, "member.role", &room).await;
    ben.ok("room.mute", of("cat")).await;
    about(&mut ana, "member.muted", &room).await;
    let send = json!({ "room_id": room, "body": { "text": "x" } });
    assert_eq!(cat.code("message.send", send.clone()).await, "muted");

    // Whatever the other node has heard by now: the timeline decides.
    ana.ok("room.role", role("member")).await;
    assert_eq!(ben.code("room.remove", of("cat")).await, "forbidden");
    ana.ok("room.unmute", of("cat")).await;
    about(&mut cat, "member.unmuted", &room).await;
    cat.say(&room, "again").await;
    ana.ok("room.mute", of("cat")).await;
    assert_eq!(cat.code("message.send", send.clone()).await, "muted");

    // Banned on one, by no way back on the other: not by joining, nor by resuming.
    ana.ok("room.ban", of("ben")).await;
    let banned = Instant::now();
    let resume = json!({ "resume": { "rooms": { room.clone(): 1 } } });
    let mut back = two.hello(&ben_token, resume).await;
    let removed = about(&mut back, "room.removed", &room).await;
    assert_eq!(removed["reason"], "not_member", "{removed}");
    let heard = back.rest().await;
    let events = heard
        .iter()
        .filter(|frame| frame["payload"]["seq"].is_u64());
    assert_eq!(events.count(), 0, "{heard:?}");
    assert_eq!(back.code("message.send", send).await, "not_found");
    assert!(banned.elapsed() < Duration::from_secs(1), "P-6");
}
