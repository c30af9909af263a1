//! The secret of a node or cluster, and the keys made from it.
//!
//! Invariants:
//! - K-1: the file is written whole or not at all, readable by its owner alone; two processes that make it at once end with one.
//! - K-2: each use has a key of its own (HKDF, RFC 5869): what leaks from one says nothing of another.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use aws_lc_rs::{digest, hkdf};
use parlor_schema::port::Ids;

use super::error::SecretError;

/// Fewest bytes of a shared secret: 32 random ones cannot be guessed, and half of their hexadecimal form neither.
const SHARED_SECRET_BYTES_MIN: usize = 32;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// Signs access tokens.
    AccessTokens,
    /// Signs cursors.
    Cursors,
    /// Seals what nodes say to each other's internal listener.
    Links,
    /// Seals what nodes say to each other over Redis.
    Packets,
}

impl KeyUse {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::AccessTokens => b"parlor access tokens v1",
            Self::Cursors => b"parlor cursors v1",
            Self::Links => b"parlor links v1",
            Self::Packets => b"parlor packets v1",
        }
    }
}

/// Makes the key for one use.
///
/// # Panics
/// Never: HKDF gives up to 255 hash lengths, and this takes one.
#[must_use]
pub fn derive(secret: &[u8; 32], key_use: KeyUse) -> [u8; 32] {
    let mut key = [0; 32];
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"parlor")
        .extract(secret)
        .expand(&[key_use.label()], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key))
        .expect("invariant: one hash length is within HKDF's limit");
    key
}

/// Reads the secret in `path`, which is made first (with its folder) when it is not there.
///
/// # Errors
/// The file cannot be read or made, is damaged, or others may read it.
pub fn load_or_make_secret(path: &Path, ids: &dyn Ids) -> Result<[u8; 32], SecretError> {
    let file_error = |source| SecretError::File {
        path: path.to_owned(),
        source,
    };
    match read(path) {
        Err(SecretError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            make(path, ids).map_err(file_error)?;
            read(path)
        }
        answer => answer,
    }
}

/// Reads a secret that an operator gives to several nodes: at least 32 bytes of anything, the newline at its end left out.
///
/// # Errors
/// The file cannot be read, or is too short to be a secret.
pub fn load_shared_secret(path: &Path) -> Result<[u8; 32], SecretError> {
    let bytes = fs::read(path).map_err(|source| SecretError::File {
        path: path.to_owned(),
        source,
    })?;
    let text = bytes.trim_ascii_end();
    if text.len() < SHARED_SECRET_BYTES_MIN {
        return Err(SecretError::Short {
            path: path.to_owned(),
        });
    }
    let digest = digest::digest(&digest::SHA256, text);
    Ok(digest
        .as_ref()
        .try_into()
        .expect("invariant: sha-256 has 32 bytes"))
}

fn read(path: &Path) -> Result<[u8; 32], SecretError> {
    let file_error = |source| SecretError::File {
        path: path.to_owned(),
        source,
    };
    let text = fs::read_to_string(path).map_err(file_error)?;
    if fs::metadata(path).map_err(file_error)?.mode() & 0o077 != 0 {
        return Err(SecretError::Exposed {
            path: path.to_owned(),
        });
    }
    from_hex(text.trim_end()).ok_or_else(|| SecretError::Damaged {
        path: path.to_owned(),
    })
}

/// Writes a file beside `path` and links it there: the first of two processes wins, and none sees half a file.
fn make(path: &Path, ids: &dyn Ids) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let draft = folder.join(format!(".secret-{}", to_hex(&ids.secret()[..8])));
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            writeln!(file, "{}", to_hex(&ids.secret()))?;
            file.sync_all()
        })
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        });
    let removed = fs::remove_file(&draft);
    written?;
    removed?;
    fs::File::open(folder)?.sync_all()
}

fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("invariant: writing to a string succeeds");
        text
    })
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use parlor_cluster::RandomIds;

    #[test]
    fn the_secret_is_made_once_and_kept_to_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/secret");
        let ids = RandomIds::new();
        let secret = load_or_make_secret(&path, &*ids).unwrap();
        assert_ne!(secret, [0; 32]);
        assert_eq!(load_or_make_secret(&path, &*ids).unwrap(), secret);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "K-1: no draft stays");
    }

    #[test]
    fn two_makers_end_with_one_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let ids = RandomIds::new();
        let secrets: Vec<_> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| load_or_make_secret(&path, &*ids).unwrap()))
                .collect();
            makers
                .into_iter()
                .map(|maker| maker.join().unwrap())
                .collect()
        });
        assert!(secrets.windows(2).all(|pair| pair[0] == pair[1]), "K-1");
    }

    #[test]
    fn a_damaged_or_open_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let ids = RandomIds::new();
        for damaged in ["", "abc", &"z".repeat(64), &"0".repeat(63)] {
            fs::write(&path, damaged).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = load_or_make_secret(&path, &*ids).unwrap_err();
            assert!(matches!(error, SecretError::Damaged { .. }), "{damaged:?}");
            assert!(error.to_string().contains(path.to_str().unwrap()));
        }
        fs::write(&path, "0".repeat(64)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            load_or_make_secret(&path, &*ids),
            Err(SecretError::Exposed { .. })
        ));
    }

    #[test]
    fn a_shared_secret_may_end_in_a_newline_but_not_be_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster");
        fs::write(&path, "s".repeat(32)).unwrap();
        let secret = load_shared_secret(&path).unwrap();
        fs::write(&path, format!("{}\n", "s".repeat(32))).unwrap();
        assert_eq!(load_shared_secret(&path).unwrap(), secret);
        fs::write(&path, "s".repeat(31)).unwrap();
        assert!(matches!(
            load_shared_secret(&path),
            Err(SecretError::Short { .. })
        ));
    }

    #[test]
    fn each_use_has_its_own_key() {
        let access = derive(&[7; 32], KeyUse::AccessTokens);
        assert_eq!(access, derive(&[7; 32], KeyUse::AccessTokens));
        assert_ne!(access, derive(&[7; 32], KeyUse::Cursors), "K-2");
        assert_ne!(access, derive(&[8; 32], KeyUse::AccessTokens));
    }
}
