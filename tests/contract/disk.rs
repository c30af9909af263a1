//! A disk in memory that can lose power, fill up, stall, and lie about syncing.
//!
//! Invariants:
//! - D-1: what was written before an honest sync survives [`SimDisk::restore`]; of what came after, any part may, sector by sector.
//! - D-2: without power every call fails.

use std::{
    io,
    sync::{Arc, Condvar, Mutex},
};

use redb::StorageBackend;

use crate::make::Dice;

const SECTOR: usize = 512;

/// What a sync does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// What was written is safe.
    Honest,
    /// Nothing, though it says so: the negative control.
    Dropped,
}

/// What a disk without room refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// To make the file longer.
    Growth,
    /// To write where nothing was written before, in a file that was made longer.
    FirstWrite,
    /// To sync, as file systems do that find room late.
    AtSync,
    /// To sync, and forgets what was to be synced while it can still be read: what Linux does after an error of the device.
    AtSyncForGood,
}

#[derive(Clone)]
enum Change {
    Len(usize),
    Write(usize, Vec<u8>),
}

struct State {
    durable: Vec<u8>,
    live: Vec<u8>,
    pending: Vec<Change>,
    sync: Sync,
    power: bool,
    /// Calls until the power goes.
    calls_left: Option<u64>,
    /// Calls until one fails.
    sound_left: Option<u64>,
    full: Option<Full>,
    /// What has room on the disk.
    written: usize,
    stalled: bool,
    dice: Dice,
}

/// A handle of the disk; all handles are of one disk.
#[derive(Clone)]
pub(crate) struct SimDisk(Arc<(Mutex<State>, Condvar)>);

/// While it lives, syncs wait. Dropped before the store it stalls, so that a failed check does not wait for ever.
pub(crate) struct Stall(SimDisk);

impl Drop for Stall {
    fn drop(&mut self) {
        self.0.with(|state| state.stalled = false);
        self.0.0.1.notify_all();
    }
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimDisk")
    }
}

impl SimDisk {
    pub(crate) fn new(seed: u64, sync: Sync) -> Self {
        let state = State {
            durable: Vec::new(),
            live: Vec::new(),
            pending: Vec::new(),
            sync,
            power: true,
            calls_left: None,
            sound_left: None,
            full: None,
            written: 0,
            stalled: false,
            dice: Dice(seed),
        };
        Self(Arc::new((Mutex::new(state), Condvar::new())))
    }

    /// What [`parlor_cluster::EmbeddedStore::open_with_backend`] takes.
    pub(crate) fn make(
        &self,
    ) -> impl Fn() -> io::Result<SimDisk> + Send + std::marker::Sync + use<> {
        let disk = self.clone();
        move || Ok(disk.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.0.lock().unwrap())
    }

    /// Cuts the power at the given number of changing calls from now.
    pub(crate) fn cut_after(&self, calls: u64) {
        self.with(|state| state.calls_left = Some(calls));
    }

    /// Makes one call fail, after the given number of changing calls from now; those after it succeed.
    pub(crate) fn fail_after(&self, calls: u64) {
        self.with(|state| state.sound_left = Some(calls));
    }

    /// Tells whether the call that was to fail is still to come.
    pub(crate) fn is_to_fail(&self) -> bool {
        self.with(|state| state.sound_left.is_some())
    }

    /// Copies what can be read.
    pub(crate) fn image(&self) -> Vec<u8> {
        self.with(|state| state.live.clone())
    }

