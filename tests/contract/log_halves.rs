//! The two halves of the log: commits go on in one while the database takes the other, readers see through both, and whatever fails
//! meanwhile loses nothing.

use std::{sync::Arc, time::Duration};

use parlor_cluster::{EmbeddedStore, OpenError};
use parlor_schema::{
    Event, EventId, MsgId, RoomId, Seq,
    port::{
        Append, Direction, PortFuture, ReadRange, RoomDirectory as _, StoreError, Timeline as _,
    },
};

use crate::{
    disk::{Full, SimDisk, Sync},
    make::{ALL, event, name, room, whole},
};

const LOG: usize = 64 << 10;
pub(crate) const SECTOR: usize = 512;
const HALF_BYTES: usize = 63 * SECTOR;
/// Events of [`TEXT`] bytes that a half takes, each a group of 19 sectors.
pub(crate) const HALF: u64 = 3;
const TEXT: usize = 9000;
/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(10);

pub(crate) struct Disks {
    pub(crate) database: SimDisk,
    pub(crate) log: SimDisk,
}

impl Disks {
    pub(crate) fn new(seed: u64) -> Self {
        let disk = |seed| SimDisk::new(seed, Sync::Honest);
        Self {
            database: disk(seed),
            log: disk(seed + 1),
        }
    }

    pub(crate) fn open(&self) -> Result<Arc<EmbeddedStore>, OpenError> {
        EmbeddedStore::open_with_backends("sim", self.database.make(), self.log.make(), LOG)
    }

    /// What a process leaves that is killed now.
    pub(crate) fn killed(&self) -> Self {
        Self {
            database: self.database.killed(),
            log: self.log.killed(),
        }
    }

    /// What a machine leaves that loses its power now.
    pub(crate) fn cut(&self) -> Self {
        let left = self.killed();
        left.database.restore();
        left.log.restore();
        left
    }
}

/// Events `from` to `to`, the same in each call.
pub(crate) fn made(from: u64, to: u64) -> Vec<Arc<Event>> {
    let made = |seq: u64| Event {
        id: EventId::from(u128::from(seq).to_be_bytes()),
        msg_id: MsgId::from(u128::from(seq).to_be_bytes()),
        fingerprint: seq.into(),
        ..Arc::unwrap_or_clone(event(seq, &"x".repeat(TEXT)))
    };
    (from..=to).map(made).map(Arc::new).collect()
}

fn append<'a>(
    store: &'a EmbeddedStore,
    id: RoomId,
    one: &Arc<Event>,
) -> PortFuture<'a, Result<Append, StoreError>> {
    store.append(id, one.seq.prev(), vec![one.clone()])
}

