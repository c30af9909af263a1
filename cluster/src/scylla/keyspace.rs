//! The keyspace and its tables: made, brought up to date, or found wanting.
//!
//! Each migration only makes what is not there, so that two stores may run the same one at once and one may die half way; there is no
//! lock. Changes of one cluster all go to the same node, because Cassandra's nodes do not see each other's changes at once.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use parlor_config::Cql;
use scylla::{
    client::session::Session,
    errors::{DbError, ExecutionError, RequestAttemptError},
    policies::load_balancing::{
        LoadBalancingPolicy, NodeIdentifier, SingleTargetLoadBalancingPolicy,
    },
    response::query_result::QueryResult,
    serialize::row::SerializeRow,
    statement::Statement,
};
use tokio::time::sleep;

use super::{
    CqlTuning,
    bucket::Buckets,
    error::{CqlError, Fault},
    row::{self, Outcome},
};

/// The numbered migrations, in order; one that was released is never changed.
const MIGRATIONS: [(i32, &str, &str); 4] = [
    (
        1,
        "timeline",
        include_str!("../../../schema/cql/0001-timeline.cql"),
    ),
    (
        2,
        "rooms",
        include_str!("../../../schema/cql/0002-rooms.cql"),
    ),
    (
        3,
        "users",
        include_str!("../../../schema/cql/0003-users.cql"),
    ),
    (4, "kept", include_str!("../../../schema/cql/0004-kept.cql")),
];

/// Lists the migrations that have run whole, in one partition: a read of more than one waits for a dead node until the others know.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS migrations \
     (schema_name text, number int, name text, applied_at timestamp, PRIMARY KEY (schema_name, number))";
/// The one partition of that table.
const SCHEMA: &str = "parlor";

/// How often, and how far apart, a keyspace is tried that is listed and cannot be used.
const ENTER_LOOKS: u32 = 20;
const ENTER_STEP: Duration = Duration::from_millis(100);

/// Uses the keyspace of the settings, and makes what is missing where the settings allow it.
pub(super) async fn make_ready(
    session: &Session,
    settings: &Cql,
    tuning: CqlTuning,
) -> Result<(), CqlError> {
    let keyspace = &settings.keyspace;
    let fault = |reason: String| CqlError::Keyspace {
        keyspace: keyspace.clone(),
        reason,
    };
    let outdated = |missing: &str| CqlError::Outdated {
        keyspace: keyspace.clone(),
        missing: missing.to_owned(),
    };
    let there = exists(session, settings)
        .await
        .map_err(|why| fault(said(&why)))?;
    if !there {
        if !settings.migrate {
            return Err(outdated("everything: there is no such keyspace"));
        }
        create(session, settings)
            .await
            .map_err(|why| fault(why.to_string()))?;
    }
    enter(session, keyspace).await.map_err(fault)?;
    let applied = match applied(session).await {
        // Nothing is changed where nothing is missing: that needs fewer rights, and fewer nodes.
        Err(Fault::Request(error)) if is_invalid(&error) && settings.migrate => {
            let made = change(session, TABLE).await;
            made.map_err(|why| fault(why.to_string()))?;
            BTreeSet::new()
        }
        Err(Fault::Request(error)) if is_invalid(&error) => return Err(outdated("its tables")),
        answer => answer.map_err(|why| fault(said(&why)))?,
    };
    if let Some(newest) = applied.last()
        && MIGRATIONS.iter().all(|(number, ..)| number != newest)
    {
        return Err(fault(format!(
            "made by a newer version (migration {newest})"
        )));
    }
    for (number, name, text) in MIGRATIONS {
        if applied.contains(&number) {
            continue;
        }
        if !settings.migrate {
            return Err(outdated(&format!("migration {number} ({name})")));
        }
        migrate(session, number, name, text)
            .await
            .map_err(|why| fault(format!("migration {number} ({name}): {why}")))?;
    }
    let made_with = bucket_events(session, Buckets::of(tuning.bucket_events))
        .await
        .map_err(|why| fault(said(&why)))?;
    if made_with != tuning.bucket_events {
        return Err(fault(format!(
            "made with buckets of {made_with} events, not {}",
            tuning.bucket_events
        )));
    }
    Ok(())
}

/// Uses the keyspace. One that another store makes just now is listed a moment before it can be used.
pub(super) async fn enter(session: &Session, keyspace: &str) -> Result<(), String> {
    let mut looks = 0;
    while let Err(error) = session.use_keyspace(keyspace, false).await {
        looks += 1;
        if looks == ENTER_LOOKS {
            return Err(error.to_string());
        }
        sleep(ENTER_STEP).await;
    }
    Ok(())
}

fn said(fault: &Fault) -> String {
    match fault {
        Fault::Request(error) => error.to_string(),
        Fault::Shape(text) => text.clone(),
    }
}

