//! Error codes and close codes: number, meaning, whether to try again, in one table each.
//!
//! Invariant C-1: a code's text and number never change once released, and a retired one is never used again.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $http:literal, $again:ident;)*) => {
        /// What an `error` frame, or a problem document, says went wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorCode { $($(#[$doc])* $name,)* }

        impl ErrorCode {
            /// Every code, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the text the wire carries.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Returns the HTTP status of the same refusal.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $http,)* }
            }

            /// Tells whether the same frame may succeed later.
            #[must_use]
            pub const fn is_temporary(self) -> bool {
                match self { $(Self::$name => error_codes!(@ $again),)* }
            }
        }
    };
    (@ later) => { true };
    (@ never) => { false };
}

error_codes! {
    /// Not a frame, or a field of the wrong shape; `field` says which.
    BadFrame = "bad_frame", 400, never;
    /// A frame type nobody knows.
    UnknownType = "unknown_type", 400, never;
    /// No token, or one that does not hold.
    Unauthorized = "unauthorized", 401, never;
    /// The role does not allow it.
    Forbidden = "forbidden", 403, never;
    /// The member is muted.
    Muted = "muted", 403, never;
    /// The user is banned from this public room.
    Banned = "banned", 403, never;
    /// One of the two blocked the other.
    Blocked = "blocked", 403, never;
    /// There is no such thing, or the user may not know of it.
    NotFound = "not_found", 404, never;
    /// It contradicts what is already so.
    Conflict = "conflict", 409, never;
    /// Larger than the limits allow.
    TooLarge = "too_large", 413, never;
    /// Too many; `retry_after_ms` says when to come back.
    RateLimited = "rate_limited", 429, later;
    /// Nothing was stored; retry with the same `msg_id`.
    Unavailable = "unavailable", 503, later;
    /// It may have been stored; retry with the same `msg_id`.
    UnknownOutcome = "unknown_outcome", 503, later;
    /// A fault of the server.
    Internal = "internal", 500, later;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| de::Error::custom("unknown error code"))
    }
}

impl JsonSchema for ErrorCode {
    fn schema_name() -> Cow<'static, str> {
        "ErrorCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let all: Vec<&str> = Self::ALL.iter().map(|code| code.as_str()).collect();
        json_schema!({ "type": "string", "enum": all })
    }
}

macro_rules! close_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $reason:literal;)*) => {
        /// Why the server closed a socket. 44xx: do not come back unchanged. 45xx: reconnect and resume.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum CloseCode { $($(#[$doc])* $name,)* }

        impl CloseCode {
            /// Every code, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the number in the close frame.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number,)* }
            }

            /// Returns the reason text in the close frame; at most 123 bytes, the frame's limit (RFC 6455 section 5.5).
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason,)* }
            }

            /// Tells whether a client should reconnect and resume.
            #[must_use]
            pub const fn reconnects(self) -> bool {
                self.number() >= 4500
            }
        }
    };
}

close_codes! {
    /// The client left, or the server answers its close.
    Normal = 1000, "bye";
    /// A violation of RFC 6455.
    Protocol = 1002, "protocol error";
    /// Text that is not UTF-8.
    InvalidUtf8 = 1007, "invalid utf-8";
    /// Too many bad frames, or a first frame that is no `hello`.
    BadFrames = 4400, "bad frames";
    /// The token does not hold, or no longer.
    Unauthorized = 4401, "unauthorized";
    /// The login was ended, or the user disabled.
    Revoked = 4403, "revoked";
    /// No `hello` in time.
    NoHello = 4408, "no hello in time";
    /// A frame above the size limit.
    TooLarge = 4413, "frame too large";
    /// Too many connections.
    ConnectionLimit = 4429, "connection limit";
    /// The node is leaving.
    Draining = 4500, "draining";
    /// The client reads too slowly.
    TooSlow = 4501, "too slow";
    /// A fault of the server.
    Internal = 4502, "internal";
    /// Two silent heartbeat periods.
    HeartbeatLost = 4503, "heartbeat lost";
    /// The node has more work than it can do.
    Overloaded = 4504, "overloaded";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_say_by_their_number_whether_to_reconnect() {
        for code in CloseCode::ALL {
            assert_eq!(code.reconnects(), (4500..4600).contains(&code.number()));
            assert!(code.reason().len() <= 123);
        }
    }

    #[test]
    fn codes_are_unique() {
        let texts: std::collections::BTreeSet<_> =
            ErrorCode::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(texts.len(), ErrorCode::ALL.len());
        let numbers: std::collections::BTreeSet<_> =
            CloseCode::ALL.iter().map(|c| c.number()).collect();
        assert_eq!(numbers.len(), CloseCode::ALL.len());
    }
}
