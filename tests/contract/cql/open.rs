//! Opening: migrations, and errors that name the setting.

use futures_util::future::join_all;
use parlor_cluster::{CqlStore, CqlTuning};
use parlor_config::{Cql, SerialScope};
use parlor_schema::{
    Seq,
    port::{Append, StoreError, Timeline as _},
};
use scylla::client::session_builder::SessionBuilder;

use super::{SMALL, fill, open, refusal, settings, shared};
use crate::{
    cassandra,
    make::{events, room, whole},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_migrate_at_once_and_again_agree() {
    let settings = shared();
    let stores = join_all((0..3).map(|_| open(&settings))).await;
    let id = room();
    let given = fill(&stores[0], id, &[3, 30]).await;
    for store in &stores {
        assert_eq!(whole(&**store, id).await.unwrap(), given);
    }
    let kept = Cql {
        migrate: false,
        ..settings.clone()
    };
    for settings in [&settings, &kept] {
        let again = open(settings).await;
        assert_eq!(whole(&*again, id).await.unwrap(), given);
    }
    let other = CqlTuning { bucket_events: 33 };
    let said = refusal(CqlStore::open_with(&settings, other).await);
    assert!(said.starts_with("storage.cql.keyspace: "), "{said}");
    assert!(said.contains("buckets of 32 events"), "{said}");
}

#[tokio::test]
async fn a_keyspace_that_may_not_be_made_or_is_too_new_is_refused_by_name() {
    let mut settings = shared();
    settings.migrate = false;
    let said = refusal(CqlStore::open_with(&settings, SMALL).await);
    assert!(said.starts_with("storage.cql.migrate is off"), "{said}");
    assert!(said.contains(&settings.keyspace), "{said}");

    let nodes = [cassandra::shared()];
    let session = SessionBuilder::new()
        .known_nodes(nodes)
        .build()
        .await
        .unwrap();
    let make = format!(
        "CREATE KEYSPACE {} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}",
        settings.keyspace
    );
    session.query_unpaged(make, ()).await.unwrap();
    let said = refusal(CqlStore::open_with(&settings, SMALL).await);
    assert!(said.starts_with("storage.cql.migrate is off"), "{said}");

    settings.migrate = true;
    drop(open(&settings).await);
    let newer = format!(
        "INSERT INTO {}.migrations (schema_name, number, name) VALUES ('parlor', 999, 'x')",
        settings.keyspace
    );
    session.query_unpaged(newer, ()).await.unwrap();
    let said = refusal(CqlStore::open_with(&settings, SMALL).await);
    assert!(said.starts_with("storage.cql.keyspace: "), "{said}");
    assert!(said.contains("newer version"), "{said}");
}

#[tokio::test]
async fn what_cannot_be_reached_or_is_not_there_is_named() {
    // A port that nobody listens on, for it was just given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = port.local_addr().unwrap().to_string();
    drop(port);
    let said = refusal(CqlStore::open(&settings(vec![nowhere.clone()])).await);
    assert!(said.starts_with("storage.cql.nodes: "), "{said}");
    assert!(said.contains(&nowhere), "{said}");

    // Somebody who takes the connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let said = refusal(CqlStore::open(&settings(vec![address])).await);
    assert!(said.starts_with("storage.cql.nodes: "), "{said}");

    let mut wrong = shared();
    wrong.datacenter = Some("moon".to_owned());
    let said = refusal(CqlStore::open(&wrong).await);
    assert!(said.starts_with("storage.cql.datacenter: "), "{said}");
    assert!(said.contains("moon"), "{said}");

    let mut locked = shared();
    locked.user = Some("ana".to_owned());
    locked.password_file = Some("/nowhere/password".into());
    let said = refusal(CqlStore::open(&locked).await);
    assert!(said.starts_with("storage.cql.password_file: "), "{said}");
}

#[tokio::test]
async fn one_datacenter_may_decide() {
    let mut settings = shared();
    let session = SessionBuilder::new()
        .known_nodes(&settings.nodes)
        .build()
        .await
        .unwrap();
    let state = session.get_cluster_state();
    settings.datacenter = state.get_nodes_info()[0].datacenter.clone();
    settings.serial = SerialScope::Local;
    let store = open(&settings).await;
    let id = room();
    let given = fill(&store, id, &[2, 31]).await;
    assert_eq!(whole(&*store, id).await.unwrap(), given);
}

#[tokio::test]
async fn closing_finishes_what_was_begun() {
    let settings = shared();
    let store = open(&settings).await;
    let id = room();
    // Nothing is awaited, and the first is even dropped.
    drop(store.append(id, Seq::ZERO, events(1, 2)));
    let other = room();
    let second = store.append(other, Seq::ZERO, events(1, 3));
    let closing = std::sync::Arc::clone(&store);
    tokio::task::spawn_blocking(move || closing.close())
        .await
        .unwrap();
    assert_eq!(second.await.unwrap(), Append::Appended);
    let late = store.append(id, Seq::new(2), events(3, 3)).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
    drop(store);
    let again = open(&settings).await;
    assert_eq!(again.head(id).await.unwrap(), Seq::new(2));
    assert_eq!(again.head(other).await.unwrap(), Seq::new(3));
}
