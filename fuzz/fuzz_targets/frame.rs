//! Frame: whatever a client says is read or refused, with bounded words; what is read can be written and is then the same.
//!
//! Input: the text of a frame.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use parlor_schema::{
    frame::{self, ReadError, Received},
    limits::{ID_BYTES_MAX, MSG_ID_ECHO_BYTES_MAX, REFUSAL_MESSAGE_BYTES_MAX},
};

/// Bytes of the longest path to a field: a few names of ours, and one of the client's that could be an id.
const FIELD_BYTES_MAX: usize = 64 + ID_BYTES_MAX;

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(input) else {
        return Corpus::Reject;
    };
    let read = frame::read(text);
    assert_eq!(frame::read(text), read, "the same text is read the same");
    match read {
        Ok(received) => rewritten(&received),
        Err(error) => refused(&error),
    }
    Corpus::Keep
});

/// The frame, written anew, is the same frame with the same fingerprint.
fn rewritten(received: &Received) {
    let Received {
        msg_id,
        echo,
        frame: first,
    } = received;
    assert_eq!(msg_id.is_some(), echo.is_some());
    assert!(msg_id.is_some() || !first.needs_msg_id());
    let mut text = format!(r#"{{"type":"{}","#, first.kind()).into_bytes();
    if let Some(msg_id) = msg_id {
        text.extend(format!(r#""msg_id":"{msg_id}","#).into_bytes());
    }
    text.extend(br#""payload":"#);
    first.write_payload(&mut text);
    text.push(b'}');
    let text = String::from_utf8(text).expect("JSON is UTF-8");
    let again = frame::read(&text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    assert_eq!(again.msg_id, *msg_id, "{text}");
    assert_eq!(again.frame, *first, "{text}");
    assert_eq!(
        frame::fingerprint(&again.frame),
        frame::fingerprint(first),
        "{text}"
    );
}

/// A refusal can be sent, and a client's words do not make it long.
fn refused(error: &ReadError) {
    let refusal = &error.refusal;
    assert!(
        refusal.message.len() <= REFUSAL_MESSAGE_BYTES_MAX,
        "{refusal:?}"
    );
    assert!(
        refusal.field.as_ref().map_or(0, String::len) <= FIELD_BYTES_MAX,
        "{refusal:?}"
    );
    assert!(error.echo.as_ref().map_or(0, String::len) <= MSG_ID_ECHO_BYTES_MAX);
    serde_json::to_string(refusal).expect("refusals are plain data");
}
