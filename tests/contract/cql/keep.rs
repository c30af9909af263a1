//! Retention: whole buckets go, oldest first, and whoever reads is told where the room begins now.

use std::sync::Arc;

use futures_util::future::join;
use parlor_cluster::CqlStore;
use parlor_schema::{
    Event, RoomId, Seq, Timestamp,
    port::{Append, Direction, ReadRange, StoreError, Timeline as _},
};
use scylla::client::session_builder::SessionBuilder;

use super::{common, fill, open};
use crate::make::{ALL, at, events, room};

/// Later than any event.
fn late() -> Timestamp {
    at(i64::MAX)
}

/// Reads all that is held of a room, and checks that it has no hole and ends at the head.
async fn held(store: &CqlStore, room: RoomId) -> Vec<Arc<Event>> {
    let read = store.read(room, ALL).await.unwrap();
    let head = store.head(room).await.unwrap();
    let begins = read.first().map_or(head.next(), |event| event.seq);
    for (event, place) in read.iter().zip(0..) {
        assert_eq!(event.seq, begins.plus(place));
    }
    assert_eq!(begins.plus(read.len() as u64), head.next());
    read
}

async fn seqs(store: &CqlStore, room: RoomId, range: ReadRange) -> Vec<u64> {
    let read = store.read(room, range).await.unwrap();
    read.iter().map(|event| event.seq.get()).collect()
}

/// Buckets of 32 that end at 40 and 80, and one that is open.
const LENGTHS: [u64; 5] = [20, 20, 20, 20, 5];

#[tokio::test]
async fn what_is_old_goes_by_whole_buckets_and_the_rest_is_read_and_written_on() {
    let settings = common();
    let (store, other) = (open(&settings).await, open(&settings).await);
    let id = room();
    let given = fill(&store, id, &LENGTHS).await;
    let forget = async |before, to| store.forget(id, before, Seq::new(to)).await.unwrap().get();
    let sent = |seq: usize| given[seq - 1].sent_at;

    assert_eq!(forget(late(), 39).await, 1, "the first bucket ends at 40");
    assert_eq!(forget(sent(40), 85).await, 1, "its last event is not older");
    assert_eq!(held(&store, id).await, given);
    assert_eq!(forget(sent(40).plus_millis(1), 85).await, 41);
    assert_eq!(held(&other, id).await, given[40..]);
    assert_eq!(forget(late(), 85).await, 81, "the open bucket stays");
    assert_eq!(forget(late(), 85).await, 81);

    for store in [&store, &other] {
        assert_eq!(store.first(id).await.unwrap(), Seq::new(81));
        assert_eq!(store.head(id).await.unwrap(), Seq::new(85));
        assert_eq!(store.seq_at(id, at(0)).await.unwrap(), Seq::new(81));
        assert_eq!(store.seq_at(id, sent(83)).await.unwrap(), Seq::new(83));
        assert_eq!(store.seq_at(id, late()).await.unwrap(), Seq::new(86));
        assert_eq!(held(store, id).await, given[80..]);
        let range = |from, to, direction| ReadRange {
            from: Seq::new(from),
            to: Seq::new(to),
            direction,
            limit: 3,
            ..ALL
        };
        let up = seqs(store, id, range(7, 999, Direction::Up)).await;
        assert_eq!(up, [81, 82, 83]);
        let down = seqs(store, id, range(1, 82, Direction::Down)).await;
        assert_eq!(down, [81, 82]);
        for direction in [Direction::Up, Direction::Down] {
            let gone = seqs(store, id, range(7, 80, direction)).await;
            assert!(gone.is_empty(), "{gone:?}");
        }
    }

    let more = events(86, 105);
    let answer = other.append(id, Seq::new(85), more.clone()).await;
    assert_eq!(answer.unwrap(), Append::Appended);
    let more = [&given[80..], &more].concat();
    assert_eq!(held(&store, id).await, more);
    let stale = other.append(id, Seq::new(40), events(41, 41)).await;
    let head = Seq::new(105);
    assert_eq!(stale.unwrap(), Append::Conflict { head });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_forget_at_once_leave_a_room_that_reads_from_one_place() {
    let settings = common();
    let stores = [open(&settings).await, open(&settings).await];
    let id = room();
    let given = fill(&stores[0], id, &[20; 30]).await;
    let head = Seq::new(600);
    let reader = stores[1].clone();
    let reading = tokio::spawn(async move {
        let mut first = Seq::FIRST;
        while first < Seq::new(581) {
            // Never a hole, and never more again.
            let begins = held(&reader, id).await[0].seq;
            assert!(begins >= first, "{begins} after {first}");
            first = begins;
        }
    });
    let half = given[299].sent_at;
    let (one, two) = join(
        stores[0].forget(id, late(), head),
        stores[1].forget(id, half, head),
    )
    .await;
    assert!(one.unwrap() >= two.unwrap());
    while stores[0].forget(id, late(), head).await.unwrap() < Seq::new(581) {}
    reading.await.unwrap();
    assert_eq!(held(&stores[1], id).await, given[580..]);
}

#[tokio::test]
async fn what_went_is_gone_and_without_the_mark_it_counts_as_lost() {
    let settings = common();
    let store = open(&settings).await;
    let id = room();
    fill(&store, id, &LENGTHS).await;
    store.forget(id, late(), Seq::new(85)).await.unwrap();
    let session = SessionBuilder::new()
        .known_nodes(&settings.nodes)
        .use_keyspace(&settings.keyspace, false)
        .build()
        .await
        .unwrap();
    // A tombstone of now covers a mark written at its position.
    let unmark = "DELETE FROM kept WHERE room_id = ?";
    session.query_unpaged(unmark, (id.uuid(),)).await.unwrap();
    let read = store.read(id, ALL).await;
    assert!(matches!(read, Err(StoreError::Damaged(_))), "{read:?}");
}
