//! The embedded store on a real folder: the suites, reopening, and the one process that may hold it.

use std::{path::Path, process::Command, sync::Arc};

use parlor_cluster::{EmbeddedStore, OpenError};
use parlor_schema::{
    RoomKind, Seq,
    port::{Append, RoomDirectory as _, StoreError, Timeline as _, UserDirectory as _},
    record::{ReceiptRecord, RoomDelta, RoomRecord},
};

use crate::{
    make::{at, events, name, room, whole},
    rooms, timeline, users,
};

/// Names the folder that [`second_process`] tries to open.
const FOLDER: &str = "PARLOR_CONTRACT_FOLDER";

fn open(folder: &Path) -> Arc<EmbeddedStore> {
    EmbeddedStore::open(folder).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_store_is_a_timeline() {
    let folder = tempfile::tempdir().unwrap();
    timeline::suite(open(folder.path())).await.unwrap();
}

#[tokio::test]
async fn embedded_store_is_a_room_directory() {
    let folder = tempfile::tempdir().unwrap();
    rooms::suite(&*open(folder.path())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_store_is_a_user_directory() {
    let folder = tempfile::tempdir().unwrap();
    users::suite(open(folder.path())).await.unwrap();
}

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/by/the/store");
    let (id, ana) = (room(), name("ana"));
    let given = events(1, 50);
    let receipt = ReceiptRecord {
        room_id: id,
        user_id: ana.clone(),
        delivered: Seq::new(9),
        read: Seq::new(8),
    };
    let fields = RoomRecord {
        kind: RoomKind::Channel,
        name: None,
        topic: Some("t".into()),
        public: true,
        retention_ms: None,
        created_at: at(1),
    };
    let store = open(&path);
    // Nothing is awaited: closing finishes what is queued.
    let appended = store.append(id, Seq::ZERO, given.clone());
    let delta = RoomDelta {
        room: Some(fields.clone()),
        ..RoomDelta::reached(Seq::new(50))
    };
    drop(store.apply(id, delta));
    drop(store.index(id, vec![ana.clone()], Seq::FIRST));
    drop(store.put_receipts(vec![receipt.clone()]));
    drop(store.set_last_seen(&ana, at(77)));
    store.close();
    assert_eq!(appended.await.unwrap(), Append::Appended);
    let late = store.append(id, Seq::new(50), events(51, 51)).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
    let late = store.head(id).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
    // Closed is enough: the value itself may live on.
    let again = open(&path);
    assert_eq!(whole(&*again, id).await.unwrap(), given);
    let snapshot = again.snapshot(id).await.unwrap().unwrap();
    assert_eq!((snapshot.room, snapshot.applied.get()), (fields, 50));
    assert_eq!(again.public_rooms(None, 9).await.unwrap().rooms, [id]);
    assert_eq!(again.rooms_of(&ana, None, 9).await.unwrap().rooms, [id]);
    assert_eq!(again.receipts(id).await.unwrap(), [receipt]);
    let seen = again.user(&ana).await.unwrap().unwrap().last_seen;
    assert_eq!(seen, Some(at(77)));
}

#[tokio::test]
async fn a_folder_in_use_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let Err(refused) = EmbeddedStore::open(folder.path()) else {
        panic!("two stores in one folder");
    };
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    let path = folder.path().display().to_string();
    assert!(refused.to_string().contains(&path), "{refused}");

    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "embedded::second_process", "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(said.contains("refused: ") && said.contains(&path), "{said}");
    drop(store);
    drop(open(folder.path()));
}

/// Does nothing unless another test started this process.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "a test talks to its own child process"
)]
fn second_process() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    match EmbeddedStore::open(Path::new(&folder)) {
        Err(error @ OpenError::InUse { .. }) => println!("refused: {error}"),
        Err(error) => println!("another error: {error}"),
        Ok(_) => println!("opened"),
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let Err(error) = EmbeddedStore::open(&file.join("data")) else {
        panic!("a store inside a file");
    };
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
    assert!(error.to_string().contains("file/data"), "{error}");
}

#[test]
fn a_store_half_made_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("parlor.redb.new"), "half").unwrap();
    drop(open(folder.path()));
    assert!(!folder.path().join("parlor.redb.new").exists());
}
