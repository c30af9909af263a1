//! All settings together.
//!
//! Owns the checks between sections and the rendering of what is in effect. Deliberately absent: reading (`load`).

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Auth, Cluster, ClusterBackend, Dedupe, Limits, Log, Node, Presence, Push, Refusal, Server,
    Storage, StorageBackend, error::refuse,
};

/// Holds every setting of one Parlor process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Listeners and threads.
    pub server: Server,
    /// This process among the others.
    pub node: Node,
    /// Where timelines and records are kept.
    pub storage: Storage,
    /// How the nodes find and reach each other.
    pub cluster: Cluster,
    /// Who may come in.
    pub auth: Auth,
    /// Sizes and rates that one client may not exceed.
    pub limits: Limits,
    /// When a user counts as gone.
    pub presence: Presence,
    /// Notifications to devices that are not connected.
    pub push: Push,
    /// How long a repeated `msg_id` is recognised.
    pub dedupe: Dedupe,
    /// What the process writes about itself.
    pub log: Log,
}

impl Settings {
    /// Checks what one field's type cannot say: ranges, and what settings demand of each other.
    ///
    /// # Errors
    /// The first refusal, naming its key.
    pub fn validate(&self) -> Result<(), Refusal> {
        self.server.check()?;
        self.node.check()?;
        self.storage.check()?;
        self.cluster.check()?;
        self.auth.check()?;
        self.limits.check()?;
        self.presence.check()?;
        self.push.check()?;
        self.dedupe.check()?;
        self.log.check()?;
        self.check_between_sections()
    }

    /// Renders the settings in effect as TOML, those that are off left out and passwords in URLs masked.
    ///
    /// # Panics
    /// Never: every section is a table of plain values.
    #[must_use]
    pub fn effective(&self) -> String {
        toml::to_string(self).expect("invariant: settings are tables of plain values")
    }

    fn check_between_sections(&self) -> Result<(), Refusal> {
        let Server {
            listen,
            internal_listen,
            operations_listen,
            ..
        } = &self.server;
        if internal_listen.is_some() && self.cluster.secret_file.is_none() {
            return refuse(
                "cluster.secret_file",
                "must be set, because server.internal_listen is",
            );
        }
        // Port 0 is a different free port each time, so two such listeners never meet.
        let taken = |other: &Option<crate::HostPort>| {
            other.as_ref().is_some_and(|o| o.port() != 0 && o == listen)
        };
        if taken(internal_listen) {
            return refuse("server.internal_listen", "must differ from server.listen");
        }
        if taken(operations_listen) {
            return refuse("server.operations_listen", "must differ from server.listen");
        }
        if self.cluster.backend == ClusterBackend::Redis && self.cluster.redis.is_unset() {
            return refuse(
                "cluster.redis.url",
                "must be set (or cluster.redis.nodes), because cluster.backend is \"redis\"",
            );
        }
        if self.cluster.backend == ClusterBackend::Redis {
            self.check_internal_address()?;
            if self.storage.backend == StorageBackend::Embedded {
                return refuse(
                    "storage.backend",
                    "must be \"cql\", because cluster.backend is \"redis\": nodes share a store",
                );
            }
            if self.cluster.secret_file.is_none() {
                return refuse(
                    "cluster.secret_file",
                    "must be set, because cluster.backend is \"redis\": nodes share a secret",
                );
            }
        }
        Ok(())
    }

    /// Refuses an internal listener that the other nodes could not call: they are told its address.
    fn check_internal_address(&self) -> Result<(), Refusal> {
        let Some(listen) = &self.server.internal_listen else {
            return Ok(());
        };
        let is_everywhere = listen
            .host()
            .parse::<IpAddr>()
            .is_ok_and(|host| host.is_unspecified());
        if is_everywhere && self.server.internal_address.is_none() {
            return refuse(
                "server.internal_address",
                "must be set, because server.internal_listen names no address that others could call",
            );
        }
        Ok(())
    }
}
