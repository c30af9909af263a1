//! Reading a client frame: the envelope first, then the payload, with the field to blame on refusal.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Segment};
use xxhash_rust::xxh3::xxh3_128;

use super::{ClientFrame, Refusal, object};
use crate::{
    ErrorCode, MsgId,
    limits::{ID_BYTES_MAX, MSG_ID_ECHO_BYTES_MAX, REFUSAL_MESSAGE_BYTES_MAX},
};

/// A client frame that could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// The client's own id for it.
    pub msg_id: Option<MsgId>,
    /// The id as the client wrote it, to be echoed.
    pub echo: Option<String>,
    /// What it asks.
    pub frame: ClientFrame,
}

/// A client frame that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// The id to echo, where it could be read.
    pub echo: Option<String>,
    /// What it was meant as.
    pub meant: Meant,
    /// The refusal to send.
    pub refusal: Refusal,
}

/// What a frame that could not be read was meant as, as far as its `type` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// A `hello`, which may be said again.
    Hello,
    /// Anything else.
    Other,
}

impl Meant {
    fn of(kind: &str) -> Self {
        match kind {
            "hello" => Self::Hello,
            _ => Self::Other,
        }
    }
}

/// The envelope's fields as they stand in the text.
#[derive(Default)]
struct Parts<'a> {
    kind: Option<&'a RawValue>,
    msg_id: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
    /// The field that is there twice.
    twice: Option<&'static str>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    Type,
    MsgId,
    Payload,
    #[serde(other)]
    Unknown,
}

impl<'de> Deserialize<'de> for Parts<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PartsVisitor)
    }
}

/// Reads the envelope by hand: a derived reader stops at a field that is there twice, and the `msg_id` to echo may come after it.
struct PartsVisitor;

impl<'de> Visitor<'de> for PartsVisitor {
    type Value = Parts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut parts = Parts::default();
        while let Some(key) = map.next_key()? {
            let (name, slot) = match key {
                Key::Type => ("type", &mut parts.kind),
                Key::MsgId => ("msg_id", &mut parts.msg_id),
                Key::Payload => ("payload", &mut parts.payload),
                Key::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if slot.replace(map.next_value()?).is_some() {
                // Of several, `msg_id` counts: there is none to echo then.
                parts.twice = parts
                    .twice
                    .filter(|twice| *twice == "msg_id")
                    .or(Some(name));
            }
        }
        Ok(parts)
    }
}

/// Reads one frame.
///
/// # Errors
/// [`ReadError`] with `bad_frame` or `unknown_type`, the field to blame, and the `msg_id` to echo.
pub fn read(text: &str) -> Result<Received, ReadError> {
    let plain = |refusal| ReadError {
        echo: None,
        meant: Meant::Other,
        refusal,
    };
    if !text
        .trim_start_matches([' ', '\t', '\r', '\n'])
        .starts_with('{')
    {
        return Err(plain(Refusal::new(
            ErrorCode::BadFrame,
            "a frame is a json object",
        )));
    }
    let parts: Parts<'_> = serde_json::from_str(text).map_err(|error| {
        plain(Refusal::new(
            ErrorCode::BadFrame,
            format!("not a frame: {error}"),
        ))
    })?;
    let echo = match parts.msg_id.map(RawValue::get) {
        _ if parts.twice == Some("msg_id") => None,
        None | Some("null") => None,
        Some(raw) => Some(read_echo(raw).map_err(plain)?),
    };
    let fail = |refusal| ReadError {
        echo: echo.clone(),
        meant: Meant::Other,
        refusal,
    };
    if let Some(name) = parts.twice {
        return Err(fail(Refusal::bad_field(name, "is there twice")));
    }
    let kind: String = parts
        .kind
        .filter(|raw| raw.get() != "null")
        .ok_or_else(|| Refusal::bad_field("type", "missing"))
        .and_then(|raw| {
            serde_json::from_str(raw.get())
                .map_err(|_| Refusal::bad_field("type", "must be a string"))
        })
        .map_err(fail)?;
    let fail = |refusal| ReadError {
        meant: Meant::of(&kind),
        ..fail(refusal)
    };
    let msg_id = match &echo {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_| fail(Refusal::bad_field("msg_id", "must be a uuid")))?,
        ),
    };
    let payload = match parts.payload.map(RawValue::get) {
        None | Some("null") => "{}",
        Some(raw) if raw.starts_with('{') => raw,
        Some(_) => return Err(fail(Refusal::bad_field("payload", "must be an object"))),
    };
    let frame = ClientFrame::read(&kind, payload).map_err(fail)?;
    if msg_id.is_none() && frame.needs_msg_id() {
        return Err(fail(Refusal::bad_field("msg_id", "missing")));
    }
    Ok(Received {
        msg_id,
        echo,
        frame,
    })
}

