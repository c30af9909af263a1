//! The open database, and how it is opened again when redb refuses to go on.
//!
//! Owns the one handle that readers and the writer share.
//!
//! Invariants:
//! - V-1: only the writer's thread replaces the handle; readers that meet the change look again.
//! - V-2: a panic of redb over a file changed from outside is an error, not the end of a thread.
//! - V-3: the row `commit` of table `meta` counts the transactions, so that after a failed one it is known whether it holds.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use parlor_schema::port::StoreError;
use redb::{Database, Durability, ReadableDatabase as _};

use super::{
    error::{Fault, OpenError, store_error},
    medium::Medium,
    row,
    table::{ReadTables, Table, WriteTables},
};

const COMMIT_KEY: &[u8] = b"commit";

enum State {
    Open(Database),
    Away(StoreError),
}

/// How a transaction ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is durable, or it wrote nothing.
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

/// The database behind a handle that can change.
pub(super) struct Vault {
    medium: Medium,
    state: RwLock<State>,
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
    /// Opens the database and makes the tables that are not there.
    pub(super) fn open(medium: Medium) -> Result<Self, OpenError> {
        let database = medium.open()?;
        let file = medium.file().to_owned();
        let prepared = unpanicked(|| prepare(&database))
            .unwrap_or_else(|reason| Err(redb::Error::Corrupted(reason)));
        prepared.map_err(|error| OpenError::engine(&file, error))?;
        Ok(Self {
            medium,
            state: RwLock::new(State::Open(database)),
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
        matches!(&*state, State::Open(_))
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
            let (begun, generation) = {
                let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
                let generation = self.generation.load(Ordering::Relaxed);
                match &*state {
                    State::Open(database) => (unpanicked(|| database.begin_read()), generation),
                    State::Away(error) => return Err(ReadError::Final(error.clone())),
                }
            };
            let looked = match begun {
                Ok(Ok(txn)) => unpanicked(|| look(&mut ReadTables::new(txn))),
                Ok(Err(error)) => Ok(Err(Fault::Engine(error.into()))),
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

    /// Runs `work` in one transaction and makes it durable.
    pub(super) fn write(
        &self,
        work: impl FnOnce(&mut WriteTables<'_>) -> Result<(), Fault>,
    ) -> Outcome {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let database = match &*state {
            State::Open(database) => database,
            State::Away(error) => return Outcome::Refused(error.clone()),
        };
        // Set once `commit` has begun: from then on a failure does not say that nothing was stored.
        let number = Cell::new(None);
        let done = unpanicked(|| transact(database, &number, work));
        let error = match done {
            Ok(Ok(())) => return Outcome::Committed,
            Ok(Err(fault)) => self.say(fault),
            Err(reason) => self.damaged(&reason),
        };
        match number.get() {
            Some(number) => Outcome::Doubtful { number, error },
            None => Outcome::Refused(error),
        }
    }

    /// Returns how often the database was opened again.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Closes the database, if it is open, and opens it again.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let away = State::Away(StoreError::Unavailable("store is being opened".into()));
        close(std::mem::replace(&mut *state, away));
        match self.medium.open() {
            Ok(database) => {
                *state = State::Open(database);
                self.generation.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                let error = error.to_store();
                *state = State::Away(error.clone());
                Err(error)
            }
        }
    }

    /// Decides a doubtful transaction, after [`Vault::reopen`]; none when the file cannot be read.
    pub(super) fn settle(&self, number: u64) -> Option<bool> {
        let last = self.read(|tables| row::load::<u64>(tables, Table::Meta, COMMIT_KEY));
        last.ok().map(|last| last.unwrap_or(0) >= number)
    }

    /// Closes the database for good and lets the folder go.
    pub(super) fn shut(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let away = State::Away(StoreError::Unavailable("store is closed".into()));
        close(std::mem::replace(&mut *state, away));
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

fn close(state: State) {
    if let State::Open(database) = state {
        match unpanicked(|| database.close()) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "store did not close cleanly"),
            Err(reason) => tracing::warn!(reason, "store did not close cleanly"),
        }
    }
}

fn transact(
    database: &Database,
    number: &Cell<Option<u64>>,
    work: impl FnOnce(&mut WriteTables<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let engine = |error: redb::Error| Fault::Engine(error);
    let mut txn = database
        .begin_write()
        .map_err(|error| engine(error.into()))?;
    txn.set_durability(Durability::Immediate)
        .map_err(|error| engine(error.into()))?;
    let mut tables = WriteTables::new(&txn);
    work(&mut tables)?;
    if !tables.touched() {
        drop(tables);
        return txn.abort().map_err(Fault::from);
    }
    let next = row::load::<u64>(&mut tables, Table::Meta, COMMIT_KEY)?.unwrap_or(0) + 1;
    row::store(&mut tables, Table::Meta, COMMIT_KEY, &next)?;
    drop(tables);
    number.set(Some(next));
    txn.commit().map_err(|error| engine(error.into()))
}

fn prepare(database: &Database) -> Result<(), redb::Error> {
    let txn = database.begin_write()?;
    let made = WriteTables::new(&txn).create_all();
    match made {
        Ok(()) => Ok(txn.commit()?),
        Err(Fault::Engine(error)) => Err(error),
        Err(Fault::Row(what)) => Err(redb::Error::Corrupted(what)),
    }
}
