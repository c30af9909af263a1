//! The connections for commands: one to each master, looked after by one task.
//!
//! Invariants:
//! - RC-1: a connection is given up when a PING is not answered within [`PING_DEADLINE`], though TCP still thinks it open;
//!   the crate alone would use it for ever.
//! - RC-2: tries to connect never end, and are spread by full jitter.
//! - RC-3: no command waits longer than [`COMMAND_DEADLINE`]; one that does may have taken effect.
//! - RC-4: where servers can move (Sentinel, Cluster), who holds what is asked again every [`LOOK_AGAIN`], and after each
//!   answer that says so.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::join_all;
use parlor_schema::port::Ids;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value,
    aio::MultiplexedConnection, cmd,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{
    backoff::Backoff,
    health::LinkHealth,
    servers::{Servers, within},
    topology::{Topology, slot},
};

/// How often each connection is asked whether it lives.
pub(super) const PING_EVERY: Duration = Duration::from_secs(1);
/// How long the answer may take: a server that is slow is still one.
pub(super) const PING_DEADLINE: Duration = Duration::from_secs(2);
/// How often it is asked who the master is, where that can change.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How long it waits between a hint that something moved and the look.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// How long an answer may take.
const COMMAND_DEADLINE: Duration = Duration::from_secs(1);

/// A command and the slot of its key.
pub(super) type Keyed = (u16, Cmd);

/// Sends commands to whoever holds their key.
pub(super) struct Commands {
    servers: Arc<Servers>,
    routes: RwLock<Arc<Routes>>,
    stale: AtomicBool,
    look: Notify,
    pub(super) health: Arc<LinkHealth>,
}

#[derive(Default)]
struct Routes {
    topology: Topology,
    /// One place for each server of the topology.
    connections: Vec<Option<MultiplexedConnection>>,
}

impl Routes {
    fn of(&self, slot: u16) -> Option<(usize, MultiplexedConnection)> {
        let server = self.topology.server_of(slot)?;
        Some((server, self.connections[server].clone()?))
    }

    fn is_whole(&self) -> bool {
        self.topology.is_complete() && self.connections.iter().all(Option::is_some)
    }

    fn connection_to(&self, redirect: &str) -> Option<MultiplexedConnection> {
        let at = self
            .topology
            .servers
            .iter()
            .position(|server| server.addr().to_string() == redirect)?;
        self.connections[at].clone()
    }
}

impl Commands {
    pub(super) fn new(servers: Arc<Servers>, health: Arc<LinkHealth>) -> Arc<Self> {
        Arc::new(Self {
            servers,
            routes: RwLock::default(),
            stale: AtomicBool::new(false),
            look: Notify::new(),
            health,
        })
    }

    /// Tells whether channels belong to slots, as in a Redis Cluster.
    pub(super) fn is_sharded(&self) -> bool {
        self.servers.is_sharded()
    }

    /// Tells whether there is a connection to the master of a slot.
    pub(super) fn reaches(&self, slot: u16) -> bool {
        self.routes().of(slot).is_some()
    }

    /// Looks after the connections for ever.
    pub(super) async fn run(self: Arc<Self>, ids: Arc<dyn Ids>) {
        let mut backoff = Backoff::default();
        let mut asked = Instant::now();
        loop {
            let is_due = self.servers.may_move() && asked.elapsed() >= LOOK_AGAIN;
            let looked = self.maintain(is_due, &mut asked).await;
            match looked {
                Ok(()) => {
                    backoff.reset();
                    self.health.up();
                    tokio::select! {
                        () = sleep(PING_EVERY) => {}
                        // Many commands may find out the same at once; one look answers them all.
                        () = self.look.notified() => sleep(LOOK_PAUSE).await,
                    }
                }
                Err(why) => {
                    self.health.down(&why);
                    sleep(backoff.failed(&*ids)).await;
                }
            }
        }
    }

    /// Drops what is dead, asks who holds what when that is due or something is missing, and connects to it.
    async fn maintain(&self, is_due: bool, asked: &mut Instant) -> Result<(), RedisError> {
        let old = self.routes();
        let alive = join_all(old.connections.iter().map(|one| ping(one.clone()))).await;
        let is_stale = self.stale.swap(false, Relaxed);
        let is_whole = old.topology.is_complete() && alive.iter().all(Option::is_some);
        if is_whole && !is_stale && !is_due {
            return Ok(());
        }
        let kept = |topology| {
            self.install(Routes {
                topology,
                connections: alive.clone(),
            });
        };
        let topology = match self.servers.topology().await {
            Ok(topology) => topology,
            Err(error) => {
                kept(old.topology.clone());
                self.stale.store(true, Relaxed);
                return if is_whole && !is_stale {
                    Ok(())
                } else {
                    Err(error)
                };
            }
        };
        *asked = Instant::now();
        let connections = join_all(topology.servers.iter().map(|server| {
            let known = old.topology.servers.iter().zip(&alive);
            let kept = known
                .filter(|(old, _)| old.addr() == server.addr())
                .find_map(|(_, connection)| connection.clone());
            async {
                match kept {
                    Some(connection) => Ok(connection),
                    None => {
                        let config = AsyncConnectionConfig::new();
                        let connection = self.servers.connect(server, config).await?;
                        self.health.connected();
                        Ok(connection)
                    }
                }
            }
        }))
        .await;
        let mut failed = None;
        let routes = Routes {
            topology,
            connections: connections
                .into_iter()
                .map(|one| one.map_err(|error| failed = Some(error)).ok())
                .collect(),
        };
        let is_whole = routes.is_whole();
        self.install(routes);
        match (failed, is_whole) {
            (Some(error), _) => Err(error),
            (None, false) => Err(RedisError::from((
                ErrorKind::Client,
                "some slots have no master",
            ))),
            (None, true) => Ok(()),
        }
    }

