//! The `[dedupe]` section: how long a repeated `msg_id` is recognised.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Refusal, error::check_positive_duration};

/// Holds the settings of `[dedupe]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dedupe {
    /// How long the same `msg_id` of the same user takes effect once. Below the default, a client that was away for
    /// longer may see its message twice.
    pub window_ms: u64,
}

impl Default for Dedupe {
    fn default() -> Self {
        Self {
            window_ms: 7 * 24 * 60 * 60 * 1000,
        }
    }
}

impl Dedupe {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        check_positive_duration("dedupe.window_ms", self.window_ms)
    }
}
