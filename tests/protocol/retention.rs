//! Resuming over what retention removed.

use parlor_cluster::EmbeddedStore;
use parlor_schema::{
    EventKind, RoomId, Seq,
    port::{Append, Timeline},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    past,
    support::{Client, Server},
};

/// Kept for one minute; the first three events are older.
const RETENTION_MS: u64 = 60_000;

/// Starts a node whose store holds a room of ana's with six events, the first three of them expired.
async fn seeded() -> (Server, String) {
    let folder = tempfile::tempdir().unwrap();
    let room = RoomId::new(Uuid::now_v7());
    let now = past::now();
    let event = |seq: u64, age_ms: u64, kind: EventKind, content: Value| {
        past::event(seq, now.minus_millis(age_ms), kind, &content)
    };
    let created = json!({ "kind": "group", "public": false, "retention_ms": RETENTION_MS, "members": ["ana"] });
    let mut events = vec![event(1, 300_000, EventKind::RoomCreated, created)];
    for (seq, age_ms) in [(2, 200_000), (3, 100_000), (4, 2_000), (5, 1_000), (6, 0)] {
        let said = json!({ "body": { "text": seq.to_string() } });
        events.push(event(seq, age_ms, EventKind::Message, said));
    }
    let store = EmbeddedStore::open(&folder.path().join("data")).unwrap();
    let appended = store.append(room, Seq::ZERO, events).await.unwrap();
    assert_eq!(appended, Append::Appended);
    drop(store);
    (Server::in_folder(folder, |_| {}), room.to_string())
}

async fn resumed(server: &Server, token: &str, room: &str, seq: u64) -> Vec<Value> {
    let resume = json!({ "rooms": { room: seq } });
    let mut client: Client = server.hello(token, json!({ "resume": resume })).await;
    client.rest().await
}

fn gap(room: &str, from: u64) -> Value {
    json!({ "type": "gap", "payload": { "room_id": room, "from": from, "to": 3, "head": 6 } })
}

fn seqs(frames: &[Value]) -> Vec<u64> {
    frames
        .iter()
        .map(|frame| frame["payload"]["seq"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn what_retention_removed_is_a_gap() {
    let (server, room) = seeded().await;
    let token = server.register("ana").await;
    let frames = resumed(&server, &token, &room, 1).await;
    assert_eq!(frames[0], gap(&room, 2));
    assert_eq!(seqs(&frames[1..]), [4, 5, 6, 6]);
    assert_eq!(frames[4]["type"], "live");
}

#[tokio::test]
async fn what_is_kept_comes_without_a_gap() {
    let (server, room) = seeded().await;
    let token = server.register("ana").await;
    for (from, expected) in [(3, vec![4, 5, 6, 6]), (5, vec![6, 6]), (6, vec![6])] {
        let frames = resumed(&server, &token, &room, from).await;
        assert!(frames.iter().all(|frame| frame["type"] != "gap"));
        assert_eq!(seqs(&frames), expected, "from {from}");
    }
}

#[tokio::test]
async fn position_zero_starts_at_the_first_kept_event() {
    let (server, room) = seeded().await;
    let token = server.register("ana").await;
    let frames = resumed(&server, &token, &room, 0).await;
    let events: Vec<Value> = frames
        .into_iter()
        .filter(|frame| frame["type"] != "gap")
        .collect();
    assert_eq!(seqs(&events), [4, 5, 6, 6]);
}

#[tokio::test]
async fn history_says_what_is_kept() {
    let (server, room) = seeded().await;
    let token = server.register("ana").await;
    let mut ana = server.hello(&token, json!({})).await;
    let history = ana.ok("history.get", json!({ "room_id": room })).await;
    assert_eq!(seqs_of(&history), [4, 5, 6]);
    assert_eq!(
        (&history["first"], &history["head"], &history["complete"]),
        (&json!(4), &json!(6), &json!(true))
    );
}

fn seqs_of(history: &Value) -> Vec<u64> {
    seqs(history["events"].as_array().unwrap())
}