    fn install(&self, routes: Routes) {
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(routes);
    }

    fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends one command. One that another server holds the key of is sent there, once.
    ///
    /// # Errors
    /// It failed; it may have taken effect all the same (RC-3).
    pub(super) async fn ask(&self, key: &str, command: &Cmd) -> Result<Value, RedisError> {
        let routes = self.routes();
        let (_, mut connection) = routes.of(slot(key)).ok_or_else(away)?;
        let answer = once(&mut connection, command).await;
        let Err(error) = answer else { return answer };
        self.note(&error);
        match error.redirect_node() {
            Some((redirect, _)) if error.kind() == MOVED => {
                let moved = routes.connection_to(redirect);
                let mut connection = moved.ok_or_else(away)?;
                once(&mut connection, command).await
            }
            _ => Err(error),
        }
    }

    /// Sends commands, each to the server of its slot, those of one server in order and in one write. Answers come in the
    /// order of the commands.
    pub(super) async fn ask_all(&self, commands: Vec<Keyed>) -> Vec<Result<Value, RedisError>> {
        let routes = self.routes();
        let mut answers: Vec<Result<Value, RedisError>> =
            commands.iter().map(|_| Err(away())).collect();
        let mut parts: Vec<Part> = Vec::new();
        for (place, (slot, command)) in commands.into_iter().enumerate() {
            let Some((server, connection)) = routes.of(slot) else {
                continue;
            };
            let at = parts.iter().position(|part| part.server == server);
            let at = at.unwrap_or_else(|| {
                parts.push(Part::new(server, connection));
                parts.len() - 1
            });
            parts[at].places.push(place);
            parts[at].pipeline.add_command(command);
        }
        for (places, part) in join_all(parts.into_iter().map(Part::send)).await {
            for (place, answer) in places.into_iter().zip(part) {
                if let Err(error) = &answer {
                    self.note(error);
                }
                answers[place] = answer;
            }
        }
        answers
    }

    /// Has the connections looked at when an error says that they or their servers are not what they were.
    fn note(&self, error: &RedisError) {
        let moved = matches!(
            error.kind(),
            MOVED
                | ErrorKind::Server(
                    ServerErrorKind::ReadOnly
                        | ServerErrorKind::ClusterDown
                        | ServerErrorKind::MasterDown
                )
        );
        if moved || error.is_connection_dropped() || error.is_unrecoverable_error() {
            self.stale.store(true, Relaxed);
            if self.health.is_up() {
                self.look.notify_one();
            }
        }
    }
}

const MOVED: ErrorKind = ErrorKind::Server(ServerErrorKind::Moved);

/// The commands for one server.
struct Part {
    server: usize,
    connection: MultiplexedConnection,
    pipeline: Pipeline,
    places: Vec<usize>,
}

impl Part {
    fn new(server: usize, connection: MultiplexedConnection) -> Self {
        Self {
            server,
            connection,
            pipeline: Pipeline::new(),
            places: Vec::new(),
        }
    }

    async fn send(mut self) -> (Vec<usize>, Vec<Result<Value, RedisError>>) {
        let count = self.places.len();
        let talk = self
            .connection
            .send_packed_commands(&self.pipeline, 0, count);
        let answers = match within(COMMAND_DEADLINE, talk).await {
            Ok(values) => values.into_iter().map(Value::extract_error).collect(),
            Err(error) => vec![Err(error); count],
        };
        (self.places, answers)
    }
}

async fn once(connection: &mut MultiplexedConnection, command: &Cmd) -> Result<Value, RedisError> {
    within(COMMAND_DEADLINE, connection.send_packed_command(command))
        .await?
        .extract_error()
}

/// Returns the connection if it answers in time (RC-1).
async fn ping(connection: Option<MultiplexedConnection>) -> Option<MultiplexedConnection> {
    let mut connection = connection?;
    let question = cmd("PING");
    let answer = within(PING_DEADLINE, connection.send_packed_command(&question)).await;
    match answer.and_then(Value::extract_error) {
        Ok(_) => Some(connection),
        // It lives, and says that it is loading or may not be asked; what it is good for shows with the commands.
        Err(error) if matches!(error.kind(), ErrorKind::Server(_)) => Some(connection),
        Err(_) => None,
    }
}

fn away() -> RedisError {
    RedisError::from((ErrorKind::Client, "no connection"))
}
