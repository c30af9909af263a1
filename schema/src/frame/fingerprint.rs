//! Fingerprints: what tells a repeated frame from another one under the same `msg_id`.

use xxhash_rust::xxh3::xxh3_128;

use super::{
    ClientFrame,
    client::{MessageEdit, MessageSend},
};

/// Returns a number that two frames share when their type and payload are the same, compared as parsed.
///
/// Bodies count by their digest, so that none is written again; all else is short and counts as its JSON.
///
/// Source: PROTOCOL section 2, idempotency. xxh3 keeps it stable over versions; it protects a user only from that user's own mistakes,
/// so it need not withstand an attacker.
#[must_use]
pub fn fingerprint(frame: &ClientFrame) -> u128 {
    let mut bytes = Vec::with_capacity(128);
    bytes.extend_from_slice(frame.kind().as_bytes());
    bytes.push(0);
    match frame {
        ClientFrame::MessageSend(send) => {
            // Every field by name: a new one is not to be forgotten here.
            let MessageSend {
                room_id,
                body,
                reply_to,
                thread,
                mentions,
                attachments,
                expires_in_ms,
            } = send;
            bytes.extend_from_slice(&room_id.bytes());
            bytes.extend_from_slice(&body.digest().to_le_bytes());
            let rest = (reply_to, thread, mentions, attachments, expires_in_ms);
            serde_json::to_writer(&mut bytes, &rest).expect("invariant: payloads are plain data");
        }
        ClientFrame::MessageEdit(edit) => {
            let MessageEdit {
                room_id,
                target,
                body,
            } = edit;
            bytes.extend_from_slice(&room_id.bytes());
            bytes.extend_from_slice(&body.digest().to_le_bytes());
            bytes.extend_from_slice(&target.get().to_le_bytes());
        }
        other => other.write_payload(&mut bytes),
    }
    xxh3_128(&bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::frame::read;

    const ID: &str = "0191f0c2-0000-7000-8000-0000000000ab";
    const ROOM: &str = "0191f0c2-0000-7000-8000-0000000000cd";

    fn of(kind: &str, payload: &str) -> u128 {
        let text = format!(
            r#"{{"type":"{kind}","msg_id":"{ID}","payload":{{"room_id":"{ROOM}",{payload}}}}}"#
        );
        fingerprint(&read(&text).unwrap().frame)
    }

    #[test]
    fn fingerprints_compare_as_parsed() {
        let data = |data: &str| {
            of(
                "message.send",
                &format!(r#""body":{{"data":{data}}},"unknown":1"#),
            )
        };
        assert_eq!(data(r#"{"a":1,"b":2}"#), data(r#"{ "b": 2, "a": 1 }"#));
        assert_ne!(data(r#"{"a":1}"#), data(r#"{"a":2}"#));
        let text = |payload: &str| of("message.send", payload);
        assert_eq!(
            text(r#""body":{"text":"a\u0062","x":1,"data":null},"reply_to":null"#),
            text(r#""body":{"text":"ab"}"#)
        );
    }

    #[test]
    fn every_field_counts() {
        let mut all = vec![
            of("message.send", r#""body":{"text":"a"}"#),
            of("message.send", r#""body":{"ciphertext":"a"}"#),
            of("message.send", r#""body":{"data":"a"}"#),
            of("message.send", r#""body":{"text":"a","format":"plain"}"#),
            of("message.send", r#""body":{"text":"a"},"reply_to":1"#),
            of("message.send", r#""body":{"text":"a"},"thread":1"#),
            of("message.send", r#""body":{"text":"a"},"mentions":[]"#),
            of("message.send", r#""body":{"text":"a"},"mentions":["bo"]"#),
            of("message.send", r#""body":{"text":"a"},"attachments":[]"#),
            of("message.send", r#""body":{"text":"a"},"expires_in_ms":1"#),
            of("message.edit", r#""body":{"text":"a"},"target":1"#),
            of("message.edit", r#""body":{"text":"a"},"target":2"#),
            of("message.edit", r#""body":{"text":"b"},"target":2"#),
            of("room.join", r#""x":1"#),
            of("room.leave", r#""x":1"#),
        ];
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn stored_fingerprints_stay_what_they_are() {
        let send = of(
            "message.send",
            r#""body":{"text":"hi","data":{"a":[1,-1,0.5,null,true,"x"]}},"mentions":["bo"]"#,
        );
        assert_eq!(send, 229_355_813_772_401_879_161_936_066_302_722_346_626);
        assert_eq!(
            of("room.join", r#""x":1"#),
            164_553_386_646_237_544_444_845_589_819_061_753_133
        );
    }
}
