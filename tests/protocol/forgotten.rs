//! What retention took out of a CQL store: a node removes whole buckets some seconds after the room starts, and from then on the room begins
//! behind them, also when the retention is lifted.

mod reader;

use std::time::Duration;

use parlor_cluster::CqlStore;
use parlor_config::Settings;
use parlor_schema::{
    EventKind, RoomId, Seq,
    port::{Append, Timeline as _},
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::{cql, past, support::Server};

/// The events of the first bucket, which ends with an append that runs over its 8192.
const OLD: u64 = 8193;
/// Events of an append.
const AT_ONCE: u64 = 128;
/// What is kept, and for how long a repeat is known.
const KEPT_MS: u64 = 60_000;
/// Longer than that, and than a clock may be wrong.
const OLD_MS: u64 = 3 * 3_600_000;
/// A room removes what is old 5 s after its start.
const WITHIN: Duration = Duration::from_secs(60);

fn over(keyspace: &str) -> impl Fn(&mut Settings) {
    let over = cql::over(keyspace);
    move |settings| {
        over(settings);
        settings.dedupe.window_ms = KEPT_MS;
    }
}

/// Makes a room of ana's: a bucket of old messages, and one of now.
async fn fill(keyspace: &str, room: RoomId) {
    let mut settings = Settings::default();
    over(keyspace)(&mut settings);
    let store = CqlStore::open(&settings.storage.cql).await.unwrap();
    let now = past::now();
    let event = |seq: u64, kind: EventKind, content: Value| {
        let age_ms = if seq <= OLD { OLD_MS } else { 0 };
        past::event(seq, now.minus_millis(age_ms), kind, &content)
    };
    let created =
        json!({ "kind": "group", "public": false, "retention_ms": KEPT_MS, "members": ["ana"] });
    let mut events = vec![event(1, EventKind::RoomCreated, created)];
    let mut head = 0;
    while head < OLD + 1 {
        let next = head + events.len() as u64;
        let appended = store.append(room, Seq::new(head), std::mem::take(&mut events));
        assert_eq!(appended.await.unwrap(), Append::Appended);
        head = next;
        events = (head + 1..=(head + AT_ONCE).min(OLD + 1))
            .take_while(|seq| *seq <= OLD || head == OLD)
            .map(|seq| event(seq, EventKind::Message, json!({ "body": { "text": "x" } })))
            .collect();
    }
}

/// Tells whether a line of the metrics is this one.
async fn says(server: &Server, wanted: &str) -> bool {
    let metrics = server.http("GET", "/metrics", &[], None).await.text;
    metrics.lines().any(|line| line == wanted)
}

fn seqs(frames: &[Value]) -> Vec<u64> {
    let seq = |frame: &Value| frame["payload"]["seq"].as_u64();
    frames.iter().filter_map(seq).collect()
}

#[tokio::test]
async fn a_bucket_of_old_messages_goes_and_the_room_begins_behind_it() {
    let keyspace = format!("parlor_test_{}", Uuid::now_v7().simple());
    let room = RoomId::new(Uuid::now_v7());
    fill(&keyspace, room).await;
    let server = Server::with(over(&keyspace));
    let token = server.register("ana").await;
    let resume = |seq: u64| json!({ "resume": { "rooms": { room.to_string(): seq } } });

    let mut ana = server.hello(&token, resume(OLD)).await;
    // What is appended moves the stored projection, and only what that has seen may go.
    assert_eq!(ana.say(&room.to_string(), "here").await["seq"], OLD + 2);
    let gone = async {
        while !says(&server, "parlor_cql_forgotten_total 1").await {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(WITHIN, gone).await.expect("the bucket goes");

    // Kept for ever from now on: what went does not come back.
    let lifted = json!({ "room_id": room, "retention_ms": null });
    assert_eq!(ana.ok("room.update", lifted).await["seq"], OLD + 3);
    // By then the room's thread has a session of its own.
    let local = async {
        while says(&server, "parlor_cql_local_appends_total 0").await {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(WITHIN, local).await.expect("appends stay there");
    let kept: Vec<u64> = (OLD + 1..=OLD + 3).collect();
    for ask in [
        json!({ "room_id": room, "after": 0 }),
        json!({ "room_id": room }),
    ] {
        let history = ana.ok("history.get", ask).await;
        assert_eq!(seqs(history["events"].as_array().unwrap()), kept);
        assert_eq!(
            (&history["first"], &history["complete"]),
            (&json!(OLD + 1), &json!(true))
        );
    }
    let mut late = server.hello(&token, resume(5)).await;
    let frames = late.rest().await;
    let gap = json!({ "room_id": room, "from": 6, "to": OLD, "head": OLD + 3 });
    assert_eq!(frames[0], json!({ "type": "gap", "payload": gap }));
    assert_eq!(seqs(&frames[1..4]), kept);
}
