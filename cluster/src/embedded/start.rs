//! How a start joins database and log: what the log holds and the database does not becomes recent rows.
//!
//! Deliberately absent: that the database takes them over, which is left to the first fold: a start must do with a full disk.

use std::path::Path;

use parlor_schema::port::Ids as _;
use redb::Database;

use super::{
    database::{self, LogMark},
    error::{Fault, OpenError},
    group::ID_BYTES,
    log::{Log, Replayed},
    medium::Medium,
    recent::Recent,
    vault::unpanicked,
};
use crate::memory::RandomIds;

/// Runs a step on a database that is being opened.
pub(super) fn checked<T>(
    file: &Path,
    step: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, OpenError> {
    match unpanicked(step) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(Fault::Engine(error))) => Err(OpenError::engine(file, error)),
        Ok(Err(Fault::Row(what))) | Err(what) => Err(OpenError::damaged(file, what)),
    }
}

/// Opens the log that the database needs, or gives it one.
pub(super) fn start(medium: &Medium, database: &Database) -> Result<(Log, Recent), OpenError> {
    let file = medium.file();
    checked(file, || database::prepare(database))?;
    let marks = checked(file, || database::marks(database))?;
    let mut recent = Recent::new(marks.commit);
    if let LogMark::Open(id) = marks.log {
        let backend = medium.open_log()?;
        let replay = &mut |found: Replayed<'_>| {
            match found {
                Replayed::Group { number, rows } => {
                    recent.put_all(rows, number)?;
                    recent.publish(number);
                }
                // The halves keep their layers, so that the first can be folded alone.
                Replayed::Turn => recent = recent.clone().frozen(),
            }
            Ok(())
        };
        if let Some(log) = Log::resume(medium.file_log(), backend, id, marks.commit, replay)? {
            return Ok((log, recent));
        }
        // The former form: the database takes all of it, once, and is given a new one.
        let (last, shut) = (recent.last(), Some(LogMark::Shut));
        checked(file, || {
            database::fold(database, recent.layers(), last, shut)
        })?;
        recent = Recent::new(last);
    }
    Ok((begin(medium, database)?, recent))
}

fn begin(medium: &Medium, database: &Database) -> Result<Log, OpenError> {
    let mut id = [0; ID_BYTES];
    id.copy_from_slice(&RandomIds::new().secret()[..ID_BYTES]);
    let (file_log, backend) = (medium.file_log(), medium.open_log()?);
    let log = Log::begin(file_log, backend, id, medium.log_bytes())
        .map_err(|error| OpenError::io(file_log, error))?;
    checked(medium.file(), || {
        database::mark(database, LogMark::Open(id))
    })?;
    Ok(log)
}
