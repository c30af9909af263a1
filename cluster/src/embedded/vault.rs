//! The open database with the log before it, and how both are opened again when the disk refused.
//!
//! Owns the one handle that readers and the writer share, the recent rows, and the log.
//!
//! A commit is one group in the log: written, synced, then shown to readers. When the log has no room for the next, the database takes
//! what it holds.
//!
//! Invariants:
//! - V-1: only the writer's thread replaces the handle or the recent rows; readers that meet the change look again.
//! - V-2: a panic of redb over a file changed from outside is an error, not the end of a thread.
//! - V-3: commits are numbered without a gap, so that after a failed one it is known whether it holds.
//! - V-4: recent rows are replaced only after the database holds all of them; the log is written from its beginning only after that.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use parlor_schema::port::{Ids as _, StoreError};
use redb::{Database, ReadTransaction, ReadableDatabase as _};

use super::{
    database::{self, LogMark},
    error::{Fault, OpenError, store_error},
    group::{Group, ID_BYTES},
    log::Log,
    medium::Medium,
    recent::Recent,
    table::{ReadTables, WriteTables},
};
use crate::memory::RandomIds;

struct State {
    database: Result<Database, StoreError>,
    recent: Arc<Recent>,
}

/// How a transaction ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is durable, or it changed nothing.
    Committed,
    /// Nothing of it was stored.
    Refused(StoreError),
    /// It may have been stored: [`Vault::settle`] tells.
    Doubtful {
        /// The number it has if it was.
        number: u64,
        /// Why it is doubtful.
        error: StoreError,
    },
}

/// A snapshot; an error of redb, or the text of its panic.
type Begun = Result<Result<ReadTransaction, Fault>, String>;

/// The database behind a handle that can change.
pub(super) struct Vault {
    medium: Medium,
    state: RwLock<State>,
    /// The writer's thread alone takes it.
    log: Mutex<Log>,
    /// Rises, under the lock of `state`, each time the database is opened again.
    generation: AtomicU64,
}

/// Why a read found nothing out.
#[derive(Debug)]
pub(super) enum ReadError {
    /// Asking again is of no use.
    Final(StoreError),
    /// After the database is opened again it may work.
    Latched {
        /// The generation that failed.
        generation: u64,
        /// The error.
        error: StoreError,
    },
}

impl Vault {
    /// Opens the database, makes the tables that are not there, and reads what the log holds.
    pub(super) fn open(medium: Medium) -> Result<Self, OpenError> {
        let database = medium.open()?;
        let (log, recent) = start(&medium, &database)?;
        Ok(Self {
            medium,
            state: RwLock::new(State {
                database: Ok(database),
                recent: Arc::new(recent),
            }),
            log: Mutex::new(log),
            generation: AtomicU64::new(0),
        })
    }

    /// Returns the file, for errors.
    pub(super) fn file(&self) -> &Path {
        self.medium.file()
    }

