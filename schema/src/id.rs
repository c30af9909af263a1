//! Identifiers: one newtype per id, so that the compiler tells them apart.
//!
//! Owns the textual form and validity of every id. Ids are compared in the form they are kept in: UUIDs in lower case,
//! names byte by byte. Deliberately absent: making ids (`port::ids`).

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::{limits::ID_BYTES_MAX, parsed};

/// Says why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a UUID in its hyphenated form.
    #[error("not a uuid")]
    NotUuid,
    /// Empty, too long, or a character outside `A-Za-z0-9._:@-`.
    #[error("must be 1 to {ID_BYTES_MAX} characters of A-Za-z0-9._:@-")]
    NotName,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Returns the UUID inside.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// Returns the 16 bytes in network order.
            #[must_use]
            pub const fn bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }

            /// Writes the text into `buffer`: what `Display` writes, without a formatter between.
            pub fn encode(self, buffer: &mut [u8; Uuid::encode_buffer().len()]) -> &str {
                self.0.as_hyphenated().encode_lower(buffer)
            }
        }

        impl From<[u8; 16]> for $name {
            fn from(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                // `Uuid` also reads braces, URNs and bare hex; the wire has one form only.
                if text.len() != 36 {
                    return Err(IdError::NotUuid);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| IdError::NotUuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.as_hyphenated())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.serialize_str(self.encode(&mut Uuid::encode_buffer()))
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if !deserializer.is_human_readable() {
                    return Uuid::deserialize(deserializer).map(Self);
                }
                parsed::deserialize(deserializer)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": "uuid" })
            }
        }
    };
}

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                if is_name(text) { Ok(Self(text.into())) } else { Err(IdError::NotName) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parsed::deserialize(deserializer)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9._:@-]{1,128}$" })
            }
        }
    };
}

fn is_name(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'@' | b'-'))
}

uuid_id! {
    /// Names a room.
    RoomId
}
uuid_id! {
    /// Names a timeline event; a UUIDv7 made by the server.
    EventId
}
uuid_id! {
    /// The idempotency key a client gives to a frame; any UUID version.
    MsgId
}
uuid_id! {
    /// Names one authenticated connection.
    SessionId
}
uuid_id! {
    /// Names what register or login made, and what logout ends.
    LoginId
}
uuid_id! {
    /// Names one run of a process; a restarted node has a new one.
    BootId
}
name_id! {
    /// Names an account.
    UserId
}
name_id! {
    /// Names an installation: a phone, a browser profile.
    DeviceId
}
name_id! {
    /// Names a server process in the cluster; stable over restarts.
    NodeId
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn uuids_are_hyphenated_and_lower_case() {
        let id: RoomId = "0191F0C2-0000-7000-8000-0000000000AB".parse().unwrap();
        assert_eq!(id.to_string(), "0191f0c2-0000-7000-8000-0000000000ab");
        assert_eq!(
            "0191f0c20000700080000000000000ab".parse::<RoomId>(),
            Err(IdError::NotUuid)
        );
    }

    #[test]
    fn names_have_a_small_alphabet() {
        assert!("ana.b_c:d@e-1".parse::<UserId>().is_ok());
        for bad in ["", "a b", "ä", "a/b", &"x".repeat(129)] {
            assert_eq!(bad.parse::<UserId>(), Err(IdError::NotName), "{bad}");
        }
    }
}
