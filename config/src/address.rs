//! Addresses as they are written in settings.
//!
//! Owns their syntax: an address that was read is well formed. Deliberately absent: resolving names.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Says why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not `host:port`.
    #[error("\"{0}\" is not host:port, such as 127.0.0.1:8080, localhost:8080 or [::1]:8080")]
    HostPort(String),
    /// Neither a Redis URL nor `host:port`; the text may hold a password and is not repeated.
    #[error(
        "not an address of Redis, such as redis://localhost:6379, rediss://… or localhost:6379"
    )]
    Redis,
}

/// Names a listener or a peer as `host:port`; the host is a name, an IPv4 or a bracketed IPv6 address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    text: String,
    port: u16,
}

impl HostPort {
    /// Returns the address as written, as `std` and tokio take it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the host, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self
            .text
            .rsplit_once(':')
            .map_or(self.text.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Returns the port; 0 stands for any free one.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn loopback(port: u16) -> Self {
        Self {
            text: format!("127.0.0.1:{port}"),
            port,
        }
    }
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError::HostPort(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host_is_valid = match host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            }
        };
        // `u16` would also read a sign.
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        if !host_is_valid || !digits {
            return Err(wrong());
        }
        Ok(Self {
            text: text.to_owned(),
            port: port.parse().map_err(|_| wrong())?,
        })
    }
}

impl TryFrom<String> for HostPort {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<HostPort> for String {
    fn from(address: HostPort) -> Self {
        address.text
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Names a Redis server by URL; what it shows of itself, also when serialised, has the password masked.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct RedisUrl(String);

const REDIS_SCHEMES: [&str; 7] = [
    "redis",
    "rediss",
    "valkey",
    "valkeys",
    "unix",
    "redis+unix",
    "valkey+unix",
];

impl RedisUrl {
    /// Returns the whole URL, password included: for connecting, not for showing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn masked(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return "***".to_owned();
        };
        // Up to the last `@`: a password may hold `@` and `/`.
        match rest.rsplit_once('@') {
            Some((user, host)) => {
                let user = user.split_once(':').map_or("", |(user, _)| user);
                format!("{scheme}://{user}:***@{host}")
            }
            None => self.0.clone(),
        }
    }
}

impl TryFrom<String> for RedisUrl {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        match text.split_once("://") {
            Some((scheme, rest)) if REDIS_SCHEMES.contains(&scheme) && !rest.is_empty() => {
                Ok(Self(text))
            }
            None if text.parse::<HostPort>().is_ok() => Ok(Self(format!("redis://{text}"))),
            _ => Err(AddressError::Redis),
        }
    }
}

impl FromStr for RedisUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::try_from(text.to_owned())
    }
}

impl Serialize for RedisUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.masked())
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({})", self.masked())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_both_kinds_of_addresses() {
        for (text, host, port) in [
            ("127.0.0.1:0", "127.0.0.1", 0),
            ("localhost:8080", "localhost", 8080),
            ("[::1]:65535", "::1", 65535),
            ("chat-1.example_net:1", "chat-1.example_net", 1),
        ] {
            let address: HostPort = text.parse().unwrap();
            assert_eq!(
                (address.host(), address.port(), address.as_str()),
                (host, port, text)
            );
        }
    }

    #[test]
    fn refuses_what_is_not_host_and_port() {
        for text in [
            "",
            "localhost",
            ":80",
            "a:",
            "a:65536",
            "a:+1",
            "a:-1",
            "::1:80",
            "[a]:80",
            "a b:80",
            "http://a:80",
        ] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }

    #[test]
    fn masks_the_password_of_redis() {
        let url: RedisUrl = "redis://ana:se/c@ret@cache:6379/2".parse().unwrap();
        assert_eq!(url.to_string(), "redis://ana:***@cache:6379/2");
        assert!(!format!("{url:?}").contains("ret@"));
        assert_eq!(url.expose(), "redis://ana:se/c@ret@cache:6379/2");
        // Without a colon the whole user part may be the secret.
        assert_eq!(
            "redis://token@cache"
                .parse::<RedisUrl>()
                .unwrap()
                .to_string(),
            "redis://:***@cache"
        );
    }

    #[test]
    fn completes_a_bare_redis_address() {
        assert_eq!(
            "cache:6379".parse::<RedisUrl>().unwrap().expose(),
            "redis://cache:6379"
        );
        for text in ["", "cache", "http://cache:6379", "redis://"] {
            assert!(text.parse::<RedisUrl>().is_err(), "{text}");
        }
    }
}
