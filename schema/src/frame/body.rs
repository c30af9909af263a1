//! The body of a message: the shape clients and documents see, and the text the server keeps.
//!
//! Owns reading a body in the one parse of its frame, the checks of what it says, and its digest.
//!
//! Invariants:
//! - B-1: a kept body is compact JSON of known fields, each once, none `null`; it is spliced into events and never written again.
//! - B-2: `data` stands in it as it came, but for white space between its tokens. Only one that has a character escaped without need,
//!   or a name twice in one object, is built anew; the last of equal names counts.
//! - B-3: bodies that are the same as parsed have the same digest, however they are written.

mod data;

use std::fmt;

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor},
    ser,
};
use serde_json::{Value, value::RawValue};
use xxhash_rust::xxh3::xxh3_128;

pub(crate) use self::data::TOO_DEEP;

use self::data::Look;
use super::{Refusal, text::push_string, word};
use crate::limits::BODY_DATA_DEPTH_MAX;

/// How `text` is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BodyFormat {
    /// As it is.
    Plain,
    /// As markdown.
    Markdown,
}

impl BodyFormat {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Markdown => "markdown",
        }
    }
}

/// What is said: at least one of `text`, `data` and `ciphertext`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageBody {
    /// Text for people; not empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Anything for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// What only the members can read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ciphertext: Option<String>,
    /// How `text` is to be shown; absent: plain.
    #[serde(
        default,
        deserialize_with = "word::optional::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub format: Option<BodyFormat>,
}

impl MessageBody {
    /// Makes a body of plain text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: Some(text.into()),
            ..Self::default()
        }
    }
}

/// A [`MessageBody`] as it is kept: its compact JSON, and what has to be known of it without reading that again.
///
/// It is read from JSON, text or `serde_json::Value`, and from nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    json: String,
    digest: u128,
    flaw: Option<Flaw>,
}

/// Why a body that could be read is refused all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    SaysNothing,
    EmptyText,
    DataTooDeep,
}

impl Body {
    /// Returns the body as compact JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Returns a number that two bodies share when they are the same as parsed.
    #[must_use]
    pub const fn digest(&self) -> u128 {
        self.digest
    }

    /// Parses the body.
    ///
    /// # Errors
    /// `data` is nested deeper than a JSON reader goes, which [`Body::check`] refuses.
    pub fn parse(&self) -> Result<MessageBody, serde_json::Error> {
        serde_json::from_str(&self.json)
    }

    /// Checks the body against `bytes_max`, its size as compact JSON.
    ///
    /// # Errors
    /// `bad_frame` for an empty body or text or for `data` nested too deep, `too_large` above the size.
    pub fn check(&self, bytes_max: usize) -> Result<(), Refusal> {
        match self.flaw {
            Some(Flaw::SaysNothing) => Err(Refusal::bad_field(
                "body",
                "needs at least one of text, data, ciphertext",
            )),
            Some(Flaw::EmptyText) => Err(Refusal::bad_field("body.text", "must not be empty")),
            Some(Flaw::DataTooDeep) => Err(Refusal::bad_field(
                "body.data",
                format!("must not be nested deeper than {BODY_DATA_DEPTH_MAX} levels"),
            )),
            None if self.json.len() > bytes_max => Err(Refusal::too_large(
                "body",
                format!("a body is at most {bytes_max} bytes as json"),
            )),
            None => Ok(()),
        }
    }
}

impl From<&MessageBody> for Body {
    fn from(body: &MessageBody) -> Self {
        let MessageBody {
            text,
            data,
            ciphertext,
            format,
        } = body;
        let mut writer = Writer::default();
        if let Some(text) = text {
            writer.string(Field::Text, text);
        }
        if let Some(data) = data {
            let json = data.to_string();
            writer.begin(Field::Data, json.len());
            writer.json.push_str(&json);
            writer.looked(Look::at_value(data));
        }
        if let Some(ciphertext) = ciphertext {
            writer.string(Field::Ciphertext, ciphertext);
        }
        if let Some(format) = format {
            writer.string(Field::Format, format.as_str());
        }
        writer.finish()
    }
}

impl From<MessageBody> for Body {
    fn from(body: MessageBody) -> Self {
        Self::from(&body)
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.json)
            .map_err(ser::Error::custom)?
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BodyVisitor)
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Text,
    Data,
    Ciphertext,
    Format,
    #[serde(other)]
    Unknown,
}

