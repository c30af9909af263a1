//! The real rooms, sessions, fan-outs and sockets, joined as the wiring joins them, over a timeline in memory and small socket buffers.
//!
//! Deliberately absent: HTTP and its handshake; a token is the user's name.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix::{Addr, Arbiter};
use bytes::Bytes;
use parlor::websocket::{Connection, Setup, Stream, WebSocketWire};
use parlor_actors::{
    bucket::Buckets,
    cursor::CursorKey,
    drain::Drain,
    front::Front,
    ledger::Budget,
    metrics::Metrics,
    node::Node,
    place::{Forwarding, Places},
    ports::{Coding, Gate, Pass, Ports},
    presence::Presences,
    registry::Sessions,
    room::{
        RoomEnv,
        rooms::Rooms,
        state::{KnownUsers, RoomRules},
    },
    session::{Session, SessionEnv},
};
use parlor_cluster::{MemoryBus, MemoryStore, RandomIds, SingleMembership, SystemClock};
use parlor_schema::{
    BootId, ErrorCode, LoginId, SessionId, Timestamp, UserId,
    frame::{Refusal, hello::WelcomeLimits},
    limits::{HELLOS_MAX, HISTORY_LIMIT_MAX},
    port::{Clock, Ids, NodeInfo, PortFuture},
};
use tokio::{net::TcpSocket, sync::Semaphore};

use crate::support::raw::Raw;

/// Bytes that the system buffers of a connection, about, on either side.
const BUFFER_BYTES: u32 = 64 * 1024;
const FRAME_BYTES: usize = 65_536;
/// When a pass ends, in milliseconds of the epoch: never.
const NEVER_MS: i64 = 1 << 50;

/// Lets everybody in who says a name.
pub(crate) struct Names;

impl Gate for Names {
    fn verify(&self, token: String) -> PortFuture<'static, Result<Pass, Refusal>> {
        let pass = token
            .parse()
            .map(|user_id| Pass {
                user_id,
                login_id: None,
                expires_at: Timestamp::from_millis(NEVER_MS),
            })
            .map_err(|_| Refusal::new(ErrorCode::Unauthorized, "no name"));
        Box::pin(std::future::ready(pass))
    }

    fn login_ended(&self, _: LoginId) {}

    fn user_revoked(&self, _: &UserId) {}
}

/// A node of two threads, without its outside.
pub(super) struct Site {
    env: Arc<SessionEnv>,
    threads: [Arbiter; 2],
    next: AtomicUsize,
    _node: Addr<Node>,
}

impl Site {
    /// Starts it on this thread's actix system.
    pub(super) fn start() -> Self {
        let (clock, ids, store) = (SystemClock::new(), RandomIds::new(), MemoryStore::new());
        let node = NodeInfo {
            node_id: "n1".parse().unwrap(),
            boot_id: BootId::new(ids.uuid(clock.now())),
            internal_address: None,
        };
        let ports = Ports {
            timeline: store.clone(),
            directory: store.clone(),
            clock: clock.clone(),
            ids,
            bus: MemoryBus::new(node.node_id.clone()),
            membership: SingleMembership::new(node.clone()),
            gate: Arc::new(Names),
            wire: Arc::new(WebSocketWire),
        };
        let sessions = Arc::new(Sessions::default());
        let metrics = Metrics::new();
        let room = RoomEnv {
            ports: ports.clone(),
            rules: RoomRules {
                dedupe_window_ms: 60_000,
                body_bytes: FRAME_BYTES / 2,
                users: KnownUsers::All,
            },
            sessions: sessions.clone(),
            places: Places::new(&ports, metrics.clone(), Forwarding::On),
            metrics,
        };
        let presences = Presences::new(clock, store, ports.peers(), 10_000);
        let rooms = Rooms::new(room.clone());
        let front = Front::new(&room, rooms, presences, Buckets::new(None, 1));
        let node_actor = Node::start_on(&ports, sessions.clone(), &front);
        let env = SessionEnv {
            front,
            sessions: sessions.clone(),
            cursors: Arc::new(CursorKey::new(&[7; 32])),
            node: node.node_id,
            limits: WelcomeLimits {
                frame_bytes: FRAME_BYTES as u64,
                body_bytes: FRAME_BYTES as u64 / 2,
                history_limit: HISTORY_LIMIT_MAX,
                sends_per_s: 0,
                burst: 0,
            },
            sessions_per_user: 0,
            drain: Drain::new(),
            budget: Budget::new(0),
            hellos: Arc::new(Semaphore::new(HELLOS_MAX)),
        };
        Self {
            env: Arc::new(env),
            threads: [Arbiter::new(), Arbiter::new()],
            next: AtomicUsize::new(0),
            _node: node_actor,
        }
    }

    /// Returns how many pages of the log were read.
    pub(super) fn pulls(&self) -> u64 {
        self.env.front.metrics.pulls.get()
    }

    /// Connects, on the one thread and the other by turns.
    pub(super) async fn connect(&self, coding: Coding) -> Raw {
        let socket = TcpSocket::new_v4().unwrap();
        // What is accepted has the buffers of the listener.
        socket.set_send_buffer_size(BUFFER_BYTES).unwrap();
        let here = IpAddr::from(Ipv4Addr::LOCALHOST);
        socket.bind(SocketAddr::new(here, 0)).unwrap();
        let listener = socket.listen(1).unwrap();
        let (accepted, dialled) = tokio::join!(
            listener.accept(),
            crate::support::raw::dial(listener.local_addr().unwrap(), here, BUFFER_BYTES)
        );
        let stream = accepted.unwrap().0.into_std().unwrap();
        let thread = self.next.fetch_add(1, Ordering::Relaxed) % 2;
        let env = self.env.clone();
        // What serves it never leaves its thread, so it is made there.
        let served = self.threads[thread].spawn_fn(move || {
            serve(env, stream, coding);
        });
        assert!(served, "the thread lives");
        Raw::over(dialled)
    }
}

/// Starts the session of a connection, as the handshake does.
fn serve(env: Arc<SessionEnv>, stream: std::net::TcpStream, coding: Coding) {
    let ports = &env.front.ports;
    let setup = Setup {
        session: SessionId::new(ports.ids.uuid(ports.clock.now())),
        ledger: env.fanout().ledger(),
        coding,
        frame_bytes: FRAME_BYTES,
        clock: ports.clock.clone(),
        wire: ports.wire.clone(),
    };
    let peer = IpAddr::from(Ipv4Addr::LOCALHOST);
    let stream = Stream::Plain(tokio::net::TcpStream::from_std(stream).unwrap());
    let connection = Connection::new(stream, Bytes::new(), setup, |_| {});
    Session::open(env, connection.line(), peer, None, connection);
}
