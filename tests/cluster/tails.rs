//! The newest events of rooms in Redis, as an optional way to read them (`cluster.redis.tail_cache`).

use serde_json::{Value, json};

use crate::{
    node::{Node, Site},
    people::{about, up_to},
    support::Client,
};

async fn launch(site: &Site, name: &str) -> Node {
    let mut command = site.command(name);
    command.env("PARLOR__CLUSTER__REDIS__TAIL_CACHE", "true");
    site.launch(command).await
}

/// Reads the newest page; answers the texts of its messages.
async fn texts(client: &mut Client, room: &str) -> Vec<String> {
    let page = client.ok("history.get", json!({ "room_id": room })).await;
    let events = page["events"].as_array().unwrap().iter();
    let text = |event: &Value| Some(event["payload"]["body"]["text"].as_str()?.to_owned());
    events.filter_map(text).collect()
}

#[tokio::test]
async fn a_node_reads_the_newest_page_from_redis_and_believes_no_stranger() {
    let site = Site::new();
    let (one, two) = (launch(&site, "one").await, launch(&site, "two").await);
    one.sees(2).await;
    two.sees(2).await;
    let mut ana = one.session("ana").await;
    let mut ben = two.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    about(&mut ben, "room.created", &room).await;
    let mut said = Vec::new();
    for turn in 0..60 {
        said.push(format!("m{turn}"));
        ana.say(&room, &said[turn]).await;
    }
    up_to(&mut ben, &room, 1, 61).await;
    let key = format!("parlor:tail:{room}");
    while site.redis.cli(&["ZCARD", &key]) != "61" {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(texts(&mut ben, &room).await, said[10..]);
    assert_eq!(texts(&mut ana, &room).await, said[10..]);
    for node in [&one, &two] {
        until(node, "parlor_tail_hits_total", 1.0).await;
    }

    site.redis.cli(&["ZREMRANGEBYSCORE", &key, "40", "40"]);
    site.redis.cli(&["ZADD", &key, "40", "never said"]);
    assert_eq!(texts(&mut ben, &room).await, said[10..]);
    until(&two, "parlor_tail_odd_total", 1.0).await;
    assert_eq!(two.metric("parlor_gaps_total").await, 0.0);
}

/// Waits until a metric has reached a value; the node copies it once a second.
async fn until(node: &Node, name: &str, value: f64) {
    let began = std::time::Instant::now();
    while node.metric(name).await < value {
        assert!(began.elapsed().as_secs() < 10, "{name} {value}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