    /// Brings the power back; what was not synced is lost, or not, at random.
    pub(crate) fn restore(&self) {
        self.with(|state| {
            let mut image = std::mem::take(&mut state.durable);
            // Also all or nothing, so that a commit that was not answered is sometimes there whole. A disk that drops syncs would
            // hide its fault by keeping all.
            let kinds: &[u64] = match state.sync {
                Sync::Honest => &[0, 50, 99, 100],
                Sync::Dropped => &[0, 50],
            };
            let survive = kinds[usize::try_from(state.dice.below(kinds.len() as u64)).unwrap()];
            for change in std::mem::take(&mut state.pending) {
                match change {
                    // A file's length is in the file system's journal: it keeps its order.
                    Change::Len(len) => image.resize(len, 0),
                    Change::Write(offset, data) => {
                        for (sector, at) in data.chunks(SECTOR).zip((offset..).step_by(SECTOR)) {
                            if state.dice.below(100) < survive && at + sector.len() <= image.len() {
                                image[at..at + sector.len()].copy_from_slice(sector);
                            }
                        }
                    }
                }
            }
            state.durable.clone_from(&image);
            state.live = image;
            state.power = true;
            state.calls_left = None;
            state.sound_left = None;
        });
    }

    /// Fills the disk, or makes room.
    pub(crate) fn fill(&self, full: Option<Full>) {
        self.with(|state| state.full = full);
    }

    /// Copies the disk with all that is not synced: what a process leaves that is killed now.
    pub(crate) fn killed(&self) -> Self {
        let copy = self.with(|state| State {
            durable: state.durable.clone(),
            live: state.live.clone(),
            pending: state.pending.clone(),
            sync: state.sync,
            power: true,
            calls_left: None,
            sound_left: None,
            full: None,
            written: state.written,
            stalled: false,
            dice: Dice(state.dice.roll()),
        });
        Self(Arc::new((Mutex::new(copy), Condvar::new())))
    }

    /// Tells whether something was written that is not synced.
    pub(crate) fn unsynced(&self) -> bool {
        self.with(|state| !state.pending.is_empty())
    }

    /// Makes syncs wait until the answer is dropped.
    #[must_use]
    pub(crate) fn stall(&self) -> Stall {
        self.with(|state| state.stalled = true);
        Stall(self.clone())
    }

    fn changing(&self) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let mut state = self.0.0.lock().unwrap();
        if let Some(left) = &mut state.calls_left {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => state.power = false,
            }
        }
        let mut state = powered(state)?;
        state.sound_left = match state.sound_left.map(|left| left.checked_sub(1)) {
            Some(None) => {
                state.sound_left = None;
                return Err(io::Error::other("input/output error"));
            }
            left => left.flatten(),
        };
        Ok(state)
    }
}

fn powered(
    state: std::sync::MutexGuard<'_, State>,
) -> io::Result<std::sync::MutexGuard<'_, State>> {
    if state.power {
        Ok(state)
    } else {
        Err(io::Error::other("the power is off"))
    }
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no space left on device")
}

impl StorageBackend for SimDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(powered(self.0.0.lock().unwrap())?.live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = powered(self.0.0.lock().unwrap())?;
        let start = usize::try_from(offset).unwrap();
        let bytes = state.live.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.changing()?;
        let len = usize::try_from(len).unwrap();
        if state.full == Some(Full::Growth) && len > state.live.len() {
            return Err(full());
        }
        state.live.resize(len, 0);
        state.written = state.written.min(len);
        state.pending.push(Change::Len(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let state = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(state, |state| state.stalled).unwrap());
        let mut state = self.changing()?;
        if state.full == Some(Full::AtSync) && !state.pending.is_empty() {
            return Err(full());
        }
        if state.full == Some(Full::AtSyncForGood) && !state.pending.is_empty() {
            state.pending.clear();
            return Err(io::Error::other("input/output error"));
        }
        if state.sync == Sync::Honest {
            let State {
                durable, pending, ..
            } = &mut *state;
            for change in pending.drain(..) {
                match change {
                    Change::Len(len) => durable.resize(len, 0),
                    Change::Write(offset, data) => {
                        durable[offset..offset + data.len()].copy_from_slice(&data);
                    }
                }
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.changing()?;
        let start = usize::try_from(offset).unwrap();
        let end = start + data.len();
        if end > state.live.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if state.full == Some(Full::FirstWrite) && end > state.written {
            return Err(full());
        }
        state.written = state.written.max(end);
        state.live[start..end].copy_from_slice(data);
        state.pending.push(Change::Write(start, data.to_vec()));
        Ok(())
    }
}
