//! From settings to an open store: session, keyspace, statements; each failure names its setting.

use std::{fs, sync::Arc, time::Duration};

use parlor_config::Cql;
use scylla::{
    client::{PoolSize, session::Session, session_builder::SessionBuilder},
    policies::timestamp_generator::MonotonicTimestampGenerator,
};
use tokio::time::timeout;

use super::{
    CqlTuning, Inner,
    bucket::Buckets,
    coalesce::Reads,
    error::CqlError,
    gate::{Gate, RoomLocks},
    keyspace,
    statement::{Statements, Ways},
    stats::Counters,
};

/// Time for one connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Time for the first connections and the list of nodes.
const SESSION_WITHIN: Duration = Duration::from_secs(10);
/// Time between two signs of life on an idle connection, and for the answer to one.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// Time for all nodes to agree on a change of the tables.
const AGREE_WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn open(settings: &Cql, tuning: CqlTuning) -> Result<Inner, CqlError> {
    let ways = Ways::new(settings);
    let session = session(settings, &ways).await?;
    check_datacenter(&session, settings)?;
    keyspace::make_ready(&session, settings, tuning).await?;
    let statements = Statements::prepare(&session, &ways)
        .await
        .map_err(|error| CqlError::Keyspace {
            keyspace: settings.keyspace.clone(),
            reason: error.to_string(),
        })?;
    Ok(Inner {
        session,
        statements,
        buckets: Buckets::of(tuning.bucket_events),
        gate: Gate::new(),
        rooms: RoomLocks::default(),
        reads: Reads::default(),
        counters: Counters::default(),
        within: Duration::from_millis(settings.request_timeout_ms),
    })
}

/// Connects once more, to a keyspace that is ready.
pub(super) async fn session_in(settings: &Cql) -> Result<Session, CqlError> {
    let session = session(settings, &Ways::new(settings)).await?;
    keyspace::enter(&session, &settings.keyspace)
        .await
        .map_err(|reason| CqlError::Keyspace {
            keyspace: settings.keyspace.clone(),
            reason,
        })?;
    Ok(session)
}

async fn session(settings: &Cql, ways: &Ways) -> Result<Session, CqlError> {
    let mut builder = SessionBuilder::new()
        .known_nodes(&settings.nodes)
        .default_execution_profile_handle(ways.plain())
        .connection_timeout(CONNECT_WITHIN)
        .pool_size(PoolSize::PerShard(POOL))
        .keepalive_interval(KEEPALIVE)
        .keepalive_timeout(KEEPALIVE)
        .schema_agreement_timeout(AGREE_WITHIN)
        .keyspaces_to_fetch([settings.keyspace.as_str()])
        // What one node writes is then in its own order, whichever servers took it.
        .timestamp_generator(Arc::new(MonotonicTimestampGenerator::new()));
    if let Some(datacenter) = &settings.datacenter {
        builder = builder.prefer_datacenter(datacenter.clone());
    }
    if let (Some(user), Some(file)) = (&settings.user, &settings.password_file) {
        let password = fs::read_to_string(file).map_err(|source| CqlError::Password {
            file: file.clone(),
            source,
        })?;
        builder = builder.user(user, password.trim_end_matches(['\r', '\n']));
    }
    let unreachable = |reason: String| CqlError::Unreachable {
        nodes: settings.nodes.join(", "),
        reason,
    };
    match timeout(SESSION_WITHIN, builder.build()).await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable(format!(
            "no answer within {} s",
            SESSION_WITHIN.as_secs()
        ))),
    }
}

/// Connections to each node, or to each of its shards: one takes thousands of requests at a time, and what waits for it is sent together.
const POOL: std::num::NonZeroUsize = std::num::NonZeroUsize::MIN;

fn check_datacenter(session: &Session, settings: &Cql) -> Result<(), CqlError> {
    let Some(wanted) = &settings.datacenter else {
        return Ok(());
    };
    let state = session.get_cluster_state();
    let mut there: Vec<&str> = state
        .get_nodes_info()
        .iter()
        .filter_map(|node| node.datacenter.as_deref())
        .collect();
    there.sort_unstable();
    there.dedup();
    if there.contains(&wanted.as_str()) {
        return Ok(());
    }
    Err(CqlError::Datacenter {
        datacenter: wanted.clone(),
        there: there.join(", "),
    })
}