    /// Tells whether the database is open.
    pub(super) fn is_open(&self) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.database.is_ok()
    }

    /// Tries whether the disk takes `bytes` more.
    pub(super) fn probe(&self, bytes: usize) -> Result<(), StoreError> {
        self.medium
            .probe(bytes)
            .map_err(|error| store_error(self.file(), &redb::Error::Io(error)))
    }

    /// Runs `look` over one snapshot of the tables.
    pub(super) fn read<T>(
        &self,
        look: impl Fn(&mut ReadTables) -> Result<T, Fault>,
    ) -> Result<T, ReadError> {
        loop {
            let (begun, recent, generation) = self.begin().map_err(ReadError::Final)?;
            // Asked after the snapshot was taken: what the snapshot holds is not later.
            let number = recent.last();
            let looked = match begun {
                Ok(Ok(txn)) => unpanicked(|| look(&mut ReadTables::new(txn, recent, number))),
                Ok(Err(fault)) => Ok(Err(fault)),
                Err(reason) => Err(reason),
            };
            let error = match looked {
                Ok(Ok(found)) => return Ok(found),
                // Closed under this reader, to be opened again: the lock is held until it is.
                Ok(Err(Fault::Engine(redb::Error::DatabaseClosed))) => continue,
                Ok(Err(Fault::Engine(error))) => store_error(self.file(), &error),
                Ok(Err(fault)) => return Err(ReadError::Final(self.say(fault))),
                Err(reason) => self.damaged(&reason),
            };
            // redb answers every call with an error from here on, until it is opened again.
            return Err(ReadError::Latched { generation, error });
        }
    }

    /// Takes a snapshot of the database, with the recent rows that belong over it and the generation of both.
    fn begin(&self) -> Result<(Begun, Arc<Recent>, u64), StoreError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let generation = self.generation.load(Ordering::Relaxed);
        let database = state.database.as_ref().map_err(Clone::clone)?;
        let begun = unpanicked(|| {
            let txn = database.begin_read();
            txn.map_err(|error| Fault::Engine(error.into()))
        });
        Ok((begun, Arc::clone(&state.recent), generation))
    }

    /// Runs `work` as one commit and makes it durable.
    pub(super) fn write(
        &self,
        work: impl FnOnce(&mut WriteTables<'_>) -> Result<(), Fault>,
    ) -> Outcome {
        let (begun, recent) = match self.begin() {
            Ok((begun, recent, _)) => (begun, recent),
            Err(error) => return Outcome::Refused(error),
        };
        let number = recent.last() + 1;
        let mut group = Group::new();
        let done = begun.and_then(|txn| {
            unpanicked(|| {
                let rows = ReadTables::new(txn?, Arc::clone(&recent), number);
                work(&mut WriteTables::new(rows, &mut group))
            })
        });
        let error = match done {
            Ok(Ok(())) if group.is_empty() => return Outcome::Committed,
            Ok(Ok(())) => return self.commit(recent, number, group),
            Ok(Err(fault)) => self.say(fault),
            Err(reason) => self.damaged(&reason),
        };
        recent.forget(&group, number);
        Outcome::Refused(error)
    }

    /// Makes a group durable and shows it to readers.
    fn commit(&self, mut recent: Arc<Recent>, number: u64, mut group: Group) -> Outcome {
        let mut log = self.log();
        if !log.fits(&group) {
            recent.forget(&group, number);
            if let Err(error) = self.fold(&mut log, &recent, number - 1, None) {
                return Outcome::Refused(error);
            }
            recent = self.recent();
            recent
                .put_all(group.rows(), number)
                .expect("invariant: a group reads what it wrote");
            if !log.fits(&group) {
                // Larger than the log. No reader sees any recent row, so the database may show the commit to them by itself.
                return match self.fold(&mut log, &recent, number, None) {
                    Ok(()) => Outcome::Committed,
                    Err(error) => {
                        recent.forget(&group, number);
                        Outcome::Doubtful { number, error }
                    }
                };
            }
        }
        match log.append(number, &mut group) {
            Ok(()) => {
                recent.publish(number);
                Outcome::Committed
            }
            Err(error) => {
                recent.forget(&group, number);
                let error = store_error(log.file(), &redb::Error::Io(error));
                Outcome::Doubtful { number, error }
            }
        }
    }

    /// Has the database take all recent rows up to `number`, with the mark if there is one, and begins without any.
    fn fold(
        &self,
        log: &mut Log,
        recent: &Recent,
        number: u64,
        mark: Option<LogMark>,
    ) -> Result<(), StoreError> {
        let folded = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            let database = state.database.as_ref().map_err(Clone::clone)?;
            unpanicked(|| database::fold(database, recent, number, mark))
        };
        match folded {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => return Err(self.say(fault)),
            Err(reason) => return Err(self.damaged(&reason)),
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.recent = Arc::new(Recent::new(number));
        log.rewind();
        Ok(())
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> Arc<Recent> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&state.recent)
    }

    /// Returns how often the database was opened again.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Closes the database, if it is open, and opens it again; sees to it that a commit that failed halfway is there or is not.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        let mut log = self.log();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let away = StoreError::Unavailable("store is being opened".into());
        if let Ok(database) = std::mem::replace(&mut state.database, Err(away)) {
            close(database);
        }
        let opened = self.medium.open().and_then(|database| {
            log.settle()
                .map_err(|error| OpenError::io(log.file(), error))?;
            let marks = checked(self.file(), || database::marks(&database))?;
            Ok((database, marks.commit))
        });
        match opened {
            Ok((database, commit)) => {
                if commit >= state.recent.last() {
                    // It holds all, perhaps also a commit that was larger than the log.
                    state.recent = Arc::new(Recent::new(commit));
                    log.rewind();
                }
                state.database = Ok(database);
                self.generation.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                let error = error.to_store();
                state.database = Err(error.clone());
                Err(error)
            }
        }
    }

    /// Decides a doubtful commit, after [`Vault::reopen`]; none when the files cannot be read.
    pub(super) fn settle(&self, number: u64) -> Option<bool> {
        self.is_open().then(|| self.recent().last() >= number)
    }

    /// Has the database take all, closes it for good and lets the folder go.
    pub(super) fn shut(&self) {
        if self.is_open() {
            let (mut log, recent) = (self.log(), self.recent());
            debug_assert!(log.is_settled(), "O-3");
            let shut = Some(LogMark::Shut);
            if let Err(error) = self.fold(&mut log, &recent, recent.last(), shut) {
                tracing::warn!(%error, "store keeps its last commits in its log");
            }
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let away = StoreError::Unavailable("store is closed".into());
        if let Ok(database) = std::mem::replace(&mut state.database, Err(away)) {
            close(database);
        }
        self.medium.release();
    }

    fn say(&self, fault: Fault) -> StoreError {
        match fault {
            Fault::Row(what) => self.damaged(&what),
            Fault::Engine(error) => store_error(self.file(), &error),
        }
    }

    /// Says that something in the file is damaged.
    pub(super) fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged(format!("{}: {what}", self.file().display()))
    }
}

