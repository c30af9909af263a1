//! The wiring: builds a node from its settings. The only place that names adapters.
//!
//! Invariants:
//! - WI-1: what the settings name and cannot be had stops the start with an error that names it; nothing is replaced silently.
//! - WI-2: the address is printed only when the listener accepts.

mod admin;
mod cluster;
mod front;
mod gate;
mod listen;
mod store;
mod tls;
mod watch;

use std::{net::TcpListener, path::PathBuf, sync::Arc};

use actix_web::web;
use parlor_actors::{
    bucket::{Buckets, Rate},
    cursor::CursorKey,
    drain::Drain,
    front::Front,
    ledger::Budget,
    metrics::Metrics,
    node::Node,
    place::{Forwarding, Places},
    ports::Ports,
    presence::Presences,
    quota::SharedQuota,
    registry::Sessions,
    room::{
        RoomEnv,
        rooms::Rooms,
        state::{KnownUsers, RoomRules},
    },
    session::SessionEnv,
};
use parlor_cluster::{
    CqlError, OpenError, PacketSeal, RandomIds, RedisStartError, Seals, SystemClock, http::Seal,
};
use parlor_config::{AuthMode, ClusterBackend, Settings};
use parlor_schema::{
    BootId, NodeId,
    frame::hello::WelcomeLimits,
    limits::{HELLOS_MAX, HISTORY_LIMIT_MAX},
    port::{Clock, Ids, NodeInfo},
};
use rustls::ServerConfig;
use tokio::sync::Semaphore;

pub use cluster::Cluster;
pub use listen::{Running, Scheme};
pub use store::Store;
use watch::Watch;

