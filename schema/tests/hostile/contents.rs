//! Contents: names there twice, text that is no Unicode, depth, and what a refusal repeats.

use parlor_schema::{
    frame::{self, ClientFrame, body::Body},
    limits::{BODY_DATA_DEPTH_MAX, ID_BYTES_MAX, REFUSAL_MESSAGE_BYTES_MAX},
};

use crate::{ROOM, frame as written, nested, refusal, refused, send};

#[test]
fn a_field_there_twice_is_refused_at_every_level_but_in_data() {
    refused(&[
        (
            send(&format!(r#""room_id":"{ROOM}","body":{{"text":"a"}}"#)),
            "room_id",
            "duplicate field `room_id`",
        ),
        (
            send(r#""body":{"text":"a","text":"b"}"#),
            "body.text",
            "duplicate field `text`",
        ),
        (
            send(r#""body":{"text":"a"},"body":{"text":"a"}"#),
            "body",
            "duplicate field `body`",
        ),
        (
            written("hello", r#"{"device":{"id":"a","id":"b"}}"#),
            "device.id",
            "duplicate field `id`",
        ),
        (
            written("hello", r#"{"resume":{"cursor":null,"cursor":"b"}}"#),
            "resume.cursor",
            "duplicate field `cursor`",
        ),
        (
            send(r#""body":{"text":"a"},"attachments":[{"id":"a","id":"b"}]"#),
            "attachments[0].id",
            "duplicate field `id`",
        ),
        (
            send(r#""body":{"text":"a"},"attachments":[{}]"#),
            "attachments[0].id",
            "missing field `id`",
        ),
    ]);
    // Unknown fields are ignored, and the last of equal names inside `data` counts, as in every JSON reader a client is written with.
    let last = frame::read(&send(
        r#""x":1,"x":2,"body":{"x":1,"x":2,"data":{"a":1,"a":2}}"#,
    ))
    .unwrap();
    assert!(
        matches!(last.frame, ClientFrame::MessageSend(m) if m.body.parse().unwrap().data.unwrap()["a"] == 2)
    );
}

#[test]
fn text_that_is_no_unicode_is_refused_where_it_is_kept() {
    let body = |text: &str| send(&format!(r#""body":{{"text":"{text}"}}"#));
    refused(&[
        (body(r"\ud800"), "body.text", "unexpected end of hex escape"),
        (
            body(r"\udc00"),
            "body.text",
            "lone leading surrogate in hex escape",
        ),
        (
            body(r"\ud800\ud800"),
            "body.text",
            "lone leading surrogate in hex escape",
        ),
        (
            body(r"\ud800x"),
            "body.text",
            "unexpected end of hex escape",
        ),
        (
            send(r#""body":{"data":{"a":"\ud800"}}"#),
            "body.data",
            "unexpected end of hex escape",
        ),
        (
            send(r#""body":{"data":{"\ud800":1}}"#),
            "body.data",
            "unexpected end of hex escape",
        ),
    ]);
    let nul = frame::read(&body(r"a\u0000b\ud83d\ude00")).unwrap().frame;
    assert!(
        matches!(nul, ClientFrame::MessageSend(m) if m.body.parse().unwrap().text.as_deref() == Some("a\0b😀"))
    );
    assert!(
        frame::read(&send(r#""x":"\ud800","body":{"text":"a"}"#)).is_ok(),
        "an unknown field is not looked into"
    );
}

#[test]
fn depth_is_refused_where_it_is_kept_and_ignored_elsewhere() {
    let deep = [nested("[", "]", 10_000), nested(r#"{"a":"#, "}", 10_000)];
    for json in &deep {
        refused(&[(
            send(&format!(r#""body":{{"data":{json}}}"#)),
            "body.data",
            "recursion limit exceeded",
        )]);
        // What is wrong before it is still blamed.
        refused(&[(
            send(&format!(r#""reply_to":"x","body":{{"data":{json}}}"#)),
            "reply_to",
            r#"invalid type: string "x", expected u64"#,
        )]);
        // So is what is wrong with `data` that is whole.
        refused(&[(
            send(&format!(r#""body":{{"data":1,"data":2}},"x":{json}"#)),
            "body.data",
            "duplicate field `data`",
        )]);
        assert!(frame::read(&send(&format!(r#""x":{json},"body":{{"text":"a"}}"#))).is_ok());
        let named = format!(r#""body":{{"text":"a"}},"body.data":{json}"#);
        assert!(frame::read(&send(&named)).is_ok());
        assert!(frame::read(&written("ping", &format!(r#"{{"x":{json}}}"#))).is_ok());
        assert!(frame::read(&format!(r#"{{"type":"ping","x":{json}}}"#)).is_ok());
    }
    let check = |levels| {
        let body = format!(r#"{{"data":{}}}"#, nested("[", "]", levels));
        let body: Body = serde_json::from_str(&body).unwrap();
        body.check(usize::MAX).map_err(|refusal| refusal.field)
    };
    assert_eq!(check(BODY_DATA_DEPTH_MAX), Ok(()));
    assert_eq!(
        check(BODY_DATA_DEPTH_MAX + 1),
        Err(Some("body.data".into()))
    );
}

#[test]
fn refusals_do_not_repeat_what_was_sent() {
    let long = "é".repeat(20_000);
    let hostile = [
        written("room.create", &format!(r#"{{"kind":"{long}"}}"#)),
        written("room.list", &format!(r#"{{"limit":"{long}"}}"#)),
        send(&format!(r#""body":{{"data":{{"{long}":1e999}}}}"#)),
        written(
            "hello",
            &format!(r#"{{"resume":{{"rooms":{{"{long}":1}}}}}}"#),
        ),
        written(&long, "{}"),
        format!(r#"{{"type":"ping","msg_id":"{long}"}}"#),
    ];
    for text in hostile {
        let error = refusal(&text);
        assert!(error.refusal.message.len() <= REFUSAL_MESSAGE_BYTES_MAX);
        assert!(
            error
                .refusal
                .field
                .is_some_and(|field| field.len() <= ID_BYTES_MAX)
        );
    }
}
