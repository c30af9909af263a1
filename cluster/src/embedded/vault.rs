//! The open database with the log before it, and how both are opened again when the disk refused.
//!
//! Owns the one handle that readers and the writer share, the recent rows, and the log.
//!
//! A commit is one group in the log: written, synced, then shown to readers. When the half of the log that groups go into has no room for the
//! next, commits go on in the other half, and a thread has the database take what the full one holds.
//!
//! When full (the other half still waits for the database): the commit waits until the database has taken it. A commit larger than a half
//! waits likewise, and goes into the database by itself.
//!
//! Invariants:
//! - V-1: only the writer's thread replaces the handle or the recent rows, while no fold runs. A fold puts another snapshot in the place of
//!   the one before and takes the older layer away, at once, and changes nothing else. Readers that meet the change look again.
//! - V-2: a panic of redb over a file changed from outside is an error, not the end of a thread.
//! - V-3: commits are numbered without a gap, so that after a failed one it is known whether it holds.
//! - V-4: a layer of recent rows is let go only after the database durably holds all of it; its half of the log is written again only
//!   after that. So the other half is free exactly when there is no older layer.
//! - V-5: after a fold that failed the database is opened again before the next commit begins; the fold is tried again when its half is needed.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use parlor_schema::port::StoreError;
use redb::{Database, ReadTransaction, ReadableDatabase as _};

use super::{
    database::{self, LogMark},
    error::{Fault, OpenError, store_error},
    fold::Fold,
    group::Group,
    layer::Layer,
    log::Log,
    medium::Medium,
    recent::Recent,
    start::{checked, start},
    stats::Counters,
    table::{ReadTables, WriteTables},
};

/// What readers read and the writer writes over.
struct State {
    open: Result<Open, StoreError>,
    recent: Recent,
}

/// An open database, and what it holds.
struct Open {
    database: Database,
    /// Taken after the last fold, and replaced together with the recent rows: to take one of its own, a reader would wait while a fold
    /// makes the file longer.
    snapshot: Arc<ReadTransaction>,
}

