//! The `[limits]` section: sizes and rates that one client may not exceed.
//!
//! Deliberately absent: limits that are not settings (`parlor_schema::limits`).

use std::num::NonZeroU32;

use parlor_schema::limits::SERVER_FRAME_BYTES_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Refusal, error::refuse};

/// Smallest limit of a frame: a `hello` with a token fits.
const FRAME_BYTES_MIN: usize = 1024;
/// Room that an event needs around its body in a server frame.
const FRAME_BYTES_MAX: usize = SERVER_FRAME_BYTES_MAX;

/// Holds the settings of `[limits]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of one client frame after inflation, 1024 to 1048576; a larger one closes the connection (4413).
    pub frame_bytes: usize,
    /// Bytes of one message body as compact JSON, at most `limits.frame_bytes`; a larger one is refused `too_large`.
    pub body_bytes: usize,
    /// Sends per second and user, in the long run, on all nodes together. 0 turns this and each following limit off.
    pub sends_per_s: u32,
    /// Sends of one user at once, beyond which `limits.sends_per_s` holds.
    pub burst: u32,
    /// Logins per minute and address, on all nodes together; and as many wrong keys of the admin API, on each node.
    pub logins_per_minute: u32,
    /// Registrations per minute and address, on all nodes together.
    pub registers_per_minute: u32,
    /// Connections of one user at the same time, on all nodes together.
    pub connections_per_user: u32,
    /// Connections of one address to this node at the same time; of IPv6 the first 64 bits count as one. Behind a proxy all clients share its address.
    pub connections_per_ip: u32,
    /// Connections of this node at the same time; one more is refused with 503 before the upgrade.
    pub connections: u32,
    /// New connections per second of this node, and as many at once; more are refused with 503.
    pub handshakes_per_s: u32,
    /// The same of one address, refused with 429. Behind a proxy all clients share its address.
    pub handshakes_per_ip_per_s: u32,
    /// Bytes that may wait for the sockets of this node. Above it no connection is taken and no `hello` served (4504), and sessions that
    /// do not keep up hold 16 KiB each instead of 256.
    pub queue_bytes: usize,
}

/// Gives the rate of a token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketRate {
    /// Tokens that come back each second.
    pub per_s: NonZeroU32,
    /// Tokens in a full bucket.
    pub burst: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 65_536,
            body_bytes: 32_768,
            sends_per_s: 20,
            burst: 40,
            logins_per_minute: 30,
            registers_per_minute: 30,
            connections_per_user: 32,
            connections_per_ip: 0,
            connections: 50_000,
            handshakes_per_s: 0,
            handshakes_per_ip_per_s: 0,
            queue_bytes: 512 << 20,
        }
    }
}

impl Limits {
    /// Returns the rate of sends per user; none when either part of it is off.
    #[must_use]
    pub fn send_rate(&self) -> Option<BucketRate> {
        Some(BucketRate {
            per_s: NonZeroU32::new(self.sends_per_s)?,
            burst: NonZeroU32::new(self.burst)?,
        })
    }

    /// Returns the rate of new connections, of the node and of one address; none where it is off.
    #[must_use]
    pub fn handshake_rates(&self) -> [Option<BucketRate>; 2] {
        [self.handshakes_per_s, self.handshakes_per_ip_per_s].map(|rate| {
            NonZeroU32::new(rate).map(|rate| BucketRate {
                per_s: rate,
                burst: rate,
            })
        })
    }

    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if !(FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&self.frame_bytes) {
            return refuse(
                "limits.frame_bytes",
                format!("must be {FRAME_BYTES_MIN} to {FRAME_BYTES_MAX}"),
            );
        }
        if self.body_bytes == 0 || self.body_bytes > self.frame_bytes {
            return refuse(
                "limits.body_bytes",
                format!(
                    "must be 1 to limits.frame_bytes, which is {}",
                    self.frame_bytes
                ),
            );
        }
        Ok(())
    }
}
