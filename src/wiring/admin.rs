//! Joins the admin API to the node: its accounts, its sessions, the other nodes, and its end.

use std::sync::Arc;

use parlor_actors::{bucket::Rate, drain::Drain, ports::Ports, registry::Sessions};
use parlor_cluster::{PeerLink, RedisHealth, link::Carrier};
use parlor_config::Settings;
use parlor_schema::{
    NodeId, SessionId, UserId,
    envelope::{Destination, Envelope},
    frame::Refusal,
    port::PortFuture,
    record::UserRecord,
};

use super::{
    Cluster, StartError, Store,
    watch::{LOOK_EVERY, Watch},
};
use crate::{
    auth::{Auth, RegisterRequest, load_shared_secret},
    http::{
        AccountChange, Admin, AdminDoor, AdminKey, ClusterAnswer, Disconnected, Draining,
        IssuedAnswer, LinkAnswer, NodeAnswer, RedisAnswer, SessionAnswer, SessionsAnswer,
        StoreAnswer, TalkAnswer, UserAnswer, UsersAnswer,
    },
};

/// What the admin API works on.
pub(super) struct NodeAdmin {
    pub(super) auth: Arc<Auth>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) ports: Ports,
    pub(super) cluster: Cluster,
    pub(super) store: Store,
    pub(super) watch: Arc<Watch>,
    pub(super) drain: Arc<Drain>,
    pub(super) drain_ms: u64,
}

/// Makes the admin API, where the settings have a key for it.
///
/// # Errors
/// The key cannot be read, or is too short to be one.
pub(super) fn door(settings: &Settings, admin: NodeAdmin) -> Result<Option<AdminDoor>, StartError> {
    let Some(file) = &settings.auth.admin_key_file else {
        return Ok(None);
    };
    let key = load_shared_secret(file).map_err(StartError::AdminKey)?;
    let clock = Arc::clone(&admin.ports.clock);
    let wrong = Rate::per_minute(settings.limits.logins_per_minute);
    let key = AdminKey::new(key);
    Ok(Some(AdminDoor::new(key, Arc::new(admin), clock, wrong)))
}

impl NodeAdmin {
    fn nodes(&self) -> (u64, Vec<NodeAnswer>) {
        let membership = &self.ports.membership;
        let (view, own) = (membership.view(), membership.own());
        let (loads, links) = (membership.loads(), self.cluster.links());
        let load = |id: &NodeId| loads.iter().find(|(node, _)| node == id);
        let link = |id: &NodeId| links.iter().find(|link| link.node == *id);
        let nodes = view.nodes.iter().map(|node| {
            let load = load(&node.node_id).map(|(_, load)| load);
            NodeAnswer {
                node_id: node.node_id.clone(),
                boot_id: node.boot_id,
                internal_address: node.internal_address.as_deref().map(str::to_owned),
                sessions: load.map(|load| load.sessions),
                rooms: load.map(|load| load.rooms),
                owned_rooms: load.map(|load| load.owned_rooms),
                link: link(&node.node_id)
                    .filter(|_| node.node_id != own.node_id)
                    .map(link_answer),
            }
        });
        (view.version, nodes.collect())
    }

    fn store(&self) -> StoreAnswer {
        let answered_ago_ms = self.watch.silent_ms();
        StoreAnswer {
            backend: match self.store {
                Store::Embedded(_) => "embedded",
                Store::Cql(_) => "cql",
            },
            up: u128::from(answered_ago_ms) < 2 * LOOK_EVERY.as_millis(),
            answered_ago_ms,
        }
    }

    async fn list(&self, user: &UserId) -> SessionsAnswer {
        let (own, now) = (self.ports.membership.own(), self.ports.clock.now());
        let elsewhere = self.sessions.elsewhere(user).await;
        let complete = elsewhere.is_some();
        let here = self.sessions.of(user).into_iter();
        let mut sessions: Vec<SessionAnswer> = here
            .map(|seated| SessionAnswer {
                session_id: seated.session,
                node_id: own.node_id.clone(),
                boot_id: own.boot_id,
                connected_at: seated.since,
                last_ping: now,
            })
            .collect();
        sessions.extend(elsewhere.into_iter().flatten().map(|entry| SessionAnswer {
            session_id: entry.session_id,
            node_id: entry.node_id,
            boot_id: entry.boot_id,
            connected_at: entry.connected_at,
            last_ping: entry.last_ping,
        }));
        sessions.sort_by_key(|session| session.session_id);
        SessionsAnswer { sessions, complete }
    }

