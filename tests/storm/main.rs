//! The storm: people talk on three nodes while nodes, Redis and the store are killed, paused and cut off, again and again, and nothing
//! acknowledged is missing.
//!
//! `PARLOR_SEED` runs the same choices again (the machine's timing remains its own); `PARLOR_STORM_FAULTS` sets the number of faults.
//! The controls run the same with one rule broken in all nodes, and must find what it is for.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../support/cassandra.rs"]
mod cassandra;
#[path = "../integration/checker.rs"]
mod checker;
#[path = "../integration/crowd.rs"]
mod crowd;
#[path = "../integration/dice.rs"]
mod dice;
#[path = "../cluster/node.rs"]
mod node;
#[path = "../cluster/people.rs"]
mod people;
#[path = "../integration/person.rs"]
mod person;
#[path = "../support/redis.rs"]
mod redis;
#[path = "../integration/seen.rs"]
mod seen;
#[path = "../support.rs"]
mod support;

mod cluster;
mod controls;
mod faults;
mod proxy;
mod seeded;
mod weather;

use cluster::Beneath;
use faults::{KINDS, Kind};
use weather::{Outcome, Plan, run};

/// One storm at a time: each fills the machine by itself.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The name of the test that is no test of its own.
const NODE: &str = "the_process_of_a_node";

/// Becomes a node where that is asked for, and proves nothing.
#[test]
fn the_process_of_a_node() {
    seeded::serve_where_asked();
}

/// Asserts that nothing is missing, and that the faults met people at work.
fn whole(outcome: &Outcome, faults: u64) {
    let (report, worst, wrong) = (&outcome.report, outcome.worst(), &outcome.wrong);
    assert!(report.faults.is_empty(), "{report}\n{worst:#?}\n{wrong:#?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let stats = outcome.stats;
    assert_eq!((stats.order_errors, stats.duplicates), (0, 0), "{stats:?}");
    assert_eq!((stats.unreadable, stats.gaps), (0, 0), "{stats:?}");
    // Less would prove nothing.
    assert!(outcome.hits * 2 >= faults, "{} faults hit", outcome.hits);
    assert!(report.acknowledged as u64 >= 10 * faults, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_missing_whatever_fails() {
    let _one = ONE.lock().await;
    let faults = dice::number("PARLOR_STORM_FAULTS").unwrap_or(KINDS.len() as u64);
    whole(&run(Plan::new(faults, &KINDS)).await, faults);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_nodes_of_the_store_may_be_killed() {
    let _one = ONE.lock().await;
    let faults = dice::number("PARLOR_STORM_STORE_FAULTS").unwrap_or(2);
    let outcome = run(Plan {
        beneath: Beneath::Three,
        ..Plan::new(faults, &[Kind::StoreNodeKilled, Kind::NodeKilled])
    })
    .await;
    whole(&outcome, faults);
}