impl Open {
    fn new(database: Database) -> Result<Self, Fault> {
        let snapshot = snapshot(&database)?;
        Ok(Self { database, snapshot })
    }
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

/// The database behind a handle that can change.
pub(super) struct Vault {
    medium: Medium,
    state: RwLock<State>,
    /// The writer's thread alone takes it.
    log: Mutex<Log>,
    fold: Fold,
    counters: Arc<Counters>,
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
    pub(super) fn open(medium: Medium, counters: Arc<Counters>) -> Result<Self, OpenError> {
        let database = medium.open()?;
        let (log, recent) = start(&medium, &database)?;
        let open = checked(medium.file(), || Open::new(database))?;
        Ok(Self {
            medium,
            state: RwLock::new(State {
                open: Ok(open),
                recent,
            }),
            log: Mutex::new(log),
            fold: Fold::new(),
            counters,
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
        state.open.is_ok()
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
            let (snapshot, recent, generation) = self.begin().map_err(ReadError::Final)?;
            let number = recent.last();
            let looked = unpanicked(|| look(&mut ReadTables::new(snapshot, recent, number)));
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

    /// Takes the snapshot of the database with the recent rows that belong over it, and the generation of both.
    fn begin(&self) -> Result<(Arc<ReadTransaction>, Recent, u64), StoreError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let generation = self.generation.load(Ordering::Relaxed);
        let open = state.open.as_ref().map_err(Clone::clone)?;
        Ok((Arc::clone(&open.snapshot), state.recent.clone(), generation))
    }

    /// Runs `work` as one commit and makes it durable.
    pub(super) fn write(
        self: &Arc<Self>,
        work: impl FnOnce(&mut WriteTables<'_>) -> Result<(), Fault>,
    ) -> Outcome {
        let (snapshot, recent, _) = match self.begin() {
            Ok(begun) => begun,
            Err(error) => return Outcome::Refused(error),
        };
        let number = recent.last() + 1;
        let mut group = Group::new();
        let done = unpanicked(|| {
            let rows = ReadTables::new(snapshot, recent.clone(), number);
            work(&mut WriteTables::new(rows, &mut group))
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
    fn commit(self: &Arc<Self>, mut recent: Recent, number: u64, mut group: Group) -> Outcome {
        let mut log = self.log();
        if !log.fits(&group) {
            recent.forget(&group, number);
            if let Err(error) = self.make_room(&mut log, &group) {
                return Outcome::Refused(error);
            }
            recent = self.recent();
            recent
                .put_all(group.rows(), number)
                .expect("invariant: a group reads what it wrote");
            if !log.fits(&group) {
                // Larger than a half: it goes into the database with all before it.
                return match self.fold_all(&mut log, &recent, number, None) {
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

    /// Waits for the fold that runs, if one does, and makes room for a group. One that is larger than a half is left to [`Self::fold_all`].
    fn make_room(self: &Arc<Self>, log: &mut Log, group: &Group) -> Result<(), StoreError> {
        let start = Instant::now();
        let folded = self.fold.wait();
        self.waited(start);
        folded?;
        if !log.holds(group) {
            return Ok(());
        }
        let recent = self.recent();
        if recent.older().is_some() {
            // Its fold failed before.
            return self.fold_all(log, &recent, recent.last(), None);
        }
        self.state_mut().recent = recent.frozen();
        log.turn();
        self.fold_behind();
        Ok(())
    }

    /// Has a thread fold the older layer, if there is one: after the other half was begun, and after a start that found both in use.
    pub(super) fn fold_behind(self: &Arc<Self>) {
        let Some(older) = self.recent().older().map(Arc::clone) else {
            return;
        };
        let vault = Arc::clone(self);
        self.fold.begin(move || {
            let number = older.last();
            match vault.take_over([&*older].into_iter(), number, None) {
                Ok(snapshot) => {
                    let gone = {
                        let mut state = vault.state_mut();
                        (state.show(snapshot), state.recent.take_older())
                    };
                    // Freed here, where nobody waits for it.
                    drop((gone, older));
                    Ok(())
                }
                Err(error) => {
                    tracing::error!(%error, "store could not move rows out of its log");
                    Counters::add(&vault.counters.failures, 1);
                    Err(error)
                }
            }
        });
    }

    /// Has the database take all recent rows up to `number`, with the mark if there is one, and begins without any.
    fn fold_all(
        &self,
        log: &mut Log,
        recent: &Recent,
        number: u64,
        mark: Option<LogMark>,
    ) -> Result<(), StoreError> {
        let start = Instant::now();
        let taken = self.take_over(recent.layers(), number, mark);
        self.waited(start);
        let snapshot = taken?;
        let mut state = self.state_mut();
        state.show(snapshot);
        state.recent = Recent::new(number);
        log.rewind();
        Ok(())
    }

    /// Has the database take layers whose last commit is `number`, and answers a snapshot that holds them.
    ///
    /// While it does, nobody waits to write the state, so readers come in.
    fn take_over<'a>(
        &self,
        layers: impl Iterator<Item = &'a Layer>,
        number: u64,
        mark: Option<LogMark>,
    ) -> Result<Arc<ReadTransaction>, StoreError> {
        let taken = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            let open = state.open.as_ref().map_err(Clone::clone)?;
            unpanicked(|| {
                database::fold(&open.database, layers, number, mark)?;
                snapshot(&open.database)
            })
        };
        Counters::add(&self.counters.folds, 1);
        match taken {
            Ok(Ok(snapshot)) => Ok(snapshot),
            Ok(Err(fault)) => Err(self.say(fault)),
            Err(reason) => Err(self.damaged(&reason)),
        }
    }

    fn waited(&self, start: Instant) {
        let spent = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Counters::add(&self.counters.fold_wait_us, spent);
    }

    /// Tells whether a fold failed, after which the database is to be opened again.
    pub(super) fn fold_failed(&self) -> bool {
        self.fold.failed()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> Recent {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.recent.clone()
    }

    /// Returns how often the database was opened again.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Closes the database, if it is open, and opens it again; sees to it that a commit that failed halfway is there or is not.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        self.fold.end();
        let mut log = self.log();
        let mut state = self.state_mut();
        let away = StoreError::Unavailable("store is being opened".into());
        if let Ok(open) = std::mem::replace(&mut state.open, Err(away)) {
            close(open);
        }
        let opened = self.medium.open().and_then(|database| {
            log.settle()
                .map_err(|error| OpenError::io(log.file(), error))?;
            checked(self.file(), || {
                let marks = database::marks(&database)?;
                Ok((Open::new(database)?, marks.commit))
            })
        });
        match opened {
            Ok((open, commit)) => {
                if commit >= state.recent.last() {
                    // It holds all, perhaps also a commit that was larger than a half of the log.
                    state.recent = Recent::new(commit);
                    log.rewind();
                } else if state
                    .recent
                    .older()
                    .is_some_and(|older| older.last() <= commit)
                {
                    // A fold that said it failed and did not.
                    drop(state.recent.take_older());
                }
                state.open = Ok(open);
                self.generation.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                let error = error.to_store();
                state.open = Err(error.clone());
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
        if self.fold.wait().is_err() {
            // An error of that is an error of what follows.
            let _ = self.reopen();
        }
        if self.is_open() {
            let (mut log, recent) = (self.log(), self.recent());
            debug_assert!(log.is_settled(), "O-3");
            let shut = Some(LogMark::Shut);
            if let Err(error) = self.fold_all(&mut log, &recent, recent.last(), shut) {
                tracing::warn!(%error, "store keeps its last commits in its log");
            }
        }
        let mut state = self.state_mut();
        let away = StoreError::Unavailable("store is closed".into());
        if let Ok(open) = std::mem::replace(&mut state.open, Err(away)) {
            close(open);
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

impl State {
    /// Shows another snapshot to readers; answers the one before.
    fn show(&mut self, snapshot: Arc<ReadTransaction>) -> Option<Arc<ReadTransaction>> {
        let open = self.open.as_mut().ok()?;
        Some(std::mem::replace(&mut open.snapshot, snapshot))
    }
}

fn snapshot(database: &Database) -> Result<Arc<ReadTransaction>, Fault> {
    let txn = database.begin_read();
    txn.map(Arc::new)
        .map_err(|error| Fault::Engine(error.into()))
}

fn close(Open { database, snapshot }: Open) {
    drop(snapshot);
    match unpanicked(|| database.close()) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "store did not close cleanly"),
        Err(reason) => tracing::warn!(reason, "store did not close cleanly"),
    }
}
