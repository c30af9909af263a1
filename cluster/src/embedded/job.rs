//! Jobs: pieces of work that share a transaction, and how each learns its end.

use parlor_schema::port::StoreError;
use tokio::sync::oneshot;

use super::{error::Fault, table::WriteTables, vault::Vault};

/// How the transaction that a job was part of ended.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// Durable.
    Committed,
    /// Nothing was stored.
    Refused(StoreError),
    /// All or nothing was stored.
    Unknown(StoreError),
}

/// A piece of work for the writer's thread.
pub(super) trait Job: Send {
    /// Bytes it holds, about.
    fn bytes(&self) -> usize;

    /// Does the work. An error voids the whole transaction; a job that fails alone keeps its error to itself.
    fn run(&mut self, vault: &Vault, tables: &mut WriteTables<'_>) -> Result<(), Fault>;

    /// Answers whoever asked.
    fn answer(self: Box<Self>, verdict: &Verdict);
}

/// A job made of a function that reads first and writes only when it can no longer refuse.
pub(super) struct Work<T, F> {
    bytes: usize,
    function: Option<F>,
    made: Option<Result<T, StoreError>>,
    unknown: fn(StoreError) -> Result<T, StoreError>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Work<T, F>
where
    T: Send,
    F: FnOnce(&mut WriteTables<'_>) -> Result<T, Fault> + Send,
{
    /// Makes a job; `unknown` is its answer when nobody can tell whether it was stored.
    pub(super) const fn new(
        bytes: usize,
        function: F,
        unknown: fn(StoreError) -> Result<T, StoreError>,
        reply: oneshot::Sender<Result<T, StoreError>>,
    ) -> Self {
        Self {
            bytes,
            function: Some(function),
            made: None,
            unknown,
            reply,
        }
    }
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnOnce(&mut WriteTables<'_>) -> Result<T, Fault> + Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn run(&mut self, vault: &Vault, tables: &mut WriteTables<'_>) -> Result<(), Fault> {
        let function = self
            .function
            .take()
            .expect("invariant: a job runs in one transaction only");
        self.made = Some(match function(tables) {
            Ok(made) => Ok(made),
            Err(Fault::Row(what)) => Err(vault.damaged(&what)),
            Err(fault) => return Err(fault),
        });
        Ok(())
    }

    fn answer(self: Box<Self>, verdict: &Verdict) {
        let answer = match verdict {
            Verdict::Committed => self
                .made
                .expect("invariant: every job of a committed transaction has run"),
            Verdict::Refused(error) => Err(error.clone()),
            Verdict::Unknown(error) => (self.unknown)(error.clone()),
        };
        // Nobody listens where the future was dropped; the effect stands.
        let _ = self.reply.send(answer);
    }
}
