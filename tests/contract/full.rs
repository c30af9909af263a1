//! A full disk refuses, keeps reading, and takes writes again without a restart; a full queue refuses at once.

use futures_util::{FutureExt as _, future::join_all};
use parlor_cluster::EmbeddedStore;
use parlor_schema::{
    RoomId, Seq,
    port::{Append, RoomDirectory as _, StoreError, Timeline as _},
};

use crate::{
    disk::{Full, SimDisk, Sync},
    make::{event, events, name, room, whole},
};

/// Appends until the store refuses; answers the head.
async fn append_until_refused(store: &EmbeddedStore, room: RoomId, mut head: u64) -> u64 {
    let text = "x".repeat(20_000);
    loop {
        match store
            .append(room, Seq::new(head), vec![event(head + 1, &text)])
            .await
        {
            Ok(Append::Appended) => head += 1,
            Err(StoreError::Unavailable(_)) => return head,
            other => panic!("a full disk answered {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_recovers() {
    for full in [Full::Growth, Full::FirstWrite] {
        let disk = SimDisk::new(1, Sync::Honest);
        let store = EmbeddedStore::open_with_backend("sim", disk.make()).unwrap();
        let room = room();
        let mut head = 0;
        for round in 0..3 {
            disk.fill(Some(full));
            head = append_until_refused(&store, room, head).await;
            for _ in 0..3 {
                let users = vec![name(&format!("u{round}"))];
                let written = store.index(room, users, Seq::new(round + 1)).await;
                let again = append_until_refused(&store, room, head).await;
                // Small writes may still fit into pages that are there.
                assert!(again >= head, "{full:?}: {written:?}");
                head = again;
                let stored = whole(&*store, room).await.unwrap();
                assert_eq!(stored.len() as u64, head, "{full:?}: refused but stored");
            }
            disk.fill(None);
            let more = store.append(room, Seq::new(head), events(head + 1, head + 3));
            assert_eq!(more.await.unwrap(), Append::Appended, "{full:?}");
            head += 3;
        }
        assert!(store.stats().failures > 0, "the disk was never full");
        store.close();
        drop(store);
        disk.restore();
        let store = EmbeddedStore::open_with_backend("sim", disk.make()).unwrap();
        assert_eq!(whole(&*store, room).await.unwrap().len() as u64, head);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_fails_is_never_called_appended_in_vain() {
    let disk = SimDisk::new(2, Sync::Honest);
    let store = EmbeddedStore::open_with_backend("sim", disk.make()).unwrap();
    let room = room();
    store.append(room, Seq::ZERO, events(1, 2)).await.unwrap();
    disk.fill(Some(Full::AtSync));
    let answer = store.append(room, Seq::new(2), events(3, 4)).await;
    disk.fill(None);
    assert!(!matches!(answer, Ok(Append::Conflict { .. })), "{answer:?}");
    store.close();
    drop(store);
    disk.restore();
    let store = EmbeddedStore::open_with_backend("sim", disk.make()).unwrap();
    let stored = whole(&*store, room).await.unwrap().len();
    match answer {
        Ok(Append::Appended) => assert_eq!(stored, 4),
        Err(StoreError::Unavailable(_)) => assert_eq!(stored, 2),
        _ => assert!(stored == 2 || stored == 4),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_at_once() {
    let disk = SimDisk::new(3, Sync::Honest);
    let store = EmbeddedStore::open_with_backend("sim", disk.make()).unwrap();
    let stall = disk.stall();
    let rooms: Vec<RoomId> = (0..6000).map(|_| room()).collect();
    let (mut waiting, mut refused) = (Vec::new(), Vec::new());
    for id in &rooms {
        let mut append = store.append(*id, Seq::ZERO, events(1, 1));
        // Unconstrained: tokio answers "pending" by itself after 128 polls.
        match tokio::task::coop::unconstrained(&mut append).now_or_never() {
            None => waiting.push((*id, append)),
            Some(Err(StoreError::Unavailable(_))) => refused.push(*id),
            Some(other) => panic!("answered {other:?} while the disk stands still"),
        }
    }
    assert!(!refused.is_empty(), "the queue has no bound");
    assert_eq!(store.stats().refused, refused.len() as u64);
    drop(stall);
    for (id, append) in waiting {
        assert_eq!(append.await.unwrap(), Append::Appended);
        assert_eq!(store.head(id).await.unwrap(), Seq::FIRST);
    }
    for id in refused {
        assert_eq!(store.head(id).await.unwrap(), Seq::ZERO);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_wait_are_bounded_too() {
    let disk = SimDisk::new(4, Sync::Honest);
    let store = EmbeddedStore::open_with_backend("sim", disk.make()).unwrap();
    let stall = disk.stall();
    let text = "x".repeat(4 << 20);
    let appends: Vec<_> = (0..40)
        .map(|_| store.append(room(), Seq::ZERO, vec![event(1, &text)]))
        .collect();
    drop(stall);
    let answers = join_all(appends).await;
    let refused = answers
        .iter()
        .filter(|answer| matches!(answer, Err(StoreError::Unavailable(_))));
    assert!(refused.count() > 0, "160 MB waited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_shares_a_commit_in_order() {
    let disk = SimDisk::new(5, Sync::Honest);
    let store = EmbeddedStore::open_with_backend("sim", disk.make()).unwrap();
    let (room, user) = (room(), name("ana"));
    let stall = disk.stall();
    let before = store.stats();
    let mut appends = Vec::new();
    for head in 0..200 {
        appends.push(store.append(room, Seq::new(head), events(head + 1, head + 1)));
        // The same head again: whoever was queued first has it.
        appends.push(store.append(room, Seq::new(head), events(head + 1, head + 1)));
    }
    let indexed = store.index(room, vec![user.clone()], Seq::FIRST);
    drop(stall);
    for (answer, place) in join_all(appends).await.into_iter().zip(0..) {
        let wanted = match place % 2 {
            0 => Append::Appended,
            _ => Append::Conflict {
                head: Seq::new(place / 2 + 1),
            },
        };
        assert_eq!(answer.unwrap(), wanted);
    }
    indexed.await.unwrap();
    let after = store.stats();
    assert_eq!(after.jobs - before.jobs, 401);
    assert!(after.commits - before.commits <= 3, "{after:?}");
    assert_eq!(whole(&*store, room).await.unwrap().len(), 200);
}
