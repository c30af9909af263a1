//! Reading a frame with the field to blame: the envelope first, then the payload with the path kept.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Segment};

use super::{Meant, ReadError, Received, depth};
use crate::{
    ErrorCode,
    frame::{ClientFrame, Refusal, body::TOO_DEEP, object},
    limits::{ID_BYTES_MAX, MSG_ID_ECHO_BYTES_MAX, REFUSAL_MESSAGE_BYTES_MAX},
};

/// Where clients may nest what they like.
const DATA: [&str; 2] = ["body", "data"];

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
pub(super) enum Key {
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

/// Reads any frame, or says what is wrong with it.
pub(super) fn read(text: &str) -> Result<Received, ReadError> {
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
    // Where it becomes deep late, there is little to gain.
    if let Some(deep_at) = depth::deep_at(json)
        && deep_at <= json.len() / 2
        && let Err((error, path)) = tracked::<T>(&json[..deep_at])
        && error.is_eof()
        && path.iter().map(Segment::to_string).eq(DATA)
    {
        // It is refused whatever comes behind, which need not be looked at.
        return Err(Refusal::bad_field(DATA.join("."), TOO_DEEP));
    }
    tracked(json).map_err(|(error, path)| blame(&error, &path))
}

fn tracked<'de, T: Deserialize<'de>>(json: &'de str) -> Result<T, (serde_json::Error, Path)> {
    let mut json = serde_json::Deserializer::from_str(json);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    object::deserialize(tracked)
        .and_then(|payload| json.end().map(|()| payload))
        .map_err(|error| (error, track.path()))
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
