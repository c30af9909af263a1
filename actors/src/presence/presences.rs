//! Where each user's presence actor is, for all threads of the process.
//!
//! Owns the map of addresses, and what to do when one has closed.
//!
//! Invariants:
//! - PS-1: at most one running actor per user is in the map; an actor that ends takes out its own entry, never a newer one's.
//! - PS-2: an `attach` that is waited for takes effect, and a `detach` or `unwatch` always does, whatever waits in the mailbox. A clone
//!   of an address has a slot of its own in the mailbox, so the first message through it is never refused as full.
//!
//! Deliberately absent: permissions, and a home for each user: every node merges what all say.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use actix::{Addr, AsyncContext, Context, Handler, Message, Recipient};
use parlor_schema::{
    BootId, DeviceId, NodeId, SessionId, UserId,
    envelope::Part,
    frame::{Refusal, hello::PresenceSetting, server::PresenceEntry},
    limits::STATUS_BYTES_MAX,
    port::{Clock, Directory, View},
};

use super::{
    Attach, Detach, Look, Outside, Pace, Presence, PresenceChanged, Set, Unwatch, Watch,
    elsewhere::{Ask, Asked, Elsewhere},
    state::Shown,
};
use crate::ports::Peers;

/// How often a message is given to an actor, a fresh one after the first, before giving up: an actor that has just started does not
/// stop by itself, so a second failure is a fault.
const ATTEMPTS: usize = 2;
/// How long other nodes have to answer before a user is shown without them; what they say later is announced.
const ANSWERED_WITHIN: Duration = Duration::from_millis(100);

/// Finds or starts presence actors. Shared by all threads.
pub struct Presences {
    outside: Arc<Outside>,
    offline_after_ms: u64,
    running: Mutex<Running>,
    myself: Weak<Self>,
}

#[derive(Default)]
struct Running {
    actors: HashMap<UserId, Entry>,
    started: u64,
}

struct Entry {
    number: u64,
    addr: Addr<Presence>,
}

impl Presences {
    /// Makes an empty registry.
    #[must_use]
    pub fn new(
        clock: Arc<dyn Clock>,
        directory: Arc<dyn Directory>,
        peers: Peers,
        offline_after_ms: u64,
    ) -> Arc<Self> {
        let outside = Outside {
            clock,
            directory,
            peers,
            pace: Pace::default(),
        };
        Self::over(outside, offline_after_ms)
    }

    pub(super) fn over(outside: Outside, offline_after_ms: u64) -> Arc<Self> {
        Arc::new_cyclic(|myself| Self {
            outside: Arc::new(outside),
            offline_after_ms,
            running: Mutex::default(),
            myself: myself.clone(),
        })
    }

    /// Returns the user's actor; starts one on the current arbiter when there is none, or it has stopped.
    ///
    /// # Panics
    /// Outside an actix system.
    #[must_use]
    pub fn of(&self, user: &UserId) -> Addr<Presence> {
        let mut running = self.lock();
        if let Some(entry) = running.actors.get(user)
            && entry.addr.connected()
        {
            return entry.addr.clone();
        }
        running.started += 1;
        let number = running.started;
        let place = Place {
            presences: self.myself.clone(),
            user: user.clone(),
            number,
        };
        let ctx = Context::<Presence>::new();
        let addr = ctx.address();
        let entry = Entry {
            number,
            addr: addr.clone(),
        };
        running.actors.insert(user.clone(), entry);
        // Its mailbox is open already. Not under the lock: if starting panics, the place takes the entry out again.
        drop(running);
        let outside = self.outside.clone();
        ctx.run(Presence::new(
            user.clone(),
            self.offline_after_ms,
            outside,
            place,
        ));
        addr
    }

    /// Says that a session began on a device. Without a status a device still in its grace stays as it was, and a new one is online.
    ///
    /// Ordering: the message is on its way when this returns, before whatever the caller sends next; the future ends when it has
    /// taken effect, and sees to it that it does.
    /// When full: taken all the same (PS-2).
    /// Cancellation: dropped before its end, it may or may not have taken effect; a [`Self::detach`] after that undoes it. A future
    /// that outlives the `detach` may bring the session back.
    pub fn attach<S: Into<Option<PresenceSetting>>>(
        self: &Arc<Self>,
        user: &UserId,
        session: SessionId,
        device: DeviceId,
        status: S,
    ) -> impl Future<Output = ()> + use<S> {
        let (presences, user) = (Arc::clone(self), user.clone());
        let message = Attach {
            session,
            device,
            status: status.into(),
        };
        let first = self.of(&user).send(message.clone());
        async move {
            if first.await.is_err() && presences.ask(&user, || message.clone()).await.is_err() {
                tracing::error!(%user, %session, "session not counted present");
            }
        }
    }

    /// Says that a session ended; does not wait, so that an actor that stops can call it. Starts no actor.
    ///
    /// When full: taken all the same (PS-2).
    pub fn detach(&self, user: &UserId, session: SessionId) {
        // A closed actor has no session to forget.
        if let Some(addr) = self.running(user) {
            let _ = addr.try_send(Detach { session });
        }
    }