/// Tells whether the server understood a statement and refused it.
fn is_invalid(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(
            DbError::Invalid | DbError::SyntaxError | DbError::ConfigError,
            _
        ))
    )
}

async fn exists(session: &Session, settings: &Cql) -> Result<bool, Fault> {
    let text = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let found = ask(session, text, (settings.keyspace.as_str(),)).await?;
    Ok(found.into_rows_result()?.rows_num() > 0)
}

/// Makes the keyspace. ScyllaDB keeps new keyspaces in tablets, and before 2025.4 refuses conditional writes there; Cassandra, and
/// a ScyllaDB that insists on tablets, do not take the option.
async fn create(session: &Session, settings: &Cql) -> Result<(), ExecutionError> {
    let text = format!(
        "CREATE KEYSPACE IF NOT EXISTS {} WITH replication = \
         {{'class': 'NetworkTopologyStrategy', 'replication_factor': {}}}",
        settings.keyspace, settings.replication
    );
    let state = session.get_cluster_state();
    let has_shards = state
        .get_nodes_info()
        .iter()
        .any(|node| node.sharder().is_some());
    if has_shards {
        match change(
            session,
            &format!("{text} AND tablets = {{'enabled': false}}"),
        )
        .await
        {
            Err(error) if is_invalid(&error) => {}
            answer => return answer,
        }
    }
    change(session, &text).await
}

async fn migrate(
    session: &Session,
    number: i32,
    name: &str,
    text: &str,
) -> Result<(), ExecutionError> {
    for statement in statements(text) {
        change(session, &statement).await?;
    }
    let done = "INSERT INTO migrations (schema_name, number, name, applied_at) VALUES (?, ?, ?, toTimestamp(now()))";
    ask(session, done, (SCHEMA, number, name)).await.map(drop)
}

async fn applied(session: &Session) -> Result<BTreeSet<i32>, Fault> {
    let text = "SELECT number FROM migrations WHERE schema_name = ?";
    let found = ask(session, text, (SCHEMA,)).await?;
    let found = found.into_rows_result()?;
    let numbers = found.rows::<(i32,)>()?;
    let numbers = numbers.map(|row| row.map(|(number,)| number));
    Ok(numbers.collect::<Result<_, _>>()?)
}

/// Returns the size of buckets that the keyspace was made with: `wanted`, when it has none yet.
async fn bucket_events(session: &Session, wanted: Buckets) -> Result<u64, Fault> {
    let name = "bucket_events";
    let found = ask(
        session,
        "SELECT value FROM constants WHERE name = ?",
        (name,),
    )
    .await?;
    let found = found.into_rows_result()?;
    if let Some(row) = found.rows::<(i64,)>()?.next() {
        return row::seq(name, row?.0).map(|size| size.get());
    }
    let text = "INSERT INTO constants (name, value) VALUES (?, ?) IF NOT EXISTS";
    let put = ask(session, text, (name, row::bigint(wanted.size()))).await?;
    let outcome = Outcome::read(put)?;
    match outcome.is_applied {
        true => Ok(wanted.size()),
        false => outcome
            .seq("value")?
            .map(|size| size.get())
            .ok_or_else(|| Fault::Shape(format!("{name} is there and is not"))),
    }
}

async fn ask(
    session: &Session,
    text: &str,
    values: impl SerializeRow,
) -> Result<QueryResult, ExecutionError> {
    session.query_unpaged(text, values).await
}

/// Changes the keyspace or its tables, and waits until the nodes agree.
async fn change(session: &Session, text: &str) -> Result<(), ExecutionError> {
    let mut statement = Statement::new(text);
    statement.set_load_balancing_policy(one_node(session));
    statement.set_is_idempotent(true);
    session.query_unpaged(statement, ()).await.map(drop)
}

/// Picks the node that takes all changes: every store picks the same while the same nodes are up.
fn one_node(session: &Session) -> Option<Arc<dyn LoadBalancingPolicy>> {
    let state = session.get_cluster_state();
    let up = state
        .get_nodes_info()
        .iter()
        .filter(|node| node.is_connected());
    let first = up.min_by_key(|node| node.host_id)?;
    let target = NodeIdentifier::HostId(first.host_id);
    Some(SingleTargetLoadBalancingPolicy::new(target, None))
}

/// Splits a migration into its statements.
fn statements(text: &str) -> Vec<String> {
    let code: Vec<&str> = text
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect();
    code.join("\n")
        .split(';')
        .map(|statement| statement.trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_and_only_make_what_is_not_there() {
        for ((number, name, text), place) in MIGRATIONS.iter().zip(1..) {
            assert_eq!(*number, place, "{name}");
            let statements = statements(text);
            assert!(!statements.is_empty(), "{name}");
            for statement in statements {
                let begins = statement.starts_with("CREATE TABLE IF NOT EXISTS ");
                assert!(begins, "{name}: {statement}");
                assert!(!statement.contains("--"), "{statement}");
            }
        }
    }
}
