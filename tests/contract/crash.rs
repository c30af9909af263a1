//! T-3 and P-1: the power goes at a random moment; all that was acknowledged is there afterwards, and no hole.

use std::{collections::HashMap, sync::Arc};

use futures_util::future::join_all;
use parlor_cluster::EmbeddedStore;
use parlor_schema::{
    Event, RoomId, Seq,
    port::{Append, Timeline as _, UserDirectory as _, directory::CreateUser},
    record::UserRecord,
};

use crate::{
    disk::{SimDisk, Sync},
    make::{Dice, at, event, name, room, whole},
    promise, same, told,
};

const ROOMS: usize = 4;
const ROUNDS: u64 = 4;
const SEEDS: u64 = 30;

/// What a writer knows of its room: what it sent, and how much of that was acknowledged.
#[derive(Default, Clone)]
struct Sent {
    events: Vec<Arc<Event>>,
    acked: usize,
    /// Lengths at which an append ended: T-1 allows no others.
    ends: Vec<usize>,
}

#[derive(Debug, Default)]
struct Counts {
    acked: usize,
    cuts: u64,
    doubtful_kept: u64,
}

/// Appends until an append is not acknowledged.
async fn write(store: Arc<EmbeddedStore>, room: RoomId, mut sent: Sent, mut dice: Dice) -> Sent {
    sent.ends = vec![sent.events.len()];
    loop {
        let head = sent.events.len() as u64;
        let count = 1 + dice.below(5);
        let text = "x".repeat(usize::try_from(dice.below(3000)).unwrap());
        let given: Vec<Arc<Event>> = (1..=count).map(|n| event(head + n, &text)).collect();
        sent.events.extend(given.clone());
        sent.ends.push(sent.events.len());
        match store.append(room, Seq::new(head), given).await {
            Ok(Append::Appended) => sent.acked = sent.events.len(),
            Ok(Append::Conflict { .. }) => unreachable!("one writer per room"),
            Ok(Append::Unknown) | Err(_) => return sent,
        }
    }
}

/// Makes accounts until one is not acknowledged.
async fn register(store: Arc<EmbeddedStore>, round: u64) -> Vec<UserRecord> {
    let mut made = Vec::new();
    loop {
        let user = UserRecord {
            user_id: name(&format!("user-{round}-{}", made.len())),
            name: None,
            avatar: None,
            password_hash: None,
            created_at: at(1),
            disabled_at: None,
            last_seen: None,
        };
        match store.create_user(user.clone()).await {
            Ok(CreateUser::Created) => made.push(user),
            Ok(CreateUser::Taken) => unreachable!("names are fresh"),
            Err(_) => return made,
        }
    }
}

async fn run(seed: u64, sync: Sync) -> Result<Counts, String> {
    let mut dice = Dice(seed);
    let disk = SimDisk::new(dice.roll(), sync);
    let mut rooms: HashMap<RoomId, Sent> = (0..ROOMS).map(|_| (room(), Sent::default())).collect();
    let mut users = Vec::new();
    let mut counts = Counts::default();
    for round in 0..ROUNDS {
        let store = told(EmbeddedStore::open_with_backend("sim", disk.make()))?;
        for (room, sent) in &mut rooms {
            let stored = whole(&*store, *room).await?;
            promise!(
                stored.len() >= sent.acked,
                "T-3: {} of {} acknowledged events are there",
                stored.len(),
                sent.acked
            );
            promise!(
                round == 0 || sent.ends.contains(&stored.len()),
                "T-1: an append is there in part"
            );
            same!(stored[..], sent.events[..stored.len()], "T-3: other events");
            if stored.len() > sent.acked {
                counts.doubtful_kept += 1;
            }
            sent.events = stored;
            sent.acked = sent.events.len();
        }
        for user in &users {
            let UserRecord { user_id, .. } = user;
            same!(
                told(store.user(user_id).await)?,
                Some(user.clone()),
                "an account"
            );
        }
        disk.cut_after(dice.below(400));
        counts.cuts += 1;
        let writers = rooms.drain().map(|(room, sent)| {
            let (store, dice) = (Arc::clone(&store), Dice(dice.roll()));
            async move { (room, write(store, room, sent, dice).await) }
        });
        let (written, made) = tokio::join!(
            join_all(writers.collect::<Vec<_>>()),
            register(Arc::clone(&store), round)
        );
        rooms.extend(written);
        users.extend(made);
        // Only the process ends here: what the disk holds, not what the store does at its end, must be enough.
        store.close();
        disk.restore();
    }
    counts.acked = rooms.values().map(|sent| sent.acked).sum::<usize>() + users.len();
    Ok(counts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_power_goes() {
    let mut total = Counts::default();
    for seed in 0..SEEDS {
        let counts = run(seed, Sync::Honest).await;
        let counts = counts.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        total.acked += counts.acked;
        total.cuts += counts.cuts;
        total.doubtful_kept += counts.doubtful_kept;
    }
    println!("power cuts: {total:?}, lost 0, holes 0");
    assert!(total.acked > 1000, "the test did little: {total:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_fsync_is_noticed() {
    for seed in 0..5 {
        let caught = run(seed, Sync::Dropped).await;
        println!("seed {seed}: {caught:?}");
        assert!(
            caught.is_err(),
            "seed {seed}: nothing was lost without fsync"
        );
    }
}
