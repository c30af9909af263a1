//! The closed sets behind labels (M-2).

use prometheus_client::encoding::EncodeLabelSet;

macro_rules! words {
    ($(#[$doc:meta])* $set:ident { $($(#[$word_doc:meta])* $name:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $set { $($(#[$word_doc])* $name,)* }

        impl $set {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns it as a label.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

words! {
    /// What an operator can change over the admin API.
    AdminAction {
        /// An account was made.
        Add = "add",
        /// Sockets were closed.
        Disconnect = "disconnect",
        /// A user's logins were ended.
        Revoke = "revoke",
        /// An account was closed.
        Disable = "disable",
        /// An account was opened again.
        Enable = "enable",
        /// A password was set.
        Password = "password",
        /// An access token was made.
        Token = "token",
        /// The node was told to leave.
        Drain = "drain",
    }
}

words! {
    /// A limit that holds over all nodes.
    SharedLimit {
        /// Connections of a user.
        Connections = "connections",
        /// Sends of a user.
        Sends = "sends",
        /// Logins of an address.
        Logins = "logins",
        /// Registrations of an address.
        Registers = "registers",
    }
}

words! {
    /// What came of asking all nodes.
    SharedAnswer {
        /// It is within the limit.
        Granted = "granted",
        /// It is not.
        Refused = "refused",
        /// They could not be asked: the limit of this node alone held.
        Away = "away",
    }
}

/// The label of a series by action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ActionLabel {
    /// An [`AdminAction`].
    pub action: &'static str,
}

impl From<AdminAction> for ActionLabel {
    fn from(action: AdminAction) -> Self {
        Self {
            action: action.as_str(),
        }
    }
}

/// The labels of a limit that holds over all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SharedLabels {
    /// A [`SharedLimit`].
    pub limit: &'static str,
    /// A [`SharedAnswer`].
    pub answer: &'static str,
}

impl SharedLabels {
    /// Makes the labels of one series.
    #[must_use]
    pub const fn new(limit: SharedLimit, answer: SharedAnswer) -> Self {
        Self {
            limit: limit.as_str(),
            answer: answer.as_str(),
        }
    }
}
