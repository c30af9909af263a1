//! Envelopes: what nodes tell each other over the bus.
//!
//! Invariant V-1: an envelope is a hint; losing one costs latency, never truth (promise P-5).

use serde::{Deserialize, Serialize};

use crate::{LoginId, NodeId, UserId};

/// To whom an envelope goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Every node, the sender included.
    All,
    /// One node.
    Node(NodeId),
}

/// What one node tells others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Envelope {
    /// A login ended, by logout or by the reuse of a spent refresh token.
    LoginEnded {
        /// Whose login.
        user_id: UserId,
        /// Which.
        login_id: LoginId,
    },
    /// Every login of a user ended, because an operator said so.
    UserRevoked {
        /// Whose.
        user_id: UserId,
    },
}
