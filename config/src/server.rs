//! The `[server]` section: listeners and threads.

use std::{num::NonZeroUsize, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{HostPort, Refusal, error::refuse};

/// Holds the settings of `[server]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The public listener, as `host:port`; port 0 takes a free one. The default is reached from this machine only.
    pub listen: HostPort,
    /// The listener for the other nodes, by which they go on when Redis is away; in the clear, so kept off the public network. Needs
    /// `cluster.secret_file`. Without `cluster.backend = "redis"` nothing listens there. Off when absent.
    #[schemars(example = &"10.0.0.1:8081")]
    pub internal_listen: Option<HostPort>,
    /// Where the other nodes reach that listener, as `host:port`, when it is not where it listens: behind a name, or when that is
    /// `0.0.0.0`.
    #[schemars(example = &"node-1.internal:8081")]
    pub internal_address: Option<HostPort>,
    /// The web origins whose pages may connect, besides the server's own, each as a browser sends it:
    /// `["https://chat.example.org"]`.
    pub allowed_origins: Vec<String>,
    /// A listener of their own for `/health/*`, `/metrics` and `/admin/*`; they then leave the public one. Off when absent.
    #[schemars(example = &"127.0.0.1:8082")]
    pub operations_listen: Option<HostPort>,
    /// Worker threads; one per core when absent.
    #[schemars(example = 4)]
    pub workers: Option<NonZeroUsize>,
    /// The certificate chain of the public listener, as PEM; it then speaks TLS only. Needs `server.tls_key_file`. Off when absent.
    #[schemars(example = &"/etc/parlor/tls.pem")]
    pub tls_cert_file: Option<PathBuf>,
    /// The private key that belongs to it, as PEM.
    #[schemars(example = &"/etc/parlor/tls.key")]
    pub tls_key_file: Option<PathBuf>,
    /// Whether compression of WebSocket messages (permessage-deflate) is agreed to when a client offers it.
    pub deflate: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: HostPort::loopback(8080),
            internal_listen: None,
            internal_address: None,
            allowed_origins: Vec::new(),
            operations_listen: None,
            workers: None,
            tls_cert_file: None,
            tls_key_file: None,
            deflate: true,
        }
    }
}

impl Server {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.internal_address.is_some() && self.internal_listen.is_none() {
            return refuse(
                "server.internal_listen",
                "must be set, because server.internal_address is",
            );
        }
        match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(_), None) => {
                return refuse("server.tls_key_file", "needed by server.tls_cert_file");
            }
            (None, Some(_)) => {
                return refuse("server.tls_cert_file", "needed by server.tls_key_file");
            }
            _ => {}
        }
        match self
            .allowed_origins
            .iter()
            .find(|origin| !is_origin(origin))
        {
            Some(origin) => refuse(
                "server.allowed_origins",
                format!(
                    "\"{origin}\" is not an origin: scheme://host or scheme://host:port, in lower case, without a path"
                ),
            ),
            None => Ok(()),
        }
    }
}

/// Tells whether `text` is the serialised form of an origin (RFC 6454 §6.2). `null` is none: a browser sends it for
/// pages of unknown origin.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let allowed = |b: u8| b.is_ascii_graphic() && !b.is_ascii_uppercase() && !b"/*?#@".contains(&b);
    let is_scheme = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
    !scheme.is_empty()
        && scheme.bytes().all(is_scheme)
        && !host.is_empty()
        && host.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::is_origin;

    #[test]
    fn tells_origins_from_other_texts() {
        for text in [
            "https://chat.example.org",
            "http://localhost:5173",
            "http://[::1]:80",
            "capacitor://localhost",
        ] {
            assert!(is_origin(text), "{text}");
        }
        for text in [
            "",
            "null",
            "*",
            "https://",
            "://a",
            "https://a/",
            "https://*.a",
            "HTTPS://a",
            "https://A",
            "a.org",
        ] {
            assert!(!is_origin(text), "{text}");
        }
    }
}
