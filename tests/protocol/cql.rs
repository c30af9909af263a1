//! A node over a CQL store: it serves, it comes back on the same keyspace with another folder, and it is refused by name.

use parlor_config::{Settings, StorageBackend};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{cassandra, support::Server};

/// Settings of a node whose rooms and accounts are in `keyspace`.
pub(crate) fn over(keyspace: &str) -> impl Fn(&mut Settings) {
    let keyspace = keyspace.to_owned();
    move |settings| {
        settings.storage.backend = StorageBackend::Cql;
        settings.storage.cql.nodes = vec![cassandra::shared().to_owned()];
        settings.storage.cql.keyspace.clone_from(&keyspace);
        settings.storage.cql.request_timeout_ms = 10_000;
    }
}

#[tokio::test]
async fn rooms_and_accounts_are_in_the_store_and_not_in_the_folder() {
    let keyspace = format!("parlor_test_{}", Uuid::now_v7().simple());
    let server = Server::with(over(&keyspace));
    let (mut ana, mut ben) = (server.session("ana").await, server.session("ben").await);
    let room = ana.room(json!({ "members": ["ben"] })).await;
    ben.expect("room.created").await;
    for turn in 0..10 {
        ana.say(&room, &format!("a{turn}")).await;
        ben.say(&room, &format!("b{turn}")).await;
    }
    let receipt = json!({ "room_id": room, "seq": 21 });
    ben.ok("receipt.read", receipt).await;
    drop((ana, ben));
    server.drain();

    // Another folder: what was there is in the keyspace alone.
    let server = Server::with(over(&keyspace));
    let token = server.login("ben").await;
    let mut ben = server.hello(&token, json!({})).await;
    let page = ben.ok(
        "history.get",
        json!({ "room_id": room, "after": 0, "limit": 50 }),
    );
    let page = page.await;
    let events = page["events"].as_array().unwrap();
    let seqs: Vec<u64> = events
        .iter()
        .map(|event| event["payload"]["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, (1..=21).collect::<Vec<_>>());
    let said = |event: &Value| event["payload"]["body"]["text"].clone();
    assert_eq!(said(&events[20]), "b9");
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_stops_the_start_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.storage.path = folder.path().join("data");
    settings.storage.backend = StorageBackend::Cql;
    settings.storage.cql.nodes = vec!["127.0.0.1:1".to_owned()];
    settings.server.listen = "127.0.0.1:0".parse().unwrap();
    let Err(error) = parlor::wiring::start(settings).await else {
        panic!("a node without a store");
    };
    let said = error.to_string();
    assert!(said.starts_with("storage.cql.nodes: "), "{said}");
}