pub(crate) async fn appended(store: &EmbeddedStore, id: RoomId, given: &[Arc<Event>]) {
    for one in given {
        let answer = tokio::time::timeout(LONG, append(store, id, one)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{} waits for the database", one.seq.get()));
        assert_eq!(answer.unwrap(), Append::Appended);
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: impl Fn() -> bool) {
    for _ in 0..5000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it is never so");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_go_on_while_the_database_takes_a_half() {
    let disks = Disks::new(1);
    let store = disks.open().unwrap();
    let id = room();
    let given = made(1, 2 * HALF + 1);
    let (there, last) = given.split_at(given.len() - 1);
    let stall = disks.database.stall();
    appended(&store, id, there).await;
    assert_eq!(whole(&*store, id).await.unwrap(), there);
    assert_eq!(store.stats().folds, 0, "the database has taken nothing");

    // Neither half has room for another.
    let waiting = append(&store, id, &last[0]);
    until(|| store.stats().queued == 0).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(whole(&*store, id).await.unwrap(), there);
    for left in [disks.killed(), disks.cut()] {
        let store = left.open().unwrap();
        assert_eq!(whole(&*store, id).await.unwrap(), there, "V-4");
    }
    drop(stall);
    assert_eq!(waiting.await.unwrap(), Append::Appended);
    let stats = store.stats();
    assert!(stats.fold_wait_us > 30_000, "nothing waited: {stats:?}");
    assert_eq!(whole(&*store, id).await.unwrap(), given);
    for left in [disks.killed(), disks.cut()] {
        let store = left.open().unwrap();
        assert_eq!(whole(&*store, id).await.unwrap(), given);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_larger_than_a_half_waits_for_the_database_too() {
    let disks = Disks::new(3);
    let store = disks.open().unwrap();
    let id = room();
    let mut given = made(1, HALF + 1);
    given.push(event(HALF + 2, &"x".repeat(LOG)));
    let (there, large) = given.split_at(given.len() - 1);
    let stall = disks.database.stall();
    appended(&store, id, there).await;
    let waiting = append(&store, id, &large[0]);
    until(|| store.stats().queued == 0).await;
    assert_eq!(whole(&*store, id).await.unwrap(), there);
    drop(stall);
    assert_eq!(waiting.await.unwrap(), Append::Appended);
    assert_eq!(store.stats().folds, 2, "the half, and all with itself");
    for left in [disks.killed(), disks.cut()] {
        let store = left.open().unwrap();
        assert_eq!(whole(&*store, id).await.unwrap(), given);
    }
}

/// Asserts what a reader sees of [`readers_see_through_both_halves`].
async fn check(store: &EmbeddedStore, id: RoomId, given: &[Arc<Event>], members: &[(&str, bool)]) {
    let last = given.len() as u64;
    assert_eq!(store.head(id).await.unwrap(), Seq::new(last));
    for (from, to) in (1..=last).flat_map(|from| (from..=last).map(move |to| (from, to))) {
        for (direction, limit) in [
            (Direction::Up, 9),
            (Direction::Down, 9),
            (Direction::Up, 2),
            (Direction::Down, 2),
        ] {
            let range = ReadRange {
                from: Seq::new(from),
                to: Seq::new(to),
                direction,
                limit,
                ..ALL
            };
            let read = store.read(id, range).await.unwrap();
            let read: Vec<u64> = read.iter().map(|event| event.seq.get()).collect();
            let count = (to - from + 1).min(limit as u64);
            let wanted: Vec<u64> = match direction {
                Direction::Up => (from..from + count).collect(),
                Direction::Down => (to + 1 - count..=to).collect(),
            };
            assert_eq!(read, wanted, "{range:?}");
        }
    }
    assert_eq!(whole(store, id).await.unwrap(), given);
    for (user, there) in members {
        let rooms = store.rooms_of(&name(user), None, 9).await.unwrap().rooms;
        assert_eq!(!rooms.is_empty(), *there, "{user}");
    }
}

/// Has users come into a room, or go.
async fn moved(store: &EmbeddedStore, id: RoomId, at: u64, moves: &[(&str, bool)]) {
    for (user, comes) in moves {
        let users = vec![name(user)];
        match comes {
            true => store.index(id, users, Seq::new(at)).await.unwrap(),
            false => store.unindex(id, users, Seq::new(at)).await.unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_through_both_halves() {
    let disks = Disks::new(5);
    let id = room();
    let store = disks.open().unwrap();
    // What the database holds.
    moved(
        &store,
        id,
        1,
        &[("ana", true), ("bob", true), ("cleo", false)],
    )
    .await;
    appended(&store, id, &made(1, 2)).await;
    store.close();
    drop(store);

    let store = disks.open().unwrap();
    let stall = disks.database.stall();
    // What the full half holds.
    moved(
        &store,
        id,
        2,
        &[("ana", false), ("bob", false), ("dan", true)],
    )
    .await;
    moved(&store, id, 2, &[("eve", true)]).await;
    let mut sent = 2;
    // It is full only when a group goes into the other.
    while !disks.log.image()[SECTOR + HALF_BYTES..].starts_with(b"plg1") {
        sent += 1;
        appended(&store, id, &made(sent, sent)).await;
    }
    until(|| disks.database.unsynced()).await;
    // And the other: rows of the older layer and of the database are removed, and written again.
    moved(
        &store,
        id,
        3,
        &[("dan", false), ("bob", true), ("fay", true)],
    )
    .await;
    let given = made(1, sent);
    let members = [
        ("ana", false),
        ("bob", true),
        ("cleo", false),
        ("dan", false),
        ("eve", true),
        ("fay", true),
    ];
    assert_eq!(store.stats().folds, 0, "the fold was to run");
    check(&store, id, &given, &members).await;
    drop(stall);
    until(|| store.stats().folds == 1).await;
    check(&store, id, &given, &members).await;
    check(&disks.cut().open().unwrap(), id, &given, &members).await;
    store.close();
    drop(store);
    check(&disks.open().unwrap(), id, &given, &members).await;
}

/// Appends events until `until` are there, whatever single call fails; asserts that every answer is true.
pub(crate) async fn appended_through(store: &EmbeddedStore, id: RoomId, until: u64) {
    let (mut head, mut refused) = (0, 0);
    while head < until {
        let answer = append(store, id, &made(head + 1, head + 1)[0]).await;
        let there = loop {
            match store.head(id).await {
                Ok(there) => break there.get(),
                // Until the files are open again.
                Err(StoreError::Unavailable(_)) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(other) => panic!("{other}"),
            }
        };
        match answer {
            Ok(Append::Appended) => head += 1,
            Ok(Append::Unknown) => head = there,
            Err(StoreError::Unavailable(_)) => refused += 1,
            other => panic!("{other:?}"),
        }
        assert_eq!(there, head, "an answer that is not true");
        assert!(refused < 3, "one call failed, and {refused} appends");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_one_call_of_either_disk_may_fail_while_halves_change() {
    const EVENTS: u64 = 4 * HALF + 1;
    for which in 0..2 {
        let mut calls = 0;
        loop {
            let disks = Disks::new(calls);
            let id = room();
            let store = disks.open().unwrap();
            let disk = [&disks.database, &disks.log][which];
            disk.fail_after(calls);
            appended_through(&store, id, EVENTS).await;
            assert_eq!(whole(&*store, id).await.unwrap(), made(1, EVENTS));
            let left = disks.cut();
            assert_eq!(
                whole(&*left.open().unwrap(), id).await.unwrap(),
                made(1, EVENTS),
                "disk {which}, call {calls}"
            );
            // Also when it comes only now.
            store.close();
            let all_sound = disk.is_to_fail();
            disks.database.restore();
            disks.log.restore();
            assert_eq!(
                whole(&*disks.open().unwrap(), id).await.unwrap(),
                made(1, EVENTS),
                "disk {which}, call {calls}, closed"
            );
            if all_sound {
                break;
            }
            calls += 1;
        }
        println!("each of {calls} calls of disk {which} failed");
        assert!(calls > 25, "{calls}: the test did little");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fold_that_fails_is_tried_again_when_its_half_is_needed() {
    let disks = Disks::new(13);
    let store = disks.open().unwrap();
    let id = room();
    disks.database.fill(Some(Full::Growth));
    appended(&store, id, &made(1, HALF + 1)).await;
    until(|| store.stats().failures == 1).await;
    // The other half takes more, and readers read.
    appended(&store, id, &made(HALF + 2, 2 * HALF)).await;
    assert_eq!(whole(&*store, id).await.unwrap(), made(1, 2 * HALF));
    assert_eq!(store.stats().failures, 1, "tried too early");
    let next = made(2 * HALF + 1, 2 * HALF + 1);
    let refused = append(&store, id, &next[0]).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(whole(&*store, id).await.unwrap(), made(1, 2 * HALF));
    disks.database.fill(None);
    appended(&store, id, &next).await;
    for left in [disks.killed(), disks.cut()] {
        let store = left.open().unwrap();
        assert_eq!(whole(&*store, id).await.unwrap(), made(1, 2 * HALF + 1));
    }
}
