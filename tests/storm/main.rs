//! The storm: people talk on three nodes while nodes, Redis and the store are killed, paused and cut off, again and again, and nothing
//! acknowledged is missing.
//!
//! `PARLOR_SEED` runs the same choices again (the machine's timing remains its own); `PARLOR_STORM_FAULTS` sets the number of faults.
//! The control runs the same with one protection off, and must find what it protects from.
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
#[path = "../integration/person.rs"]
mod person;
#[path = "../support/redis.rs"]
mod redis;
#[path = "../integration/seen.rs"]
mod seen;
#[path = "../support.rs"]
mod support;

mod faults;
mod weather;

use checker::Fault;
use weather::{Plan, run};

/// One storm at a time: each fills the machine by itself.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_missing_whatever_fails() {
    let _one = ONE.lock().await;
    let faults = dice::number("PARLOR_STORM_FAULTS").unwrap_or(24);
    let outcome = run(Plan::new(faults)).await;
    let verdict = outcome.verdict;
    let (report, worst, wrong) = (&verdict.report, verdict.worst(), &verdict.wrong);
    assert!(report.faults.is_empty(), "{report}\n{worst:#?}\n{wrong:#?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let stats = verdict.stats;
    assert_eq!((stats.order_errors, stats.duplicates), (0, 0), "{stats:?}");
    assert_eq!((stats.unreadable, stats.gaps), (0, 0), "{stats:?}");
    // Less would prove nothing.
    assert!(outcome.hits * 2 >= faults, "{} faults hit", outcome.hits);
    assert!(report.acknowledged as u64 >= 10 * faults, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_dedupe_it_finds_duplicates() {
    let _one = ONE.lock().await;
    let outcome = run(Plan {
        // A frame is forgotten as soon as it is answered.
        settings: vec![("PARLOR__DEDUPE__WINDOW_MS", "1")],
        ..Plan::new(6)
    })
    .await;
    let report = outcome.verdict.report;
    assert!(report.count(Fault::Duplicate) > 0, "{report}");
}
