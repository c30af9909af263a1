//! Numbers: positions, durations, limits, and those inside `data`.

use parlor_schema::{
    Seq,
    frame::{self, ClientFrame},
};

use crate::{ROOM, frame as written, read_up_to, refused, send};

#[test]
fn positions_are_integers_that_a_double_holds() {
    let range = "must be an integer from 0 to 2^53-1";
    let not = |what: &str| format!("invalid type: {what}, expected u64");
    let floats = [
        ("1.0", "floating point `1.0`"),
        ("1e0", "floating point `1.0`"),
        ("-0", "floating point `-0.0`"),
        ("-0.0", "floating point `-0.0`"),
        (
            "18446744073709551616",
            "floating point `1.8446744073709552e+19`",
        ),
        ("\"1\"", "string \"1\""),
        ("[1]", "sequence"),
        ("{\"1\":1}", "map"),
        ("true", "boolean `true`"),
        ("null", "null"),
    ];
    for (seq, what) in floats {
        refused(&[(read_up_to(seq), "seq", &not(what))]);
    }
    refused(&[
        (read_up_to("9007199254740992"), "seq", range),
        (read_up_to("18446744073709551615"), "seq", range),
        (
            read_up_to("-1"),
            "seq",
            "invalid value: integer `-1`, expected u64",
        ),
        (read_up_to("1e999"), "seq", "number out of range"),
        (
            read_up_to(&format!("1{}", "0".repeat(10_000))),
            "seq",
            "number out of range",
        ),
    ]);
    let highest = frame::read(&read_up_to("9007199254740991")).unwrap();
    assert!(matches!(highest.frame, ClientFrame::ReceiptRead(r) if r.seq == Seq::MAX));
}

#[test]
fn other_numbers_are_as_strict_and_a_limit_is_cut() {
    let range = "must be an integer from 0 to 2^53-1";
    let create = |ms: &str| {
        written(
            "room.create",
            &format!(r#"{{"kind":"group","retention_ms":{ms}}}"#),
        )
    };
    let update = |ms: &str| {
        written(
            "room.update",
            &format!(r#"{{"room_id":"{ROOM}","retention_ms":{ms}}}"#),
        )
    };
    let list = |limit: &str| written("room.list", &format!(r#"{{"limit":{limit}}}"#));
    refused(&[
        (create("9007199254740992"), "retention_ms", range),
        (update("9007199254740992"), "retention_ms", range),
        (
            create("60000.0"),
            "retention_ms",
            "invalid type: floating point `60000.0`, expected u64",
        ),
        (
            update("-60000"),
            "retention_ms",
            "invalid value: integer `-60000`, expected u64",
        ),
        (
            send(r#""body":{"text":"a"},"expires_in_ms":9007199254740992"#),
            "expires_in_ms",
            range,
        ),
        (
            list("-1"),
            "limit",
            "invalid value: integer `-1`, expected u64",
        ),
        (
            list("5.0"),
            "limit",
            "invalid type: floating point `5.0`, expected u64",
        ),
    ]);
    let cut = frame::read(&list("9007199254740991")).unwrap();
    assert!(matches!(cut.frame, ClientFrame::RoomList(list) if list.limit == Some(u32::MAX)));
}

#[test]
fn numbers_in_data_arrive_as_they_were_sent() {
    // The first two change in a reader that does not round correctly.
    for number in [
        "52.520006599999995",
        "0.30000000000000004",
        "-0.0",
        "18446744073709551615",
        "-9223372036854775808",
        "5e-324",
    ] {
        let read = frame::read(&send(&format!(r#""body":{{"data":{number}}}"#))).unwrap();
        let mut payload = Vec::new();
        read.frame.write_payload(&mut payload);
        let payload = String::from_utf8(payload).unwrap();
        assert!(
            payload.contains(&format!(r#""data":{number}}}"#)),
            "{payload}"
        );
    }
}
