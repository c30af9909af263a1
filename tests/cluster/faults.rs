//! What is lost, killed or paused while people talk.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    node::Site,
    people::{about, up_to},
};

#[tokio::test]
async fn after_a_kill_the_other_node_resumes_without_a_gap() {
    let site = Site::new();
    let (one, two) = site.pair().await;
    let token = one.register("ana").await;
    let mut ana = one.hello(&token, json!({})).await;
    let mut ben = two.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    about(&mut ben, "room.created", &room).await;
    for _ in 0..5 {
        ana.say(&room, "before").await;
    }
    let before = up_to(&mut ana, &room, 1, 6).await;
    let mut lost = Vec::new();
    for _ in 0..5 {
        // Nobody waits for these: they took effect or not.
        let id = uuid::Uuid::now_v7().to_string();
        let send = json!({ "room_id": room, "body": { "text": "perhaps" } });
        ana.post("message.send", &id, send.clone()).await;
        lost.push((id, send));
    }
    one.kill();
    for _ in 0..5 {
        ben.say(&room, "meanwhile").await;
    }
    let resume = json!({ "resume": { "rooms": { room.clone(): 6 } } });
    let mut ana = two.hello(&token, resume).await;
    for (id, send) in &lost {
        let reply = ana.ask_as(id, "message.send", send.clone()).await;
        assert_eq!(reply["type"], "ack", "{reply}");
    }
    let head = 6 + 5 + 5;
    let after = up_to(&mut ana, &room, 6, head).await;
    let whole = up_to(&mut ben, &room, 1, head).await;
    assert_eq!([before, after].concat(), whole, "one order, nothing twice");
    two.sees(1).await;
    assert_eq!(ana.say(&room, "alone").await["seq"], head + 1);
}

#[tokio::test]
async fn without_redis_it_takes_longer_and_nothing_is_lost() {
    let mut site = Site::new();
    let (one, two) = site.pair().await;
    let mut ana = one.session("ana").await;
    let mut ben = two.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    about(&mut ben, "room.created", &room).await;
    site.redis.kill();
    let mut slowest = Duration::ZERO;
    for turn in 2..7 {
        let sent = Instant::now();
        ana.say(&room, "without").await;
        up_to(&mut ben, &room, turn - 1, turn).await;
        slowest = slowest.max(sent.elapsed());
    }
    println!("without redis: {slowest:?}");
    let (status, ready) = one.get("/health/ready").await;
    assert_eq!(status, 200, "P-5: {ready}");
    assert!(ready.contains("redis"), "and says so: {ready}");
    site.redis.begin();
    one.sees(2).await;
    two.sees(2).await;
    up_to(&mut ana, &room, 1, 6).await;
    for turn in 7..12 {
        ben.say(&room, "with").await;
        up_to(&mut ana, &room, turn - 1, turn).await;
    }
    // Whoever was connected still is, and lacks nothing.
    up_to(&mut ben, &room, 6, 11).await;
}

#[tokio::test]
async fn a_client_that_is_further_than_its_new_node_is_sent_nothing_again() {
    let mut site = Site::new();
    let (one, two) = site.pair().await;
    let token = one.register("ana").await;
    let mut ana = one.hello(&token, json!({})).await;
    let mut ben = two.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    about(&mut ben, "room.created", &room).await;
    // The room runs on both, and the second hears late of what the first appends.
    site.redis.kill();
    for head in 2..8 {
        assert_eq!(ana.say(&room, "further").await["seq"], head);
        let resume = json!({ "resume": { "rooms": { room.clone(): head } } });
        let mut there = two.hello(&token, resume).await;
        let live = there
            .wait_for(|frame| {
                assert_ne!(frame["type"], "gap", "{frame}");
                frame["type"] == "live" && frame["payload"]["room_id"] == room
            })
            .await;
        assert_eq!(live["payload"]["seq"], head);
    }
    up_to(&mut ben, &room, 1, 7).await;
}

#[tokio::test]
async fn a_node_that_leaves_is_out_of_the_view_at_once() {
    let site = Site::new();
    let (one, two) = site.pair().await;
    let left = Instant::now();
    two.terminate();
    one.sees(1).await;
    println!("out of the view after {:?}", left.elapsed());
    assert_eq!(one.metric("parlor_view_frozen").await, 0.0);
}
