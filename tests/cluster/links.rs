//! What goes on between the nodes while Redis is away: calls of the internal listeners, and the timelines where those fail too.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    node::{Node, Site},
    people::{about, up_to},
    redis,
};

/// What a hint may take from one node to the other, and an event that is read because of it.
const SOON: Duration = Duration::from_millis(300);

/// Waits until a metric has a value.
async fn until(node: &Node, name: &str, value: f64) {
    let began = Instant::now();
    while node.metric(name).await != value {
        assert!(began.elapsed() < Duration::from_secs(20), "{name} {value}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until each of two nodes calls so many.
async fn both_call(nodes: [&Node; 2], others: f64) {
    for node in nodes {
        until(node, "parlor_links_http", others).await;
    }
}

async fn called(node: &Node) -> f64 {
    node.metric("parlor_link_packets_in_total{link=\"http\"}")
        .await
}

/// Tells whether Redis carries all that a node sends.
async fn is_on_redis(node: &Node) -> bool {
    let around = node.metric("parlor_links_http").await;
    around + node.metric("parlor_links_down").await == 0.0
}

/// Talks across two nodes while Redis is taken away by `fault`, without it, and after `repair`.
async fn talk_without(fault: fn(&mut Site), repair: fn(&mut Site)) {
    let mut site = Site::with_internal();
    let (one, two) = site.pair().await;
    let mut ana = one.session("ana").await;
    let mut ben = two.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    about(&mut ben, "room.created", &room).await;
    let in_room = json!({ "room_id": room });
    both_call([&one, &two], 0.0).await;

    fault(&mut site);
    // Nobody knows of it yet: this may take longer, and is not lost.
    ana.say(&room, "during").await;
    up_to(&mut ben, &room, 1, 2).await;
    both_call([&one, &two], 1.0).await;
    let mut slowest = Duration::ZERO;
    for turn in 3..13 {
        ana.say(&room, "without").await;
        let sent = Instant::now();
        up_to(&mut ben, &room, turn - 1, turn).await;
        slowest = slowest.max(sent.elapsed());
    }
    println!("over http: an event is there {slowest:?} after its ack at most");
    assert!(slowest < SOON, "{slowest:?}");
    assert!(called(&two).await > 0.0);

    let read = json!({ "room_id": room, "seq": 12 });
    let sent = Instant::now();
    ben.ok("receipt.read", read).await;
    assert_eq!(about(&mut ana, "receipt", &room).await["read"], 12);
    ben.ok("typing.start", in_room.clone()).await;
    assert_eq!(about(&mut ana, "typing", &room).await["state"], "start");
    println!("over http: a receipt and typing after {:?}", sent.elapsed());
    assert!(sent.elapsed() < 3 * SOON, "{:?}", sent.elapsed());

    let (status, ready) = one.get("/health/ready").await;
    assert_eq!(status, 200, "P-5: {ready}");
    assert!(ready.contains("link to two: over http"), "{ready}");

    repair(&mut site);
    // Whatever carries it meanwhile: both sides see one order, without holes and repeats.
    let mut head = 12;
    let began = Instant::now();
    while !(is_on_redis(&one).await && is_on_redis(&two).await) {
        assert!(began.elapsed() < Duration::from_secs(20), "Redis is back");
        ana.say(&room, "back").await;
        ben.say(&room, "again").await;
        up_to(&mut ben, &room, head, head + 2).await;
        head += 2;
    }
    println!("back on redis after {:?}, {head} events", began.elapsed());
    let calls = called(&two).await;
    for _ in 0..5 {
        ana.say(&room, "with").await;
        up_to(&mut ben, &room, head, head + 1).await;
        head += 1;
    }
    up_to(&mut ana, &room, 1, head).await;
    assert_eq!(called(&two).await, calls, "nobody calls any more");
    for node in [&one, &two] {
        assert_eq!(node.metric("parlor_gaps_total").await, 0.0);
    }
    let (_, ready) = one.get("/health/ready").await;
    assert!(!ready.contains("link to"), "{ready}");
}

#[tokio::test]
async fn without_redis_the_nodes_call_each_other() {
    talk_without(|site| site.redis.kill(), |site| site.redis.begin()).await;
}

#[tokio::test]
async fn a_redis_that_hangs_is_gone_around() {
    talk_without(|site| site.redis.pause(), |site| site.redis.resume()).await;
}

#[tokio::test]
async fn a_node_that_redis_alone_cannot_hear_is_called_and_then_reads() {
    let site = Site::with_internal();
    let redis = |words: &[&str]| site.redis.cli(words);
    let made = ["ACL", "SETUSER", "two", "on", ">two", "~*", "&*", "+@all"];
    assert_eq!(redis(&made), "OK");
    let one = site.node("one").await;
    let mut command = site.command("two");
    let url = format!("redis://two:two@127.0.0.1:{}", site.redis.port);
    command.env("PARLOR__CLUSTER__REDIS__URL", url);
    let two = site.launch(command).await;
    one.sees(2).await;
    two.sees(2).await;
    let mut ana = one.session("ana").await;
    let mut ben = two.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    about(&mut ben, "room.created", &room).await;

    // Its connections end, and it gets no others; the key of its name lives for 5 s more.
    assert_eq!(redis(&["ACL", "DELUSER", "two"]), "1");
    both_call([&one, &two], 1.0).await;
    ana.say(&room, "called").await;
    let sent = Instant::now();
    up_to(&mut ben, &room, 1, 2).await;
    println!("cut off from redis: {:?}", sent.elapsed());
    assert!(sent.elapsed() < SOON, "{:?}", sent.elapsed());
    assert!(called(&two).await > 0.0);

    one.sees(1).await;
    for turn in 3..6 {
        ana.say(&room, "read").await;
        up_to(&mut ben, &room, turn - 1, turn).await;
    }
    assert_eq!(redis(&made), "OK");
    one.sees(2).await;
    both_call([&one, &two], 0.0).await;
    for turn in 6..11 {
        ben.say(&room, "back").await;
        up_to(&mut ben, &room, turn - 1, turn).await;
    }
    up_to(&mut ana, &room, 1, 10).await;
}

#[tokio::test]
async fn another_secret_is_refused_and_the_timelines_are_read() {
    let mut site = Site::with_internal();
    let one = site.node("one").await;
    let address = format!("127.0.0.1:{}", redis::free_port());
    let mut command = site.command("two");
    command
        .env("PARLOR__CLUSTER__SECRET_FILE", site.other_secret())
        .env("PARLOR__SERVER__INTERNAL_LISTEN", &address);
    let two = site.launch(command).await;
    one.sees(2).await;
    two.sees(2).await;
    let url = format!("http://{address}/internal/v1/packets");
    let stranger = reqwest::Client::new().post(url).body("{}").send().await;
    assert_eq!(stranger.unwrap().status().as_u16(), 401);
    let refused = "parlor_link_refused_total{reason=\"seal\"}";
    assert!(two.metric(refused).await >= 1.0);

    let mut ana = one.session("ana").await;
    let token = two.register("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let mut ben = two.hello(&token, json!({})).await;
    ana.say(&room, "read from the timeline").await;
    up_to(&mut ben, &room, 1, 2).await;
    // It is not heard over Redis either, and the other knows so.
    let began = Instant::now();
    while two.metric("parlor_bus_forged_total").await < 1.0 {
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    let before = two.metric(refused).await;
    site.redis.kill();
    until(&one, "parlor_links_down", 1.0).await;
    for turn in 3..6 {
        ana.say(&room, "read from the timeline").await;
        up_to(&mut ben, &room, turn - 1, turn).await;
    }
    assert!(two.metric(refused).await > before);
    let failures = "parlor_link_failures_total{reason=\"unauthorized\"}";
    assert!(one.metric(failures).await >= 1.0);
    let (status, ready) = one.get("/health/ready").await;
    assert_eq!(status, 200, "P-5: {ready}");
    assert!(ready.contains("link to two: down"), "{ready}");
}
