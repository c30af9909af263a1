//! The log: a file of fixed size that takes each group commit with one write and one sync, before it is answered.
//!
//! Owns the order of groups in the file, and which of them hold after a crash.
//!
//! Shape: one sector with the log's id, then two halves of whole sectors, then what is left over. Groups are written from the beginning of a
//! half on, each under the number after the last. When the next has no room it goes to the beginning of the other half, and the database
//! takes what this one holds.
//!
//! Invariants:
//! - O-1: the file has its length, and has been written from end to end, before it is used: a group moves no end of file and takes no
//!   room, so that a sync writes the group alone.
//! - O-2: groups the database does not hold follow each other from the beginning of one half on, then of the other. One that is missing
//!   while a later one is there is damage (C-2). At the end of them half a group is one that nobody heard of.
//! - O-3: after a group failed, nothing is written and nothing read until its place is known to hold no group.
//! - O-4: what a start finds is synced before anybody sees it: a process may have ended between a write and its sync. Only the last group
//!   can be in question, whichever half it is in.
//!
//! A log of the former form has one region in place of two halves; it is read, and never written.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use redb::StorageBackend;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    chain::{self, Gap, Place, Run},
    error::OpenError,
    group::{Group, ID_BYTES, SECTOR},
};

const MAGIC: [u8; 8] = *b"parlorl2";
const MAGIC_FORMER: [u8; 8] = *b"parlorlg";
const SIZE_AT: usize = MAGIC.len() + ID_BYTES;
const SUM_AT: usize = SIZE_AT + 8;

/// What a start finds in a log, in order.
pub(super) enum Replayed<'a> {
    /// A group that the database does not hold.
    Group {
        /// Which commit it is.
        number: u64,
        /// Its changes.
        rows: &'a [u8],
    },
    /// What follows is in the other half.
    Turn,
}

/// Takes what a start finds; answers what is wrong with it.
pub(super) type Replay<'a> = &'a mut dyn FnMut(Replayed<'_>) -> Result<(), &'static str>;

/// The open log.
pub(super) struct Log {
    file: PathBuf,
    backend: Box<dyn StorageBackend>,
    id: [u8; ID_BYTES],
    halves: [Range<usize>; 2],
    /// Which of them groups go into.
    half: usize,
    /// Where the next group goes.
    end: usize,
    /// Set from a failed write until the place of the group is known to be empty.
    doubt: bool,
}

/// What the first sector of a log says.
#[derive(PartialEq, Eq)]
struct First {
    form: Form,
    id: [u8; ID_BYTES],
    size: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Halves,
    Former,
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
        let sound = |old| read_first(old).is_some_and(|first| first.form == Form::Halves);
        if !whole || backend.read(0, &mut old).is_err() || !sound(&old) {
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
        Ok(Self::new(file, backend, id, halves(size)))
    }

    fn new(
        file: &Path,
        backend: Box<dyn StorageBackend>,
        id: [u8; ID_BYTES],
        halves: [Range<usize>; 2],
    ) -> Self {
        Self {
            file: file.to_owned(),
            backend,
            id,
            end: halves[0].start,
            half: 0,
            halves,
            doubt: false,
        }
    }

    /// Opens the log with this id, calling `replay` for what follows commit `done`; none when it has the former form.
    ///
    /// It goes on where what follows ends. When nothing does, the database holds all, and it begins again.
    pub(super) fn resume(
        file: &Path,
        backend: Box<dyn StorageBackend>,
        id: [u8; ID_BYTES],
        done: u64,
        replay: Replay<'_>,
    ) -> Result<Option<Self>, OpenError> {
        let failed = |error| OpenError::io(file, error);
        let damaged = |why: String| OpenError::damaged(file, why);
        let size = usize::try_from(backend.len().map_err(failed)?).unwrap_or(0);
        let mut bytes = vec![0; size];
        backend.read(0, &mut bytes).map_err(failed)?;
        let first = bytes.first_chunk().and_then(read_first);
        let Some(First { form, .. }) =
            first.filter(|first| first.id == id && first.size == size as u64)
        else {
            let why = "not the whole log that the database was last used with";
            return Err(damaged(why.into()));
        };
        let former = SECTOR..size;
        let halves = halves(size);
        let regions = match form {
            Form::Halves => &halves[..],
            Form::Former => std::slice::from_ref(&former),
        };
        let chain = chain::follow(&id, &bytes, regions, done)
            .map_err(|Gap { missing, later }| {
                format!("group {missing} is damaged, though group {later} is there")
            })
            .and_then(|chain| replay_all(&chain, replay).map(|()| chain))
            .map_err(damaged)?;
        if form == Form::Former {
            return Ok(None);
        }
        let mut log = Self::new(file, backend, id, halves);
        if let Some(run) = chain.last()
            && let Some(newest) = run.groups.last()
        {
            (log.half, log.end) = (run.region, newest.end());
            // Written again: a sync that failed before need not have been told of it now.
            let newest = newest.at..newest.end();
            let (at, bytes) = (newest.start as u64, &bytes[newest]);
            log.backend.write(at, bytes).map_err(failed)?;
        }
        log.backend.sync_data().map_err(failed)?;
        Ok(Some(log))
    }

    /// Returns the file, for errors.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Tells whether a group has room where groups go now.
    pub(super) const fn fits(&self, group: &Group) -> bool {
        group.length() <= self.halves[self.half].end - self.end
    }

    /// Tells whether a half without groups has room for one.
    pub(super) const fn holds(&self, group: &Group) -> bool {
        group.length() <= self.halves[0].end - self.halves[0].start
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

    /// Goes on in the other half, after the database has taken every group in it.
    pub(super) const fn turn(&mut self) {
        self.half = 1 - self.half;
        self.rewind();
    }

    /// Begins the half again, after the database has taken every group.
    pub(super) const fn rewind(&mut self) {
        self.end = self.halves[self.half].start;
    }

    /// Tells whether it holds nothing that failed halfway.
    pub(super) const fn is_settled(&self) -> bool {
        !self.doubt
    }
}

/// Divides what is behind the first sector.
const fn halves(size: usize) -> [Range<usize>; 2] {
    let half = size.saturating_sub(SECTOR) / 2 / SECTOR * SECTOR;
    let middle = SECTOR + half;
    [SECTOR..middle, middle..middle + half]
}

fn replay_all(chain: &[Run<'_>], replay: Replay<'_>) -> Result<(), String> {
    for (run, place) in chain.iter().zip(0..) {
        if place > 0 {
            replay(Replayed::Turn)?;
        }
        for Place { group, .. } in &run.groups {
            let (number, rows) = (group.number, group.rows);
            replay(Replayed::Group { number, rows })
                .map_err(|why| format!("group {number}: {why}"))?;
        }
    }
    Ok(())
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

fn read_first(first: &[u8; SECTOR]) -> Option<First> {
    let form = match *first.first_chunk()? {
        MAGIC => Form::Halves,
        MAGIC_FORMER => Form::Former,
        _ => return None,
    };
    let sum = u64::from_le_bytes(*first[SUM_AT..].first_chunk()?);
    let sound = xxh3_64(&first[..SUM_AT]) == sum;
    let id = first[MAGIC.len()..].first_chunk().filter(|_| sound)?;
    let size = u64::from_le_bytes(*first[SIZE_AT..].first_chunk()?);
    Some(First {
        form,
        id: *id,
        size,
    })
}
