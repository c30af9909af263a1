//! Blame, and that the two ways of reading read the same.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../../tests/support/files.rs"]
mod files;

use proptest::prelude::*;

use super::{fast, read, slow};
use crate::{ErrorCode, frame::ClientFrame};

const ID: &str = "0191f0c2-0000-7000-8000-0000000000ab";
const ROOM: &str = "0191f0c2-0000-7000-8000-0000000000cd";

fn blame(text: &str) -> (ErrorCode, Option<String>, Option<String>) {
    let error = read(text).unwrap_err();
    (error.refusal.code, error.refusal.field, error.echo)
}

#[test]
fn blames_the_field() {
    let bad = ErrorCode::BadFrame;
    assert_eq!(blame("[]"), (bad, None, None));
    assert_eq!(blame("{"), (bad, None, None));
    assert_eq!(blame("{}"), (bad, Some("type".into()), None));
    assert_eq!(
        blame(r#"{"type":"ping","msg_id":7}"#),
        (bad, Some("msg_id".into()), None)
    );
    assert_eq!(
        blame(r#"{"type":"ping","msg_id":"x"}"#),
        (bad, Some("msg_id".into()), Some("x".into()))
    );
    assert_eq!(
        blame(r#"{"type":"nope"}"#),
        (ErrorCode::UnknownType, Some("type".into()), None)
    );
    let send =
        |payload: &str| format!(r#"{{"type":"message.send","msg_id":"{ID}","payload":{payload}}}"#);
    let at = |payload: &str| blame(&send(payload)).1.unwrap_or_default();
    assert_eq!(at("[]"), "payload");
    assert_eq!(at("{}"), "room_id");
    assert_eq!(at(r#"{"room_id":"x","body":{"text":"a"}}"#), "room_id");
    assert_eq!(at(&format!(r#"{{"room_id":"{ROOM}"}}"#)), "body");
    assert_eq!(
        at(&format!(r#"{{"room_id":"{ROOM}","body":["hi"]}}"#)),
        "body"
    );
    assert_eq!(
        at(&format!(r#"{{"room_id":"{ROOM}","body":{{"text":7}}}}"#)),
        "body.text"
    );
    assert_eq!(
        at(&format!(
            r#"{{"room_id":"{ROOM}","body":{{"text":"a"}},"reply_to":-1}}"#
        )),
        "reply_to"
    );
}

#[test]
fn frames_that_append_need_a_msg_id() {
    let text = format!(r#"{{"type":"room.join","payload":{{"room_id":"{ROOM}"}}}}"#);
    assert_eq!(
        blame(&text),
        (ErrorCode::BadFrame, Some("msg_id".into()), None)
    );
    assert!(read(r#"{"type":"ping"}"#).is_ok());
}

fn golden() -> Vec<String> {
    let types = ClientFrame::TYPES.iter();
    types
        .flat_map(|kind| files::frames("client", kind))
        .collect()
}

#[test]
fn usual_frames_are_read_at_once() {
    for text in golden() {
        let read = fast::read(&text).map(Ok);
        assert_eq!(read, Some(slow::read(&text)), "{text}");
    }
}

#[test]
fn unusual_frames_are_left_alone() {
    let room = format!(r#""payload":{{"room_id":"{ROOM}"}}"#);
    for text in [
        format!(r#"{{{room},"type":"typing.start"}}"#),
        format!(r#"{{"type":"typing.start",{room},{room}}}"#),
        format!(r#"{{"type":"typing.start","type":"typing.start",{room}}}"#),
        format!(r#"{{"type":"typing\u002estart",{room}}}"#),
        format!(r#"{{"type":"typing.start","msg_id":null,{room}}}"#),
        r#"{"type":"ping","payload":null}"#.to_owned(),
        r#"{"type":"ping"} x"#.to_owned(),
        r#"{"type":"room.join"}"#.to_owned(),
        r#"["ping"]"#.to_owned(),
    ] {
        assert_eq!(fast::read(&text), None, "{text}");
    }
}

/// Pieces of which frames are made, right ones and wrong ones.
fn piece() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        "[\\[\\]{}\",:0-9eE.+\\-\\\\ntfu ]{0,6}",
        Just("null".to_owned()),
        Just("{}".to_owned()),
        Just("1e999".to_owned()),
        Just(r"\ud800".to_owned()),
        Just(r"\u0061\n".to_owned()),
        Just("\u{feff}".to_owned()),
        ".{0,4}",
    ];
    let field = prop::sample::select(vec![
        r#""type":"ping","#,
        r#""type":null,"#,
        r#""msg_id":null,"#,
        r#""msg_id":"x","#,
        r#""msg_id":"0191f0c2-0000-7000-8000-0000000000ab","#,
        r#""payload":{},"#,
        r#""payload":null,"#,
        r#""x":[{"x":1}],"#,
        r#""text":"a","#,
        r#""text":"\u0061","#,
        r#""text":null,"#,
        r#""data":{"b":1,"a":1.50},"#,
        r#""data":{"a":1,"a":[]},"#,
        r#""data":[ 1e400],"#,
        r#""format":"plain","#,
        r#""format":{"plain":null},"#,
        r#""body":{},"#,
    ]);
    prop_oneof![token, field.prop_map(str::to_owned)]
}

/// A golden frame, its envelope's fields in some order, with a few bytes cut out and others put in their place.
fn mutated() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0_usize..12, piece());
    (
        prop::sample::select(golden()),
        any::<bool>(),
        prop::collection::vec(edit, 0..4),
    )
        .prop_map(|(mut text, turned, edits)| {
            if turned && let Some(at) = text.find(r#","payload":"#) {
                let (start, payload) = (&text[1..at], &text[at + 1..text.len() - 1]);
                text = format!("{{{payload},{start}}}");
            }
            for (at, cut, piece) in edits {
                let start = text.floor_char_boundary(at.index(text.len() + 1));
                let end = text.ceil_char_boundary((start + cut).min(text.len()));
                text.replace_range(start..end, &piece);
            }
            text
        })
}

/// A golden frame with a whole field put in where one may stand.
fn widened() -> impl Strategy<Value = String> {
    let at = prop::collection::vec((any::<prop::sample::Index>(), piece()), 1..4);
    (prop::sample::select(golden()), at).prop_map(|(mut text, at)| {
        for (at, piece) in at {
            let places: Vec<usize> = text.match_indices(['{', ',']).map(|(at, _)| at).collect();
            text.insert_str(*at.get(&places) + 1, &piece);
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_ways_read_the_same_of_any_text(text in prop_oneof![mutated(), widened(), any::<String>()]) {
        prop_assert_eq!(read(&text), slow::read(&text), "{}", text);
    }
}
