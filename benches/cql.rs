//! Appends to a CQL store, beside bare conditional batches of the same shape through the driver.
//!
//! Owns the ruler: one prepared batch per append (the head under its condition, one event), its answer looked at, nothing else. Asserts that
//! every append was applied, and that each room ends at the head that its writer counted.
//!
//! The store is called as a node calls it: from threads that keep their tasks, each served by it. The ruler runs three times: with one session
//! for a runtime of two threads, as the driver's own examples do; with a session for each of those threads that keep their tasks; and with one
//! session on a thread of its own, which shows what changing threads costs.

#![allow(clippy::unwrap_used, reason = "a bench")]

#[path = "../tests/support/cassandra.rs"]
mod cassandra;
mod figures;
mod usage;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use figures::{
    Bound, Meter, Round, Series, Times, fail_at_once, print_head, print_ratio, setting, wanted,
};
use futures_util::future::join_all;
use parlor_cluster::CqlStore;
use parlor_config::Cql;
use parlor_schema::{
    Event, EventId, EventKind, MsgId, RoomId, Seq, Timestamp,
    port::{Append, Timeline as _},
};
use scylla::{
    client::{
        execution_profile::ExecutionProfile, session::Session, session_builder::SessionBuilder,
    },
    policies::retry::FallthroughRetryPolicy,
    statement::{
        Consistency, SerialConsistency,
        batch::{Batch, BatchType},
        prepared::PreparedStatement,
    },
    value::{CqlTimestamp, CqlValue, Row},
};
use tokio::runtime::Handle;

/// An id that no other call returns.
fn fresh() -> [u8; 16] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn event(seq: u64, content: &Arc<str>) -> Event {
    Event {
        seq: Seq::new(seq),
        id: EventId::from(fresh()),
        kind: EventKind::Message,
        sender: "ana".parse().unwrap(),
        sent_at: Timestamp::from_millis(1_700_000_000_000),
        msg_id: MsgId::from(fresh()),
        fingerprint: 7,
        content: Arc::clone(content),
    }
}

/// What appends go through.
#[derive(Clone)]
enum Way {
    Store(Arc<CqlStore>),
    Bare(Arc<Bare>),
    Each(Vec<Arc<Bare>>),
    Across(Arc<Bare>, Handle),
}

/// Threads that keep their tasks, as those of a node do.
const THREADS: usize = 2;

/// Starts such a thread, which the store serves.
fn keeper(store: &Arc<CqlStore>) -> Handle {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (handle, store) = (runtime.handle().clone(), Arc::clone(store));
    std::thread::spawn(move || runtime.block_on(store.serve_thread()));
    handle
}

struct Bare {
    session: Session,
    head: PreparedStatement,
    event: PreparedStatement,
}

impl Bare {
    async fn open(settings: &Cql) -> Self {
        let profile = ExecutionProfile::builder()
            .consistency(Consistency::Quorum)
            .serial_consistency(Some(SerialConsistency::Serial))
            .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
            .request_timeout(Some(Duration::from_millis(settings.request_timeout_ms)))
            .build();
        let session = SessionBuilder::new()
            .known_nodes(&settings.nodes)
            .use_keyspace(&settings.keyspace, false)
            .default_execution_profile_handle(profile.into_handle())
            .build()
            .await
            .unwrap();
        let head = "UPDATE timeline SET head = ? WHERE room_id = ? AND bucket = ? IF head = ?";
        let event = "INSERT INTO timeline (room_id, bucket, seq, event_id, kind, sender, sent_at, msg_id, fingerprint, content) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let head = session.prepare(head).await.unwrap();
        let event = session.prepare(event).await.unwrap();
        Self {
            session,
            head,
            event,
        }
    }

    async fn append(&self, room: RoomId, head: u64, event: Event) {
        let mut batch = Batch::new(BatchType::Logged);
        batch.append_statement(self.head.clone());
        batch.append_statement(self.event.clone());
        let (room, seq) = (room.uuid(), i64::try_from(event.seq.get()).unwrap());
        let expected = (head > 0).then_some(seq - 1);
        let values = (
            (seq, room, 0_i64, expected),
            (
                room,
                0_i64,
                seq,
                event.id.uuid(),
                i16::from(event.kind.number()),
                event.sender.as_str(),
                CqlTimestamp(event.sent_at.millis()),
                event.msg_id.uuid(),
                event.fingerprint.to_be_bytes(),
                &*event.content,
            ),
        );
        let answer = self.session.batch(&batch, values).await.unwrap();
        let answer = answer.into_rows_result().unwrap();
        let row: Row = answer.first_row().unwrap();
        assert_eq!(row.columns[0], Some(CqlValue::Boolean(true)));
    }
}

