//! Password hashes: argon2id (RFC 9106) with the parameters OWASP names, off the reactor and bounded in number.
//!
//! Invariants:
//! - H-1: at most one hash per core is being made, of 19 MiB each, and at most [`WAITING_MAX`] wait; more are refused.
//! - H-2: checking a password takes the same work whether there is an account or not.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash::SaltString,
};
use parlor_schema::{ErrorCode, frame::Refusal};
use tokio::sync::Semaphore;

use super::request::Secret;

/// Hashes that may wait for a core: about a second's work for each.
const WAITING_MAX: usize = 64;
/// When to come back if too many wait.
const RETRY_AFTER_MS: u64 = 1_000;
/// Memory, passes and lanes: OWASP Password Storage Cheat Sheet, argon2id.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// 16 bytes nobody can guess, new for each password.
pub(super) struct Salt(pub(super) [u8; 16]);

/// Makes and checks hashes.
pub(super) struct Passwords {
    places: Arc<Semaphore>,
    cores: Arc<Semaphore>,
    nobodys: Arc<str>,
}

impl Passwords {
    /// Makes the bounds, and the hash that stands for absent ones. Blocks for the time of one hash.
    pub(super) fn new(cores: usize, salt: &Salt) -> Self {
        Self {
            places: Arc::new(Semaphore::new(cores + WAITING_MAX)),
            cores: Arc::new(Semaphore::new(cores)),
            nobodys: hash(b"", salt).into(),
        }
    }

    /// Makes the hash of a password, in PHC form.
    pub(super) async fn hash(&self, password: Secret, salt: Salt) -> Result<String, Refusal> {
        self.work(move || hash(password.expose().as_bytes(), &salt))
            .await
    }

    /// Tells whether `password` is the one of `stored`; never, when there is none.
    pub(super) async fn is_right(
        &self,
        password: Secret,
        stored: Option<String>,
    ) -> Result<bool, Refusal> {
        let nobodys = Arc::clone(&self.nobodys);
        self.work(move || {
            let text = stored.as_deref().unwrap_or(&nobodys);
            let fits = PasswordHash::new(text).is_ok_and(|hash| {
                argon2()
                    .verify_password(password.expose().as_bytes(), &hash)
                    .is_ok()
            });
            fits && stored.is_some()
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Refusal::rate_limited(RETRY_AFTER_MS))?;
        let core = Arc::clone(&self.cores)
            .acquire_owned()
            .await
            .expect("invariant: the semaphore is never closed");
        // The permits go with the job: dropping this future does not stop the hash, so it must not free its core.
        let done = tokio::task::spawn_blocking(move || {
            let answer = job();
            drop((core, place));
            answer
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "a password hash was not finished");
            Refusal::new(ErrorCode::Internal, "the server failed")
        })
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .expect("invariant: the parameters are within argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &[u8], salt: &Salt) -> String {
    let salt = SaltString::encode_b64(&salt.0).expect("invariant: 16 bytes make a salt");
    argon2()
        .hash_password(password, &salt)
        .expect("invariant: a password of at most 1024 bytes can be hashed")
        .to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn hashes_are_argon2id_with_owasps_parameters() {
        let passwords = Passwords::new(1, &Salt([0; 16]));
        let hash = passwords
            .hash("correct horse".into(), Salt([1; 16]))
            .await
            .unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let is_right = |password: &str, stored| passwords.is_right(password.into(), stored);
        assert!(is_right("correct horse", Some(hash.clone())).await.unwrap());
        assert!(!is_right("correct hors", Some(hash)).await.unwrap());
        assert!(!is_right("", None).await.unwrap(), "H-2: nobody's password");
        assert!(!is_right("x", Some("garbage".to_owned())).await.unwrap());
    }

    #[tokio::test]
    async fn too_many_at_once_are_told_to_come_back() {
        let passwords = Passwords::new(1, &Salt([0; 16]));
        let core = Arc::clone(&passwords.cores).acquire_owned().await.unwrap();
        let place = Arc::clone(&passwords.places)
            .try_acquire_many_owned(WAITING_MAX as u32)
            .unwrap();
        // One place is left; who takes it waits for the core.
        let waiting = passwords.work(|| 7);
        tokio::pin!(waiting);
        tokio::select! {
            biased;
            _ = waiting.as_mut() => panic!("there is no core"),
            () = std::future::ready(()) => {}
        }
        let refusal = passwords.work(|| 8).await.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::RateLimited, "H-1");
        assert_eq!(refusal.retry_after_ms, Some(RETRY_AFTER_MS));
        drop((core, place));
        assert_eq!(waiting.await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_hash_that_nobody_waits_for_keeps_its_core() {
        let passwords = Passwords::new(1, &Salt([0; 16]));
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let (started, has_started) = tokio::sync::oneshot::channel();
        {
            let abandoned = passwords.work(move || {
                started.send(()).unwrap();
                gate.recv().ok();
            });
            tokio::select! {
                _ = abandoned => panic!("the gate is shut"),
                begun = has_started => begun.unwrap(),
            }
        }
        assert_eq!(passwords.cores.available_permits(), 0, "H-1");
        go.send(()).unwrap();
        assert!(passwords.work(|| true).await.unwrap());
    }
}