    /// Says how a device is; answers how others see the user then. A device without a session counts as present for the grace.
    ///
    /// When full: waits.
    ///
    /// # Errors
    /// `too_large` for a long text; `unavailable` when the actor cannot be reached.
    pub async fn set(
        &self,
        user: &UserId,
        device: DeviceId,
        status: PresenceSetting,
        text: Option<String>,
    ) -> Result<PresenceEntry, Refusal> {
        if text.as_ref().is_some_and(|t| t.len() > STATUS_BYTES_MAX) {
            let most = format!("at most {STATUS_BYTES_MAX} bytes");
            return Err(Refusal::too_large("text", most));
        }
        let said = self.ask(user, || Set {
            device: device.clone(),
            status,
            text: text.clone(),
        });
        said.await.map_err(Refusal::from)
    }

    /// Returns how others see the user. Alone it starts no actor: without one the user is offline, and the directory tells since when.
    ///
    /// When full: waits.
    pub async fn look(&self, user: &UserId) -> PresenceEntry {
        self.hear_others(user).await;
        if let Some(addr) = self.running(user)
            && let Ok(entry) = addr.send(Look).await
        {
            return entry;
        }
        let last_seen = match self.outside.directory.user(user).await {
            Ok(record) => record.and_then(|record| record.last_seen),
            Err(error) => {
                tracing::warn!(%user, %error, "last_seen not loaded");
                None
            }
        };
        let shown = Shown {
            last_seen,
            ..Shown::default()
        };
        shown.entry(user.clone())
    }

    /// Asks for changes to be sent to `to`, from the entry answered on. The same session again replaces its recipient.
    ///
    /// When full: waits; a full recipient gets the last value when it has room. A recipient that has closed is forgotten by itself.
    /// Cancellation: dropped before its end, it may or may not have taken effect; [`Self::unwatch`] is safe in both cases.
    ///
    /// # Errors
    /// `unavailable` when too many watch the user, or the actor cannot be reached.
    pub async fn watch(
        &self,
        user: &UserId,
        session: SessionId,
        to: Recipient<PresenceChanged>,
    ) -> Result<PresenceEntry, Refusal> {
        self.hear_others(user).await;
        self.ask(user, || Watch {
            session,
            to: to.clone(),
        })
        .await?
    }

    /// Ends a watch; does not wait, so that an actor that stops can call it. Starts no actor.
    ///
    /// When full: taken all the same (PS-2).
    pub fn unwatch(&self, user: &UserId, session: SessionId) {
        if let Some(addr) = self.running(user) {
            let _ = addr.try_send(Unwatch { session });
        }
    }

    /// Gives other nodes a moment to say what the user's devices there come to, when nobody here wanted to know before.
    async fn hear_others(&self, user: &UserId) {
        if !self.outside.peers.is_empty() && self.ask(user, || Ask).await == Ok(Asked::Now) {
            tokio::time::sleep(ANSWERED_WITHIN).await;
        }
    }

    /// Hands on what another node says of a user, to whom it concerns here.
    pub(crate) fn hear_part(&self, user: &UserId, node: NodeId, boot: BootId, part: Part) {
        self.tell(user, Elsewhere::Part(node, boot, part));
    }

    /// Hands on that another node wants to know of a user.
    pub(crate) fn hear_asked(&self, user: &UserId, by: NodeId) {
        self.tell(user, Elsewhere::Asked(by));
    }

    /// Hands on that something a node said of a user may have been lost.
    pub(crate) fn hear_lost(&self, user: &UserId, node: NodeId) {
        self.tell(user, Elsewhere::Lost(node));
    }

    /// Says that there are other nodes than before.
    pub(crate) fn others_changed(&self, view: &Arc<View>) {
        for user in self.list() {
            self.tell(&user, Elsewhere::Changed(view.clone()));
        }
    }

    /// Lists the users who have an actor here.
    #[must_use]
    pub fn list(&self) -> Vec<UserId> {
        self.lock().actors.keys().cloned().collect()
    }

    /// When full: taken all the same (PS-2).
    fn tell(&self, user: &UserId, elsewhere: Elsewhere) {
        if let Some(addr) = self.running(user) {
            let _ = addr.try_send(elsewhere);
        }
    }

    /// Returns how many actors run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().actors.len()
    }

    /// Tells whether no actor runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives a message to the user's actor. One that stops meanwhile drops what waits in its mailbox unhandled; its successor gets it then.
    async fn ask<M>(&self, user: &UserId, message: impl Fn() -> M) -> Result<M::Result, Unreachable>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Presence: Handler<M>,
    {
        for _ in 0..ATTEMPTS {
            if let Ok(answer) = self.of(user).send(message()).await {
                return Ok(answer);
            }
        }
        Err(Unreachable)
    }

    fn running(&self, user: &UserId) -> Option<Addr<Presence>> {
        let running = self.lock();
        running.actors.get(user).map(|entry| entry.addr.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        // No step under the lock leaves the map half changed.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that an actor closed twice under one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("presence cannot be reached")]
struct Unreachable;

impl From<Unreachable> for Refusal {
    fn from(error: Unreachable) -> Self {
        Self::unavailable(error.to_string())
    }
}

/// An actor's place in the map, given up when the actor ends in any way, by panic too.
pub(super) struct Place {
    presences: Weak<Presences>,
    user: UserId,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(presences) = self.presences.upgrade() else {
            return;
        };
        let mut running = presences.lock();
        let is_mine = |entry: &Entry| entry.number == self.number;
        if running.actors.get(&self.user).is_some_and(is_mine) {
            running.actors.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests;