/// Appends to one room, one after the other, for a while; returns the times and the head.
async fn write(
    way: Way,
    thread: usize,
    room: RoomId,
    content: Arc<str>,
    until: Instant,
) -> (Times, u64) {
    let (mut times, mut head) = (Times::new(), 0);
    while Instant::now() < until {
        let event = event(head + 1, &content);
        let began = Instant::now();
        match &way {
            Way::Bare(bare) => bare.append(room, head, event).await,
            Way::Each(bare) => bare[thread].append(room, head, event).await,
            Way::Across(bare, thread) => {
                let bare = Arc::clone(bare);
                let task = thread.spawn(async move { bare.append(room, head, event).await });
                task.await.unwrap();
            }
            Way::Store(store) => {
                let answer = store.append(room, Seq::new(head), vec![event.into()]).await;
                assert_eq!(answer.unwrap(), Append::Appended);
            }
        }
        times.add(began.elapsed());
        head += 1;
    }
    (times, head)
}

async fn measure(
    way: &Way,
    threads: &[Handle],
    check: &CqlStore,
    rooms: usize,
    slice: Duration,
) -> Round {
    let content: Arc<str> = format!(r#"{{"body":{{"text":"{}"}}}}"#, "x".repeat(200)).into();
    let meter = Meter::start(None);
    let until = Instant::now() + slice;
    let rooms: Vec<RoomId> = (0..rooms).map(|_| RoomId::from(fresh())).collect();
    let writers = rooms.iter().enumerate().map(|(number, room)| {
        let thread = number % threads.len();
        let write = write(way.clone(), thread, *room, Arc::clone(&content), until);
        match way {
            Way::Bare(_) | Way::Across(..) => tokio::spawn(write),
            Way::Each(_) | Way::Store(_) => threads[thread].spawn(write),
        }
    });
    let ended = join_all(writers).await;
    let mut all = Times::new();
    let mut heads = Vec::new();
    for ended in ended {
        let (times, head) = ended.unwrap();
        all.join(&times);
        heads.push(head);
    }
    let round = meter.round(&all, 1);
    for (room, head) in rooms.iter().zip(heads) {
        assert_eq!(check.head(*room).await.unwrap(), Seq::new(head));
    }
    round
}

fn main() {
    fail_at_once();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let thread = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run(thread.handle().clone()));
}

async fn run(thread: Handle) {
    let rounds = setting("PARLOR_BENCH_ROUNDS", 11);
    let slice = Duration::from_millis(setting("PARLOR_BENCH_SLICE_MS", 1000) as u64);
    let many = 64;
    let settings = Cql {
        nodes: vec![cassandra::shared().to_owned()],
        keyspace: format!("parlor_bench_{}", std::process::id()),
        request_timeout_ms: 10_000,
        ..Cql::default()
    };
    let store = CqlStore::open(&settings).await.unwrap();
    let bare = Way::Bare(Arc::new(Bare::open(&settings).await));
    let opened = settings.clone();
    let across = thread.spawn(async move { Bare::open(&opened).await }).await;
    let across = Way::Across(Arc::new(across.unwrap()), thread);
    let threads: Vec<Handle> = (0..THREADS).map(|_| keeper(&store)).collect();
    let mut each = Vec::new();
    for thread in &threads {
        let settings = settings.clone();
        let opened = thread.spawn(async move { Bare::open(&settings).await });
        each.push(Arc::new(opened.await.unwrap()));
    }
    let ways = [bare, Way::Each(each), across, Way::Store(store.clone())];
    let mut cases = Vec::new();
    for (name, count) in [("1 room", 1), ("64 rooms", many)] {
        if wanted(name) {
            let series = match count {
                1 => [
                    "1 room: bare",
                    "1 room: bare, a session each",
                    "1 room: bare, own thread",
                    "1 room: store",
                ],
                _ => [
                    "64 rooms: bare",
                    "64 rooms: bare, a session each",
                    "64 rooms: bare, own thread",
                    "64 rooms: store",
                ],
            };
            cases.push((count, series.map(Series::new)));
        }
    }
    // What a virtual machine of Java compiles while it is asked for the first times.
    for _ in 0..setting("PARLOR_BENCH_WARM", 4) {
        for way in &ways {
            measure(way, &threads, &store, many, slice).await;
            measure(way, &threads, &store, 1, slice).await;
        }
    }
    for round in 0..rounds {
        for (count, series) in &mut cases {
            // Who comes first changes, for the server does its own work now and then.
            for place in 0..ways.len() {
                let place = (place + round) % ways.len();
                let done = measure(&ways[place], &threads, &store, *count, slice).await;
                series[place].rounds.push(done);
            }
        }
    }
    report(&cases);
    println!("{:?}", store.stats());
}

/// Prints the series of each case: by the driver alone in its three ways, and by the store.
fn report(cases: &[(usize, [Series; 4])]) {
    print_head("append of one event");
    for (_, series) in cases {
        series.iter().for_each(Series::print);
    }
    for (_, [bare, each, across, own]) in cases {
        let bound = Some(Bound::AtLeast(0.9));
        for (ruler, bound) in [(bare, bound), (each, bound), (across, None)] {
            let rate = own.ratio(ruler, |round| round.rate);
            print_ratio(&format!("{} / {}, rate", own.name, ruler.name), rate, bound);
            let p99 = own.ratio(ruler, |round| round.p99);
            print_ratio(&format!("{} / {}, p99", own.name, ruler.name), p99, None);
        }
    }
}
