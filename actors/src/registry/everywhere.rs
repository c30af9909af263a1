//! A user's sessions on all nodes: the limit on them, and keeping the registry that all nodes share true.
//!
//! Invariants:
//! - EV-1: nobody is refused because the registry cannot be asked (promise P-5): the limit of this node alone then holds.
//! - EV-2: a user is refused only for sessions that were there before, and that are still listed after [`REFUSED_AFTER`]: longer than
//!   a node that died stays in the view, so that its clients find their places free.
//! - EV-3: what the registry is owed is told by one task, in order; when more than `OWED_MAX` ends wait, further ones are dropped, and
//!   their entries end by themselves after [`ENTRY_HOLDS_MS`].
//!
//! Deliberately absent: notices between nodes (the bus carries them).

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use parlor_schema::{
    SessionId, UserId,
    port::{Clock, ENTRY_HOLDS_MS, NodeInfo, SessionEntry, SessionRegistry},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use super::{Seated, Sessions};
use crate::{
    metrics::{Metrics, SharedAnswer, SharedLimit},
    quota::WAIT,
};

/// How long a session that is one too many waits for another to end, on whichever node. A node that died is in the view for two
/// lifetimes of its key, 10 s, and two looks, where it was most of them.
pub const REFUSED_AFTER: Duration = Duration::from_secs(13);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Ended sessions whose entries are still to be removed.
const OWED_MAX: usize = 1 << 16;
/// How often every session is put again: three times while an entry holds.
const ROUND_MS: u64 = ENTRY_HOLDS_MS / 3;
/// How often the keeper looks whether there is something to do.
const TURN: Duration = Duration::from_millis(100);
/// Entries put again in a turn.
const PUTS_PER_TURN: usize = 100;

/// The registry of all nodes, as one node uses it.
pub struct Everywhere {
    registry: Arc<dyn SessionRegistry>,
    own: NodeInfo,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    ended: Mutex<HashMap<SessionId, UserId>>,
    wake: Notify,
}

/// Whether a session may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It may.
    Free,
    /// The user has as many as allowed; one may be ending.
    Taken,
}

/// What the keeper has in hand.
#[derive(Default)]
struct Round {
    due: VecDeque<(UserId, Seated)>,
    /// When the last one began, and what the registry's epoch was.
    began: Option<(u64, u64)>,
}