    async fn close(
        &self,
        user: &UserId,
        session: Option<SessionId>,
    ) -> Result<Disconnected, Refusal> {
        let listed = self.list(user).await;
        let known = match session {
            None => listed.sessions.len(),
            Some(one) => {
                let is_it = |other: &&SessionAnswer| other.session_id == one;
                listed.sessions.iter().filter(is_it).count()
            }
        };
        if known == 0 && session.is_some() && listed.complete {
            return Err(Refusal::not_found("session"));
        }
        self.sessions.disconnect(user, session);
        // The registry is a hint: whoever has the session closes it, listed or not.
        let told = Envelope::Disconnected {
            user_id: user.clone(),
            session_id: session,
        };
        if let Err(error) = self.ports.bus.publish(Destination::All, told).await {
            tracing::warn!(%error, "the other nodes were not told to close sockets");
        }
        Ok(Disconnected { sessions: known })
    }
}

impl Admin for NodeAdmin {
    fn cluster(&self) -> ClusterAnswer {
        let own = self.ports.membership.own();
        let (view_version, nodes) = self.nodes();
        let health = self.cluster.redis_health();
        ClusterAnswer {
            node_id: own.node_id,
            boot_id: own.boot_id,
            draining_ms: self.drain.left_ms(self.ports.clock.monotonic_ms()),
            view_version,
            view_frozen: health.is_some_and(|health| health.frozen),
            nodes,
            redis: health.as_ref().map(redis_answer),
            store: self.store(),
            reasons: self.watch.reasons(),
            troubles: self.watch.troubles(),
        }
    }

    fn users(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> PortFuture<'_, Result<UsersAnswer, Refusal>> {
        Box::pin(async move {
            let mut users = self.auth.users(after, limit + 1).await?;
            let more = users.len() > limit;
            users.truncate(limit);
            let last = users.last().map(|user| user.user_id.clone());
            Ok(UsersAnswer {
                users: users.into_iter().map(user_answer).collect(),
                next: last.filter(|_| more),
            })
        })
    }

    fn add_user(&self, request: RegisterRequest) -> PortFuture<'_, Result<UserId, Refusal>> {
        Box::pin(self.auth.add_user(request))
    }

    fn sessions<'a>(&'a self, user: &'a UserId) -> PortFuture<'a, SessionsAnswer> {
        Box::pin(self.list(user))
    }

    fn disconnect<'a>(
        &'a self,
        user: &'a UserId,
        session: Option<SessionId>,
    ) -> PortFuture<'a, Result<Disconnected, Refusal>> {
        Box::pin(self.close(user, session))
    }

    fn change<'a>(
        &'a self,
        user: &'a UserId,
        change: AccountChange,
    ) -> PortFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            match change {
                AccountChange::Revoke => self.auth.revoke(user).await,
                AccountChange::Disable => self.auth.disable(user).await,
                AccountChange::Enable => self.auth.enable(user).await,
                AccountChange::Password(password) => self.auth.set_password(user, password).await,
            }
        })
    }

    fn issue<'a>(
        &'a self,
        user: &'a UserId,
        ttl_ms: u64,
    ) -> PortFuture<'a, Result<IssuedAnswer, Refusal>> {
        Box::pin(async move {
            let issued = self.auth.issue(user, ttl_ms).await?;
            Ok(IssuedAnswer {
                token: issued.token,
                expires_at: issued.expires_at,
            })
        })
    }

    fn drain(&self) -> Draining {
        self.drain.ask();
        Draining {
            drain_ms: self.drain_ms,
        }
    }
}

fn link_answer(link: &PeerLink) -> LinkAnswer {
    LinkAnswer {
        carrier: match link.carrier {
            Carrier::Redis => "redis",
            Carrier::Http => "http",
        },
        reached: link.is_reached,
    }
}

fn redis_answer(health: &RedisHealth) -> RedisAnswer {
    let [commands, subscription] = [health.commands, health.subscription].map(|link| TalkAnswer {
        up: link.up,
        for_ms: link.for_ms,
        connects: link.connects,
        failures: link.failures,
    });
    RedisAnswer {
        commands,
        subscription,
    }
}

fn user_answer(user: UserRecord) -> UserAnswer {
    UserAnswer {
        user_id: user.user_id,
        name: user.name,
        created_at: user.created_at,
        disabled_at: user.disabled_at,
    }
}