/// How many fields are known.
const FIELDS: usize = Field::Unknown as usize;

impl Field {
    const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Data => "data",
            Self::Ciphertext => "ciphertext",
            Self::Format => "format",
            Self::Unknown => "",
        }
    }
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
        let mut writer = Writer::default();
        let mut there = [false; FIELDS];
        while let Some(field) = map.next_key::<Field>()? {
            // One that is `null` is there too.
            if let Some(there) = there.get_mut(field as usize)
                && std::mem::replace(there, true)
            {
                return Err(A::Error::duplicate_field(field.name()));
            }
            match field {
                Field::Text | Field::Ciphertext => map.next_value_seed(Words {
                    writer: &mut writer,
                    field,
                })?,
                Field::Data => map.next_value_seed(Data(&mut writer))?,
                Field::Format => {
                    if let Format(Some(format)) = map.next_value()? {
                        writer.string(field, format.as_str());
                    }
                }
                Field::Unknown => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(writer.finish())
    }
}

/// Reads a string or `null`.
struct Words<'w> {
    writer: &'w mut Writer,
    field: Field,
}

impl<'de> DeserializeSeed<'de> for Words<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Words<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.writer.string(self.field, text);
        Ok(())
    }
}

/// Reads any JSON; `null` is absent.
struct Data<'w>(&'w mut Writer);

impl<'de> DeserializeSeed<'de> for Data<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Some(raw) = Option::<Box<RawValue>>::deserialize(deserializer)? else {
            return Ok(());
        };
        self.0.data(raw.get()).map_err(D::Error::custom)
    }
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Format(#[serde(deserialize_with = "word::optional::deserialize")] Option<BodyFormat>);

/// A body on its way: its fields in the order they come.
#[derive(Default)]
struct Writer {
    json: String,
    digests: [Option<u128>; FIELDS],
    is_text_empty: bool,
    levels: usize,
}

impl Writer {
    fn begin(&mut self, field: Field, bytes: usize) {
        // Quotes, colon and brackets; the first field makes room for all there is as a rule.
        self.json.reserve(field.name().len() + bytes + 5);
        self.json
            .push_str(if self.json.is_empty() { "{\"" } else { ",\"" });
        self.json.push_str(field.name());
        self.json.push_str("\":");
    }

    fn string(&mut self, field: Field, text: &str) {
        self.begin(field, text.len() + 2);
        push_string(&mut self.json, text);
        self.digests[field as usize] = Some(xxh3_128(text.as_bytes()));
        self.is_text_empty |= matches!(field, Field::Text) && text.is_empty();
    }

    fn data(&mut self, json: &str) -> Result<(), serde_json::Error> {
        let look = Look::at_json(json)?;
        self.begin(Field::Data, json.len());
        let start = self.json.len();
        if !look.is_name_twice && data::push_squeezed(&mut self.json, json) {
            self.looked(look);
            return Ok(());
        }
        let rebuilt = serde_json::from_str::<Value>(json)?.to_string();
        self.json.truncate(start);
        self.json.push_str(&rebuilt);
        self.looked(Look::at_json(&rebuilt)?);
        Ok(())
    }

    fn looked(&mut self, look: Look) {
        self.digests[Field::Data as usize] = Some(look.digest);
        self.levels = look.levels;
    }

    fn finish(mut self) -> Body {
        self.json
            .push_str(if self.json.is_empty() { "{}" } else { "}" });
        let says = |field: Field| self.digests[field as usize].is_some();
        let flaw = if !(says(Field::Text) || says(Field::Data) || says(Field::Ciphertext)) {
            Some(Flaw::SaysNothing)
        } else if self.is_text_empty {
            Some(Flaw::EmptyText)
        } else if self.levels > BODY_DATA_DEPTH_MAX {
            Some(Flaw::DataTooDeep)
        } else {
            None
        };
        let mut digests = [0; FIELDS * 16];
        for (place, digest) in digests.chunks_exact_mut(16).zip(self.digests) {
            place.copy_from_slice(&digest.unwrap_or_default().to_le_bytes());
        }
        Body {
            json: self.json,
            digest: xxh3_128(&digests),
            flaw,
        }
    }
}

#[cfg(test)]
mod tests;
