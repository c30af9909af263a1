//! Texts that are no frame, and envelopes that are wrong.

use parlor_schema::{ErrorCode, frame, limits::MSG_ID_ECHO_BYTES_MAX};

use crate::{ID, frame as written, nested, refusal, refused};

#[test]
fn what_is_no_frame_has_no_field_and_no_echo() {
    let no_object = "a frame is a json object";
    let ping = written("ping", "{}");
    let cases = [
        (String::new(), no_object),
        ("null".into(), no_object),
        (r#"["ping"]"#.into(), no_object),
        (
            r#"["ping","0191f0c2-0000-7000-8000-0000000000ab",{}]"#.into(),
            no_object,
        ),
        (r#""{}""#.into(), no_object),
        (nested("[", "]", 10_000), no_object),
        (format!("\u{feff}{ping}"), no_object),
        (format!("\u{a0}{ping}"), no_object),
        ("{".into(), "not a frame: EOF while parsing an object"),
        (format!("{ping} x"), "not a frame: trailing characters"),
        (format!("{ping}{ping}"), "not a frame: trailing characters"),
        (
            ping.replace("{}", "{,}"),
            "not a frame: key must be a string",
        ),
        (ping.replace("{}", "NaN"), "not a frame: expected value"),
        (ping.replace("{}", "'x'"), "not a frame: expected value"),
        (ping.replace("{}", "01"), "not a frame: invalid number"),
        (
            ping.replace("ping", "pi\0ng"),
            "not a frame: control character (\\u0000-\\u001F) found while parsing a string",
        ),
        (
            ping.replace("type", r"\ud800"),
            "not a frame: unexpected end of hex escape",
        ),
        (
            nested(r#"{"a":"#, "}", 10_000).replace('1', ""),
            "not a frame: expected value",
        ),
    ];
    for (text, message) in cases {
        let error = refusal(&text);
        // Where the reader stopped is the JSON library's to say.
        let said = error.refusal.message.split(" at line ").next();
        assert_eq!(said, Some(message), "{text:.300}");
        assert_eq!(error.refusal.code, ErrorCode::BadFrame, "{text:.300}");
        assert_eq!(
            (error.refusal.field, error.echo),
            (None, None),
            "{text:.300}"
        );
    }
}

#[test]
fn the_envelope_is_blamed_by_field() {
    let twice = "is there twice";
    let ping = |envelope: &str| format!(r#"{{"msg_id":"{ID}",{envelope}}}"#);
    refused(&[
        (ping(r#""payload":{}"#), "type", "missing"),
        (ping(r#""type":null"#), "type", "missing"),
        (ping(r#""type":7"#), "type", "must be a string"),
        (ping(r#""type":["ping"]"#), "type", "must be a string"),
        (ping(r#""type":"\ud800""#), "type", "must be a string"),
        (ping(r#""type":"ping","type":"ping""#), "type", twice),
        (ping(r#""type":"ping","\u0074ype":"ping""#), "type", twice),
        (
            ping(r#""type":"ping","payload":{},"payload":{}"#),
            "payload",
            twice,
        ),
        (
            ping(r#""type":"ping","payload":null,"payload":{}"#),
            "payload",
            twice,
        ),
        (
            ping(r#""type":"ping","payload":[]"#),
            "payload",
            "must be an object",
        ),
        (
            ping(r#""type":"ping","payload":1e999"#),
            "payload",
            "must be an object",
        ),
        (
            ping(r#""type":"ping","payload":"{}""#),
            "payload",
            "must be an object",
        ),
    ]);
    let after = format!(r#"{{"type":"ping","type":"ping","msg_id":"{ID}"}}"#);
    refused(&[(after, "type", twice)]);
}

#[test]
fn a_msg_id_is_echoed_where_it_can_be_read() {
    let long = "x".repeat(MSG_ID_ECHO_BYTES_MAX);
    let cases = [
        (r#""x""#.to_owned(), Some("x"), "must be a uuid"),
        (r#""""#.into(), Some(""), "must be a uuid"),
        (
            r#""0191f0c200007000800000000000 00ab""#.into(),
            Some("0191f0c200007000800000000000 00ab"),
            "must be a uuid",
        ),
        (
            r#""{0191f0c2-0000-7000-8000-0000000000ab}""#.into(),
            Some("{0191f0c2-0000-7000-8000-0000000000ab}"),
            "must be a uuid",
        ),
        (r#""a\u0000b""#.into(), Some("a\0b"), "must be a uuid"),
        (format!(r#""{long}""#), Some(&*long), "must be a uuid"),
        (format!(r#""{long}x""#), None, "must be a uuid"),
        (r#""\ud800""#.into(), None, "must be a string"),
        ("7".into(), None, "must be a string"),
        (r#"["x"]"#.into(), None, "must be a string"),
        (format!(r#""{ID}","msg_id":"{ID}""#), None, "is there twice"),
        (
            format!(r#""{ID}","type":"ping","msg_id":"{ID}""#),
            None,
            "is there twice",
        ),
    ];
    for (id, echo, message) in cases {
        let error = refusal(&format!(r#"{{"type":"ping","msg_id":{id}}}"#));
        assert_eq!(error.echo.as_deref(), echo, "{id}");
        assert_eq!(error.refusal.field.as_deref(), Some("msg_id"), "{id}");
        assert_eq!(error.refusal.message, message, "{id}");
    }
    let upper = ID.to_uppercase();
    let read = frame::read(&format!(r#"{{"type":"ping","msg_id":"{upper}"}}"#)).unwrap();
    assert_eq!(read.echo, Some(upper), "echoed as it was written");
    assert_eq!(
        read.msg_id.unwrap().to_string(),
        ID,
        "compared in lower case"
    );
}
