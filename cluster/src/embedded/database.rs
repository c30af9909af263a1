//! What is written into the database, and when: its tables and marks at a start, and the rows of many commits at once.
//!
//! Invariants:
//! - the row `commit` of table `meta` is the number of the last commit that the database holds; it holds all before it.
//! - the row `log` names the log that later commits are in; a database without it, or with a log that is shut, needs none.

use std::sync::Arc;

use redb::{Database, Durability, ReadableDatabase as _, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{
    error::Fault,
    group::ID_BYTES,
    layer::Layer,
    recent::Recent,
    row,
    table::{ReadTables, Table},
};

const COMMIT_KEY: &[u8] = b"commit";
const LOG_KEY: &[u8] = b"log";

/// Which log the database needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum LogMark {
    /// None: it holds all itself.
    Shut,
    /// The one with this id.
    Open([u8; ID_BYTES]),
}

/// What the database says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    /// The last commit it holds.
    pub(super) commit: u64,
    /// The log of what came after.
    pub(super) log: LogMark,
}

/// Makes the tables that are not there.
pub(super) fn prepare(database: &Database) -> Result<(), Fault> {
    let txn = begin(database)?;
    for table in Table::ALL {
        txn.open_table(table.definition())?;
    }
    commit(txn)
}

/// Reads the marks.
pub(super) fn marks(database: &Database) -> Result<Marks, Fault> {
    let txn = database
        .begin_read()
        .map_err(|error| Fault::Engine(error.into()))?;
    let mut tables = ReadTables::new(Arc::new(txn), Recent::new(0), 0);
    let commit = row::load(&mut tables, Table::Meta, COMMIT_KEY)?;
    let log = row::load(&mut tables, Table::Meta, LOG_KEY)?;
    Ok(Marks {
        commit: commit.unwrap_or(0),
        log: log.unwrap_or(LogMark::Shut),
    })
}

/// Writes which log the database needs from here on.
pub(super) fn mark(database: &Database, log: LogMark) -> Result<(), Fault> {
    let txn = begin(database)?;
    set(&txn, LOG_KEY, &log)?;
    commit(txn)
}

/// Takes over the rows of layers, whose commits follow each other up to `number`, and the mark if there is one, in one durable transaction.
///
/// An error from here does not say that nothing was taken.
pub(super) fn fold<'a>(
    database: &Database,
    layers: impl Iterator<Item = &'a Layer>,
    number: u64,
    log: Option<LogMark>,
) -> Result<(), Fault> {
    let txn = begin(database)?;
    for layer in layers {
        take(&txn, layer, number)?;
    }
    set(&txn, COMMIT_KEY, &number)?;
    if let Some(log) = log {
        set(&txn, LOG_KEY, &log)?;
    }
    commit(txn)
}

fn take(txn: &WriteTransaction, layer: &Layer, number: u64) -> Result<(), Fault> {
    for table in Table::ALL {
        if layer.is_empty(*table) {
            continue;
        }
        let mut rows = txn.open_table(table.definition())?;
        layer.each(*table, number, |key, row| -> Result<(), Fault> {
            match row {
                Some(row) => rows.insert(key, row)?,
                None => rows.remove(key)?,
            };
            Ok(())
        })?;
    }
    Ok(())
}

fn begin(database: &Database) -> Result<WriteTransaction, Fault> {
    let engine = |error: redb::Error| Fault::Engine(error);
    let mut txn = database
        .begin_write()
        .map_err(|error| engine(error.into()))?;
    txn.set_durability(Durability::Immediate)
        .map_err(|error| engine(error.into()))?;
    Ok(txn)
}

fn commit(txn: WriteTransaction) -> Result<(), Fault> {
    txn.commit().map_err(|error| Fault::Engine(error.into()))
}

fn set<T: Serialize>(txn: &WriteTransaction, key: &[u8], value: &T) -> Result<(), Fault> {
    let row = row::seal(key, value);
    txn.open_table(Table::Meta.definition())?
        .insert(key, row.as_slice())?;
    Ok(())
}
