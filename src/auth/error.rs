//! Why the server cannot start with the keys it was given.
//!
//! Every message names the setting and the file or address behind it.

use std::{io, path::PathBuf};

/// Says why authentication could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum AuthStartError {
    /// A file that a setting names cannot be read.
    #[error("{setting}: cannot read {}: {source}", path.display())]
    Read {
        /// The dotted key.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that a setting names holds no key that can be used.
    #[error("{setting}: {}: {source}", path.display())]
    Key {
        /// The dotted key.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// The key set could not be fetched.
    #[error("auth.jwt.jwks_url: {url}: {source}")]
    Fetch {
        /// The address.
        url: String,
        /// What went wrong.
        source: FetchError,
    },
    /// Settings that contradict each other.
    #[error("{setting}: {reason}")]
    Setting {
        /// The dotted key.
        setting: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Says why something is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing in it.
    #[error("is empty")]
    Empty,
    /// A PEM file where a shared secret belongs.
    #[error("is a pem file, but auth.jwt.algorithms asks for a shared secret")]
    PemForSecret,
    /// Not one public key in PEM.
    #[error("is not one public key in pem (BEGIN PUBLIC KEY or BEGIN RSA PUBLIC KEY)")]
    NotPem,
    /// A key for none of the algorithms.
    #[error("fits none of auth.jwt.algorithms")]
    NoAlgorithm,
    /// Fewer than 2048 bits.
    #[error("is an rsa key of fewer than 2048 bits")]
    Weak,
    /// Not a JSON Web Key Set.
    #[error("is not a json web key set")]
    NotSet,
    /// No key of the set can be used.
    #[error("holds no key for auth.jwt.algorithms")]
    NoKey,
    /// More keys than are looked at.
    #[error("holds too many keys")]
    TooMany,
}

/// Says why a key set could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer, or none in time.
    #[error("cannot be fetched: {0}")]
    Request(#[from] reqwest::Error),
    /// An answer other than 200; redirects are not followed.
    #[error("answers with status {0}")]
    Status(u16),
    /// An answer above the size limit.
    #[error("answers with more than {0} bytes")]
    TooLarge(usize),
    /// An answer that is no key set.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Says why the node's own secret could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read or written.
    #[error("cannot use the secret file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("the secret file {} is damaged: it must hold 64 hexadecimal digits", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The file is too short to be a secret.
    #[error("the secret file {} is too short: it must hold at least 32 bytes", path.display())]
    Short {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the file.
    #[error("the secret file {} may be read by others: its mode must be 0600", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
}