/// Runs `work`; a panic becomes its text.
pub(super) fn unpanicked<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // What `work` touched is not used again: a transaction is dropped, a database opened anew.
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| panic.downcast_ref::<String>().cloned());
        text.unwrap_or_else(|| "the file made redb panic".into())
    })
}

/// Runs a step on a database that is being opened.
fn checked<T>(file: &Path, step: impl FnOnce() -> Result<T, Fault>) -> Result<T, OpenError> {
    match unpanicked(step) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(Fault::Engine(error))) => Err(OpenError::engine(file, error)),
        Ok(Err(Fault::Row(what))) | Err(what) => Err(OpenError::damaged(file, what)),
    }
}

/// Opens the log that the database needs, or gives it one.
fn start(medium: &Medium, database: &Database) -> Result<(Log, Recent), OpenError> {
    let (file, file_log) = (medium.file(), medium.file_log());
    checked(file, || database::prepare(database))?;
    let marks = checked(file, || database::marks(database))?;
    let recent = Recent::new(marks.commit);
    let backend = medium.open_log()?;
    let log = match marks.log {
        LogMark::Open(id) => {
            Log::resume(file_log, backend, id, marks.commit, &mut |number, rows| {
                recent.put_all(rows, number)?;
                recent.publish(number);
                Ok(())
            })?
        }
        LogMark::Shut => {
            let mut id = [0; ID_BYTES];
            id.copy_from_slice(&RandomIds::new().secret()[..ID_BYTES]);
            let log = Log::begin(file_log, backend, id, medium.log_bytes())
                .map_err(|error| OpenError::io(file_log, error))?;
            checked(file, || database::mark(database, LogMark::Open(id)))?;
            log
        }
    };
    Ok((log, recent))
}

fn close(database: Database) {
    match unpanicked(|| database.close()) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "store did not close cleanly"),
        Err(reason) => tracing::warn!(reason, "store did not close cleanly"),
    }
}
