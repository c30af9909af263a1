//! Redis killed, restarted empty, paused, overrun, and gone without a word; none of it ends the talk for good.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parlor_schema::{
    envelope::{Destination, Envelope},
    port::{Bus as _, Inbound},
};
use tokio::time::sleep;

use super::{
    node::{Node, name, settings, within},
    proxy::Proxy,
    server::RedisServer,
};

/// Tells whether neither direction works.
fn is_down(node: &Node) -> bool {
    let health = node.redis.health();
    !health.commands.up && !health.subscription.up
}

/// Waits until both can talk again, and returns how long that took.
async fn recovered(one: &Node, two: &mut Node, number: usize) -> Duration {
    let began = Instant::now();
    within("both up again", 20, || one.is_up() && two.is_up()).await;
    one.tell("n2", number).await;
    two.hears(number).await;
    began.elapsed()
}

#[tokio::test]
async fn a_redis_that_is_killed_and_comes_back_empty_is_found_again() {
    let mut server = RedisServer::start();
    let [one, mut two] = Node::pair(&settings(&server.url())).await;
    server.kill();
    within("the fault is seen", 5, || is_down(&one) && is_down(&two)).await;
    let state = one.redis.health().commands;
    assert!(!state.up && state.failures > 0 && state.connects == 1);
    // Lost on the way, and left out of the queue: the link says so afterwards.
    for number in 0..10_000 {
        one.tell("n2", number).await;
    }
    assert!(one.redis.health().bus.dropped > 0);
    sleep(Duration::from_secs(8)).await;
    assert_eq!(two.view(), ["n1", "n2"], "longer than a key lives");
    assert!(two.redis.health().frozen);
    server.begin();
    let took = recovered(&one, &mut two, 100_000).await;
    println!("restarted empty: talking again after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(
        (one.view(), two.view()),
        (two.view(), vec!["n1".into(), "n2".into()])
    );
}

#[tokio::test]
async fn a_redis_that_is_paused_for_ten_seconds_is_given_up_and_found_again() {
    let server = RedisServer::start();
    let [one, mut two] = Node::pair(&settings(&server.url())).await;
    server.pause();
    let began = Instant::now();
    within("the pause is seen", 6, || is_down(&one) && is_down(&two)).await;
    println!("paused: seen after {:?}", began.elapsed());
    one.tell("n2", 1).await;
    sleep(Duration::from_secs(10).saturating_sub(began.elapsed())).await;
    assert_eq!(two.view(), ["n1", "n2"]);
    server.resume();
    let took = recovered(&one, &mut two, 2).await;
    println!("paused: talking again after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(two.view(), ["n1", "n2"]);
}

#[tokio::test]
async fn connections_that_swallow_everything_are_given_up() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port).await;
    let behind = settings(&format!("redis://127.0.0.1:{}", proxy.port));
    let [one, mut two] = Node::pair(&behind).await;
    let connects = |node: &Node| {
        let health = node.redis.health();
        (health.commands.connects, health.subscription.connects)
    };
    assert_eq!((connects(&one), connects(&two)), ((1, 1), (1, 1)));
    proxy.swallow();
    let began = Instant::now();
    within("all four connections anew", 10, || {
        (connects(&one), connects(&two)) == ((2, 2), (2, 2))
    })
    .await;
    println!("half open: connected anew after {:?}", began.elapsed());
    recovered(&one, &mut two, 1).await;
}

#[tokio::test]
async fn a_subscriber_that_redis_cuts_off_for_being_slow_notices_what_it_missed() {
    let server = RedisServer::with(&["--client-output-buffer-limit", "pubsub 1mb 512kb 1"]);
    let settings = settings(&server.url());
    let one = Node::start("n1", &settings).await;
    // The thread that reads the socket stands still when it is told to, as that of a paused process does.
    let stall = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stall);
    let mut two = Node::with_inbox("n2", &settings, move |_| {
        if told.swap(false, Relaxed) {
            std::thread::sleep(Duration::from_secs(4));
        }
    })
    .await;
    one.sees(&["n1", "n2"]).await;
    two.hears_of_loss("n1", 5).await;
    let before = two.redis.health().subscription.connects;
    stall.store(true, Relaxed);
    one.tell("n2", 0).await;
    within("the stall", 2, || !stall.load(Relaxed)).await;
    let big = Envelope::UserRevoked {
        user_id: "x".repeat(128).parse().unwrap(),
    };
    let mut sent = 0_u64;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        for _ in 0..4000 {
            let to = Destination::Node(name("n2"));
            one.redis.bus().publish(to, big.clone()).await.unwrap();
            sent += 1;
        }
        sleep(Duration::from_millis(20)).await;
    }
    let took = two.hears_of_loss("n1", 10).await;
    within("a new subscription", 5, || {
        two.redis.health().subscription.connects > before
    })
    .await;
    one.tell("n2", 1).await;
    let heard = two.hears(1).await.len() as u64;
    let missed = sent.saturating_sub(heard);
    println!("overrun: {sent} sent, noticed {took:?} after the last, at least {missed} missed");
    assert!(missed > 0, "the fault did not hit");
}

#[tokio::test]
async fn subscribers_killed_every_two_hundred_milliseconds_lose_nothing_silently() {
    let server = RedisServer::start();
    let [one, mut two] = Node::pair(&settings(&server.url())).await;
    let mut told = 0;
    for round in 0..20 {
        for _ in 0..10 {
            one.tell("n2", told).await;
            told += 1;
            sleep(Duration::from_millis(20)).await;
        }
        if round % 2 == 1 {
            server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        }
    }
    within("both up again", 10, || one.is_up() && two.is_up()).await;
    sleep(Duration::from_secs(1)).await;
    one.tell("n2", told).await;
    let mut next = 0;
    let (mut lost, mut missing) = (false, 0);
    for inbound in two.hears(told).await {
        match inbound {
            Inbound::LinkLost(_) => lost = true,
            Inbound::Envelope(Envelope::UserRevoked { user_id }) => {
                let number: usize = user_id.as_str()[1..].parse().unwrap();
                assert!(number >= next, "in order, each once");
                assert!(
                    number == next || lost,
                    "{next} to {number} missing, silently"
                );
                missing += number - next;
                (next, lost) = (number + 1, false);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(next == told || lost, "{next} to {told} missing, silently");
    println!(
        "of {told} envelopes {} were lost, each reported",
        missing + told - next
    );
}
