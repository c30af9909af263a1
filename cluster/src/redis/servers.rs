//! The servers of the settings: which they are at this moment, and how to connect to one.

use std::{future::Future, path::PathBuf, time::Duration};

use futures_util::future::join_all;
use parlor_config::{Redis as Settings, RedisMode, RedisUrl};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, IntoConnectionInfo as _,
    ProtocolVersion, RedisError, TlsCertificates, Value, aio::MultiplexedConnection, cmd,
    io::tcp::TcpSettings,
};

use super::topology::{Topology, at, text};

/// How long a server may take to accept a connection, and to answer the first question on it.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// Why the settings of Redis cannot be used, or nothing was reached by them.
#[derive(Debug, thiserror::Error)]
pub enum RedisStartError {
    /// A URL is not one.
    #[error("cluster.redis: {0} is not the URL of a server")]
    Url(RedisUrl, #[source] RedisError),
    /// The certificates cannot be read.
    #[error("cluster.redis.ca_file: {0}")]
    CaFile(PathBuf, #[source] std::io::Error),
    /// Nothing answered as it must.
    #[error("cluster.redis: no answer from {servers}: {why}")]
    Away {
        /// The servers of the settings, without passwords.
        servers: String,
        /// What the last try showed.
        why: String,
    },
    /// The client of the other nodes' internal listeners could not be made.
    #[error("server.internal_listen: the client of the other nodes")]
    Calls(#[from] reqwest::Error),
    /// The thread could not be started.
    #[error("the thread that talks to redis")]
    Thread(#[from] std::io::Error),
}

/// The servers as the settings name them.
pub(super) struct Servers {
    arrangement: Arrangement,
    certificates: Option<TlsCertificates>,
    shown: String,
}

enum Arrangement {
    Standalone(Box<ConnectionInfo>),
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        master: String,
    },
    Cluster(Vec<ConnectionInfo>),
}

impl Servers {
    /// Reads the settings.
    pub(super) fn new(settings: &Settings) -> Result<Self, RedisStartError> {
        let read = |url: &RedisUrl| {
            let info = url.expose().into_connection_info();
            info.map(tuned)
                .map_err(|error| RedisStartError::Url(url.clone(), error))
        };
        let many = || {
            settings
                .nodes
                .iter()
                .map(read)
                .collect::<Result<Vec<_>, _>>()
        };
        let urls: Vec<String> = settings
            .url
            .iter()
            .chain(&settings.nodes)
            .map(ToString::to_string)
            .collect();
        let arrangement = match (&settings.url, settings.mode) {
            (None, Some(RedisMode::Sentinel)) => Arrangement::Sentinel {
                sentinels: many()?,
                master: settings.master.clone().unwrap_or_default(),
            },
            (None, Some(RedisMode::Cluster)) => Arrangement::Cluster(many()?),
            (Some(url), _) => Arrangement::Standalone(Box::new(read(url)?)),
            (None, None) => {
                return Err(RedisStartError::Away {
                    servers: "nothing".into(),
                    why: "neither cluster.redis.url nor cluster.redis.nodes is set".into(),
                });
            }
        };
        if urls
            .iter()
            .any(|url| url.starts_with("rediss:") || url.starts_with("valkeys:"))
        {
            // The crate takes the provider of the process; an error says that there is one already.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let certificates = match &settings.ca_file {
            Some(file) => Some(TlsCertificates {
                client_tls: None,
                root_cert: Some(
                    std::fs::read(file)
                        .map_err(|error| RedisStartError::CaFile(file.clone(), error))?,
                ),
            }),
            None => None,
        };
        Ok(Self {
            arrangement,
            certificates,
            shown: urls.join(", "),
        })
    }

    /// Returns the servers of the settings, without passwords.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Tells whether channels belong to slots, as in a Redis Cluster.
    pub(super) const fn is_sharded(&self) -> bool {
        matches!(self.arrangement, Arrangement::Cluster(_))
    }

    /// Tells whether another server may take over.
    pub(super) const fn may_move(&self) -> bool {
        !matches!(self.arrangement, Arrangement::Standalone(_))
    }

    /// Asks who holds what at this moment.
    pub(super) async fn topology(&self) -> Result<Topology, RedisError> {
        match &self.arrangement {
            Arrangement::Standalone(server) => Ok(Topology::one((**server).clone())),
            Arrangement::Sentinel { sentinels, master } => {
                first(sentinels.iter().map(|one| self.ask_sentinel(one, master))).await
            }
            Arrangement::Cluster(nodes) => first(nodes.iter().map(|one| self.ask_node(one))).await,
        }
    }

    /// Connects to a server; `config` may carry where pushes go.
    pub(super) async fn connect(
        &self,
        server: &ConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, RedisError> {
        let is_tls = matches!(server.addr(), redis::ConnectionAddr::TcpTls { .. });
        let client = match &self.certificates {
            Some(certificates) if is_tls => {
                Client::build_with_tls(server.clone(), certificates.clone())?
            }
            _ => Client::open(server.clone())?,
        };
        // Deadlines of commands are the caller's: the crate's own would not end the connection either.
        let config = config
            .set_connection_timeout(Some(CONNECT_DEADLINE))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(1024);
        within(
            CONNECT_DEADLINE,
            client.get_multiplexed_async_connection_with_config(&config),
        )
        .await
    }

    async fn ask_sentinel(
        &self,
        sentinel: &ConnectionInfo,
        master: &str,
    ) -> Result<Topology, RedisError> {
        let plain = AsyncConnectionConfig::new;
        // The credentials of the URL are those of the master; a Sentinel may have none, and refuses them then.
        let mut connection = match self.connect(sentinel, plain()).await {
            Err(error) if !error.is_io_error() && !error.is_timeout() => {
                let settings = redis::RedisConnectionInfo::default()
                    .set_protocol(ProtocolVersion::RESP3)
                    .set_skip_set_lib_name();
                let open = sentinel.clone().set_redis_settings(settings);
                self.connect(&open, plain()).await?
            }
            connected => connected?,
        };
        let question = cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg(master)
            .to_owned();
        let answer = within(CONNECT_DEADLINE, connection.send_packed_command(&question)).await?;
        let Value::Array(answer) = &answer else {
            return Err(unexpected("the sentinel does not know the master"));
        };
        let (host, port) = match &answer[..] {
            [host, port] => (text(host), text(port).and_then(|port| port.parse().ok())),
            _ => (None, None),
        };
        let addr = port.and_then(|port| at(sentinel.addr(), host, port));
        let addr = addr.ok_or_else(|| unexpected("the sentinel names no master"))?;
        let server = sentinel.clone().set_addr(addr);
        self.is_master(&server).await?;
        Ok(Topology::one(server))
    }

    /// A server that was demoted still accepts connections, and publishes to nobody.
    async fn is_master(&self, server: &ConnectionInfo) -> Result<(), RedisError> {
        let mut connection = self.connect(server, AsyncConnectionConfig::new()).await?;
        let role = within(
            CONNECT_DEADLINE,
            connection.send_packed_command(&cmd("ROLE")),
        )
        .await?;
        match &role {
            Value::Array(role) if role.first().and_then(text) == Some("master") => Ok(()),
            _ => Err(unexpected(
                "the server that the sentinel names is no master",
            )),
        }
    }

    async fn ask_node(&self, node: &ConnectionInfo) -> Result<Topology, RedisError> {
        let mut connection = self.connect(node, AsyncConnectionConfig::new()).await?;
        let question = cmd("CLUSTER").arg("SLOTS").to_owned();
        let answer = within(CONNECT_DEADLINE, connection.send_packed_command(&question))
            .await?
            .extract_error()?;
        let topology = Topology::from_slots(node, &answer)
            .ok_or_else(|| unexpected("the answer to CLUSTER SLOTS cannot be read"))?;
        if topology.servers.is_empty() {
            return Err(unexpected("the node knows of no slots"));
        }
        Ok(topology)
    }
}

/// Returns the first answer that is good, all asked at once; the last error if none is.
async fn first<F>(questions: impl Iterator<Item = F>) -> Result<Topology, RedisError>
where
    F: Future<Output = Result<Topology, RedisError>>,
{
    let mut last = unexpected("no server is named");
    // Waiting for all costs the deadline of the slowest, and lets one that knows every slot win over one that does not.
    let mut best: Option<Topology> = None;
    for answer in join_all(questions).await {
        match answer {
            Ok(topology) if topology.is_complete() => return Ok(topology),
            Ok(topology) => best = Some(topology),
            Err(error) => last = error,
        }
    }
    best.ok_or(last)
}

fn tuned(info: ConnectionInfo) -> ConnectionInfo {
    let redis = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3)
        .set_skip_set_lib_name();
    // Without delay: a packet is written whole, and the next waits for its answer.
    info.set_tcp_settings(TcpSettings::default().set_nodelay(true))
        .set_redis_settings(redis)
}

/// Bounds a talk with Redis.
pub(super) async fn within<T>(
    deadline: Duration,
    talk: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisError> {
    match tokio::time::timeout(deadline, talk).await {
        Ok(done) => done,
        Err(_) => Err(RedisError::from((
            ErrorKind::Io,
            "no answer within the deadline",
        ))),
    }
}

fn unexpected(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, what))
}
