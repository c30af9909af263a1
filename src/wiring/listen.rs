//! The listeners: sockets and HTTP on one port, and the end of both.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix::Addr;
use actix_http::{HttpService, KeepAlive, Protocol, error::DispatchError};
use actix_rt::net::TcpStream;
use actix_server::{Server, ServerHandle};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_tls::accept::{
    TlsError,
    rustls_0_23::{Acceptor, TlsStream},
};
use actix_web::{App, dev::AppConfig, web};
use parlor_actors::{drain::Drain, metrics::Metrics, node::Node, pace, place::Places};
use parlor_cluster::SystemClock;
use parlor_config::{HostPort, Settings};
use parlor_schema::port::Clock;
use rustls::ServerConfig;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Cluster, StartError, Store};
use crate::{
    head::{self, Headed},
    http::{self, HttpState, Listener},
    internal::{self, Internal},
    websocket::{self, WsState},
};

/// Time that rooms have after the last socket to write receipts.
const SETTLE: Duration = Duration::from_millis(700);
/// HTTP connections of one worker at a time, handshakes among them; more wait to be accepted.
const HTTP_CONNECTIONS_MAX: usize = 4096;
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
/// Bytes that the system takes for a connection while they cannot be sent, or a little more. It would else hold megabytes for each who does not read, and the
/// thread would copy all of them. What is sent and not acknowledged yet is not counted, so that a far client is as fast.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 64 * 1024;

/// What lives as long as the node.
pub(super) struct Held {
    pub(super) store: Store,
    pub(super) cluster: Cluster,
    pub(super) clock: Arc<SystemClock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) drain: Arc<Drain>,
    pub(super) places: Arc<Places>,
    pub(super) _node: Addr<Node>,
}

/// How the public listener is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// Returns it as it stands in an address.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A node that listens.
pub struct Running {
    /// The public address.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub scheme: Scheme,
    servers: Vec<ServerHandle>,
    held: Held,
    drain_ms: u64,
}

pub(super) fn listen(
    settings: &Settings,
    tls: Option<ServerConfig>,
    (ws, state): (WsState, web::Data<HttpState>),
    internal: Option<(TcpListener, Internal)>,
    held: Held,
) -> Result<Running, StartError> {
    let scheme = match tls {
        Some(_) => Scheme::Https,
        None => Scheme::Http,
    };
    let public = bind("server.listen", &settings.server.listen)?;
    let failed = |key, address: &HostPort| {
        let address = address.to_string();
        move |source| StartError::Listen {
            key,
            address,
            source,
        }
    };
    let address = local(&public, "server.listen", &settings.server.listen)?;
    let workers = settings.server.workers.map_or_else(
        || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
        std::num::NonZeroUsize::get,
    );
    let whole = if settings.server.operations_listen.is_some() {
        Listener::Public
    } else {
        Listener::Whole
    };
    let mut servers = Vec::new();
    let rooms = Some(held.store.clone());
    let server = serve(
        public,
        workers,
        tls,
        ws.clone(),
        state.clone(),
        whole,
        rooms,
    )
    .map_err(failed("server.listen", &settings.server.listen))?;
    servers.push(spawn(server));
    if let Some(operations) = &settings.server.operations_listen {
        let listener = bind("server.operations_listen", operations)?;
        let server = serve(listener, 1, None, ws, state, Listener::Operations, None)
            .map_err(failed("server.operations_listen", operations))?;
        servers.push(spawn(server));
    }
    if let (Some((listener, internal)), Some(at)) = (internal, &settings.server.internal_listen) {
        let server = internal::serve(listener, internal);
        servers.push(spawn(server.map_err(failed("server.internal_listen", at))?));
    }
    Ok(Running {
        address,
        scheme,
        servers,
        held,
        drain_ms: settings.node.drain_ms,
    })
}

fn bind(key: &'static str, address: &HostPort) -> Result<TcpListener, StartError> {
    TcpListener::bind(address.as_str()).map_err(|source| StartError::Listen {
        key,
        address: address.to_string(),
        source,
    })
}

/// Takes the internal listener, and says where the other nodes reach it.
pub(super) fn internal(
    settings: &parlor_config::Server,
) -> Result<Option<(TcpListener, Arc<str>)>, StartError> {
    let Some(listen) = &settings.internal_listen else {
        return Ok(None);
    };
    let listener = bind("server.internal_listen", listen)?;
    let address = match (&settings.internal_address, listen.port()) {
        (Some(address), _) => address.to_string(),
        (None, 0) => local(&listener, "server.internal_listen", listen)?.to_string(),
        (None, _) => listen.to_string(),
    };
    Ok(Some((listener, address.into())))
}

fn local(
    listener: &TcpListener,
    key: &'static str,
    address: &HostPort,
) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen {
        key,
        address: address.to_string(),
        source,
    })
}

