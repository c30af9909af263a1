//! The log before the database: what it holds survives whatever ends the process, what is damaged in it is noticed, and readers see no
//! difference between a row in it and a row in the database.

use std::{fs, path::Path, sync::Arc, time::Duration};

use parlor_cluster::{EmbeddedStore, OpenError};
use parlor_schema::{
    Event, RoomId, Seq,
    port::{Append, RoomDirectory as _, StoreError, Timeline as _, UserDirectory as _},
};
use redb::StorageBackend as _;

use crate::{
    disk::{Full, SimDisk, Sync},
    make::{ALL, Dice, at, event, events, name, room, whole},
    rooms, timeline, users,
};

/// Bytes of a log that holds a commit or two: the database takes rows all the time.
const TINY: usize = 2048;
const LOG: usize = 64 << 10;

fn open(database: &SimDisk, log: &SimDisk, bytes: usize) -> Arc<EmbeddedStore> {
    EmbeddedStore::open_with_backends("sim", database.make(), log.make(), bytes).unwrap()
}

fn disks(seed: u64) -> (SimDisk, SimDisk) {
    let disk = |seed| SimDisk::new(seed, Sync::Honest);
    (disk(seed), disk(seed + 1))
}

fn tiny() -> Arc<EmbeddedStore> {
    let (database, log) = disks(1);
    open(&database, &log, TINY)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_with_a_tiny_log_is_a_timeline() {
    timeline::suite(tiny()).await.unwrap();
}

#[tokio::test]
async fn a_store_with_a_tiny_log_is_a_room_directory() {
    rooms::suite(&*tiny()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_with_a_tiny_log_is_a_user_directory() {
    users::suite(tiny()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_no_hole_while_rows_move_into_the_database() {
    let (database, log) = disks(3);
    let store = open(&database, &log, 8 * TINY);
    let id = room();
    let reader = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            let mut seen = 0;
            while seen < 600 {
                let read = store.read(id, ALL).await.unwrap();
                let numbers: Vec<u64> = read.iter().map(|event| event.seq.get()).collect();
                let wanted: Vec<u64> = (1..=read.len() as u64).collect();
                assert_eq!(numbers, wanted, "a hole");
                assert!(read.len() >= seen, "what was seen is gone");
                seen = read.len();
            }
        }
    });
    for head in 0..600 {
        let given = vec![event(head + 1, "hello")];
        let appended = store.append(id, Seq::new(head), given).await;
        assert_eq!(appended.unwrap(), Append::Appended);
        // Answered is readable (T-3).
        assert_eq!(store.head(id).await.unwrap().get(), head + 1);
    }
    reader.await.unwrap();
}

#[tokio::test]
async fn a_commit_larger_than_the_log_is_stored_too() {
    let (database, log) = disks(5);
    let store = open(&database, &log, LOG);
    let id = room();
    let text = "x".repeat(2 * LOG);
    let given: Vec<Arc<Event>> = (1..=6)
        .map(|seq| event(seq, if seq % 2 == 0 { &text } else { "small" }))
        .collect();
    for one in &given {
        let head = one.seq.prev();
        let appended = store.append(id, head, vec![one.clone()]).await;
        assert_eq!(appended.unwrap(), Append::Appended);
        assert_eq!(store.head(id).await.unwrap(), one.seq);
    }
    assert_eq!(whole(&*store, id).await.unwrap(), given);
    let (database, log) = (database.killed(), log.killed());
    database.restore();
    log.restore();
    let store = open(&database, &log, LOG);
    assert_eq!(whole(&*store, id).await.unwrap(), given);
}

/// Makes a folder as a killed process leaves it: `count` events, each a commit, in the log alone.
async fn killed(from: &Path, to: &Path, count: u64) -> (RoomId, Vec<Arc<Event>>) {
    let store = EmbeddedStore::open(from).unwrap();
    let id = room();
    let given: Vec<Arc<Event>> = (1..=count).map(|seq| event(seq, "hello")).collect();
    for one in &given {
        let head = one.seq.prev();
        store.append(id, head, vec![one.clone()]).await.unwrap();
    }
    copy(from, to);
    (id, given)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in ["parlor.redb", "parlor.log"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

fn refused(folder: &Path) {
    match EmbeddedStore::open(folder) {
        Err(error @ OpenError::Damaged { .. }) => {
            let text = error.to_string();
            assert!(text.contains("parlor.log"), "{text}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a store without its log was opened"),
    }
}

#[tokio::test]
async fn a_killed_process_leaves_all_and_again_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (id, given) = killed(&path("first"), &path("0"), 40).await;
    // Each start finds what the one before it found, though none of them ends.
    for start in 0..3 {
        let store = EmbeddedStore::open(&path(&start.to_string())).unwrap();
        let head = 40 + start;
        assert_eq!(whole(&*store, id).await.unwrap()[..40], given);
        let more = store.append(id, Seq::new(head), events(head + 1, head + 1));
        assert_eq!(more.await.unwrap(), Append::Appended);
        copy(&path(&start.to_string()), &path(&(start + 1).to_string()));
    }
}

#[tokio::test]
async fn a_log_that_is_gone_or_another_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (id, given) = killed(&path("from"), &path("to"), 9).await;
    killed(&path("other"), &path("another"), 9).await;
    let file = path("to").join("parlor.log");
    let sound = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    refused(&path("to"));
    for len in [0, 512, 4096, sound.len() - 1] {
        fs::write(&file, &sound[..len]).unwrap();
        refused(&path("to"));
    }
    fs::copy(path("another").join("parlor.log"), &file).unwrap();
    refused(&path("to"));

    fs::write(&file, &sound).unwrap();
    let store = EmbeddedStore::open(&path("to")).unwrap();
    store.close();
    // Closed, it is in the database, whatever becomes of the log.
    fs::remove_file(&file).unwrap();
    let store = EmbeddedStore::open(&path("to")).unwrap();
    assert_eq!(whole(&*store, id).await.unwrap(), given);
    store.close();
    fs::write(&file, &sound).unwrap();
    let store = EmbeddedStore::open(&path("to")).unwrap();
    assert_eq!(whole(&*store, id).await.unwrap(), given);
}

#[tokio::test]
async fn a_flipped_bit_in_the_log_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (id, given) = killed(&path("from"), &path("to"), 40).await;
    let file = path("to").join("parlor.log");
    let sound = fs::read(&file).unwrap();
    let database = fs::read(path("to").join("parlor.redb")).unwrap();
    // Between the groups there are zeros that mean nothing.
    let used: Vec<usize> = (0..sound.len()).filter(|at| sound[*at] != 0).collect();
    let (mut noticed, mut last) = (0, 0);
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let mut bytes = sound.clone();
        let place = usize::try_from(dice.below(used.len() as u64)).unwrap();
        bytes[used[place]] ^= 1 << dice.below(8);
        fs::write(&file, bytes).unwrap();
        fs::write(path("to").join("parlor.redb"), &database).unwrap();
        match EmbeddedStore::open(&path("to")) {
            Err(OpenError::Damaged { .. }) => noticed += 1,
            Err(other) => panic!("seed {seed}: {other}"),
            Ok(store) => match whole(&*store, id).await.unwrap() {
                // Nothing tells the last group from one that the power cut short: at most that one is gone.
                read if read == given[..39] => last += 1,
                read => panic!("seed {seed}: {} events", read.len()),
            },
        }
    }
    println!("bits flipped in the log: {noticed} noticed, {last} in the last group");
    assert!(last < 30, "{last} of 300 not noticed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_a_commit_before_it_is_synced() {
    let (database, log) = disks(9);
    let store = open(&database, &log, LOG);
    let id = room();
    let given = events(1, 4);
    let first = store.append(id, Seq::ZERO, given[..2].to_vec());
    first.await.unwrap();
    let stall = log.stall();
    let second = store.append(id, Seq::new(2), given[2..].to_vec());
    for _ in 0..1000 {
        if log.unsynced() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(log.unsynced(), "nothing was written");
    assert_eq!(whole(&*store, id).await.unwrap(), given[..2]);
    drop(stall);
    assert_eq!(second.await.unwrap(), Append::Appended);
    assert_eq!(whole(&*store, id).await.unwrap(), given);
}

#[tokio::test]
async fn what_is_removed_is_gone_from_the_database_too() {
    let folder = tempfile::tempdir().unwrap();
    let (id, ana) = (room(), name("ana"));
    for (there, at) in [true, false, true, true, false, false].into_iter().zip(1..) {
        // Each time in a database that took everything over at the end.
        let store = EmbeddedStore::open(folder.path()).unwrap();
        match there {
            true => store
                .index(id, vec![ana.clone()], Seq::new(at))
                .await
                .unwrap(),
            false => store
                .unindex(id, vec![ana.clone()], Seq::new(at))
                .await
                .unwrap(),
        }
        store.close();
        let store = EmbeddedStore::open(folder.path()).unwrap();
        let rooms = store.rooms_of(&ana, None, 9).await.unwrap().rooms;
        assert_eq!(!rooms.is_empty(), there);
        store.close();
    }
}

/// Waits until the store has opened its files again.
async fn healed(store: &EmbeddedStore, id: RoomId) -> Vec<Arc<Event>> {
    for _ in 0..1000 {
        if let Ok(read) = whole(store, id).await {
            return read;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the store stays away");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_seen_to_be_absent_stays_absent() {
    for (seed, full) in (0..40).zip([Full::AtSync, Full::AtSyncForGood].iter().cycle()) {
        let (database, log) = disks(seed);
        let store = open(&database, &log, LOG);
        let id = room();
        store.append(id, Seq::ZERO, events(1, 2)).await.unwrap();
        log.fill(Some(*full));
        let answer = store.append(id, Seq::new(2), events(3, 4)).await;
        let read = store.read(id, ALL).await;
        let unheard = !matches!(answer, Ok(Append::Appended));
        assert!(unheard, "{full:?}: nothing was synced");
        assert!(
            matches!(read, Err(StoreError::Unavailable(_))),
            "{full:?}: nobody knows what is there, but {read:?}"
        );
        log.fill(None);
        let seen = healed(&store, id).await;
        let (database, log) = (database.killed(), log.killed());
        database.restore();
        log.restore();
        let store = open(&database, &log, LOG);
        assert_eq!(whole(&*store, id).await.unwrap(), seen, "{full:?} {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_start_shows_survives_the_power() {
    let mut found = 0;
    for seed in 0..40 {
        let (database, log) = disks(seed);
        let store = open(&database, &log, LOG);
        let id = room();
        store.append(id, Seq::ZERO, events(1, 2)).await.unwrap();
        let stall = log.stall();
        let unheard = store.append(id, Seq::new(2), events(3, 4));
        for _ in 0..1000 {
            if log.unsynced() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Killed between the write and its sync.
        let copies = (database.killed(), log.killed());
        drop((stall, unheard));
        let (database, log) = copies;
        if seed % 2 == 0 {
            // The system tried to write it, and has told the process that is gone.
            log.fill(Some(Full::AtSyncForGood));
            log.sync_data().unwrap_err();
            log.fill(None);
        }
        let store = open(&database, &log, LOG);
        let seen = whole(&*store, id).await.unwrap();
        found += usize::from(seen.len() == 4);
        let (database, log) = (database.killed(), log.killed());
        database.restore();
        log.restore();
        let store = open(&database, &log, LOG);
        assert_eq!(whole(&*store, id).await.unwrap(), seen, "seed {seed}");
    }
    assert!(found > 20, "found {found}: the test did little");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_behind_a_full_log_loses_nothing() {
    let (database, log) = disks(7);
    let store = open(&database, &log, LOG);
    let (id, ana) = (room(), name("ana"));
    store
        .index(id, vec![ana.clone()], Seq::FIRST)
        .await
        .unwrap();
    database.fill(Some(Full::Growth));
    let text = "x".repeat(9000);
    let mut head = 0;
    while let Ok(Append::Appended) = store
        .append(id, Seq::new(head), vec![event(head + 1, &text)])
        .await
    {
        head += 1;
        assert_eq!(store.head(id).await.unwrap().get(), head);
    }
    assert!(head > 5, "{head}: the log took nothing");
    // What is small may still have room in the log, before and after what was refused.
    for _ in 0..20 {
        let small = vec![event(head + 1, "small")];
        if let Ok(Append::Appended) = store.append(id, Seq::new(head), small).await {
            head += 1;
        }
        let large = vec![event(head + 1, &text)];
        let refused = store.append(id, Seq::new(head), large).await;
        assert!(
            matches!(refused, Err(StoreError::Unavailable(_))),
            "{refused:?}"
        );
    }
    // Still readable, whatever the disk refuses.
    assert_eq!(whole(&*store, id).await.unwrap().len() as u64, head);
    store.close();
    drop(store);
    database.fill(None);
    database.restore();
    log.restore();
    let store = open(&database, &log, LOG);
    assert_eq!(whole(&*store, id).await.unwrap().len() as u64, head);
    assert_eq!(store.rooms_of(&ana, None, 9).await.unwrap().rooms, [id]);
    store.set_last_seen(&ana, at(5)).await.ok();
}
