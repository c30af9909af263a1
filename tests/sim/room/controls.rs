//! One protection off, and what is found then.

use super::schedule;
use crate::{checker::Fault, dice, node::Off};

/// Counts the schedules, of a hundred, in which the checker finds this.
fn caught(off: Off, fault: Fault) -> usize {
    let seed = dice::seed();
    dice::say(&format!("PARLOR_SEED={seed}"));
    let found = |n: &u64| schedule(seed.wrapping_add(*n), off).0.count(fault) > 0;
    (0..100).filter(found).count()
}

#[test]
fn without_dedupe_duplicates_are_found() {
    let caught = caught(Off::Dedupe, Fault::Duplicate);
    assert!(caught > 20, "{caught} of 100");
}

#[test]
fn without_asking_the_timeline_answers_of_nodes_that_are_behind_are_found() {
    let seed = dice::seed();
    dice::say(&format!("PARLOR_SEED={seed}"));
    let behind = |n: &u64| schedule(seed.wrapping_add(*n), Off::Asking).1.behind > 0;
    let caught = (0..1_000).filter(behind).count();
    assert!(caught > 20, "R-10: {caught} of 1000");
}

#[test]
fn without_the_expected_head_losses_are_found() {
    let caught = caught(Off::ExpectedHead, Fault::Lost);
    assert!(caught > 20, "{caught} of 100");
}
