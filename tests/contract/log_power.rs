//! T-3 and P-1 over a database and a log on two disks with one cable: the power goes at any call, also while a start reads the log,
//! and both disks keep of what was not synced what they like.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use futures_util::future::join_all;
use parlor_cluster::{EmbeddedStore, OpenError};
use parlor_schema::{
    Event, RoomId, Seq,
    port::{Append, RoomDirectory as _, Timeline as _},
};
use redb::StorageBackend;

use crate::{
    disk::{SimDisk, Sync},
    make::{Dice, event, name, room, whole},
    promise, same, told,
};

const ROOMS: usize = 4;
const ROUNDS: u64 = 5;
const SEEDS: u64 = 30;
/// So small that a half is full, and the database takes it, every few commits.
const LOG: usize = 48 << 10;

/// The power of two disks.
struct Power {
    calls_left: Mutex<Option<u64>>,
    /// The disk whose calls count; both when there is none.
    counted: Option<usize>,
    disks: [SimDisk; 2],
}

impl Power {
    fn new(dice: &mut Dice, sync: Sync, counted: Option<usize>) -> Arc<Self> {
        let mut disk = || SimDisk::new(dice.roll(), sync);
        Arc::new(Self {
            disks: [disk(), disk()],
            calls_left: Mutex::new(None),
            counted,
        })
    }

    fn cut_after(&self, calls: u64) {
        *self.calls_left.lock().unwrap() = Some(calls);
    }

    fn restore(&self) {
        *self.calls_left.lock().unwrap() = None;
        for disk in &self.disks {
            disk.restore();
        }
    }

    /// Counts a changing call of a disk; the last takes the power from both.
    fn count(&self, disk: usize) {
        if self.counted.is_some_and(|counted| counted != disk) {
            return;
        }
        let mut left = self.calls_left.lock().unwrap();
        match left.map(|left| left.checked_sub(1)) {
            Some(Some(fewer)) => *left = Some(fewer),
            Some(None) => {
                *left = None;
                self.disks.iter().for_each(|disk| disk.cut_after(0));
            }
            None => {}
        }
    }

    fn open(self: &Arc<Self>) -> Result<Arc<EmbeddedStore>, OpenError> {
        let cable = |disk: usize| {
            let power = Arc::clone(self);
            move || {
                Ok(Cable {
                    disk: power.disks[disk].clone(),
                    number: disk,
                    power: Arc::clone(&power),
                })
            }
        };
        EmbeddedStore::open_with_backends("sim", cable(0), cable(1), LOG)
    }
}

/// A disk on the common power.
struct Cable {
    disk: SimDisk,
    number: usize,
    power: Arc<Power>,
}

impl std::fmt::Debug for Cable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cable")
    }
}

impl StorageBackend for Cable {
    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.power.count(self.number);
        self.disk.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.power.count(self.number);
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.power.count(self.number);
        self.disk.write(offset, data)
    }
}

/// What is known of a room: what was sent, how much of it was acknowledged, and whether it has its user.
#[derive(Default, Clone)]
struct Sent {
    events: Vec<Arc<Event>>,
    acked: usize,
    ends: Vec<usize>,
    /// Whether the user is in the index; none when nobody knows.
    user: Option<bool>,
}

/// Appends, and has a user come and go, until something is not acknowledged.
async fn write(store: Arc<EmbeddedStore>, id: RoomId, mut sent: Sent, mut dice: Dice) -> Sent {
    let user = name(&format!("user-{id}"));
    sent.ends = vec![sent.events.len()];
    loop {
        let comes = dice.below(2) == 0;
        let head = sent.events.len() as u64;
        let moved = match comes {
            true => store.index(id, vec![user.clone()], Seq::new(head + 1)),
            false => store.unindex(id, vec![user.clone()], Seq::new(head + 1)),
        };
        let count = 1 + dice.below(3);
        let text = "x".repeat(usize::try_from(dice.below(3000)).unwrap());
        let given: Vec<Arc<Event>> = (1..=count).map(|n| event(head + n, &text)).collect();
        sent.events.extend(given.clone());
        sent.ends.push(sent.events.len());
        let appended = store.append(id, Seq::new(head), given);
        let moved = moved.await.is_ok();
        sent.user = moved.then_some(comes);
        match appended.await {
            Ok(Append::Appended) => sent.acked = sent.events.len(),
            Ok(Append::Conflict { .. }) => unreachable!("one writer per room"),
            Ok(Append::Unknown) | Err(_) => return sent,
        }
        if !moved {
            return sent;
        }
    }
}

async fn check(store: &EmbeddedStore, id: RoomId, sent: &mut Sent) -> Result<(), String> {
    let stored = whole(store, id).await?;
    promise!(
        stored.len() >= sent.acked,
        "T-3: {} of {} acknowledged events are there",
        stored.len(),
        sent.acked
    );
    promise!(
        sent.ends.is_empty() || sent.ends.contains(&stored.len()),
        "T-1: an append is there in part"
    );
    same!(stored[..], sent.events[..stored.len()], "T-3: other events");
    let user = name(&format!("user-{id}"));
    let there = !told(store.rooms_of(&user, None, 9).await)?.rooms.is_empty();
    if let Some(user) = sent.user {
        same!(there, user, "a user who came or went");
    }
    sent.user = Some(there);
    sent.acked = stored.len();
    sent.ends = vec![stored.len()];
    sent.events = stored;
    Ok(())
}

