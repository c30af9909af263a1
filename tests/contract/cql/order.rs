//! One order per room: writers and readers on several nodes, buckets crossed, reads that overlap.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::join_all;
use parlor_cluster::CqlStore;
use parlor_schema::{
    Event, RoomId, Seq,
    port::{Append, Direction, ReadRange, Timeline as _},
};

use super::{common, fill, open};
use crate::make::{ALL, Dice, at, events, room, whole};

/// Appends `turns` batches against whoever else does, as a writer must: after a conflict or an unknown outcome it reads the tail.
async fn write(store: &CqlStore, room: RoomId, seed: u64, turns: u32) -> Vec<Arc<Event>> {
    let (mut dice, mut head, mut mine) = (Dice(seed), Seq::ZERO, Vec::new());
    for _ in 0..turns {
        loop {
            let given = events(head.get() + 1, head.get() + 1 + dice.below(9));
            let last = given.last().unwrap().seq;
            match store.append(room, head, given.clone()).await.unwrap() {
                Append::Appended => {
                    head = last;
                    mine.extend(given);
                    break;
                }
                Append::Conflict { head: there } => {
                    assert_ne!(there, head, "a conflict with the right head");
                    head = there;
                }
                Append::Unknown => {
                    head = store.head(room).await.unwrap();
                    let tail = ReadRange {
                        from: given[0].seq,
                        to: head,
                        ..ALL
                    };
                    let tail = store.read(room, tail).await.unwrap();
                    if tail.iter().any(|event| event.id == given[0].id) {
                        mine.extend(given);
                        break;
                    }
                }
            }
        }
    }
    mine
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_race_append_each_position_once() {
    let settings = common();
    let stores = [open(&settings).await, open(&settings).await];
    let id = room();
    let writers = (0..2).map(|place| {
        let store = Arc::clone(&stores[place]);
        tokio::spawn(async move { write(&store, id, place as u64, 40).await })
    });
    let mut given: Vec<Arc<Event>> = Vec::new();
    for writer in join_all(writers).await {
        given.extend(writer.unwrap());
    }
    given.sort_by_key(|event| event.seq);
    for store in &stores {
        assert_eq!(whole(&**store, id).await.unwrap(), given);
    }
    let stats = stores.map(|store| store.stats());
    let conflicts: u64 = stats.iter().map(|stats| stats.conflicts).sum();
    assert!(conflicts > 0, "they never met: {stats:?}");
    assert!(stats.iter().all(|stats| stats.appends > 0), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_elsewhere_sees_no_hole_and_never_less_than_before() {
    let settings = common();
    let (writer, reader) = (open(&settings).await, open(&settings).await);
    let (id, done) = (room(), Arc::new(AtomicBool::new(false)));
    let (ends, reads) = (Arc::clone(&done), Arc::clone(&reader));
    let reading = tokio::spawn(async move {
        let (mut seen, mut rounds) = (0, 0_u32);
        while !ends.load(Ordering::SeqCst) {
            let read = reads.read(id, ALL).await.unwrap();
            for (event, seq) in read.iter().zip(1..) {
                assert_eq!(event.seq, Seq::new(seq), "a hole");
            }
            assert!(read.len() >= seen, "{} after {seen}", read.len());
            seen = read.len();
            let down = ReadRange {
                direction: Direction::Down,
                limit: 5,
                ..ALL
            };
            let tail = reads.read(id, down).await.unwrap();
            let last = tail.last().map_or(0, |event| event.seq.get());
            assert!(
                last >= seen as u64,
                "the tail ends at {last}, before {seen}"
            );
            rounds += 1;
        }
        rounds
    });
    write(&writer, id, 7, 60).await;
    done.store(true, Ordering::SeqCst);
    assert!(reading.await.unwrap() > 5);
}

#[tokio::test]
async fn reads_of_many_buckets_are_what_a_list_would_give() {
    let store = open(&common()).await;
    let id = room();
    // Batches that end at, before and behind the ends of buckets, and one as long as a bucket.
    let given = fill(
        &store,
        id,
        &[31, 1, 32, 1, 31, 5, 32, 32, 30, 9, 1, 20, 32, 3],
    )
    .await;
    let head = given.len() as u64;
    assert_eq!(store.head(id).await.unwrap(), Seq::new(head));
    let mut dice = Dice(11);
    for _ in 0..300 {
        let (from, to) = (dice.below(head + 9), dice.below(head + 40));
        let limit = usize::try_from(dice.below(80)).unwrap();
        let within = given
            .iter()
            .filter(|event| (from..=to).contains(&event.seq.get()));
        let (direction, wanted): (_, Vec<&Arc<Event>>) = if dice.below(2) == 0 {
            (Direction::Up, within.take(limit).collect())
        } else {
            let mut last: Vec<&Arc<Event>> = within.rev().take(limit).collect();
            last.reverse();
            (Direction::Down, last)
        };
        let range = ReadRange {
            from: Seq::new(from),
            to: Seq::new(to),
            direction,
            limit,
            bytes: usize::MAX,
        };
        let read = store.read(id, range).await.unwrap();
        let read: Vec<_> = read.iter().collect();
        assert_eq!(read, wanted, "{range:?}");
    }
    for seq in [1, 31, 32, 33, 64, 65, head] {
        let sent = given[usize::try_from(seq).unwrap() - 1].sent_at;
        assert_eq!(store.seq_at(id, sent).await.unwrap(), Seq::new(seq));
    }
    assert_eq!(
        store.seq_at(id, at(i64::MAX)).await.unwrap().get(),
        head + 1
    );
    assert_eq!(store.stats().holes, 0, "{:?}", store.stats());
}

#[tokio::test]
async fn heads_that_lie_are_conflicts_in_every_bucket() {
    let store = open(&common()).await;
    let id = room();
    let given = fill(&store, id, &[30, 9, 20, 32, 6]).await;
    let head = given.len() as u64;
    for wrong in (0..head).chain(head + 1..2 * head) {
        let answer = store.append(id, Seq::new(wrong), events(wrong + 1, wrong + 2));
        let wanted = Append::Conflict {
            head: Seq::new(head),
        };
        assert_eq!(answer.await.unwrap(), wanted, "with head {wrong}");
    }
    assert_eq!(whole(&*store, id).await.unwrap(), given);
    let long = store
        .append(id, Seq::new(head), events(head + 1, head + 33))
        .await;
    assert!(long.is_err(), "{long:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_reads_at_one_time_are_one_and_miss_nothing() {
    let store = open(&common()).await;
    let id = room();
    let mut given = fill(&store, id, &[20, 20]).await;
    for round in 0..20 {
        let read = (0..32).map(|_| store.read(id, ALL));
        let early = join_all(read);
        let next = events(given.len() as u64 + 1, given.len() as u64 + 1);
        let append = store.append(id, Seq::new(given.len() as u64), next.clone());
        let (early, answer) = tokio::join!(early, append);
        assert_eq!(answer.unwrap(), Append::Appended);
        for read in early {
            let read = read.unwrap().len();
            assert!(read == given.len() || read == given.len() + 1, "{round}");
        }
        given.extend(next);
        // Begun after the append was answered, beside others that began before.
        let late = join_all((0..8).map(|_| store.read(id, ALL))).await;
        for read in late {
            assert_eq!(read.unwrap().len(), given.len(), "{round}");
        }
    }
    let stats = store.stats();
    assert!(stats.coalesced > 100, "{stats:?}");
    let ids: HashSet<_> = given.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), given.len());
}
