//! The `[presence]` section: when a user counts as gone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Refusal, error::check_duration};

/// Holds the settings of `[presence]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Presence {
    /// How long a user stays as they were after their last connection ended, before `offline` is announced.
    pub offline_after_ms: u64,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            offline_after_ms: 10_000,
        }
    }
}

impl Presence {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        check_duration("presence.offline_after_ms", self.offline_after_ms)
    }
}
