//! What no client should send: `frame::read` refuses it, says which field is to blame, and never panics (F-2, F-3).

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "hostile/arbitrary.rs"]
mod arbitrary;
#[path = "hostile/contents.rs"]
mod contents;
#[path = "hostile/envelope.rs"]
mod envelope;
#[path = "support/files.rs"]
mod files;
#[path = "hostile/numbers.rs"]
mod numbers;
#[path = "hostile/shapes.rs"]
mod shapes;

use parlor_schema::{
    ErrorCode,
    frame::{self, ReadError},
};

pub(crate) const ID: &str = "0191f0c2-0000-7000-8000-0000000000ab";
pub(crate) const ROOM: &str = "0191f0c2-0000-7000-8000-0000000000cd";
pub(crate) const BIG_ROOM: &str = "0191F0C2-0000-7000-8000-0000000000CD";

pub(crate) fn frame(kind: &str, payload: &str) -> String {
    format!(r#"{{"type":"{kind}","msg_id":"{ID}","payload":{payload}}}"#)
}

pub(crate) fn send(fields: &str) -> String {
    frame(
        "message.send",
        &format!(r#"{{"room_id":"{ROOM}",{fields}}}"#),
    )
}

pub(crate) fn read_up_to(seq: &str) -> String {
    frame(
        "receipt.read",
        &format!(r#"{{"room_id":"{ROOM}","seq":{seq}}}"#),
    )
}

pub(crate) fn nested(open: &str, close: &str, levels: usize) -> String {
    format!("{}1{}", open.repeat(levels), close.repeat(levels))
}

pub(crate) fn refusal(text: &str) -> ReadError {
    match frame::read(text) {
        Ok(read) => panic!("{text:.300} was read as {read:?}"),
        Err(error) => error,
    }
}

/// Asserts `bad_frame` with the id echoed, and each line's field and message.
#[track_caller]
pub(crate) fn refused(cases: &[(String, &str, &str)]) {
    for (text, field, message) in cases {
        let error = refusal(text);
        let blamed = error.refusal.field.as_deref().unwrap_or_default();
        let said = error.refusal.message.as_str();
        assert_eq!((blamed, said), (*field, *message), "{text:.300}");
        assert_eq!(error.refusal.code, ErrorCode::BadFrame, "{text:.300}");
        assert_eq!(error.echo.as_deref(), Some(ID), "{text:.300}");
    }
}
