//! Frames on their way: in order, one forward at a time, and decided here at last.
#![allow(clippy::unwrap_used, reason = "tests")]

use parlor_schema::{
    BootId, MsgId, RoomId, Seq,
    frame::{ClientFrame, body::MessageBody, client::Caller, client::MessageSend},
};

use super::*;
use crate::room::state::Facts;

fn node(name: &str) -> NodeInfo {
    NodeInfo {
        node_id: name.parse().unwrap(),
        boot_id: BootId::from([1; 16]),
        internal_address: None,
    }
}

fn there(name: &str) -> Route {
    Route::There(node(name))
}

fn pending(number: u64, bytes: usize) -> Pending {
    Pending {
        ticket: Ticket(number),
        caller: Caller {
            user_id: "ana".parse().unwrap(),
            device_id: "d".parse().unwrap(),
        },
        msg_id: MsgId::from(u128::from(number).to_be_bytes()),
        fingerprint: 0,
        frame: ClientFrame::MessageSend(MessageSend {
            room_id: RoomId::from([7; 16]),
            body: MessageBody::text("x".repeat(bytes)).into(),
            reply_to: None,
            thread: None,
            mentions: None,
            attachments: None,
            expires_in_ms: None,
        }),
        facts: Facts::default(),
    }
}

/// Writes steps down: `>n2:2` two frames to a node, `=1,2` decided here, `?1,2` the same in doubt, `!1` answered.
fn said(steps: &[Step]) -> String {
    let tickets = |frames: &[Pending]| {
        let tickets: Vec<String> = frames.iter().map(|f| f.ticket.0.to_string()).collect();
        tickets.join(",")
    };
    let words: Vec<String> = steps
        .iter()
        .map(|step| match step {
            Step::Send { to, frames, .. } => format!(">{}:{}", to.node_id, frames.len()),
            Step::Decide(frames, Doubt::No) => format!("={}", tickets(frames)),
            Step::Decide(frames, Doubt::Yes) => format!("?{}", tickets(frames)),
            Step::Answer(answers) => {
                let all: Vec<String> = answers.iter().map(|(t, _)| t.0.to_string()).collect();
                format!("!{}", all.join(","))
            }
        })
        .collect();
    words.join(" ")
}

fn outcomes(count: u64) -> Option<Vec<Outcome>> {
    let outcome = |seq| Outcome::Seq {
        seq: Seq::new(seq),
        duplicate: false,
    };
    Some((1..=count).map(outcome).collect())
}

#[test]
fn what_comes_meanwhile_goes_with_the_next() {
    let mut forwards = Forwards::new(5);
    assert_eq!(said(&forwards.take(pending(1, 1), there("n2"), 0)), ">n2:1");
    for number in 2..5 {
        let steps = forwards.take(pending(number, 1), there("n2"), 0);
        assert_eq!(said(&steps), "", "F-1: one in flight");
    }
    assert_eq!(said(&forwards.answered(4, outcomes(1), there("n2"), 1)), "");
    let steps = forwards.answered(5, outcomes(1), there("n2"), 1);
    assert_eq!(said(&steps), "!1 >n2:3");
    assert_eq!(
        said(&forwards.answered(5, outcomes(1), there("n2"), 1)),
        "",
        "twice"
    );
    assert_eq!(
        said(&forwards.answered(6, outcomes(3), there("n2"), 2)),
        "!2,3,4"
    );
    assert!(forwards.is_empty());
    assert_eq!(said(&forwards.take(pending(9, 1), Route::Here, 3)), "=9");
}

#[test]
fn what_was_not_taken_is_tried_once_more_where_there_is_another_owner() {
    let mut forwards = Forwards::new(0);
    forwards.take(pending(1, 1), there("n2"), 0);
    forwards.take(pending(2, 1), there("n2"), 0);
    assert_eq!(said(&forwards.answered(0, None, there("n3"), 1)), ">n3:1");
    // The rest comes behind, wherever the first is decided.
    assert_eq!(said(&forwards.answered(1, None, there("n4"), 1)), "=1 =2");
    forwards.take(pending(3, 1), there("n2"), 0);
    assert_eq!(
        said(&forwards.answered(2, None, there("n2"), 1)),
        "=3",
        "the same owner"
    );
}

