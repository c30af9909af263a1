//! What a start finds in the two halves of the log, or in a log of the former form: all that follows the database, in order, or damage.

use parlor_cluster::OpenError;
use parlor_schema::RoomId;
use redb::StorageBackend as _;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    disk::{Full, SimDisk, Sync},
    log_halves::{Disks, HALF, SECTOR, appended, made, until},
    make::{room, whole},
};

/// Leaves a log with groups in both halves that the database does not hold.
async fn both(disks: &Disks, id: RoomId) -> Disks {
    let store = disks.open().unwrap();
    let stall = disks.database.stall();
    appended(&store, id, &made(1, HALF + 2)).await;
    let left = disks.killed();
    drop(stall);
    left
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_goes_on_where_both_halves_hold_something() {
    for before in [0, HALF + 1] {
        let disks = Disks::new(7);
        let id = room();
        let store = disks.open().unwrap();
        // With some before, the chain begins in the second half.
        appended(&store, id, &made(1, before)).await;
        until(|| store.stats().folds == u64::from(before > 0)).await;
        let stall = disks.database.stall();
        let mut head = before + HALF + 1;
        appended(&store, id, &made(before + 1, head)).await;
        let mut left = disks.killed();
        drop(stall);
        let places = groups(&left.log.image());
        let first = places.iter().find(|group| group.1 == before + 1).unwrap();
        assert_eq!(first.0 == SECTOR, before == 0, "{places:?}");
        for _ in 0..3 * HALF {
            let store = left.open().unwrap();
            assert_eq!(whole(&*store, id).await.unwrap(), made(1, head));
            head += 1;
            appended(&store, id, &made(head, head)).await;
            assert_eq!(whole(&*store, id).await.unwrap(), made(1, head));
            left = left.killed();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_alone_writes_no_row_into_the_database() {
    let id = room();
    let left = both(&Disks::new(9), id).await;
    left.database.fill(Some(Full::Growth));
    let store = left.open().unwrap();
    assert_eq!(whole(&*store, id).await.unwrap(), made(1, HALF + 2));
    assert_eq!(store.stats().folds, 0);
}

/// The places of the groups in a log, with their numbers, in order.
fn groups(image: &[u8]) -> Vec<(usize, u64)> {
    let number = |at: usize| u64::from_le_bytes(image[at + 8..at + 16].try_into().unwrap());
    let mut groups: Vec<_> = (SECTOR..image.len())
        .step_by(SECTOR)
        .filter(|at| image[*at..].starts_with(b"plg1"))
        .map(|at| (at, number(at)))
        .collect();
    groups.sort_by_key(|group| group.1);
    groups
}

fn with_log(left: &Disks, image: &[u8]) -> Disks {
    let log = SimDisk::new(1, Sync::Honest);
    log.set_len(image.len() as u64).unwrap();
    log.write(0, image).unwrap();
    log.sync_data().unwrap();
    Disks {
        database: left.database.killed(),
        log,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_in_either_half_is_noticed() {
    let id = room();
    let left = both(&Disks::new(11), id).await;
    let sound = left.log.image();
    let groups = groups(&sound);
    assert_eq!(groups.len() as u64, HALF + 2);
    assert!(
        groups[0].0 < groups[3].0,
        "the chain begins in the first half"
    );
    let (last, others) = groups.split_last().unwrap();
    for (at, number) in others {
        for byte in [0, 5, 9, 17, 300, 9000] {
            let mut image = sound.clone();
            image[at + byte] ^= 4;
            match with_log(&left, &image).open() {
                Err(OpenError::Damaged { reason, .. }) => {
                    let told = format!("group {number} is damaged");
                    assert!(reason.contains(&told), "{reason}");
                }
                Err(other) => panic!("{other}"),
                Ok(_) => panic!("group {number}: damage at {byte} was not noticed"),
            }
        }
    }
    let mut image = sound.clone();
    image[last.0 + 300] ^= 4;
    let store = with_log(&left, &image).open().unwrap();
    // Nothing tells it from a write that the power cut short.
    assert_eq!(whole(&*store, id).await.unwrap(), made(1, HALF + 1));
}

/// The log as the version before the halves wrote it: one region behind the first sector, groups from its beginning on.
///
/// What lies behind `groups` is `stale`.
fn former(image: &[u8], groups: &[(usize, u64)], stale: &[u8]) -> Vec<u8> {
    let length = |at: usize| {
        let rows = u32::from_le_bytes(image[at + 4..at + 8].try_into().unwrap());
        (24 + usize::try_from(rows).unwrap()).next_multiple_of(SECTOR)
    };
    let mut former = image[..SECTOR].to_vec();
    former[..8].copy_from_slice(b"parlorlg");
    let sum = xxh3_64(&former[..32]).to_le_bytes();
    former[32..40].copy_from_slice(&sum);
    for (at, _) in groups {
        former.extend_from_slice(&image[*at..at + length(*at)]);
    }
    former.extend_from_slice(stale);
    assert!(former.len() <= image.len());
    former.resize(image.len(), 0);
    former
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_the_former_form_is_read_and_another_begun() {
    let id = room();
    let left = both(&Disks::new(15), id).await;
    let image = left.log.image();
    let groups = groups(&image);
    // The second lies where a half would end.
    for (count, stale) in [(5, &image[..0]), (2, &image[SECTOR..20 * SECTOR]), (0, &[])] {
        let whole_log = former(&image, &groups[..count], stale);
        let there = made(1, count as u64);
        let disks = with_log(&left, &whole_log);
        let store = disks.open().unwrap();
        assert_eq!(whole(&*store, id).await.unwrap(), there);
        assert!(disks.log.image().starts_with(b"parlorl2"));
        assert_ne!(disks.log.image()[8..24], image[8..24], "the same id again");
        for left in [disks.killed(), disks.cut()] {
            let store = left.open().unwrap();
            assert_eq!(whole(&*store, id).await.unwrap(), there);
            let more = made(count as u64 + 1, count as u64 + 2 * HALF + 1);
            appended(&store, id, &more).await;
        }
    }
    for missing in 0..4 {
        let mut image = former(&image, &groups, &[]);
        image[SECTOR + missing * 19 * SECTOR + 300] ^= 1;
        let refused = with_log(&left, &image).open();
        let is_damaged = matches!(refused, Err(OpenError::Damaged { .. }));
        assert!(is_damaged, "group {} is missing", missing + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_power_may_go_while_the_former_form_is_left() {
    let id = room();
    let left = both(&Disks::new(17), id).await;
    let image = left.log.image();
    let image = former(&image, &groups(&image), &[]);
    for which in 0..2 {
        let mut calls = 0;
        while {
            let disks = with_log(&left, &image);
            [&disks.database, &disks.log][which].cut_after(calls);
            let cut = disks.open().is_err();
            disks.database.restore();
            disks.log.restore();
            let store = disks.open().unwrap();
            let read = whole(&*store, id).await.unwrap();
            assert_eq!(read, made(1, HALF + 2), "disk {which}, call {calls}");
            cut
        } {
            calls += 1;
        }
        assert!(calls > 3, "{calls}: the test did little");
    }
}
