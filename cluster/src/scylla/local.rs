//! A session of the driver's for each thread that has rooms: an append then changes no thread on its way to the server and back.
//!
//! The driver reads and writes a connection where its session was opened. With one thread for all of them an append waits for that thread to
//! wake up, and its answer for the caller's; on a busy machine that is a seventh of the time a server needs.

use std::{
    cell::RefCell,
    convert::Infallible,
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use scylla::client::session::Session;
use tokio::{runtime::Handle, time::sleep};

use super::{CqlStore, connect};

/// Time between the first two attempts to open a thread's session, and between the later ones at most.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

thread_local! {
    /// The sessions that were opened on this thread, each with its store.
    static SESSIONS: RefCell<Vec<(StoreId, Arc<Session>)>> = const { RefCell::new(Vec::new()) };
}

/// Tells the stores of a process apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoreId(u64);

impl StoreId {
    pub(super) fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Has a thread know its session, until it is dropped there.
struct Known {
    store: StoreId,
    // Another thread would not find what is to be forgotten.
    stays: PhantomData<*const ()>,
}

impl Known {
    fn new(store: StoreId, session: Session) -> Self {
        SESSIONS.with_borrow_mut(|sessions| sessions.push((store, Arc::new(session))));
        Self {
            store,
            stays: PhantomData,
        }
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        // A thread that ends may have forgotten already.
        let _ = SESSIONS.try_with(|sessions| {
            sessions
                .borrow_mut()
                .retain(|(store, _)| *store != self.store);
        });
    }
}

/// Returns this thread's session for `store`, and the runtime that drives it.
pub(super) fn session(store: StoreId) -> Option<(Arc<Session>, Handle)> {
    let here = Handle::try_current().ok()?;
    SESSIONS.with_borrow(|sessions| {
        let (_, session) = sessions.iter().find(|(other, _)| *other == store)?;
        Some((Arc::clone(session), here))
    })
}

impl CqlStore {
    /// Has appends that begin on the caller's thread run there, on a session of the thread's own, for as long as the future is polled.
    ///
    /// The thread's runtime must be one that keeps its tasks on that thread. Until the session is open appends go by the store's own thread,
    /// as from any other.
    pub fn serve_thread(&self) -> impl Future<Output = Infallible> + use<> {
        let (settings, store) = (self.settings.clone(), self.id);
        async move {
            let mut pause = RETRY;
            let session = loop {
                match connect::session_in(&settings).await {
                    Ok(session) => break session,
                    Err(error) => {
                        tracing::warn!(%error, "a thread has no session of its own yet");
                        sleep(pause).await;
                        pause = (2 * pause).min(RETRY_MAX);
                    }
                }
            };
            let _known = Known::new(store, session);
            std::future::pending().await
        }
    }
}