impl Everywhere {
    pub(super) fn new(
        registry: Arc<dyn SessionRegistry>,
        own: NodeInfo,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            registry,
            own,
            clock,
            metrics,
            ended: Mutex::default(),
            wake: Notify::new(),
        })
    }

    fn ended(&self) -> MutexGuard<'_, HashMap<SessionId, UserId>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, seated: Seated) -> SessionEntry {
        SessionEntry {
            session_id: seated.session,
            node_id: self.own.node_id.clone(),
            boot_id: self.own.boot_id,
            connected_at: seated.since,
            last_ping: seated.since,
        }
    }

    /// Tells all nodes of a session, and whether the user may have it beside the others; `own` are the user's sessions here.
    pub(super) async fn enter(
        &self,
        user: &UserId,
        seated: Seated,
        own: &dyn Fn() -> Vec<Seated>,
        limit: usize,
    ) -> Place {
        let entry = self.entry(seated);
        let put = timeout(WAIT, self.registry.put(user, &entry)).await;
        let Ok(Ok(entries)) = put else {
            return self.answer(limit, SharedAnswer::Away);
        };
        if limit == 0 || entries <= limit {
            return self.answer(limit, SharedAnswer::Granted);
        }
        self.look(user, seated, &own(), limit).await
    }

    /// Looks whether a session that was told of is within the limit.
    pub(super) async fn look(
        &self,
        user: &UserId,
        seated: Seated,
        own: &[Seated],
        limit: usize,
    ) -> Place {
        let listed = timeout(WAIT, self.registry.sessions(user)).await;
        let Ok(Ok(listed)) = listed else {
            return self.answer(limit, SharedAnswer::Away);
        };
        let rank = (seated.since, seated.session);
        let elsewhere = listed
            .iter()
            .filter(|entry| entry.node_id != self.own.node_id)
            .map(|entry| (entry.connected_at, entry.session_id));
        let here = own.iter().map(|seated| (seated.since, seated.session));
        // Two that come at once on two nodes: each sees the other, and the first of them stays.
        let before = here.chain(elsewhere).filter(|other| *other < rank).count();
        match before < limit {
            true => self.answer(limit, SharedAnswer::Granted),
            false => self.answer(limit, SharedAnswer::Refused),
        }
    }

    fn answer(&self, limit: usize, answer: SharedAnswer) -> Place {
        if limit > 0 && answer != SharedAnswer::Refused {
            self.metrics.shared_limit(SharedLimit::Connections, answer);
        }
        match answer {
            SharedAnswer::Refused => Place::Taken,
            SharedAnswer::Granted | SharedAnswer::Away => Place::Free,
        }
    }

    /// Counts a session that was turned away.
    pub(super) fn turned_away(&self) {
        let (limit, answer) = (SharedLimit::Connections, SharedAnswer::Refused);
        self.metrics.shared_limit(limit, answer);
    }

    /// Has an entry removed. Cheap; never waits.
    pub(super) fn leave(&self, user: &UserId, session: SessionId) {
        let mut ended = self.ended();
        if ended.len() < OWED_MAX {
            ended.insert(session, user.clone());
            self.wake.notify_one();
        }
    }

    /// Lists a user's sessions on all other nodes; none when the registry cannot be asked.
    pub(super) async fn elsewhere(&self, user: &UserId) -> Option<Vec<SessionEntry>> {
        let listed = timeout(WAIT, self.registry.sessions(user)).await.ok()?;
        let mut listed = listed.ok()?;
        listed.retain(|entry| entry.node_id != self.own.node_id);
        Some(listed)
    }

    /// Looks after the entries of this node for as long as it has a list.
    pub(super) async fn keep(self: Arc<Self>, sessions: Weak<Sessions>) {
        let mut round = Round::default();
        while let Some(here) = sessions.upgrade() {
            let told = self.tell_ended().await && self.put_again(&mut round, &here).await;
            let owed = self.ended().len() + round.due.len();
            drop(here);
            let owed = i64::try_from(owed).unwrap_or(i64::MAX);
            self.metrics.registry_owed.set(owed);
            if told {
                // What ends is told at once; else a user who moves to another node would be counted twice there.
                let _ = timeout(TURN, self.wake.notified()).await;
            } else {
                sleep(LOOK_EVERY).await;
            }
        }
    }

    async fn tell_ended(&self) -> bool {
        loop {
            let next = {
                let ended = self.ended();
                let next = ended.iter().next();
                next.map(|(session, user)| (*session, user.clone()))
            };
            let Some((session, user)) = next else {
                return true;
            };
            if let Err(error) = self.registry.remove(&user, session).await {
                tracing::debug!(%error, "an ended session stays in the registry for now");
                return false;
            }
            self.ended().remove(&session);
        }
    }

    /// Puts a part of the sessions again: all of them now and then, and when the registry may have forgotten them.
    async fn put_again(&self, round: &mut Round, here: &Sessions) -> bool {
        let (now, epoch) = (self.clock.monotonic_ms(), self.registry.epoch());
        let is_due = match round.began {
            // Those that come while the first is under way put themselves.
            None => true,
            Some((began, of)) => epoch != of || (round.due.is_empty() && now >= began + ROUND_MS),
        };
        if is_due {
            round.began = Some((now, epoch));
            round.due = here.all().into();
        }
        for _ in 0..PUTS_PER_TURN {
            let Some((user, seated)) = round.due.pop_front() else {
                break;
            };
            let is_here = || here.of(&user).contains(&seated);
            if !is_here() {
                continue;
            }
            if let Err(error) = self.registry.put(&user, &self.entry(seated)).await {
                tracing::debug!(%error, "a session is not in the registry for now");
                round.due.push_back((user, seated));
                return false;
            }
            if !is_here() {
                self.leave(&user, seated.session);
            }
        }
        true
    }
}

impl Sessions {
    /// Tells the registry of all nodes of the sessions here from now on, by a task of this thread.
    pub fn share(
        self: &Arc<Self>,
        registry: Arc<dyn SessionRegistry>,
        own: NodeInfo,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) {
        let everywhere = Everywhere::new(registry, own, clock, metrics);
        if self.everywhere.set(everywhere.clone()).is_ok() {
            actix_rt::spawn(everywhere.keep(Arc::downgrade(self)));
        }
    }

    /// Tells the other nodes of a session that is listed here; answers whether the user may have it beside those on other nodes.
    pub async fn enter_everywhere(&self, user: &UserId, seated: Seated, limit: usize) -> Place {
        match self.everywhere.get() {
            None => Place::Free,
            Some(all) => all.enter(user, seated, &|| self.of(user), limit).await,
        }
    }

    /// Waits until a session that was one too many is no longer, for [`REFUSED_AFTER`] at most (EV-2).
    pub async fn wait_everywhere(&self, user: &UserId, seated: Seated, limit: usize) -> Place {
        let Some(all) = self.everywhere.get() else {
            return Place::Free;
        };
        let began = Instant::now();
        while began.elapsed() < REFUSED_AFTER {
            sleep(LOOK_EVERY).await;
            if all.look(user, seated, &self.of(user), limit).await == Place::Free {
                return Place::Free;
            }
        }
        all.turned_away();
        Place::Taken
    }

    /// Lists a user's sessions on the other nodes; none when they cannot be asked, nobody on a node that is alone.
    pub async fn elsewhere(&self, user: &UserId) -> Option<Vec<SessionEntry>> {
        match self.everywhere.get() {
            None => Some(Vec::new()),
            Some(all) => all.elsewhere(user).await,
        }
    }

    fn all(&self) -> Vec<(UserId, Seated)> {
        let by_user = self.lock();
        let all = by_user
            .iter()
            .flat_map(|(user, listed)| listed.iter().map(|listed| (user.clone(), listed.seated())));
        all.collect()
    }
}

#[cfg(test)]
mod tests;
