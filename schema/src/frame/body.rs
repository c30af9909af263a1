//! The body of a message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Refusal, word};
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

    /// Checks the body against `bytes_max`, its size as compact JSON.
    ///
    /// # Errors
    /// `bad_frame` for an empty body or text or for `data` nested too deep, `too_large` above the size.
    pub fn check(&self, bytes_max: usize) -> Result<(), Refusal> {
        if self.text.is_none() && self.data.is_none() && self.ciphertext.is_none() {
            return Err(Refusal::bad_field(
                "body",
                "needs at least one of text, data, ciphertext",
            ));
        }
        if self.text.as_deref() == Some("") {
            return Err(Refusal::bad_field("body.text", "must not be empty"));
        }
        if self
            .data
            .as_ref()
            .is_some_and(|data| !fits_depth(data, BODY_DATA_DEPTH_MAX))
        {
            return Err(Refusal::bad_field(
                "body.data",
                format!("must not be nested deeper than {BODY_DATA_DEPTH_MAX} levels"),
            ));
        }
        let bytes = serde_json::to_vec(self).map_or(usize::MAX, |json| json.len());
        if bytes > bytes_max {
            return Err(Refusal::too_large(
                "body",
                format!("a body is at most {bytes_max} bytes as json"),
            ));
        }
        Ok(())
    }
}

/// Tells whether arrays and objects stand in each other at most `levels` deep. Recursion ends where the JSON reader's own limit does.
fn fits_depth(data: &Value, levels: usize) -> bool {
    match data {
        Value::Array(items) => levels > 0 && items.iter().all(|item| fits_depth(item, levels - 1)),
        Value::Object(fields) => {
            levels > 0 && fields.values().all(|value| fits_depth(value, levels - 1))
        }
        _ => true,
    }
}
