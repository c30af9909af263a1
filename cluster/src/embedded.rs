//! The embedded store: timeline and directory in one redb file with a log before it, for one node.
//!
//! Owns the files, the writer's thread and the bound on readers.
//!
//! Invariants:
//! - B-1: what is answered is on disk: one group in the log, one `fdatasync`, then the answers (T-3).
//! - B-2: one open store per folder, in whatever process.
//! - B-3: a row that is not what was written is `Damaged`, naming file, table and row; never another record.
//! - B-4: after an error of the disk the store opens its file again by itself; a full disk refuses writes, not reads.
//! - B-5: a commit goes into the log alone (ADR 0009); the database takes many at once, and at the end all.
//!
//! Limits: trusts `fdatasync`. Where a disk fails it once and then claims success, what was written in between is only as safe as that
//! claim. Opening reads the whole file, to check every page; while it is open, rows are checked as they are read.
//!
//! Deliberately absent: caches (redb has one; the room's recent ring is the actors'), compaction, deletion by age.

mod chain;
mod database;
mod error;
mod fold;
mod group;
mod job;
mod key;
mod layer;
mod log;
mod medium;
mod part;
mod readers;
mod recent;
mod rooms;
mod row;
mod start;
mod stats;
mod table;
mod timeline;
mod users;
mod vault;
mod writer;

use std::{io, path::Path, sync::Arc};

use parlor_schema::port::{PortFuture, StoreError};
use redb::StorageBackend;
use tokio::sync::oneshot;

pub use error::OpenError;
pub use stats::EmbeddedStats;

use error::Fault;
use job::Work;
use medium::{CACHE_BYTES, Medium};
use readers::Readers;
use stats::Counters;
use table::{ReadTables, WriteTables};
use vault::{ReadError, Vault};
use writer::Writer;

/// How often a read asks for the database to be opened again before it gives up.
const READ_ATTEMPTS: usize = 3;

/// A timeline and directory in one file, for one node.
///
/// Writes take effect in the order of the calls, whether or not their futures are awaited.
pub struct EmbeddedStore {
    vault: Arc<Vault>,
    writer: Writer,
    counters: Arc<Counters>,
    readers: Readers,
}

impl EmbeddedStore {
    /// Opens the store in `folder`, making both where they are not there.
    ///
    /// Blocks for as long as reading the whole file takes.
    ///
    /// # Errors
    /// The folder is in use, the file is damaged, or the system refused.
    pub fn open(folder: &Path) -> Result<Arc<Self>, OpenError> {
        Self::start(Medium::folder(folder, CACHE_BYTES)?)
    }

    /// The same with at most `cache_bytes` of the file in memory.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_with_cache(folder: &Path, cache_bytes: usize) -> Result<Arc<Self>, OpenError> {
        Self::start(Medium::folder(folder, cache_bytes)?)
    }

    /// Opens the store in a backend that `make` makes, now and each time it has to be opened again; `name` stands for the file in errors.
    ///
    /// Serves tests that need a disk which fails. Nothing keeps a second store from the same backend.
    ///
    /// # Errors
    /// The backend cannot be made, or holds something that is not a whole store.
    pub fn open_with_backend<B: StorageBackend>(
        name: &str,
        make: impl Fn() -> io::Result<B> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, OpenError> {
        Self::start(Medium::backend(name, make))
    }

    /// Opens the store with its database in a backend that `make` makes, and a log of `log_bytes` in one that `make_log` makes.
    ///
    /// Serves tests, as [`Self::open_with_backend`] does, which has both on one disk.
    ///
    /// # Errors
    /// A backend cannot be made, or they hold something that is not a whole store.
    pub fn open_with_backends<B: StorageBackend, L: StorageBackend>(
        name: &str,
        make: impl Fn() -> io::Result<B> + Send + Sync + 'static,
        make_log: impl Fn() -> io::Result<L> + Send + Sync + 'static,
        log_bytes: usize,
    ) -> Result<Arc<Self>, OpenError> {
        Self::start(Medium::backends(name, make, make_log, log_bytes))
    }

    fn start(medium: Medium) -> Result<Arc<Self>, OpenError> {
        let counters = Arc::new(Counters::default());
        let vault = Arc::new(Vault::open(medium, Arc::clone(&counters))?);
        let writer = Writer::start(Arc::clone(&vault), Arc::clone(&counters))
            .map_err(|error| OpenError::io(vault.file(), error))?;
        let readers = Readers::start().map_err(|error| OpenError::io(vault.file(), error))?;
        Ok(Arc::new(Self {
            vault,
            writer,
            counters,
            readers,
        }))
    }

    /// Finishes what is queued, closes the file and lets the folder go; what comes later is `Unavailable`.
    ///
    /// Blocks for as long as the queued transactions take. Dropping the store does the same.
    pub fn close(&self) {
        self.writer.stop();
    }

    /// Returns what the store has counted.
    #[must_use]
    pub fn stats(&self) -> EmbeddedStats {
        self.counters.read()
    }

    /// Queues a write now; the future only waits for its answer.
    fn write<T, F>(&self, bytes: usize, function: F) -> PortFuture<'static, Result<T, StoreError>>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTables<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.write_or(bytes, function, Err)
    }

    /// As [`Self::write`]; `unknown` is the answer when nobody can tell whether it was stored.
    fn write_or<T, F>(
        &self,
        bytes: usize,
        function: F,
        unknown: fn(StoreError) -> Result<T, StoreError>,
    ) -> PortFuture<'static, Result<T, StoreError>>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTables<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.writer
            .submit(Box::new(Work::new(bytes, function, unknown, reply)));
        Box::pin(async move {
            match answer.await {
                Ok(answer) => answer,
                // The writer's thread died between taking the job and answering it.
                Err(_) => unknown(StoreError::Unavailable("store thread ended".into())),
            }
        })
    }

    /// Runs a read on one of the threads for that; one that finds no room there is `Unavailable`.
    fn read<T, F>(&self, look: F) -> PortFuture<'_, Result<T, StoreError>>
    where
        T: Send + 'static,
        F: Fn(&mut ReadTables) -> Result<T, Fault> + Send + Sync + 'static,
    {
        let look = Arc::new(look);
        Box::pin(async move {
            let mut attempt = 1;
            loop {
                let (reply, answer) = oneshot::channel();
                let (vault, look) = (Arc::clone(&self.vault), Arc::clone(&look));
                let queued = self.readers.submit(move || {
                    let _ = reply.send(vault.read(&*look));
                });
                if !queued {
                    return Err(StoreError::Unavailable("too many reads at one time".into()));
                }
                match answer.await {
                    Ok(Ok(found)) => return Ok(found),
                    Ok(Err(ReadError::Final(error))) => return Err(error),
                    Ok(Err(ReadError::Latched { generation, error })) => {
                        if attempt == READ_ATTEMPTS {
                            return Err(error);
                        }
                        attempt += 1;
                        self.writer.reopen(generation).await;
                    }
                    Err(_) => return Err(StoreError::Unavailable("the read failed".into())),
                }
            }
        })
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.close();
    }
}
