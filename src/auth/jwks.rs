//! The keys of an outside issuer behind a URL: fetched, kept, and fetched again.
//!
//! Invariants:
//! - U-1: only the URL of the settings is asked, never one that a token names; no redirect is followed, the answer and its time
//!   are bounded.
//! - U-2: the last good set stays until another good one takes its place.
//! - U-3: tokens with unknown key ids cause at most one request per [`REFETCH_MS`], whoever sends them.
//!
//! Deliberately absent: reading a set (`keys`).

use std::{
    sync::{Arc, RwLock, Weak},
    time::Duration,
};

use parlor_config::Algorithm;
use parlor_schema::port::Clock;
use tokio::sync::Mutex;

use super::{
    error::FetchError,
    keys::{KeySet, SetSource},
};

/// Time between two fetches in the background.
pub(super) const REFRESH_EVERY: Duration = Duration::from_mins(10);
/// Time for a fetch as a whole.
const FETCH_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const SET_BYTES_MAX: usize = 1024 * 1024;
/// Time between two fetches because of unknown key ids.
pub(super) const REFETCH_MS: u64 = 30_000;

/// The key set behind a URL.
pub(super) struct Remote {
    url: String,
    algorithms: Vec<Algorithm>,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    set: RwLock<Arc<KeySet>>,
    refetched_ms: Mutex<Option<u64>>,
}

impl Remote {
    /// Fetches the set, and again every `every` for as long as somebody holds the answer.
    pub(super) async fn start(
        url: &str,
        algorithms: &[Algorithm],
        clock: Arc<dyn Clock>,
        every: Duration,
    ) -> Result<Arc<Self>, FetchError> {
        let client = reqwest::Client::builder()
            .timeout(FETCH_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            // A kept connection would belong to the thread that happened to fetch.
            .pool_max_idle_per_host(0)
            .build()?;
        let set = fetch(&client, url, algorithms).await?;
        let remote = Arc::new(Self {
            url: url.to_owned(),
            algorithms: algorithms.to_vec(),
            client,
            clock,
            set: RwLock::new(Arc::new(set)),
            refetched_ms: Mutex::new(None),
        });
        tokio::spawn(keep_fresh(Arc::downgrade(&remote), every));
        Ok(remote)
    }

    /// Returns the set as it is now.
    pub(super) fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.set.read().expect("invariant: no panic while held"))
    }

    /// Returns the set after `seen` was found to lack a key: another one, where there is one.
    ///
    /// Cancellation: the fetch goes on.
    pub(super) async fn keys_beyond(self: &Arc<Self>, seen: &Arc<KeySet>) -> Arc<KeySet> {
        let mut refetched_ms = self.refetched_ms.lock().await;
        let keys = self.keys();
        let now_ms = self.clock.monotonic_ms();
        let is_too_soon = refetched_ms.is_some_and(|at| now_ms < at.saturating_add(REFETCH_MS));
        if !Arc::ptr_eq(&keys, seen) || is_too_soon {
            return keys;
        }
        *refetched_ms = Some(now_ms);
        let remote = Arc::clone(self);
        // A client that hangs up must not stop the one fetch it was granted.
        let fetched = tokio::spawn(async move { remote.refresh().await });
        if fetched.await.is_err() {
            tracing::error!("fetching the key set of the issuer was not finished");
        }
        self.keys()
    }

    async fn refresh(&self) {
        match fetch(&self.client, &self.url, &self.algorithms).await {
            Ok(set) => {
                *self.set.write().expect("invariant: no panic while held") = Arc::new(set);
            }
            Err(error) => {
                tracing::warn!(url = %self.url, %error, "keeping the last good key set");
            }
        }
    }
}

async fn keep_fresh(remote: Weak<Remote>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(remote) = remote.upgrade() else {
            return;
        };
        remote.refresh().await;
    }
}

async fn fetch(
    client: &reqwest::Client,
    url: &str,
    algorithms: &[Algorithm],
) -> Result<KeySet, FetchError> {
    let mut answer = client
        .get(url)
        .header("accept", "application/jwk-set+json, application/json")
        .send()
        .await?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(FetchError::Status(answer.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > SET_BYTES_MAX {
            return Err(FetchError::TooLarge(SET_BYTES_MAX));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(KeySet::from_jwks(&body, algorithms, SetSource::Url)?)
}
