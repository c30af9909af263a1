//! What can go wrong with the store's file, in the words of the ports.
//!
//! Owns the mapping from redb's errors: what more room, a retry or a restart can heal is away, all else is damage.

use std::{
    io,
    path::{Path, PathBuf},
};

use parlor_schema::port::StoreError;

/// Why the embedded store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or this one, holds the folder.
    #[error("data folder {} is in use by another process", .folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The file is not a whole store.
    #[error("data file {} is damaged: {reason}", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The system refused.
    #[error("cannot open {}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn damaged(file: &Path, reason: impl ToString) -> Self {
        Self::Damaged {
            file: file.to_owned(),
            reason: reason.to_string(),
        }
    }

    /// Sorts an error of redb met while opening `file`.
    pub(super) fn engine(file: &Path, error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::InUse {
                folder: file.parent().unwrap_or(file).to_owned(),
            },
            redb::Error::Io(source) if !is_damage(&source) => Self::io(file, source),
            other => Self::damaged(file, other),
        }
    }

    /// Says it as a port does.
    pub(super) fn to_store(&self) -> StoreError {
        match self {
            Self::Damaged { .. } => StoreError::Damaged(self.to_string()),
            Self::InUse { .. } | Self::Io { .. } => StoreError::Unavailable(self.to_string()),
        }
    }
}

/// Why a step inside a transaction failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// One row cannot be read; names table and row. The job had written nothing.
    Row(String),
    /// redb failed: the whole transaction is void.
    Engine(redb::Error),
}

macro_rules! engine_faults {
    ($($error:ty),*) => { $(impl From<$error> for Fault {
        fn from(error: $error) -> Self {
            Self::Engine(error.into())
        }
    })* };
}

engine_faults!(redb::TableError, redb::StorageError);

/// Says an error of redb, met while `file` was open, as a port does.
pub(super) fn store_error(file: &Path, error: &redb::Error) -> StoreError {
    let text = format!("{}: {error}", file.display());
    match error {
        redb::Error::Io(source) if !is_damage(source) => StoreError::Unavailable(text),
        redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::LockPoisoned(_) => {
            StoreError::Unavailable(text)
        }
        _ => StoreError::Damaged(text),
    }
}

/// Tells whether the file, not the system, is what an error complains about.
fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput
    )
}
