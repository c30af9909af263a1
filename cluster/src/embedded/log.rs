//! The log: a file of fixed size that takes each group commit with one write and one sync, before it is answered.
//!
//! Owns the order of groups in the file, and which of them hold after a crash.
//!
//! Shape: one sector with the log's id, then groups from the beginning on, each under the number after the last. When the next has no
//! room, what they hold goes into the database, and the next is written at the beginning again.
//!
//! Invariants:
//! - O-1: the file has its length, and has been written from end to end, before it is used: a group moves no end of file and takes no
//!   room, so that a sync writes the group alone.
//! - O-2: groups the database does not hold follow each other from the first on. One that is missing while a later one is there is damage:
//!   a group is written only after the one before it is durable. At the end of the file's groups half a group is one that nobody heard of.
//! - O-3: after a group failed, nothing is written and nothing read until its place is known to hold no group.
//! - O-4: what a start finds is synced before anybody sees it: a process may have ended between a write and its sync.

use std::{
    io,
    path::{Path, PathBuf},
};

use redb::StorageBackend;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    error::OpenError,
    group::{self, Group, ID_BYTES, SECTOR},
};

const MAGIC: [u8; 8] = *b"parlorlg";
const SIZE_AT: usize = MAGIC.len() + ID_BYTES;
const SUM_AT: usize = SIZE_AT + 8;

/// Takes the number and the rows of a group; answers what is wrong with them.
pub(super) type Replay<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<(), &'static str>;

/// The open log.
pub(super) struct Log {
    file: PathBuf,
    backend: Box<dyn StorageBackend>,
    id: [u8; ID_BYTES],
    size: usize,
    /// Where the next group goes.
    end: usize,
    /// Set from a failed write until the place of the group is known to be empty.
    doubt: bool,
}

impl Log {
    /// Makes an empty log under a new id, in a file whose groups nobody needs.
    pub(super) fn begin(
        file: &Path,
        backend: Box<dyn StorageBackend>,
        id: [u8; ID_BYTES],
        size: usize,
    ) -> io::Result<Self> {
        let mut old = [0; SECTOR];
        let whole = backend.len()? == size as u64;
        if !whole || backend.read(0, &mut old).is_err() || read_first(&old).is_none() {
            // The id comes last: a file with one has been written from end to end.
            static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
            backend.set_len(size as u64)?;
            for at in (0..size).step_by(ZEROS.len()) {
                backend.write(at as u64, &ZEROS[..ZEROS.len().min(size - at)])?;
            }
            backend.sync_data()?;
        }
        backend.write(0, &first_sector(&id, size))?;
        backend.sync_data()?;
        Ok(Self {
            file: file.to_owned(),
            backend,
            id,
            size,
            end: SECTOR,
            doubt: false,
        })
    }

    /// Opens the log with this id, calling `replay` for each group after commit `done`.
    pub(super) fn resume(
        file: &Path,
        backend: Box<dyn StorageBackend>,
        id: [u8; ID_BYTES],
        done: u64,
        replay: Replay<'_>,
    ) -> Result<Self, OpenError> {
        let failed = |error| OpenError::io(file, error);
        let damaged = |why: String| OpenError::damaged(file, why);
        let size = usize::try_from(backend.len().map_err(failed)?).unwrap_or(0);
        let mut bytes = vec![0; size];
        backend.read(0, &mut bytes).map_err(failed)?;
        if bytes.first_chunk().and_then(read_first) != Some((id, size as u64)) {
            let why = "not the whole log that the database was last used with";
            return Err(damaged(why.into()));
        }
        let (mut end, mut last, mut newest) = (SECTOR, None, None);
        while let Some(found) = group::find(&id, bytes.get(end..).unwrap_or_default()) {
            let in_order = match last {
                None => found.number <= done + 1,
                Some(last) => found.number == last + 1,
            };
            if !in_order {
                break;
            }
            if found.number > done {
                let replayed = replay(found.number, found.rows);
                replayed.map_err(|why| damaged(format!("group {}: {why}", found.number)))?;
                newest = Some(end..end + found.length);
            }
            last = Some(found.number);
            end += found.length;
        }
        let last = last.unwrap_or(done).max(done);
        if let Some(later) = later(&id, &bytes, end, last) {
            let why = format!(
                "group {} is damaged, though group {later} is there",
                last + 1
            );
            return Err(damaged(why));
        }
        match newest {
            Some(place) => {
                // Written again: a sync that failed before need not have been told of it now.
                let (at, bytes) = (place.start as u64, &bytes[place]);
                backend.write(at, bytes).map_err(failed)?;
            }
            None => end = SECTOR,
        }
        backend.sync_data().map_err(failed)?;
        Ok(Self {
            file: file.to_owned(),
            backend,
            id,
            size,
            end,
            doubt: false,
        })
    }

    /// Returns the file, for errors.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Tells whether a group has room.
    pub(super) const fn fits(&self, group: &Group) -> bool {
        group.length() <= self.size - self.end
    }

    /// Writes a group that fits, and syncs it.
    pub(super) fn append(&mut self, number: u64, group: &mut Group) -> io::Result<()> {
        debug_assert!(!self.doubt && self.fits(group), "O-3");
        let bytes = group.seal(&self.id, number);
        self.doubt = true;
        self.backend.write(self.end as u64, bytes)?;
        self.backend.sync_data()?;
        self.doubt = false;
        self.end += bytes.len();
        Ok(())
    }

    /// Makes sure that a group that failed is not there.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        if self.doubt {
            self.backend.write(self.end as u64, &[0; SECTOR])?;
            self.backend.sync_data()?;
            self.doubt = false;
        }
        Ok(())
    }

    /// Begins again, after the database has taken every group.
    pub(super) const fn rewind(&mut self) {
        self.end = SECTOR;
    }

    /// Tells whether it holds nothing that failed halfway.
    pub(super) const fn is_settled(&self) -> bool {
        !self.doubt
    }
}

/// Finds a group after the last that follows.
fn later(id: &[u8; ID_BYTES], bytes: &[u8], end: usize, last: u64) -> Option<u64> {
    (end..bytes.len())
        .step_by(SECTOR)
        .filter_map(|at| group::find(id, &bytes[at..]))
        .map(|found| found.number)
        .find(|number| *number > last)
}

fn first_sector(id: &[u8; ID_BYTES], size: usize) -> [u8; SECTOR] {
    let mut first = [0; SECTOR];
    first[..MAGIC.len()].copy_from_slice(&MAGIC);
    first[MAGIC.len()..SIZE_AT].copy_from_slice(id);
    first[SIZE_AT..SUM_AT].copy_from_slice(&(size as u64).to_le_bytes());
    let sum = xxh3_64(&first[..SUM_AT]).to_le_bytes();
    first[SUM_AT..SUM_AT + sum.len()].copy_from_slice(&sum);
    first
}

/// Reads a log's id and size.
fn read_first(first: &[u8; SECTOR]) -> Option<([u8; ID_BYTES], u64)> {
    let sum = u64::from_le_bytes(*first[SUM_AT..].first_chunk()?);
    let sound = first[..MAGIC.len()] == MAGIC && xxh3_64(&first[..SUM_AT]) == sum;
    let id = first[MAGIC.len()..].first_chunk().filter(|_| sound)?;
    let size = u64::from_le_bytes(*first[SIZE_AT..].first_chunk()?);
    Some((*id, size))
}