#[derive(Debug, Default)]
struct Counts {
    acked: usize,
    cuts: u64,
    cuts_at_start: u64,
}

async fn run(seed: u64, sync: Sync) -> Result<Counts, String> {
    let mut dice = Dice(seed);
    let power = Power::new(&mut dice, sync, None);
    let mut rooms: BTreeMap<RoomId, Sent> = (0..ROOMS).map(|_| (room(), Sent::default())).collect();
    let mut counts = Counts::default();
    for round in 0..ROUNDS {
        // Sometimes the power goes again and again before the store is open.
        let store = loop {
            if round > 0 && dice.below(2) == 0 {
                power.cut_after(dice.below(30));
            }
            match power.open() {
                Ok(store) => break store,
                Err(OpenError::Io { .. }) => {
                    counts.cuts_at_start += 1;
                    power.restore();
                }
                Err(error) => return Err(format!("round {round}: {error}")),
            }
        };
        *power.calls_left.lock().unwrap() = None;
        for (id, sent) in &mut rooms {
            check(&store, *id, sent).await?;
        }
        power.cut_after(dice.below(300));
        counts.cuts += 1;
        let writers = std::mem::take(&mut rooms).into_iter().map(|(id, sent)| {
            let (store, dice) = (Arc::clone(&store), Dice(dice.roll()));
            async move { (id, write(store, id, sent, dice).await) }
        });
        rooms = join_all(writers.collect::<Vec<_>>())
            .await
            .into_iter()
            .collect();
        store.close();
        power.restore();
    }
    counts.acked = rooms.values().map(|sent| sent.acked).sum();
    Ok(counts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_on_two_disks() {
    let mut total = Counts::default();
    for seed in 0..SEEDS {
        let counts = run(seed, Sync::Honest).await;
        let counts = counts.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        total.acked += counts.acked;
        total.cuts += counts.cuts;
        total.cuts_at_start += counts.cuts_at_start;
    }
    println!("power cuts on two disks: {total:?}, lost 0, holes 0");
    assert!(total.acked > 5000, "the test did little: {total:?}");
    assert!(total.cuts_at_start > 10, "the test did little: {total:?}");
}

/// Appends events one by one; answers how many were acknowledged before one was not.
async fn append(store: &EmbeddedStore, id: RoomId, head: u64, until: u64) -> u64 {
    for head in head..until {
        let given = vec![event(head + 1, &"x".repeat(7000))];
        match store.append(id, Seq::new(head), given).await {
            Ok(Append::Appended) => {}
            Ok(Append::Conflict { .. }) => unreachable!("one writer"),
            Ok(Append::Unknown) | Err(_) => return head,
        }
    }
    until
}

/// The power goes at the `calls`-th call of one disk while halves change and are folded; answers whether it went before the end.
async fn cut_at(disk: usize, calls: u64, seed: u64) -> Result<bool, String> {
    const EVENTS: u64 = 14;
    let mut dice = Dice(seed);
    let power = Power::new(&mut dice, Sync::Honest, Some(disk));
    let id = room();
    let store = told(power.open())?;
    power.cut_after(calls);
    let acked = append(&store, id, 0, EVENTS).await;
    store.close();
    let cut = power.calls_left.lock().unwrap().is_none() || acked < EVENTS;
    power.restore();
    // Twice: what the first start showed and went on from, the next must find too.
    let mut shown = acked;
    for more in [EVENTS, 2 * EVENTS] {
        let store = told(power.open())?;
        let stored = whole(&*store, id).await?;
        let stored_count = stored.len() as u64;
        promise!(
            stored_count == shown || (more == EVENTS && stored_count == shown + 1),
            "T-3: {stored_count} events are there of {shown}"
        );
        let right = stored
            .iter()
            .zip(1..)
            .all(|(event, seq)| event.seq.get() == seq);
        promise!(right, "T-3: a hole");
        shown = append(&store, id, stored_count, stored_count + more).await;
        promise!(shown == stored_count + more, "the store takes nothing");
        // Only what the disks hold counts, not what the store does at its end.
        power.disks.iter().for_each(|disk| disk.cut_after(0));
        store.close();
        power.restore();
    }
    Ok(cut)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_power_may_go_at_any_call_of_either_disk_while_halves_change() {
    for disk in [0, 1] {
        let mut calls = 0;
        while {
            let mut cut = false;
            for seed in 1..4 {
                let went = cut_at(disk, calls, 1000 * calls + seed).await;
                cut |= went.unwrap_or_else(|why| panic!("disk {disk} call {calls} {seed}: {why}"));
            }
            cut
        } {
            calls += 1;
        }
        println!("the power went at each of {calls} calls of disk {disk}");
        assert!(calls > 25, "{calls}: the test did little");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_dropped_by_either_disk_is_noticed() {
    for seed in 0..5 {
        let caught = run(seed, Sync::Dropped).await;
        assert!(
            caught.is_err(),
            "seed {seed}: nothing was lost without fsync"
        );
    }
}