#[test]
fn who_is_silent_leaves_a_doubt() {
    let mut forwards = Forwards::new(0);
    forwards.take(pending(1, 1), there("n2"), 0);
    forwards.take(pending(2, 1), there("n2"), 10);
    assert!(forwards.overdue(FORWARD_MS - 1).is_none());
    assert_eq!(forwards.overdue(FORWARD_MS), Some(&node("n2")));
    assert_eq!(said(&forwards.tick(there("n3"), FORWARD_MS)), ">n3:1");
    let steps = forwards.answered(1, None, Route::Here, FORWARD_MS + 1);
    assert_eq!(said(&steps), "?1 =2", "F-2: the first may have stored it");
    assert_eq!(
        said(&forwards.answered(0, outcomes(1), Route::Here, 9)),
        "",
        "too late"
    );
}

#[test]
fn a_refusal_in_doubt_says_that_it_may_have_been_stored() {
    let refused = |code| Some(vec![Outcome::Refused(Refusal::new(code, "no"))]);
    let code = |steps: &[Step]| match steps {
        [Step::Answer(answers)] => match &answers[0].1 {
            Outcome::Refused(refusal) => refusal.code,
            stored => panic!("{stored:?}"),
        },
        _ => panic!("{steps:?}"),
    };
    let mut forwards = Forwards::new(0);
    forwards.take(pending(1, 1), there("n2"), 0);
    let steps = forwards.answered(0, refused(ErrorCode::Muted), there("n2"), 0);
    assert_eq!(code(&steps), ErrorCode::Muted);
    forwards.take(pending(2, 1), there("n2"), 0);
    forwards.tick(there("n3"), FORWARD_MS);
    let steps = forwards.answered(2, refused(ErrorCode::Muted), there("n3"), FORWARD_MS);
    assert_eq!(code(&steps), ErrorCode::UnknownOutcome, "F-4");
    forwards.take(pending(3, 1), there("n2"), 0);
    forwards.tick(there("n3"), FORWARD_MS);
    let steps = forwards.answered(4, refused(ErrorCode::Conflict), there("n3"), FORWARD_MS);
    assert_eq!(code(&steps), ErrorCode::Conflict);
}

#[test]
fn an_answer_of_another_length_leaves_a_doubt() {
    let mut forwards = Forwards::new(0);
    forwards.take(pending(1, 1), there("n2"), 0);
    assert_eq!(
        said(&forwards.answered(0, outcomes(2), Route::Here, 1)),
        "?1"
    );
}

#[test]
fn nothing_goes_out_while_frames_are_decided_here() {
    let mut forwards = Forwards::new(0);
    assert_eq!(said(&forwards.take(pending(1, 1), Route::Later, 0)), "");
    assert_eq!(said(&forwards.take(pending(2, 1), Route::Later, 0)), "");
    assert_eq!(said(&forwards.advance(Route::Later, 0)), "");
    assert_eq!(said(&forwards.advance(there("n2"), 0)), ">n2:2");
    forwards.take(pending(3, 1), Route::Here, 0);
    assert_eq!(
        said(&forwards.answered(0, outcomes(2), Route::Here, 0)),
        "!1,2 =3"
    );
}

#[test]
fn a_forward_is_bounded_in_frames_and_bytes() {
    let mut forwards = Forwards::new(0);
    forwards.take(pending(0, 1), there("n2"), 0);
    for number in 1..=ROOM_QUEUE_MAX as u64 {
        assert!(!forwards.is_full());
        forwards.take(pending(number, 1), there("n2"), 0);
    }
    assert!(forwards.is_full(), "F-3");
    let steps = forwards.answered(0, outcomes(1), there("n2"), 0);
    assert_eq!(said(&steps), format!("!0 >n2:{APPEND_EVENTS_MAX}"));

    let mut forwards = Forwards::new(0);
    forwards.take(pending(0, 1), there("n2"), 0);
    for (number, bytes) in [
        (1, FORWARD_BYTES_MAX),
        (2, FORWARD_BYTES_MAX - 1000),
        (3, 1),
    ] {
        forwards.take(pending(number, bytes), there("n2"), 0);
    }
    let steps = forwards.answered(0, outcomes(1), there("n2"), 0);
    assert_eq!(said(&steps), "!0 >n2:1", "one that is too long goes alone");
    let steps = forwards.answered(1, outcomes(1), there("n2"), 0);
    assert_eq!(said(&steps), "!1 >n2:2");
}
