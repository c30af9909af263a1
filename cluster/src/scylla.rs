//! The CQL store: timeline and directory in ScyllaDB or Cassandra, shared by all nodes.
//!
//! Owns the driver's session and the thread it runs on, prepared statements, migrations, and the bound on requests. Threads with rooms have a
//! session of their own for appends ([`CqlStore::serve_thread`]).
//!
//! Invariants:
//! - the timeline is written by conditional batches alone, but for removal, each on `head` and within one partition (T-1, T-2).
//! - a room's next bucket is opened only when the one before it is closed, and a closed one is never written again, but for removal.
//! - an append whose answer is lost is `Unknown`; the driver repeats none, and races none.
//! - a read that ends before its range, or meets a hole, asks for the head at serial consistency and looks again (T-4, T-5).
//! - rows written under conditions are never written without, but for removal; all other writes win by value or are superset indexes.
//! - every request has a deadline, and every queue here a bound.
//! - what retention removed is a beginning of whole buckets, and is told from what is lost (KE-1).
//!
//! Deliberately absent: caches, retries of conditional writes, TLS to the store.

mod append;
mod bucket;
mod coalesce;
mod connect;
mod error;
mod gate;
mod head;
mod keep;
mod keyspace;
mod local;
mod logins;
mod projection;
mod read;
mod rooms;
mod row;
mod statement;
mod stats;
mod timeline;
mod users;

use std::{future::Future, sync::Arc, thread, time::Duration};

use parlor_config::Cql;
use parlor_schema::{
    limits::APPEND_EVENTS_MAX,
    port::{PortFuture, StoreError},
};
use scylla::client::session::Session;
use tokio::{
    runtime::{Handle, Runtime},
    time::Instant,
};

pub use error::CqlError;
pub use stats::CqlStats;

use bucket::Buckets;
use coalesce::Reads;
use gate::{Gate, RoomLocks};
use local::StoreId;
use statement::Statements;
use stats::Counters;

/// Events of a bucket; a partition stays far below what either server warns about, and a page rarely meets two.
pub const BUCKET_EVENTS: u64 = 8192;
/// How often a closing store looks whether its requests have ended.
const CLOSE_STEP: Duration = Duration::from_millis(5);

/// What a store is opened with beside its settings; for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CqlTuning {
    /// Events of a bucket; the keyspace keeps what it was made with and refuses another.
    pub bucket_events: u64,
}

impl Default for CqlTuning {
    fn default() -> Self {
        Self {
            bucket_events: BUCKET_EVENTS,
        }
    }
}

/// A timeline and directory in a CQL cluster, for any number of nodes.
///
/// Requests run on a thread of the store's own, appends on their caller's where that has a session: an abandoned future abandons the answer,
/// not the effect, unless that thread ends.
pub struct CqlStore {
    inner: Arc<Inner>,
    id: StoreId,
    settings: Cql,
    // Taken when the store is dropped, which may happen where blocking is forbidden.
    runtime: Option<Runtime>,
}

/// What requests share.
struct Inner {
    session: Session,
    statements: Statements,
    buckets: Buckets,
    gate: Gate,
    rooms: RoomLocks,
    reads: Reads,
    counters: Counters,
    within: Duration,
}

impl CqlStore {
    /// Connects, makes or checks the keyspace and its tables, and prepares the statements.
    ///
    /// # Errors
    /// Names the setting that stands in the way.
    pub async fn open(settings: &Cql) -> Result<Arc<Self>, CqlError> {
        Self::open_with(settings, CqlTuning::default()).await
    }

    /// Opens the store as [`Self::open`] does, with other constants.
    ///
    /// # Errors
    /// Names the setting that stands in the way.
    pub async fn open_with(settings: &Cql, tuning: CqlTuning) -> Result<Arc<Self>, CqlError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("parlor-cql")
            .enable_all()
            .build()
            .map_err(CqlError::Thread)?;
        let (opener, settings) = (settings.clone(), settings.clone());
        let opened = runtime.spawn(async move { connect::open(&opener, tuning).await });
        let inner = match opened.await {
            Ok(Ok(inner)) => inner,
            Ok(Err(error)) => {
                runtime.shutdown_background();
                return Err(error);
            }
            Err(error) => {
                runtime.shutdown_background();
                return Err(CqlError::Thread(std::io::Error::other(error)));
            }
        };
        Ok(Arc::new(Self {
            inner: Arc::new(inner),
            id: StoreId::fresh(),
            settings,
            runtime: Some(runtime),
        }))
    }

    /// Refuses what comes later and waits for what is under way, at most as long as a request may take.
    ///
    /// Blocks. Dropping the store lets go at once.
    pub fn close(&self) {
        self.inner.gate.close();
        let end = Instant::now() + 2 * self.inner.within;
        while self.inner.gate.places() > 0 && Instant::now() < end {
            thread::sleep(CLOSE_STEP);
        }
    }

    /// Returns what the store has counted.
    #[must_use]
    pub fn stats(&self) -> CqlStats {
        self.inner.counters.read(&self.inner.gate)
    }

    /// Begins `work` now, on the store's thread; the future only waits for its answer.
    fn run<T, F, W>(&self, work: W) -> PortFuture<'static, Result<T, StoreError>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
        W: FnOnce(Arc<Inner>) -> F + Send + 'static,
    {
        let thread = self.runtime.as_ref().map(Runtime::handle);
        self.run_on(thread, work, |text| Err(StoreError::Unavailable(text)))
    }

    /// As [`Self::run`], on `thread`; `lost` is the answer when the work ended without one.
    fn run_on<T, F, W>(
        &self,
        thread: Option<&Handle>,
        work: W,
        lost: fn(String) -> Result<T, StoreError>,
    ) -> PortFuture<'static, Result<T, StoreError>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
        W: FnOnce(Arc<Inner>) -> F + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let (Some(place), Some(thread)) = (inner.gate.place(), thread) else {
            let text = "too many requests at one time, or closed".to_owned();
            Counters::add(&inner.counters.refused, 1);
            return Box::pin(async move { Err(StoreError::Unavailable(text)) });
        };
        let task = thread.spawn(async move {
            let _turn = inner.gate.turn(&place, inner.within).await?;
            work(Arc::clone(&inner)).await
        });
        Box::pin(async move { task.await.unwrap_or_else(|error| lost(error.to_string())) })
    }
}

impl Drop for CqlStore {
    fn drop(&mut self) {
        self.inner.gate.close();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

const _: () = assert!(
    APPEND_EVENTS_MAX as u64 <= BUCKET_EVENTS,
    "an append skips no bucket"
);