use crate::{
    auth::{
        Auth, AuthPorts, AuthStartError, KeyUse, SecretError, derive, load_or_make_secret,
        load_shared_secret,
    },
    http::HttpState,
    internal::Internal,
    websocket::{Admission, AdmissionLimits, WebSocketWire, WsState},
};

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The embedded store did not open.
    #[error("storage.path")]
    Store(#[from] OpenError),
    /// The folder of the node's own files could not be made.
    #[error("storage.path: cannot make {}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The CQL store did not open.
    #[error(transparent)]
    Cql(#[from] CqlError),
    /// The Redis between the nodes could not be had.
    #[error(transparent)]
    Redis(#[from] RedisStartError),
    /// The secret could not be had.
    #[error("the node's secret")]
    Secret(#[from] SecretError),
    /// The key of the admin API could not be had.
    #[error("auth.admin_key_file")]
    AdminKey(#[source] SecretError),
    /// Authentication could not be set up.
    #[error(transparent)]
    Auth(#[from] AuthStartError),
    /// The certificate of the public listener could not be had.
    #[error("{key}: {file}: {why}")]
    Tls {
        /// The setting.
        key: &'static str,
        /// Its value.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A listener could not be had.
    #[error("{key}: cannot listen on {address}")]
    Listen {
        /// The setting.
        key: &'static str,
        /// Its value.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The parts of a node that commands use without listening.
pub struct Base {
    /// The store of the settings.
    pub store: Store,
    /// Time.
    pub clock: Arc<SystemClock>,
    /// Ids and chance.
    pub ids: Arc<RandomIds>,
    /// The other nodes.
    pub cluster: Cluster,
    /// Accounts and tokens.
    pub auth: Arc<Auth>,
    /// This node.
    pub node: NodeInfo,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    quota: SharedQuota,
    secret: [u8; 32],
    /// The internal listener, bound before the others are told its address.
    internal: Option<TcpListener>,
}

impl Base {
    /// Opens the store and sets authentication up, for a command beside the nodes: it is none of them.
    ///
    /// # Errors
    /// Names what is missing (WI-1).
    pub async fn open(settings: &Settings) -> Result<Self, StartError> {
        Self::open_as(settings, &ClusterBackend::Single).await
    }

    /// Does the same for a node, which joins the others.
    async fn join(settings: &Settings) -> Result<Self, StartError> {
        Self::open_as(settings, &settings.cluster.backend).await
    }

    async fn open_as(settings: &Settings, backend: &ClusterBackend) -> Result<Self, StartError> {
        let (clock, ids) = (SystemClock::new(), RandomIds::new());
        let store = Store::open(&settings.storage).await?;
        let secret = match &settings.cluster.secret_file {
            Some(file) => load_shared_secret(file)?,
            None => load_or_make_secret(&secret_path(settings), &*ids)?,
        };
        let internal = match backend {
            ClusterBackend::Single => None,
            ClusterBackend::Redis => listen::internal(&settings.server)?,
        };
        let seals = Seals {
            packets: PacketSeal::new(&derive(&secret, KeyUse::Packets)),
            calls: internal
                .is_some()
                .then(|| Seal::new(&derive(&secret, KeyUse::Links))),
        };
        let (internal, internal_address) = internal.unzip();
        let node = NodeInfo {
            node_id: node_id(settings),
            boot_id: BootId::new(ids.uuid(clock.now())),
            internal_address,
        };
        let cluster = match backend {
            ClusterBackend::Single => Cluster::alone(node.clone()),
            ClusterBackend::Redis => {
                let redis = &settings.cluster.redis;
                Cluster::on_redis(redis, node.clone(), clock.clone(), ids.clone(), seals).await?
            }
        };
        let metrics = Metrics::new();
        let quota = SharedQuota::new(cluster.quota(), metrics.clone());
        let ports = AuthPorts {
            quota: quota.clone(),
            directory: store.directory(),
            bus: cluster.bus(),
            clock: clock.clone(),
            ids: ids.clone(),
        };
        let auth = Auth::start(&settings.auth, &settings.limits, ports, &secret).await?;
        Ok(Self {
            store,
            clock,
            ids,
            cluster,
            auth,
            node,
            metrics,
            quota,
            secret,
            internal,
        })
    }
}

fn secret_path(settings: &Settings) -> PathBuf {
    settings.storage.path.join("secret")
}

fn node_id(settings: &Settings) -> NodeId {
    if let Some(id) = &settings.node.id {
        return id.clone();
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host
        .trim()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        .collect();
    let host = if host.is_empty() {
        "node".to_owned()
    } else {
        host
    };
    let name = format!("{:.100}-{}", host, settings.server.listen.port());
    name.parse()
        .expect("a filtered host name and a port are a name")
}

/// Starts a node on this thread's actix system, and listens.
///
/// # Errors
/// Names what is missing (WI-1).
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    start_through(settings, |ports| ports).await
}

/// Starts a node as [`start`] does, whose actors meet the outside through what `change` makes of the ports of the settings. Accounts, and
/// the node's place among the others, stay where the settings say.
///
/// # Errors
/// Names what is missing (WI-1).
pub async fn start_through(
    settings: Settings,
    change: impl FnOnce(Ports) -> Ports,
) -> Result<Running, StartError> {
    let tls = tls::load(&settings.server)?;
    let base = Base::join(&settings).await?;
    let ports = change(ports(&base));
    run(&settings, tls, base, ports)
}

fn run(
    settings: &Settings,
    tls: Option<ServerConfig>,
    mut base: Base,
    ports: Ports,
) -> Result<Running, StartError> {
    let metrics = base.metrics.clone();
    let sessions = Arc::new(Sessions::default());
    if let Some(registry) = base.cluster.sessions() {
        let (own, clock) = (base.node.clone(), base.clock.clone());
        sessions.share(registry, own, clock, metrics.clone());
    }
    let env = RoomEnv {
        ports: ports.clone(),
        rules: rules(settings),
        sessions: sessions.clone(),
        metrics: metrics.clone(),
        places: Places::new(&ports, metrics.clone(), forwarding(settings)),
    };
    let places = env.places.clone();
    let rooms = Rooms::new(env.clone());
    let front = front(settings, &env, &rooms, &base.quota);
    let node = Node::start_on(&ports, sessions.clone(), &front);
    let drain = Drain::new();
    let ws = ws_state(settings, &base, &front, &sessions, &drain);
    let watch = Watch::start(
        ports.clone(),
        base.cluster.clone(),
        base.store.clone(),
        metrics.clone(),
    );
    let internal = internal(&mut base, &metrics);
    let admin = admin::door(
        settings,
        admin::NodeAdmin {
            auth: base.auth.clone(),
            sessions,
            ports: ports.clone(),
            cluster: base.cluster.clone(),
            store: base.store.clone(),
            watch: watch.clone(),
            drain: drain.clone(),
            drain_ms: settings.node.drain_ms,
        },
    )?;
    let state = web::Data::new(HttpState {
        front: Arc::new(front::ActorFront {
            front,
            drain: drain.clone(),
            watch: watch.clone(),
        }),
        accounts: base.auth.clone(),
        admin,
        metrics: metrics.clone(),
        settings: Arc::new(settings.clone()),
    });
    listen::listen(
        settings,
        tls,
        (ws, state),
        internal,
        listen::Held {
            store: base.store,
            cluster: base.cluster,
            clock: base.clock,
            metrics,
            drain,
            places,
            _node: node,
        },
    )
}

/// Makes what sockets work with.
fn ws_state(
    settings: &Settings,
    base: &Base,
    front: &Front,
    sessions: &Arc<Sessions>,
    drain: &Arc<Drain>,
) -> WsState {
    let budget = Budget::new(settings.limits.queue_bytes);
    WsState {
        sessions: Arc::new(SessionEnv {
            front: front.clone(),
            sessions: sessions.clone(),
            cursors: Arc::new(CursorKey::new(&derive(&base.secret, KeyUse::Cursors))),
            node: base.node.node_id.clone(),
            limits: welcome_limits(settings),
            sessions_per_user: settings.limits.connections_per_user as usize,
            drain: drain.clone(),
            budget: budget.clone(),
            hellos: Arc::new(Semaphore::new(HELLOS_MAX)),
        }),
        admission: Admission::new(admission_limits(settings), budget),
        deflate: settings.server.deflate,
        allowed_origins: Arc::new(settings.server.allowed_origins.clone()),
        frame_bytes: settings.limits.frame_bytes,
    }
}

/// Makes what the internal listener works with, where there is one.
fn internal(base: &mut Base, metrics: &Arc<Metrics>) -> Option<(TcpListener, Internal)> {
    let listener = base.internal.take()?;
    let internal = Internal {
        own: base.node.boot_id,
        seal: Seal::new(&derive(&base.secret, KeyUse::Links)),
        clock: base.clock.clone(),
        metrics: metrics.clone(),
        deliver: base.cluster.deliver()?,
    };
    Some((listener, internal))
}

/// Makes what every frame meets first.
fn front(settings: &Settings, env: &RoomEnv, rooms: &Arc<Rooms>, quota: &SharedQuota) -> Front {
    let presences = Presences::new(
        env.ports.clock.clone(),
        env.ports.directory.clone(),
        env.ports.peers(),
        settings.presence.offline_after_ms,
    );
    let rate = settings.limits.send_rate().map(Rate::from);
    let sends = Buckets::new(rate, SENDERS_MAX);
    let shared = quota.sends(rate, env.ports.clock.clone());
    Front::new(env, rooms.clone(), presences, sends).sharing(shared)
}

/// Joins the outside, as the actors see it.
fn ports(base: &Base) -> Ports {
    Ports {
        timeline: base.cluster.timeline(base.store.timeline()),
        directory: base.store.directory(),
        clock: base.clock.clone(),
        ids: base.ids.clone(),
        bus: base.cluster.bus(),
        membership: base.cluster.membership(),
        gate: Arc::new(gate::AuthGate(base.auth.clone())),
        wire: Arc::new(WebSocketWire),
    }
}

const fn forwarding(settings: &Settings) -> Forwarding {
    match settings.cluster.forward {
        true => Forwarding::On,
        false => Forwarding::Off,
    }
}

/// Users whose rate is remembered at once.
const SENDERS_MAX: usize = 1 << 17;

fn rules(settings: &Settings) -> RoomRules {
    RoomRules {
        dedupe_window_ms: settings.dedupe.window_ms,
        body_bytes: settings.limits.body_bytes,
        users: match settings.auth.mode {
            AuthMode::Builtin => KnownUsers::Accounts,
            AuthMode::Jwt => KnownUsers::All,
        },
    }
}

fn admission_limits(settings: &Settings) -> AdmissionLimits {
    let limits = &settings.limits;
    let [handshakes, handshakes_per_ip] = limits.handshake_rates().map(|rate| rate.map(Rate::from));
    AdmissionLimits {
        connections: limits.connections as usize,
        connections_per_ip: limits.connections_per_ip as usize,
        handshakes,
        handshakes_per_ip,
    }
}

fn welcome_limits(settings: &Settings) -> WelcomeLimits {
    let rate = settings.limits.send_rate();
    WelcomeLimits {
        frame_bytes: settings.limits.frame_bytes as u64,
        body_bytes: settings.limits.body_bytes as u64,
        history_limit: HISTORY_LIMIT_MAX,
        sends_per_s: rate.map_or(0, |rate| rate.per_s.get()),
        burst: rate.map_or(0, |rate| rate.burst.get()),
    }
}