fn read_echo(raw: &str) -> Result<String, Refusal> {
    let text: String =
        serde_json::from_str(raw).map_err(|_| Refusal::bad_field("msg_id", "must be a string"))?;
    if text.len() > MSG_ID_ECHO_BYTES_MAX {
        return Err(Refusal::bad_field("msg_id", "must be a uuid"));
    }
    Ok(text)
}

/// Reads a payload as `T`, an object and nothing after it, blaming the field that is wrong.
pub(crate) fn payload<'de, T: Deserialize<'de>>(json: &'de str) -> Result<T, Refusal> {
    let mut json = serde_json::Deserializer::from_str(json);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    object::deserialize(tracked)
        .and_then(|payload| json.end().map(|()| payload))
        .map_err(|error| blame(&error, &track.path()))
}

fn blame(error: &serde_json::Error, path: &Path) -> Refusal {
    let message = error.to_string();
    let mut field = String::new();
    for segment in path.iter() {
        let name = segment.to_string();
        // Inside `data`, and where a name is no room id, names and depth are the client's own.
        if field == "body.data" || name.len() > ID_BYTES_MAX {
            break;
        }
        if !field.is_empty() && !matches!(segment, Segment::Seq { .. }) {
            field.push('.');
        }
        field.push_str(&name);
    }
    // serde blames the parent for a field that is missing or there twice, and names the field in its message only.
    for start in ["missing field `", "duplicate field `"] {
        if let Some(name) = message
            .strip_prefix(start)
            .and_then(|rest| rest.split('`').next())
        {
            if !field.is_empty() {
                field.push('.');
            }
            field.push_str(name);
        }
    }
    let said = message.split(" at line ").next().unwrap_or_default();
    let said = &said[..said.floor_char_boundary(REFUSAL_MESSAGE_BYTES_MAX)];
    let refusal = Refusal::new(ErrorCode::BadFrame, said);
    if field.is_empty() {
        refusal
    } else {
        refusal.at(field)
    }
}

/// Returns a number that two frames share when their type and payload are the same, compared as parsed.
///
/// Source: PROTOCOL section 2, idempotency. xxh3 keeps it stable over versions; it protects a user only from that user's own mistakes,
/// so it need not withstand an attacker.
#[must_use]
pub fn fingerprint(frame: &ClientFrame) -> u128 {
    let mut bytes = frame.kind().as_bytes().to_vec();
    bytes.push(0);
    frame.write_payload(&mut bytes);
    xxh3_128(&bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

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
        let send = |payload: &str| {
            format!(r#"{{"type":"message.send","msg_id":"{ID}","payload":{payload}}}"#)
        };
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

    #[test]
    fn fingerprints_compare_as_parsed() {
        let frame = |data: &str| {
            let text = format!(
                r#"{{"type":"message.send","msg_id":"{ID}","payload":{{"room_id":"{ROOM}","body":{{"data":{data}}},"unknown":1}}}}"#
            );
            fingerprint(&read(&text).unwrap().frame)
        };
        assert_eq!(frame(r#"{"a":1,"b":2}"#), frame(r#"{ "b": 2, "a": 1 }"#));
        assert_ne!(frame(r#"{"a":1}"#), frame(r#"{"a":2}"#));
    }
}
