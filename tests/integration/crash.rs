//! The crash test: people talk while the server is killed, again and again, and nothing acknowledged is missing.
//!
//! `PARLOR_SEED` runs the same choices again (the machine's timing remains its own); `PARLOR_CRASH_ROUNDS` sets the number of kills.
//! The controls run the same scenario with one protection off, and must find what it protects from. The other two protections have theirs in the
//! contract suite, on a simulated disk: the fsync and the expected head.
#![allow(clippy::unwrap_used, reason = "tests")]

mod checker;
mod crowd;
mod dice;
mod person;
mod process;
mod scenario;
mod seen;

use checker::Fault;
use person::Memory;
use scenario::{Plan, run};

/// One scenario at a time: each fills the machine by itself.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_missing_after_any_kill() {
    let _one = ONE.lock().await;
    let plan = Plan::new(dice::number("PARLOR_CRASH_ROUNDS").unwrap_or(50));
    let rounds = plan.rounds;
    let outcome = run(plan).await;
    let verdict = outcome.verdict;
    let report = &verdict.report;
    let (worst, wrong) = (verdict.worst(), &verdict.wrong);
    assert!(report.faults.is_empty(), "{report}\n{worst:#?}\n{wrong:#?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let stats = verdict.stats;
    assert_eq!((stats.order_errors, stats.duplicates), (0, 0), "{stats:?}");
    assert_eq!((stats.unreadable, stats.gaps), (0, 0), "{stats:?}");
    // Less would prove nothing.
    let hits = outcome.hits;
    assert!(
        hits.sends * 2 >= rounds && hits.changes * 10 >= rounds,
        "{hits:?}"
    );
    assert!(report.acknowledged as u64 >= 20 * rounds, "{report}");
    assert!(stats.resent >= rounds, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_dedupe_it_finds_duplicates() {
    let _one = ONE.lock().await;
    // A frame is forgotten as soon as it is answered.
    let outcome = run(Plan {
        settings: vec![("PARLOR__DEDUPE__WINDOW_MS", "1".into())],
        ..Plan::new(5)
    })
    .await;
    assert!(
        outcome.verdict.report.count(Fault::Duplicate) > 0,
        "{}",
        outcome.verdict.report
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_resume_positions_it_finds_holes() {
    for memory in [Memory::Forgotten, Memory::Ahead] {
        let _one = ONE.lock().await;
        let outcome = run(Plan {
            memory,
            ..Plan::new(5)
        })
        .await;
        let report = &outcome.verdict.report;
        assert!(report.count(Fault::Hole) > 0, "{memory:?}: {report}");
        assert_eq!(
            report.count(Fault::Lost),
            0,
            "{:#?}",
            outcome.verdict.worst()
        );
    }
}
