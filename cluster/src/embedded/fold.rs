//! The thread that has the database take what a half of the log holds, and what became of it.
//!
//! Invariants:
//! - F-1: one runs at a time; whoever starts another has waited for the one before.
//! - F-2: that one failed is kept until the database is opened again.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use parlor_schema::port::StoreError;

type Folded = Result<(), StoreError>;

enum State {
    Idle,
    Running(JoinHandle<Folded>),
    Failed(StoreError),
}

/// The last fold that was begun. The writer's thread alone uses it.
pub(super) struct Fold(Mutex<State>);

impl Fold {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(State::Idle))
    }

    /// Runs `work` on a thread of its own. Without a thread nothing is done, and nothing lost: the writer does it when it needs the room.
    pub(super) fn begin(&self, work: impl FnOnce() -> Folded + Send + 'static) {
        let mut state = self.state();
        debug_assert!(matches!(*state, State::Idle), "F-1");
        let thread = std::thread::Builder::new()
            .name("parlor-fold".into())
            .spawn(work);
        match thread {
            Ok(thread) => *state = State::Running(thread),
            Err(error) => tracing::warn!(%error, "store has no thread to move rows out of its log"),
        }
    }

    /// Waits for the one that runs.
    pub(super) fn wait(&self) -> Folded {
        let mut state = self.state();
        state.join();
        match &*state {
            State::Failed(error) => Err(error.clone()),
            State::Idle | State::Running(_) => Ok(()),
        }
    }

    /// Tells, without waiting, whether one failed.
    pub(super) fn failed(&self) -> bool {
        let mut state = self.state();
        if matches!(&*state, State::Running(thread) if thread.is_finished()) {
            state.join();
        }
        matches!(*state, State::Failed(_))
    }

    /// Waits for the one that runs, and forgets what became of it.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.join();
        *state = State::Idle;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn join(&mut self) {
        *self = match std::mem::replace(self, Self::Idle) {
            Self::Running(thread) => match thread.join() {
                Ok(Ok(())) => Self::Idle,
                Ok(Err(error)) => Self::Failed(error),
                Err(_) => Self::Failed(StoreError::Unavailable("store fold panicked".into())),
            },
            known => known,
        };
    }
}
