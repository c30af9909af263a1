//! The writer: one thread that takes whatever is queued into one durable transaction (group commit).
//!
//! Invariants:
//! - J-1: jobs take effect in the order they were queued; a job sees what the jobs before it did.
//! - J-2: a job is answered after its transaction is decided, never before.
//! - J-3: alone, a job waits for nothing; under load the transaction in hand is the wait.
//!
//! When full ([`QUEUE_JOBS`] or [`QUEUE_BYTES`]): `Unavailable` at once, nothing stored.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parlor_schema::port::StoreError;
use tokio::sync::oneshot;

use super::{
    job::{Job, Verdict},
    stats::Counters,
    vault::{Outcome, Vault},
};

/// Jobs that may wait.
pub(super) const QUEUE_JOBS: usize = 4096;
/// Bytes that may wait.
pub(super) const QUEUE_BYTES: u64 = 64 << 20;
/// Jobs in one transaction.
const BATCH_JOBS: usize = 512;
/// Bytes after which a transaction takes no further job: well within a half of the log, so that only one job that is larger itself has to wait for the
/// database.
const BATCH_BYTES: usize = 1 << 20;
/// How often a database that could not be opened again is tried.
const RETRY: Duration = Duration::from_millis(250);

/// What the thread is told.
enum Order {
    Run(Box<dyn Job>),
    /// A reader met an error after which redb wants to be opened again.
    Reopen(Wish),
}

/// The wish that the database of a generation be replaced; its sender hears when that is done.
struct Wish {
    generation: u64,
    done: oneshot::Sender<()>,
}

