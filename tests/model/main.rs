//! A model of the append protocol, every run of which is looked at: one room, three nodes, one timeline.
//!
//! The words and the steps are those of `actors/src/room/state.rs` and of the port `Timeline`. With all rules the properties hold in every state
//! that can be reached; without any one of them a shortest run that breaks a property is found. docs/RELIABILITY.md says what that proves.
#![allow(clippy::unwrap_used, reason = "tests")]

mod property;
mod protocol;
mod room;
mod rules;
mod world;

use std::time::Instant;

use protocol::{Checks, Protocol};
use rules::{Asks, Frame, NOT_NEEDED, RULES};
use stateright::{Checker, HasDiscoveries, Model};

const fn frame(asks: Asks, sends: u8) -> Frame {
    Frame { asks, sends }
}

/// Two people send at the same time, each twice.
const TWO_SEND: [Frame; 2] = [frame(Asks::Message, 2), frame(Asks::BobsMessage, 2)];
/// One is put out while he sends.
const PUT_OUT: [Frame; 2] = [frame(Asks::BobsMessage, 2), frame(Asks::PutsBobOut, 1)];
/// Three frames of two people; each once, as a third frame has more runs than a retry.
const THREE: [Frame; 3] = [
    frame(Asks::Message, 1),
    frame(Asks::BobsMessage, 1),
    frame(Asks::PutsBobOut, 1),
];
/// Two people send, one of them twice.
const ANA_AGAIN: [Frame; 2] = [frame(Asks::Message, 2), frame(Asks::BobsMessage, 1)];
/// Two people send, each once.
const ONCE_EACH: [Frame; 2] = [frame(Asks::Message, 1), frame(Asks::BobsMessage, 1)];

/// Looks at every state of `model`, and fails with the shortest run that breaks a property.
#[track_caller]
fn holds(name: &str, model: Protocol) {
    let began = Instant::now();
    let checker = model
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    println!(
        "{name}: {} states, {} steps, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64()
    );
    checker.assert_properties();
}

/// Finds a shortest run that breaks `property`, and returns its steps.
#[track_caller]
fn breaks(mut model: Protocol, property: &'static str) -> usize {
    model.checks = Checks::Only(property);
    let off = model.off;
    let checker = model.checker().spawn_bfs().join();
    let Some(run) = checker.discovery(property) else {
        panic!("{off:?} is off, and still: {property}");
    };
    let steps = run.into_actions();
    println!(
        "{off:?} off: not \"{property}\" after {} steps ({} states): {steps:?}",
        steps.len(),
        checker.unique_state_count()
    );
    steps.len()
}

#[test]
fn two_who_send_and_retry() {
    holds("two who send", Protocol::whole(&TWO_SEND));
}

#[test]
fn one_who_is_put_out_while_he_sends() {
    holds("one is put out", Protocol::whole(&PUT_OUT));
}

#[test]
fn three_frames() {
    holds("three frames", Protocol::whole(&THREE));
}

#[test]
fn a_store_that_refuses() {
    holds("a store that refuses", Protocol::refusing(&ONCE_EACH));
}

#[test]
fn every_rule_is_needed() {
    for (off, property) in RULES {
        let model = match property {
            property::MEMBERS => Protocol::whole(&PUT_OUT),
            property::NOTHING_STORED => Protocol::refusing(&ONCE_EACH),
            _ => Protocol::whole(&TWO_SEND),
        };
        let steps = breaks(Protocol { off, ..model }, property);
        assert!(steps > 1, "{off:?}: the beginning is wrong already");
    }
}

#[test]
fn what_is_there_for_speed_is_not_needed() {
    for off in NOT_NEEDED {
        let model = Protocol {
            off,
            checks: Checks::Promises,
            ..Protocol::whole(&ANA_AGAIN)
        };
        holds(&format!("without {off:?}"), model);
    }
}
