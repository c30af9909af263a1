//! A damaged file is an error that names it, and never another record.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use parlor_cluster::{EmbeddedStore, OpenError};
use parlor_schema::{
    Event, RoomId, Seq,
    port::{Direction, ReadRange, StoreError, Timeline as _},
};
use redb::{Database, TableDefinition};

use crate::make::{ALL, Dice, event, room, whole};

const TEXT: &str = "a text that is found again in the file";

/// Makes a store with one room of `count` events, and closes it.
async fn made(folder: &Path, count: u64) -> (PathBuf, RoomId, Vec<Arc<Event>>) {
    let store = EmbeddedStore::open(folder).unwrap();
    let id = room();
    let given: Vec<Arc<Event>> = (1..=count).map(|seq| event(seq, TEXT)).collect();
    store.append(id, Seq::ZERO, given.clone()).await.unwrap();
    store.close();
    (folder.join("parlor.redb"), id, given)
}

fn refused(folder: &Path, file: &Path) {
    match EmbeddedStore::open(folder) {
        Err(error @ OpenError::Damaged { .. }) => {
            let text = error.to_string();
            assert!(text.contains(&file.display().to_string()), "{text}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a damaged file was opened"),
    }
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (file, ..) = made(folder.path(), 300).await;
    let whole = fs::read(&file).unwrap();

    let mut header = whole.clone();
    header[..4096].fill(0x5a);
    fs::write(&file, header).unwrap();
    refused(folder.path(), &file);

    for len in [0, 10, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..len]).unwrap();
        refused(folder.path(), &file);
    }

    fs::write(&file, whole).unwrap();
    drop(EmbeddedStore::open(folder.path()).unwrap());
}

/// Changes rows of the timeline behind the store's back, in a file that stays whole for redb.
fn tamper(file: &Path, id: RoomId, seq: u64, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    const TIMELINE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("timeline");
    let key = [&id.bytes()[..], &seq.to_be_bytes()].concat();
    let database = Database::open(file).unwrap();
    let txn = database.begin_write().unwrap();
    {
        let mut table = txn.open_table(TIMELINE).unwrap();
        let row = table.remove(&*key).unwrap().unwrap().value().to_vec();
        if let Some(row) = change(row) {
            table.insert(&*key, &*row).unwrap();
        }
    }
    txn.commit().unwrap();
}

fn names<T: std::fmt::Debug>(answer: Result<T, StoreError>, parts: &[&str]) {
    match answer {
        Err(StoreError::Damaged(text)) => {
            for part in parts {
                assert!(text.contains(part), "{part} is not in: {text}");
            }
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_flipped_bit_in_a_row_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let (file, damaged, _) = made(folder.path(), 3).await;
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let sound = room();
    let given = vec![event(1, "another")];
    store.append(sound, Seq::ZERO, given).await.unwrap();
    store.close();
    tamper(&file, damaged, 2, |mut row| {
        row[40] ^= 1;
        Some(row)
    });

    let store = EmbeddedStore::open(folder.path()).unwrap();
    let (path, id) = (file.display().to_string(), damaged.to_string());
    names(store.read(damaged, ALL).await, &[&path, &id, "seq 2"]);
    assert_eq!(whole(&*store, sound).await.unwrap().len(), 1);
    assert_eq!(store.head(damaged).await.unwrap(), Seq::new(3));
}

#[tokio::test]
async fn a_row_that_is_gone_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let (file, id, _) = made(folder.path(), 9).await;
    tamper(&file, id, 5, |_| None);
    let store = EmbeddedStore::open(folder.path()).unwrap();
    for direction in [Direction::Up, Direction::Down] {
        for (from, to) in [(1, 9), (4, 6), (1, 5), (5, 9), (5, 5)] {
            let range = ReadRange {
                from: Seq::new(from),
                to: Seq::new(to),
                direction,
                ..ALL
            };
            names(store.read(id, range).await, &["seq 5"]);
        }
    }
    names(store.seq_at(id, event(5, "").sent_at).await, &["seq 5"]);
}

#[tokio::test]
async fn a_flipped_bit_anywhere_never_makes_another_record() {
    let folder = tempfile::tempdir().unwrap();
    let (file, id, given) = made(folder.path(), 60).await;
    let sound = fs::read(&file).unwrap();
    let (mut noticed, mut harmless) = (0, 0);
    for seed in 0..150 {
        let mut dice = Dice(seed);
        let mut bytes = sound.clone();
        let place = usize::try_from(dice.below(sound.len() as u64)).unwrap();
        bytes[place] ^= 1 << dice.below(8);
        fs::write(&file, bytes).unwrap();
        match EmbeddedStore::open(folder.path()) {
            Err(OpenError::Damaged { .. }) => noticed += 1,
            Err(other) => panic!("seed {seed}: {other}"),
            // The bit lay in a page that holds nothing.
            Ok(store) => {
                let read = whole(&*store, id).await.unwrap();
                assert!(read == given, "seed {seed}: another history");
                harmless += 1;
            }
        }
    }
    println!("bits flipped: {noticed} noticed, {harmless} without effect");
}
