//! Query strings, read as the fields of the frame that a call stands for.

use std::str::FromStr;

use actix_web::{HttpRequest, web};
use parlor_schema::{ErrorCode, frame::Refusal};
use serde_json::{Map, Value};

/// What a parameter's text stands for in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The text itself.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// An RFC 3339 time, whose `+` may have been read as a space.
    Time,
}

/// Reads the parameters that are asked for; others are ignored, and of two with one name the last wins.
///
/// A text that is not of its kind stays a text, so that reading the frame refuses it and names the field.
pub(super) fn fields(
    request: &HttpRequest,
    known: &[(&'static str, Kind)],
) -> Result<Map<String, Value>, Refusal> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
        .map_err(|_| Refusal::new(ErrorCode::BadFrame, "the query cannot be read"))?;
    let mut fields = Map::new();
    for (name, text) in pairs.into_inner() {
        if let Some((_, kind)) = known.iter().find(|(known, _)| *known == name) {
            fields.insert(name, value(*kind, text));
        }
    }
    Ok(fields)
}

fn value(kind: Kind, text: String) -> Value {
    match kind {
        Kind::Text => Value::String(text),
        Kind::Time => Value::String(text.replace(' ', "+")),
        Kind::Number => match u64::from_str(&text) {
            Ok(number) => number.into(),
            Err(_) => Value::String(text),
        },
        Kind::Flag => match bool::from_str(&text) {
            Ok(flag) => flag.into(),
            Err(_) => Value::String(text),
        },
    }
}
