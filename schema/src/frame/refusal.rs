//! Refusals: the payload of `error` frames and the heart of a problem document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ErrorCode, Timestamp};

/// Why a frame was not served, in the words the client sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// What went wrong.
    pub code: ErrorCode,
    /// The same for a person.
    pub message: String,
    /// When to try again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The field to blame, as a path inside the payload; or `msg_id`, `type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// More, where a code has more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

/// What a refusal says beyond its code.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Details {
    /// Until when the user is muted or banned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Refusal {
    /// Makes a refusal that only has a code and a message.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_ms: None,
            field: None,
            details: None,
        }
    }

    /// Makes a `bad_frame` that blames `field`.
    #[must_use]
    pub fn bad_field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(ErrorCode::BadFrame, message)
        }
    }

    /// Makes a `too_large` that blames `field`.
    #[must_use]
    pub fn too_large(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(ErrorCode::TooLarge, message)
        }
    }

    /// Makes a `not_found`; the words do not tell whether the thing exists.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("no such {what}"))
    }

    /// Makes a `forbidden`.
    #[must_use]
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Forbidden, message)
    }

    /// Makes a `rate_limited` that says when to come back.
    #[must_use]
    pub fn rate_limited(retry_after_ms: u64) -> Self {
        Self {
            retry_after_ms: Some(retry_after_ms),
            ..Self::new(ErrorCode::RateLimited, "too many requests")
        }
    }

    /// Makes an `unavailable`: nothing was stored.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self {
            retry_after_ms: Some(1_000),
            ..Self::new(ErrorCode::Unavailable, message)
        }
    }

    /// Makes an `unavailable` for a frame that this version knows but does not serve.
    #[must_use]
    pub fn not_served(what: &str) -> Self {
        Self::new(
            ErrorCode::Unavailable,
            format!("{what} is not served by this version"),
        )
    }

    /// Blames a field.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Adds until when it holds.
    #[must_use]
    pub fn until(mut self, until: Option<Timestamp>) -> Self {
        self.details = until.map(|until| Details { until: Some(until) });
        self
    }
}

impl From<crate::port::StoreError> for Refusal {
    fn from(_: crate::port::StoreError) -> Self {
        // The cause is the operator's to know; it goes to the log where the store is asked.
        Self::unavailable("the store is unavailable")
    }
}
