//! The `[push]` section: notifications to devices that are not connected.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Refusal, error::check_duration};

/// Holds the settings of `[push]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Push {
    /// How long a registered device has to acknowledge an event before it is pushed to.
    pub after_ms: u64,
    /// Whether pushes may go to loopback endpoints; for trying out and for tests.
    pub allow_private: bool,
}

impl Default for Push {
    fn default() -> Self {
        Self {
            after_ms: 5_000,
            allow_private: false,
        }
    }
}

impl Push {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        check_duration("push.after_ms", self.after_ms)
    }
}
