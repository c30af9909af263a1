//! Where the store's bytes are: a folder on disk, or backends given by a test.
//!
//! Invariants:
//! - M-1: a folder is held by one open store at a time, in whatever process, from before its file is touched until the store is closed.
//! - M-2: a file under its final name is a whole store: it is made under another name, and renamed when it is complete and synced.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use redb::{Builder, Database, StorageBackend, backends::FileBackend};

use super::{error::OpenError, part::Part};

const FILE: &str = "parlor.redb";
const FILE_LOG: &str = "parlor.log";
const FILE_NEW: &str = "parlor.redb.new";
const FILE_LOCK: &str = "parlor.lock";
const FILE_PROBE: &str = "parlor.probe";

/// Memory for pages where nobody says how much; half of it may hold what a transaction has not written yet.
pub(super) const CACHE_BYTES: usize = 128 << 20;

/// Bytes of the log: what may be in memory, and what a start may have to read again, before the database takes it.
pub(super) const LOG_BYTES: usize = 4 << 20;

/// Written and deleted again before a disk that refused is trusted again.
const PROBE_BYTES_MIN: usize = 4 * LOG_BYTES;

type Open<T> = Box<dyn Fn() -> Result<T, OpenError> + Send + Sync>;

/// A place that a database can be opened in, again and again, and a log beside it.
pub(super) struct Medium {
    file: PathBuf,
    file_log: PathBuf,
    folder: Option<PathBuf>,
    open: Open<Database>,
    open_log: Open<Box<dyn StorageBackend>>,
    log_bytes: usize,
    lock: Mutex<Option<File>>,
}

impl Medium {
    /// Takes a folder, making it and an empty store where there is none; `cache_bytes` of pages may be in memory.
    pub(super) fn folder(folder: &Path, cache_bytes: usize) -> Result<Self, OpenError> {
        fs::create_dir_all(folder).map_err(|error| OpenError::io(folder, error))?;
        let lock = lock(folder)?;
        let file = folder.join(FILE);
        let present = file
            .try_exists()
            .map_err(|error| OpenError::io(&file, error))?;
        if !present {
            create(folder, &file)?;
        }
        let path = file.clone();
        let file_log = folder.join(FILE_LOG);
        let (folder_of_log, path_log) = (folder.to_owned(), file_log.clone());
        Ok(Self {
            file,
            file_log,
            folder: Some(folder.to_owned()),
            // `open`, not `create`: a file that vanished must not come back empty.
            open: Box::new(move || {
                builder(cache_bytes)
                    .open(&path)
                    .map_err(|error| OpenError::engine(&path, error.into()))
            }),
            open_log: Box::new(move || open_log(&folder_of_log, &path_log)),
            log_bytes: LOG_BYTES,
            lock: Mutex::new(Some(lock)),
        })
    }

    /// Takes one backend for log and database; `name` stands for the file in errors.
    pub(super) fn backend<B: StorageBackend>(
        name: &str,
        make: impl Fn() -> io::Result<B> + Send + Sync + 'static,
    ) -> Self {
        let make = Arc::new(make);
        let make_log = Arc::clone(&make);
        Self::backends(
            name,
            move || Ok(Part::after(make()?, LOG_BYTES as u64)),
            move || Ok(Part::up_to(make_log()?, LOG_BYTES as u64)),
            LOG_BYTES,
        )
    }

    /// Takes one backend for the database and one for a log of `log_bytes`; `name` stands for the file in errors.
    pub(super) fn backends<B: StorageBackend, L: StorageBackend>(
        name: &str,
        make: impl Fn() -> io::Result<B> + Send + Sync + 'static,
        make_log: impl Fn() -> io::Result<L> + Send + Sync + 'static,
        log_bytes: usize,
    ) -> Self {
        let (file, file_log) = (PathBuf::from(name), PathBuf::from(format!("{name}.log")));
        let (path, path_log) = (file.clone(), file_log.clone());
        Self {
            file,
            file_log,
            folder: None,
            open: Box::new(move || {
                let backend = make().map_err(|error| OpenError::io(&path, error))?;
                builder(CACHE_BYTES)
                    .create_with_backend(backend)
                    .map_err(|error| OpenError::engine(&path, error.into()))
            }),
            open_log: Box::new(move || match make_log() {
                Ok(backend) => Ok(Box::new(backend)),
                Err(error) => Err(OpenError::io(&path_log, error)),
            }),
            log_bytes,
            lock: Mutex::new(None),
        }
    }

    /// Returns the file, for errors.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Opens the database.
    pub(super) fn open(&self) -> Result<Database, OpenError> {
        super::vault::unpanicked(|| (self.open)())
            .unwrap_or_else(|reason| Err(OpenError::damaged(&self.file, reason)))
    }

    /// Returns the log's file, for errors.
    pub(super) fn file_log(&self) -> &Path {
        &self.file_log
    }

    /// Returns the size of a new log.
    pub(super) const fn log_bytes(&self) -> usize {
        self.log_bytes
    }

    /// Opens the log's file, making an empty one where there is none.
    pub(super) fn open_log(&self) -> Result<Box<dyn StorageBackend>, OpenError> {
        (self.open_log)()
    }

    /// Tries whether the disk takes `bytes` more.
    pub(super) fn probe(&self, bytes: usize) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let path = folder.join(FILE_PROBE);
        let tried = write_through(&path, bytes.max(PROBE_BYTES_MIN));
        let removed = fs::remove_file(&path);
        tried.and(removed)
    }

    /// Lets the folder go.
    pub(super) fn release(&self) {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        *lock = None;
    }
}

fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    // redb trusts a file that was closed cleanly: a flipped bit in a page could then hide the end of a room, and appends would
    // write over what was acknowledged.
    builder.set_check_integrity_on_open(true);
    builder
}

fn open_log(folder: &Path, path: &Path) -> Result<Box<dyn StorageBackend>, OpenError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .and_then(|file| File::open(folder)?.sync_all().map(|()| file))
        .map_err(|error| OpenError::io(path, error))?;
    let backend = FileBackend::new(file).map_err(|error| OpenError::engine(path, error.into()))?;
    Ok(Box::new(backend))
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(FILE_LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| OpenError::io(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            folder: folder.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(OpenError::io(&path, error)),
    }
}

/// Makes an empty store. Killed at any point it leaves either no store or a whole one.
fn create(folder: &Path, file: &Path) -> Result<(), OpenError> {
    let new = folder.join(FILE_NEW);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(OpenError::io(&new, error));
        }
        _ => {}
    }
    let made = builder(CACHE_BYTES).create(&new).map_err(redb::Error::from);
    made.and_then(|database| database.close().map_err(redb::Error::from))
        .map_err(|error| OpenError::engine(&new, error))?;
    fs::rename(&new, file)
        .and_then(|()| File::open(folder)?.sync_all())
        .and_then(|()| match folder.canonicalize()?.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        })
        .map_err(|error| OpenError::io(file, error))
}

fn write_through(path: &Path, bytes: usize) -> io::Result<()> {
    static BLOCK: [u8; 64 << 10] = [1; 64 << 10];
    let mut file = File::create(path)?;
    let mut left = bytes;
    while left > 0 {
        let now = left.min(BLOCK.len());
        file.write_all(&BLOCK[..now])?;
        left -= now;
    }
    file.sync_all()
}
