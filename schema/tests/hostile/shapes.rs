//! Fields of another shape: arrays for objects, objects for words, entries of lists.

use parlor_schema::frame::{self, ClientFrame};

use crate::{BIG_ROOM, ROOM, frame as written, nested, refused, send};

fn named(kind: &str, fields: &str) -> String {
    written(kind, &format!(r#"{{"room_id":"{ROOM}",{fields}}}"#))
}

#[test]
fn structs_are_objects() {
    let object = "expected an object";
    let seq = format!("invalid type: sequence, {object}");
    let file = r#"["id","name",1,"text/plain"]"#;
    refused(&[
        (send(r#""body":["hi"]"#), "body", &seq),
        (
            send(r#""body":"hi""#),
            "body",
            "invalid type: string \"hi\", expected an object",
        ),
        (
            send(r#""body":null"#),
            "body",
            "invalid type: null, expected an object",
        ),
        (
            send(&format!(r#""body":{{"text":"a"}},"attachments":[{file}]"#)),
            "attachments[0]",
            &seq,
        ),
        (
            send(r#""body":{"text":"a"},"attachments":{}"#),
            "attachments",
            "invalid type: map, expected a sequence",
        ),
        (written("hello", r#"{"device":["phone"]}"#), "device", &seq),
        (written("hello", r#"{"resume":[{}]}"#), "resume", &seq),
        (
            written("hello", r#"{"resume":{"rooms":[]}}"#),
            "resume.rooms",
            "invalid type: sequence, expected an object of positions by room id",
        ),
    ]);
}

#[test]
fn words_are_strings() {
    let word = "invalid type: map, expected a string";
    refused(&[
        (
            send(r#""body":{"text":"a","format":{"plain":null}}"#),
            "body.format",
            word,
        ),
        (
            written("hello", r#"{"presence":{"away":null}}"#),
            "presence",
            word,
        ),
        (
            written("hello", r#"{"presence":"offline"}"#),
            "presence",
            "unknown variant `offline`, expected one of `online`, `away`, `dnd`, `invisible`",
        ),
        (
            written("room.create", r#"{"kind":{"group":null}}"#),
            "kind",
            word,
        ),
        (
            written("room.create", r#"{"kind":"Group"}"#),
            "kind",
            "unknown variant `Group`, expected one of `direct`, `group`, `channel`",
        ),
        (
            written("room.create", r#"{"kind":0}"#),
            "kind",
            "invalid type: integer `0`, expected a string",
        ),
        (
            written("presence.set", r#"{"status":["away"]}"#),
            "status",
            "invalid type: sequence, expected a string",
        ),
        (
            named("room.role", r#""user_id":"bo","role":{"owner":null}"#),
            "role",
            word,
        ),
        (
            named("room.subscribe", r#""mode":{"active":null}"#),
            "mode",
            word,
        ),
        (
            named("message.delete", r#""target":1,"for":{"all":null}"#),
            "for",
            word,
        ),
    ]);
}

#[test]
fn other_fields_have_one_shape() {
    refused(&[
        (
            named("room.invite", r#""user_ids":"bo""#),
            "user_ids",
            "invalid type: string \"bo\", expected a sequence",
        ),
        (
            named("room.invite", r#""user_ids":["bo","a b"]"#),
            "user_ids[1]",
            "must be 1 to 128 characters of A-Za-z0-9._:@-",
        ),
        (
            named("room.mute", r#""user_id":"bo","until":"tomorrow""#),
            "until",
            "not an rfc 3339 time",
        ),
        (
            written("room.list", r#"{"public":"yes"}"#),
            "public",
            "invalid type: string \"yes\", expected a boolean",
        ),
    ]);
}

#[test]
fn hello_blames_the_room_that_is_wrong() {
    let wanted = |rooms: &str| written("hello", &format!(r#"{{"rooms":{rooms}}}"#));
    let resume =
        |rooms: &str| written("hello", &format!(r#"{{"resume":{{"rooms":{{{rooms}}}}}}}"#));
    let one = |position: &str| resume(&format!(r#""{ROOM}":{position}"#));
    let at = format!("resume.rooms.{ROOM}");
    refused(&[
        (
            wanted("7"),
            "rooms",
            "invalid type: integer `7`, expected all, none or a list of room ids",
        ),
        (
            wanted(r#"{"all":null}"#),
            "rooms",
            "invalid type: map, expected all, none or a list of room ids",
        ),
        (
            wanted(r#""some""#),
            "rooms",
            "unknown variant `some`, expected `all` or `none`",
        ),
        (
            wanted(&format!(r#"["{ROOM}","x"]"#)),
            "rooms[1]",
            "not a uuid",
        ),
        (
            wanted(&nested("[", "]", 10_000)),
            "rooms[0]",
            "invalid type: sequence, expected a string",
        ),
        (one("-1"), &at, "invalid value: integer `-1`, expected u64"),
        (
            one("9007199254740992"),
            &at,
            "must be an integer from 0 to 2^53-1",
        ),
        (resume(r#""x":1"#), "resume.rooms.x", "not a uuid"),
        (
            resume(&format!(r#""{ROOM}":1,"{BIG_ROOM}":2"#)),
            "resume.rooms",
            "a room is there twice",
        ),
        (
            resume(&format!(r#""{ROOM}":null,"{ROOM}":2"#)),
            "resume.rooms",
            "a room is there twice",
        ),
    ]);
    let null = frame::read(&one("null")).unwrap().frame;
    assert!(
        matches!(null, ClientFrame::Hello(h) if h.resume.clone().unwrap().rooms.unwrap().is_empty())
    );
}
