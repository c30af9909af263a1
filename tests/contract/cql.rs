//! The CQL store on a real server: the suites, and what a store has that is shared and far away.

mod fault;
mod keep;
mod open;
mod order;
mod projection;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use parlor_cluster::{CqlError, CqlStore, CqlTuning};
use parlor_config::Cql;
use parlor_schema::{
    Event, RoomId, Seq,
    port::{Append, Timeline as _},
};
use tokio::runtime::{Builder, Handle};

use crate::{
    cassandra,
    make::{events, room},
    rooms, timeline, users,
};

/// Buckets so small that every check meets several.
pub(super) const SMALL: CqlTuning = CqlTuning { bucket_events: 32 };

/// A keyspace that no other test, and no other run on the same server, has.
#[allow(
    clippy::disallowed_methods,
    reason = "a name, never compared with another time"
)]
pub(super) fn settings(nodes: Vec<String>) -> Cql {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Cql {
        nodes,
        keyspace: format!("parlor_test_{}_{number}", now.as_millis()),
        ..Cql::default()
    }
}

/// A keyspace of one test's own on the shared server.
pub(super) fn shared() -> Cql {
    settings(vec![cassandra::shared().to_owned()])
}

/// A keyspace that holds other tests' rooms too: making one takes seconds.
pub(super) fn common() -> Cql {
    static COMMON: OnceLock<Cql> = OnceLock::new();
    COMMON.get_or_init(shared).clone()
}

pub(super) async fn open(settings: &Cql) -> Arc<CqlStore> {
    CqlStore::open_with(settings, SMALL).await.unwrap()
}

pub(super) fn refusal(opened: Result<Arc<CqlStore>, CqlError>) -> String {
    match opened {
        Ok(_) => panic!("opened"),
        Err(error) => error.to_string(),
    }
}

/// Starts a thread that `store` serves, and waits until appends take that way.
pub(super) async fn served(store: &Arc<CqlStore>) -> Handle {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (thread, serving) = (runtime.handle().clone(), Arc::clone(store));
    std::thread::spawn(move || runtime.block_on(serving.serve_thread()));
    while store.stats().local == 0 {
        let store = Arc::clone(store);
        let append = async move { fill(&store, room(), &[1]).await };
        thread.spawn(append).await.unwrap();
    }
    thread
}

/// Appends one after the other, and asserts that each is taken.
pub(super) async fn fill(store: &CqlStore, room: RoomId, lengths: &[u64]) -> Vec<Arc<Event>> {
    let mut all: Vec<Arc<Event>> = Vec::new();
    for length in lengths {
        let head = all.len() as u64;
        let given = events(head + 1, head + length);
        let answer = store.append(room, Seq::new(head), given.clone()).await;
        assert_eq!(answer.unwrap(), Append::Appended, "at {head}");
        all.extend(given);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cql_store_is_a_timeline() {
    let store = open(&shared()).await;
    timeline::suite(store.clone()).await.unwrap();
    let stats = store.stats();
    assert!(stats.buckets > 0, "no bucket was crossed: {stats:?}");
    assert_eq!(stats.running, 0, "{stats:?}");
}

#[tokio::test]
async fn a_thread_with_its_own_session_meets_the_same_timeline() {
    let store = open(&common()).await;
    let thread = served(&store).await;
    let before = store.stats();
    thread
        .spawn(timeline::suite(store.clone()))
        .await
        .unwrap()
        .unwrap();
    let after = store.stats();
    assert!(after.local > before.local + 50, "{after:?}");
    // From anywhere else they go by the store's own thread.
    fill(&store, room(), &[1, 1]).await;
    assert_eq!(store.stats().local, after.local);
}

#[tokio::test]
async fn cql_store_is_a_room_directory() {
    rooms::suite(&*open(&shared()).await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cql_store_is_a_user_directory() {
    users::suite(open(&shared()).await).await.unwrap();
}