fn spawn(server: Server) -> ServerHandle {
    let handle = server.handle();
    actix_rt::spawn(server);
    handle
}

fn serve(
    listener: TcpListener,
    workers: usize,
    tls: Option<ServerConfig>,
    ws: WsState,
    state: web::Data<HttpState>,
    part: Listener,
    // Where the threads have rooms, which append to it.
    rooms: Option<Store>,
) -> io::Result<Server> {
    let server = Server::build()
        .workers(workers)
        .backlog(BACKLOG)
        .max_concurrent_connections(HTTP_CONNECTIONS_MAX)
        .disable_signals();
    // The same service over both kinds of stream; its type is another for each.
    macro_rules! service {
        ($ws:expr, $state:expr) => {{
            let (ws, state) = ($ws.clone(), $state.clone());
            let app = App::new().configure(|cfg| http::configure(cfg, &state, part));
            HttpService::build()
                // One head was read, and a second one could drip for ever: actix-http has a deadline for the first only.
                .keep_alive(KeepAlive::Disabled)
                .upgrade(fn_service(move |(request, framed)| {
                    websocket::upgrade(ws.clone(), request, framed)
                }))
                .finish(map_config(app, |_| AppConfig::default()))
                .map_err(TlsError::Service)
        }};
    }
    let clock = ws.sessions.front.ports.clock.clone();
    let server = match tls {
        None => server.listen("parlor", listener, move || {
            rooms.iter().for_each(Store::serve_thread);
            let clock = clock.clone();
            let head = move |stream: TcpStream| {
                let peer = stream.peer_addr().ok();
                headed(stream, peer, clock.clone())
            };
            fn_service(paced)
                .and_then(fn_service(head))
                .and_then(service!(ws, state))
        })?,
        Some(mut tls) => {
            tls.alpn_protocols.push(b"http/1.1".to_vec());
            server.listen("parlor", listener, move || {
                rooms.iter().for_each(Store::serve_thread);
                let clock = clock.clone();
                let head = move |stream: TlsStream<TcpStream>| {
                    let peer = stream.get_ref().0.peer_addr().ok();
                    headed(stream, peer, clock.clone())
                };
                fn_service(paced)
                    .and_then(Acceptor::new(tls.clone()).map_err(TlsError::into_service_error))
                    .and_then(fn_service(head))
                    .and_then(service!(ws, state))
            })?
        }
    };
    Ok(server.run())
}

/// What ends a connection before, or while, it is served.
type Failed = TlsError<io::Error, DispatchError>;

/// Has a connection wait for its step before anything of it is read: many that come at once delay nobody who is here.
async fn paced(stream: TcpStream) -> Result<TcpStream, Failed> {
    pace::step().await;
    // One that refuses these is only slower, or the system holds more for it. Small frames do not wait for an acknowledgement (Nagle).
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES);
    Ok(stream)
}

/// Waits for the head of a request, and hands the connection to HTTP.
async fn headed<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: Option<SocketAddr>,
    clock: Arc<dyn Clock>,
) -> Result<(Headed<S>, Protocol, Option<SocketAddr>), Failed> {
    let headed = head::read(stream, &*clock).await;
    let headed = headed.map_err(|error| TlsError::Service(DispatchError::Io(error)))?;
    Ok((headed, Protocol::Http1, peer))
}

impl Running {
    /// Waits until an operator asks the node to leave.
    pub async fn drain_asked(&self) {
        self.held.drain.asked().await;
    }

    /// Leaves: tells clients to go, waits until they have or their time is over, and closes the store.
    ///
    /// Units: at most the settings' `node.drain_ms` and a second.
    pub async fn drain(self) {
        let now = self.held.clock.monotonic_ms();
        // The close itself takes its time, within the whole.
        let until = now + self.drain_ms.saturating_sub(websocket::CLOSE_WITHIN_MS);
        self.held.drain.begin(until);
        self.held.metrics.draining.set(1);
        let end = now + self.drain_ms;
        while self.held.metrics.connections.get() > 0 && self.held.clock.monotonic_ms() < end {
            actix_rt::time::sleep(Duration::from_millis(50)).await;
        }
        self.stop().await;
    }

    /// Stops: no connection is taken any more, rooms write what is acknowledged, then the rest is cut.
    pub async fn stop(self) {
        for server in &self.servers {
            server.pause().await;
        }
        // What the others forward is given back to them while they still see this node.
        self.held.places.leave();
        // The others then send nothing more here, and do not wait for what would have come.
        self.held.cluster.leave().await;
        // Rooms live on the threads of the servers: what they have to write comes before those end.
        actix_rt::time::sleep(SETTLE).await;
        for server in &self.servers {
            server.stop(false).await;
        }
        self.held.store.close();
    }
}
