//! The `[node]` section: this process among the others.

use parlor_schema::NodeId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Refusal, error::check_duration};

/// Holds the settings of `[node]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// The name of this node, unique in the cluster; made from host name and port when absent.
    #[schemars(example = &"n1")]
    pub id: Option<NodeId>,
    /// How long a drain may take after SIGTERM: clients are asked to leave one by one, those that stay are closed at its
    /// end, and the process exits 0. A second SIGTERM stops at once.
    pub drain_ms: u64,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            id: None,
            drain_ms: 10_000,
        }
    }
}

impl Node {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        check_duration("node.drain_ms", self.drain_ms)
    }
}
