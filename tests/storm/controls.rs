//! The controls: one rule broken in every node, and what it is for goes wrong and is found.
//!
//! Rules of a room's own state, such as reading the tail after a conflict, are broken in `tests/model`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    ONE,
    checker::Fault,
    cluster::{Beneath, Cluster, NAMES},
    crowd::Patience,
    dice::{self, Dice},
    faults::Kind,
    people::{about, up_to},
    person::Memory,
    seeded::Bug,
    support::Client,
    weather::{Plan, run},
};

/// Each node decides what its own clients send, so that they compete.
const COMPETE: (&str, &str) = ("PARLOR__CLUSTER__FORWARD", "false");

/// Plans a run that is to go wrong. Frames that are not answered by its end count as duplicates: who looks for those waits long.
fn broken(bug: Bug, faults: &'static [Kind]) -> Plan {
    Plan {
        beneath: Beneath::Shared,
        bug,
        patience: Patience::Short,
        ..Plan::new(faults.len() as u64, faults)
    }
}

/// Runs it, and asserts that one of these was found.
async fn finds(plan: Plan, any: &[Fault]) {
    let _one = ONE.lock().await;
    let outcome = run(plan).await;
    let found = any.iter().map(|kind| outcome.report.count(*kind));
    assert!(found.sum::<usize>() > 0, "{}", outcome.report);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_dedupe_it_finds_duplicates() {
    let plan = broken(Bug::None, &[Kind::NodeKilled, Kind::RedisKilled]);
    let plan = Plan {
        // A frame is forgotten as soon as it is answered.
        settings: vec![("PARLOR__DEDUPE__WINDOW_MS", "1")],
        patience: Patience::Long,
        ..plan
    };
    finds(plan, &[Fault::Duplicate]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_window_unread_it_finds_duplicates() {
    let plan = Plan {
        patience: Patience::Long,
        // Time to ask again what was answered before.
        calm: Duration::from_secs(2),
        ..broken(Bug::WindowUnread, &[Kind::NodeKilled, Kind::RollingRestart])
    };
    finds(plan, &[Fault::Duplicate]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_before_it_is_durable_it_finds_losses() {
    let plan = broken(
        Bug::AckedBeforeAppend,
        &[Kind::NodeKilled, Kind::NodeKilled],
    );
    finds(plan, &[Fault::Lost]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_before_it_is_durable_it_finds_differences() {
    let plan = Plan {
        settings: vec![COMPETE],
        calm: Duration::from_secs(4),
        ..broken(Bug::ToldBeforeAppend, &[])
    };
    finds(plan, &[Fault::Order, Fault::Hole]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_condition_off_it_finds_losses() {
    let plan = Plan {
        settings: vec![COMPETE],
        calm: Duration::from_secs(4),
        ..broken(Bug::ConditionOff, &[])
    };
    finds(plan, &[Fault::Lost]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_unknown_taken_for_done_it_finds_losses() {
    let plan = broken(Bug::UnknownTaken, &[Kind::StoreSwallows]);
    // What is written over a loss makes another event of its position.
    finds(plan, &[Fault::Lost, Fault::Order]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_hints_forgotten_it_finds_holes() {
    let plan = Plan {
        calm: Duration::from_secs(6),
        ..broken(Bug::HintsForgotten, &[])
    };
    finds(plan, &[Fault::Hole]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_positions_too_far_it_finds_holes() {
    let plan = Plan {
        calm: Duration::from_secs(4),
        memory: Memory::Ahead,
        ..broken(Bug::None, &[])
    };
    finds(plan, &[Fault::Hole]).await;
}

/// Starts nodes that break a rule.
async fn nodes(bug: Bug) -> Cluster {
    let mut dice = Dice::new(dice::seed());
    let cluster = Cluster::start(Beneath::Shared, vec![COMPETE], bug, &mut dice);
    let mut cluster = cluster.await;
    cluster.break_rule();
    cluster
}

/// Puts somebody out on one node, who then asks to write on another where the room does not run yet; answers the code.
async fn written_after_being_put_out(bug: Bug) -> Value {
    let cluster = nodes(bug).await;
    let mut ana = cluster.node(0).session("ana").await;
    let ben = cluster.node(2).register("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let of_ben = json!({ "room_id": room, "user_id": "ben" });
    ana.ok("room.remove", of_ben).await;
    about(&mut ana, "member.removed", &room).await;
    // The projection is written behind the event.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut ben = cluster.node(2).hello(&ben, json!({})).await;
    let send = json!({ "room_id": room, "body": { "text": "still here" } });
    let reply = ben.ask("message.send", send).await;
    reply["payload"]["code"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_stale_members_somebody_writes_who_was_put_out() {
    let _one = ONE.lock().await;
    assert_eq!(written_after_being_put_out(Bug::None).await, "not_found");
    let code = written_after_being_put_out(Bug::MembersStale).await;
    assert_eq!(code, Value::Null, "it is acknowledged");
}

/// Ends a login on one node whose session is on another; answers whether that ends within a second.
async fn ends_with_its_login(bug: Bug) -> bool {
    let cluster = nodes(bug).await;
    let token = cluster.node(0).register("ana").await;
    let mut there = cluster.node(2).hello(&token, json!({})).await;
    let url = format!("http://{}/v1/auth/logout", cluster.node(0).address);
    let answer = reqwest::Client::new().post(url).bearer_auth(&token);
    assert!(answer.send().await.unwrap().status().is_success());
    let closed = there.closed();
    tokio::time::timeout(Duration::from_secs(1), closed)
        .await
        .is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_revocations_forgotten_a_session_outlives_its_login() {
    let _one = ONE.lock().await;
    assert!(ends_with_its_login(Bug::None).await);
    assert!(!ends_with_its_login(Bug::RevocationsForgotten).await);
}

/// Says something to somebody on another node again and again; answers how many events that node had to read from the timeline. Without a
/// bug it is none, as `tests/cluster/place.rs` asserts.
async fn read_by_another(bug: Bug) -> f64 {
    let cluster = nodes(bug).await;
    let mut ana = cluster.node(0).session("ana").await;
    let mut ben = cluster.node(2).session("ben").await;
    let room = own_room(&mut ana).await;
    about(&mut ben, "room.created", &room).await;
    // Who may not have been heard is told of everything, for ten seconds.
    tokio::time::sleep(Duration::from_secs(13)).await;
    let followed = "parlor_followed_events_total";
    let before = cluster.node(2).metric(followed).await;
    for turn in 2..12 {
        let sent = Instant::now();
        ana.say(&room, "to ben").await;
        up_to(&mut ben, &room, turn - 1, turn).await;
        dice::say(&format!("{bug:?}: there after {:?}", sent.elapsed()));
    }
    cluster.node(2).metric(followed).await - before
}

/// Makes rooms with ben until the first node owns one.
async fn own_room(client: &mut Client) -> String {
    loop {
        let room = client.room(json!({ "members": ["ben"] })).await;
        if crate::cluster::owner(room.parse().unwrap()).as_str() == NAMES[0] {
            return room;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_interest_forgotten_events_are_read_that_would_be_told() {
    let _one = ONE.lock().await;
    assert!(read_by_another(Bug::InterestForgotten).await > 0.0);
}