/// The bounded way to the writer's thread.
pub(super) struct Writer {
    sender: Mutex<Option<SyncSender<Order>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    counters: Arc<Counters>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(vault: Arc<Vault>, counters: Arc<Counters>) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE_JOBS);
        let worker = Worker {
            vault,
            counters: Arc::clone(&counters),
            doubt: false,
            is_first: true,
        };
        let thread = std::thread::Builder::new()
            .name("parlor-store".into())
            .spawn(move || worker.run(&receiver))?;
        Ok(Self {
            sender: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            counters,
        })
    }

    /// Queues a job; one that finds no room is answered at once.
    pub(super) fn submit(&self, job: Box<dyn Job>) {
        if let Err((job, why)) = self.queue(job) {
            Counters::add(&self.counters.refused, 1);
            job.answer(&Verdict::Refused(StoreError::Unavailable(why.into())));
        }
    }

    fn queue(&self, job: Box<dyn Job>) -> Result<(), (Box<dyn Job>, &'static str)> {
        const FULL: &str = "store queue is full";
        let counters = &self.counters;
        let bytes = job.bytes() as u64;
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = &*sender else {
            return Err((job, "store is closed"));
        };
        let queued = counters.queued_bytes.load(Ordering::Relaxed);
        if queued > 0 && queued.saturating_add(bytes) > QUEUE_BYTES {
            return Err((job, FULL));
        }
        // Counted first, so that the thread never takes off what was not put on.
        Counters::add(&counters.queued, 1);
        Counters::add(&counters.queued_bytes, bytes);
        match sender.try_send(Order::Run(job)) {
            Err(
                TrySendError::Full(Order::Run(job)) | TrySendError::Disconnected(Order::Run(job)),
            ) => {
                counters.queued.fetch_sub(1, Ordering::Relaxed);
                counters.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                Err((job, FULL))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Asks for the database of a generation to be opened again, and waits until that was tried.
    pub(super) async fn reopen(&self, generation: u64) {
        let (done, heard) = oneshot::channel();
        {
            let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(sender) = &*sender else { return };
            // No room: the jobs that are queued will meet the same error and have it opened again.
            if sender
                .try_send(Order::Reopen(Wish { generation, done }))
                .is_err()
            {
                return;
            }
        }
        let _ = heard.await;
    }

    /// Lets the thread finish what is queued, and waits for its end.
    pub(super) fn stop(&self) {
        drop(
            self.sender
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("store thread panicked");
        }
    }
}

struct Worker {
    vault: Arc<Vault>,
    counters: Arc<Counters>,
    /// Set after a failure, until the disk has taken something again.
    doubt: bool,
    /// Until the first commit.
    is_first: bool,
}

impl Worker {
    fn run(mut self, receiver: &Receiver<Order>) {
        loop {
            let order = if self.vault.is_open() {
                match receiver.recv() {
                    Ok(order) => order,
                    Err(_) => break,
                }
            } else {
                match receiver.recv_timeout(RETRY) {
                    Ok(order) => order,
                    Err(RecvTimeoutError::Timeout) => {
                        self.reopen();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            };
            let wish = match order {
                Order::Run(first) => {
                    let (batch, wish) = self.gather(first, receiver);
                    self.commit(batch);
                    wish
                }
                Order::Reopen(wish) => Some(wish),
            };
            if let Some(wish) = wish {
                if wish.generation == self.vault.generation() {
                    self.reopen();
                }
                let _ = wish.done.send(());
            }
        }
        self.vault.shut();
    }

    /// Takes what is queued behind `first`, without waiting, up to the first wish.
    fn gather(
        &self,
        first: Box<dyn Job>,
        receiver: &Receiver<Order>,
    ) -> (Vec<Box<dyn Job>>, Option<Wish>) {
        let mut bytes = first.bytes();
        let mut batch = vec![first];
        let mut wish = None;
        while batch.len() < BATCH_JOBS && bytes < BATCH_BYTES && wish.is_none() {
            match receiver.try_recv() {
                Ok(Order::Run(job)) => {
                    bytes += job.bytes();
                    batch.push(job);
                }
                Ok(Order::Reopen(asked)) => wish = Some(asked),
                Err(_) => break,
            }
        }
        let counters = &self.counters;
        let jobs = batch.len() as u64;
        counters.queued.fetch_sub(jobs, Ordering::Relaxed);
        counters
            .queued_bytes
            .fetch_sub(bytes as u64, Ordering::Relaxed);
        (batch, wish)
    }

    fn commit(&mut self, mut batch: Vec<Box<dyn Job>>) {
        let verdict = match self.ready(&batch) {
            Ok(()) => self.timed(&mut batch),
            Err(error) => Verdict::Refused(error),
        };
        for job in batch {
            job.answer(&verdict);
        }
    }

    /// Tells whether a transaction is worth trying. A full disk is asked with a scratch file, so that the database stays open for readers.
    fn ready(&mut self, batch: &[Box<dyn Job>]) -> Result<(), StoreError> {
        if self.doubt {
            // A transaction writes whole pages, so more than its rows.
            let bytes: usize = batch.iter().map(|job| job.bytes()).sum();
            self.vault.probe(bytes.saturating_mul(4))?;
        }
        if self.vault.fold_failed() || !self.vault.is_open() {
            Counters::add(&self.counters.reopens, 1);
            self.vault.reopen()?;
        }
        self.doubt = false;
        if std::mem::take(&mut self.is_first) {
            // What a start found in two halves. Begun only now: until somebody writes nobody needs the room, and a store that is only
            // read writes nothing.
            self.vault.fold_behind();
        }
        Ok(())
    }

    fn timed(&mut self, batch: &mut [Box<dyn Job>]) -> Verdict {
        let start = Instant::now();
        let verdict = self.transact(batch);
        let spent = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Counters::add(&self.counters.commits, 1);
        Counters::add(&self.counters.jobs, batch.len() as u64);
        Counters::add(&self.counters.commit_us, spent);
        verdict
    }

    fn transact(&mut self, batch: &mut [Box<dyn Job>]) -> Verdict {
        let vault = Arc::clone(&self.vault);
        let outcome = vault.write(|tables| {
            for job in batch.iter_mut() {
                job.run(&vault, tables)?;
            }
            Ok(())
        });
        let (doubtful, error) = match outcome {
            Outcome::Committed => return Verdict::Committed,
            Outcome::Refused(error) => (None, error),
            Outcome::Doubtful { number, error } => (Some(number), error),
        };
        tracing::error!(%error, jobs = batch.len(), "store transaction failed");
        Counters::add(&self.counters.failures, 1);
        self.doubt = true;
        self.reopen();
        match doubtful.map(|number| vault.settle(number)) {
            // `commit` never began, or the count of commits has not moved: nothing was stored.
            None | Some(Some(false)) => Verdict::Refused(error),
            Some(Some(true)) => Verdict::Committed,
            Some(None) => Verdict::Unknown(error),
        }
    }

    fn reopen(&mut self) {
        Counters::add(&self.counters.reopens, 1);
        match self.vault.reopen() {
            Ok(()) => tracing::warn!(file = %self.vault.file().display(), "store opened again"),
            Err(error) => tracing::error!(%error, "store could not be opened again"),
        }
    }
}
