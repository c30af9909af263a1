//! Views: who enters, who leaves, and when nobody does.

use proptest::prelude::*;

use super::*;

const TTL: u64 = 5000;

fn state() -> ViewState {
    ViewState::new(info("b", 1), TTL)
}

fn seen(nodes: &[&str]) -> Seen {
    Seen {
        nodes: nodes.iter().map(|name| info(name, 1)).collect(),
        ..Seen::default()
    }
}

#[track_caller]
fn shows(state: &ViewState, version: u64, names: &[&str]) {
    let view = state.view();
    let shown: Vec<&str> = view.nodes.iter().map(|one| one.node_id.as_str()).collect();
    assert_eq!((view.version, &shown[..]), (version, names));
}

#[test]
fn nodes_enter_and_leave_in_id_order_and_the_version_rises_with_each_change() {
    let mut state = state();
    shows(&state, 1, &["b"]);
    assert!(state.look(0, seen(&["c", "a"])));
    shows(&state, 2, &["a", "b", "c"]);
    assert!(!state.look(1000, seen(&["a", "b", "c"])));
    assert!(state.look(2000, seen(&["a", "d", "c"])));
    shows(&state, 3, &["a", "b", "c", "d"]);
    assert!(state.look(3000, seen(&["a", "d"])), "one of three is gone");
    shows(&state, 4, &["a", "b", "d"]);
}

#[test]
fn a_new_run_of_a_node_is_a_change() {
    let mut state = state();
    state.look(0, seen(&["a"]));
    let again = Seen {
        nodes: vec![info("a", 2)],
        ..Seen::default()
    };
    assert!(state.look(1000, again));
    assert!(state.view().is_alive(&node("a"), boot(2)));
    assert!(!state.view().is_alive(&node("a"), boot(1)));
}

#[test]
fn most_nodes_vanishing_at_once_is_not_believed_for_a_lifetime_of_a_key() {
    let mut state = state();
    state.look(0, seen(&["a", "c", "d"]));
    assert!(!state.look(1000, seen(&[])), "frozen");
    assert!(state.is_frozen(1000) && state.is_frozen(5999));
    assert!(!state.look(2000, seen(&["a", "c"])));
    assert!(!state.look(5999, seen(&["a", "c"])), "d still may come");
    assert!(state.look(6000, seen(&["a", "c"])), "d did not");
    shows(&state, 3, &["a", "b", "c"]);
    assert!(!state.is_frozen(6000));
}

#[test]
fn if_most_nodes_are_gone_for_good_that_is_believed_later() {
    let mut state = state();
    state.look(0, seen(&["a", "c"]));
    for now in [1000, 3000, 5000] {
        assert!(!state.look(now, seen(&[])));
    }
    assert!(state.look(6000, seen(&[])));
    shows(&state, 3, &["b"]);
}

#[test]
fn while_redis_is_away_the_last_view_stays() {
    let mut state = state();
    state.look(0, seen(&["a", "c"]));
    assert!(state.unreachable(1000));
    assert!(!state.unreachable(600_000));
    assert!(!state.look(601_000, seen(&["a"])), "c may be a little late");
    assert!(state.look(606_000, seen(&["a"])));
    shows(&state, 3, &["a", "b"]);
}

#[test]
fn a_redis_that_lost_its_memory_takes_nobody_away() {
    let mut state = state();
    state.look(0, seen(&["a", "c", "d", "e"]));
    let forgot = Seen {
        restarted: true,
        ..seen(&["a", "c", "d"])
    };
    assert!(!state.look(1000, forgot));
    assert!(!state.look(2000, seen(&["a", "c", "d", "e"])));
    shows(&state, 2, &["a", "b", "c", "d", "e"]);
}

#[test]
fn who_says_that_it_leaves_is_gone_at_once() {
    let mut state = state();
    state.look(0, seen(&["a", "c"]));
    state.unreachable(500);
    let leaving = Seen {
        left: vec![node("a"), node("c")],
        ..seen(&["a"])
    };
    assert!(state.look(1000, leaving));
    shows(&state, 3, &["b"]);
}

#[derive(Debug, Clone)]
enum Step {
    Look(Vec<u8>, bool),
    Unreachable,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let nodes = prop::collection::vec(0..6_u8, 0..6);
    let step = prop_oneof![
        4 => (nodes, prop::bool::weighted(0.1)).prop_map(|(nodes, restarted)| Step::Look(nodes, restarted)),
        1 => Just(Step::Unreachable),
        3 => (0..3000_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..100)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn a_frozen_view_never_shrinks_and_versions_rise(steps in steps()) {
        let (mut state, mut now) = (state(), 0);
        for step in steps {
            let (before, frozen) = (state.view(), state.is_frozen(now));
            let changed = match step {
                Step::Wait(ms) => { now += ms; continue }
                Step::Unreachable => { state.unreachable(now); false }
                Step::Look(nodes, restarted) => {
                    let nodes = nodes.iter().map(|n| info(&format!("n{n}"), 1)).collect();
                    state.look(now, Seen { nodes, left: Vec::new(), restarted })
                }
            };
            let after = state.view();
            prop_assert_eq!(changed, after.version == before.version + 1);
            prop_assert!(changed || after.version == before.version);
            prop_assert!(after.is_alive(&node("b"), boot(1)), "VW-1");
            if frozen && state.is_frozen(now) {
                prop_assert!(before.nodes.iter().all(|one| after.node(&one.node_id).is_some()), "VW-2");
            }
        }
    }
}
