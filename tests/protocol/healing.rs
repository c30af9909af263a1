//! A projection that a crash left behind its timeline is healed, and stays healed.

use parlor_actors::room::members::Members;
use parlor_cluster::EmbeddedStore;
use parlor_schema::{
    EventKind, RoomId, Seq, Timestamp,
    port::{RoomDirectory, Timeline},
};
use serde_json::json;
use uuid::Uuid;

use crate::{past, support::Server};

/// Makes a folder as a crash leaves it between the append of ben's removal and its step of the projection.
async fn crashed() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let room = RoomId::new(Uuid::now_v7());
    let sent_at = Timestamp::from_millis(1_700_000_000_000);
    let created = json!({ "kind": "group", "public": false, "members": ["ana", "ben"] });
    let created = past::event(1, sent_at, EventKind::RoomCreated, &created);
    let removed = json!({ "user_id": "ben" });
    let removed = past::event(2, sent_at, EventKind::MemberRemoved, &removed);
    let store = EmbeddedStore::open(&folder.path().join("data")).unwrap();
    let delta = Members::default().apply(&created).unwrap();
    store
        .index(
            room,
            vec!["ana".parse().unwrap(), "ben".parse().unwrap()],
            Seq::FIRST,
        )
        .await
        .unwrap();
    store
        .append(room, Seq::ZERO, vec![created, removed])
        .await
        .unwrap();
    store.apply(room, delta).await.unwrap();
    store.close();
    (folder, room.to_string())
}

#[tokio::test]
async fn a_removal_survives_every_later_start() {
    let (folder, room) = crashed().await;
    let server = Server::in_folder(folder, |_| {});
    let mut ana = server.session("ana").await;
    let (ben, _) = (server.register("ben").await, server.register("eva").await);
    // A later step of the projection, which must not jump over the one that is missing.
    ana.ok(
        "room.invite",
        json!({ "room_id": room, "user_ids": ["eva"] }),
    )
    .await;
    drop(ana);
    let server = server.restart();
    let mut ben = server.hello(&ben, json!({})).await;
    assert_eq!(ben.welcome["rooms"], json!([]));
    assert_eq!(
        ben.code("room.get", json!({ "room_id": room })).await,
        "not_found"
    );
    let ana = server.login("ana").await;
    let mut ana = server.hello(&ana, json!({})).await;
    let members = ana.ok("room.members", json!({ "room_id": room })).await;
    let names: Vec<&str> = members["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["user_id"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["ana", "eva"]);
}
