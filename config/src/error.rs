//! What is said about settings that cannot be taken.
//!
//! Owns invariant C-3 in types: a refusal always carries the key, a loading error also the origin of its value.

use std::{fmt, io, path::PathBuf};

/// Says which setting cannot be taken, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct Refusal {
    /// The full dotted key, as in `storage.cql.nodes`.
    pub key: String,
    /// What is wrong with its value, or which other setting demands it.
    pub reason: String,
}

/// Says where the value of a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The settings file, and the line where it is known.
    File {
        /// The file as it was named to the loader.
        path: PathBuf,
        /// The line, counted from 1.
        line: Option<usize>,
    },
    /// An environment variable, by name.
    Environment(String),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "in {}, line {line}", path.display()),
            Self::File { path, line: None } => write!(f, "in {}", path.display()),
            Self::Environment(name) => write!(f, "from the environment variable {name}"),
            Self::Default => f.write_str("not set anywhere"),
        }
    }
}

/// Says why the settings could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The named file is missing or unreadable.
    #[error("cannot read the settings file {}: {source}", path.display())]
    Read {
        /// The file as it was named to the loader.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("the settings file {} is not TOML, line {line}: {reason}", path.display())]
    Syntax {
        /// The file as it was named to the loader.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// A key is unknown, or its value cannot be taken.
    #[error("{refusal} ({origin})")]
    Refused {
        /// The key and what is wrong with it.
        refusal: Refusal,
        /// Where the value came from.
        origin: Origin,
    },
}

/// Refuses the setting `key`.
pub(crate) fn refuse(key: &str, reason: impl Into<String>) -> Result<(), Refusal> {
    Err(Refusal {
        key: key.to_owned(),
        reason: reason.into(),
    })
}

/// Longest duration a setting takes, a hundred years: sums with any time of day stay far from overflow.
const DURATION_MS_MAX: u64 = 100 * 366 * 24 * 60 * 60 * 1000;

/// Refuses a duration too long to calculate with.
pub(crate) fn check_duration(key: &str, ms: u64) -> Result<(), Refusal> {
    if ms > DURATION_MS_MAX {
        return refuse(
            key,
            format!("must be at most {DURATION_MS_MAX} ms, a hundred years"),
        );
    }
    Ok(())
}

/// Refuses a duration that is zero, or too long to calculate with.
pub(crate) fn check_positive_duration(key: &str, ms: u64) -> Result<(), Refusal> {
    if ms == 0 {
        return refuse(key, "must be above 0");
    }
    check_duration(key, ms)
}

/// Refuses a text or path that is set but empty.
pub(crate) fn check_not_empty(key: &str, value: Option<&std::ffi::OsStr>) -> Result<(), Refusal> {
    if value.is_some_and(std::ffi::OsStr::is_empty) {
        return refuse(key, "must not be empty");
    }
    Ok(())
}
