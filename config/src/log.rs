//! The `[log]` section: what the process writes about itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Refusal, error::check_not_empty};

/// Names the form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines, one JSON object a line.
    Json,
}

/// Holds the settings of `[log]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The form of a line: `"text"` or `"json"`. Lines go to standard error.
    pub format: LogFormat,
    /// What is written: `"error"`, `"warn"`, `"info"`, `"debug"` or `"trace"`, also per module as in
    /// `"info,parlor=debug"`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            level: "info".to_owned(),
        }
    }
}

impl Log {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        check_not_empty("log.level", Some(self.level.as_ref()))
    }
}
