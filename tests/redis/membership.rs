//! Who is seen, when a node counts as gone, and when that is not believed.

use std::time::{Duration, Instant};

use parlor_schema::port::{Load, Membership as _};
use tokio::time::sleep;

use super::{
    node::{Node, name, settings, within},
    server::RedisServer,
};

#[tokio::test]
async fn nodes_see_each_other_with_address_run_and_load() {
    let server = RedisServer::start();
    let [one, two] = Node::pair(&settings(&server.url())).await;
    let view = one.redis.membership().view();
    assert_eq!(view.nodes, [one.info.clone(), two.info.clone()]);
    let load = Load {
        sessions: 7,
        rooms: 3,
        owned_rooms: 2,
    };
    two.redis.membership().report(load);
    within("the load", 5, || {
        one.redis.membership().loads().contains(&(name("n2"), load))
    })
    .await;
    assert_eq!(
        one.redis.membership().view().version,
        view.version,
        "no change of the view"
    );
}

#[tokio::test]
async fn a_node_that_ends_without_a_word_is_gone_when_its_key_has_expired() {
    let server = RedisServer::start();
    let settings = settings(&server.url());
    let one = Node::start("n1", &settings).await;
    let two = Node::start("n2", &settings).await;
    let three = Node::start("n3", &settings).await;
    one.sees(&["n1", "n2", "n3"]).await;
    drop(two);
    let began = Instant::now();
    one.sees(&["n1", "n3"]).await;
    three.sees(&["n1", "n3"]).await;
    println!("a dead node left the view after {:?}", began.elapsed());
    assert!(began.elapsed() > Duration::from_secs(3));
    within("the name leaves the set", 5, || {
        !server.cli(&["SMEMBERS", "parlor:nodes"]).contains("n2")
    })
    .await;
}

#[tokio::test]
async fn a_node_that_leaves_is_gone_at_once() {
    let server = RedisServer::start();
    let [one, two] = Node::pair(&settings(&server.url())).await;
    two.redis.leave().await;
    let began = Instant::now();
    one.sees(&["n1"]).await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert!(!one.redis.health().frozen);
}

#[tokio::test]
async fn a_node_that_comes_back_into_the_view_is_told_that_it_missed_something() {
    let server = RedisServer::start();
    let settings = settings(&server.url());
    let one = Node::start("n1", &settings).await;
    let mut two = Node::start("n2", &settings).await;
    let _three = Node::start("n3", &settings).await;
    one.sees(&["n1", "n2", "n3"]).await;
    two.hears_of_loss("n1", 5).await;
    let began = Instant::now();
    // As if what it says of itself did not arrive; its subscription goes on, so that it does not know.
    while one.view() != ["n1", "n3"] {
        assert!(began.elapsed() < Duration::from_secs(30), "n2 stays");
        server.cli(&["DEL", "parlor:node:n2"]);
        sleep(Duration::from_millis(20)).await;
    }
    two.arrived();
    one.sees(&["n1", "n2", "n3"]).await;
    two.hears_of_loss("n1", 5).await;
}

#[tokio::test]
async fn a_redis_that_forgot_everybody_takes_nobody_away() {
    let server = RedisServer::start();
    let settings = settings(&server.url());
    let nodes = [
        Node::start("n1", &settings).await,
        Node::start("n2", &settings).await,
        Node::start("n3", &settings).await,
    ];
    for node in &nodes {
        node.sees(&["n1", "n2", "n3"]).await;
    }
    let versions = || {
        nodes
            .each_ref()
            .map(|node| node.redis.membership().view().version)
    };
    let before = versions();
    for _ in 0..4 {
        server.cli(&["FLUSHALL"]);
        sleep(Duration::from_millis(700)).await;
    }
    sleep(Duration::from_secs(7)).await;
    assert_eq!(versions(), before);
    within("no longer frozen", 8, || {
        !nodes.iter().any(|node| node.redis.health().frozen)
    })
    .await;
    assert_eq!(versions(), before);
}

#[tokio::test]
async fn if_the_only_other_node_is_gone_that_is_believed_after_a_while() {
    let server = RedisServer::start();
    let [one, two] = Node::pair(&settings(&server.url())).await;
    drop(two);
    within("the doubt", 8, || one.redis.health().frozen).await;
    assert_eq!(one.view(), ["n1", "n2"]);
    one.sees(&["n1"]).await;
}

#[tokio::test]
async fn two_processes_of_one_name_are_told() {
    let server = RedisServer::start();
    let settings = settings(&server.url());
    let one = Node::start("n1", &settings).await;
    let other = Node::start("n1", &settings).await;
    within("both notice", 5, || {
        let conflicts = |node: &Node| node.redis.health().bus.name_conflicts;
        conflicts(&one) > 0 && conflicts(&other) > 0
    })
    .await;
}
