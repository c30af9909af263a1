//! The sessions of this node, by user: whom to tell what concerns a user rather than a room.
//!
//! [`everywhere`] tells all nodes of them, and knows those of the others.
//!
//! When a session's mailbox is full: the session is marked lost and closes 4501; its client resumes, and misses nothing (promise P-6).

pub mod everywhere;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use actix::prelude::*;
use parlor_schema::{
    LoginId, RoomId, SessionId, Timestamp, UserId, frame::server::RemovedReason, room::Room,
};

use crate::{registry::everywhere::Everywhere, room::state::Evicted};

/// What concerns a user.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub enum Notice {
    /// The user is in a room from now on.
    RoomAdded(Arc<Room>),
    /// The user is out of a room from now on.
    RoomRemoved {
        /// The room.
        room_id: RoomId,
        /// Why.
        reason: RemovedReason,
        /// What the user was there.
        was: Evicted,
    },
    /// A login ended.
    LoginEnded(LoginId),
    /// All the user's logins ended.
    Revoked,
    /// An operator closes the socket; the user may come back.
    Disconnected,
}

/// One session, as others reach it.
#[derive(Clone)]
pub struct Listed {
    /// Which.
    pub session: SessionId,
    /// Where notices go.
    pub to: Recipient<Notice>,
    /// Set when a notice could not be delivered.
    pub lost: Arc<AtomicBool>,
    /// When it came.
    pub since: Timestamp,
}

impl Listed {
    fn tell(&self, notice: Notice) {
        if self.to.try_send(notice).is_err() {
            self.lost.store(true, Ordering::Relaxed);
        }
    }

    const fn seated(&self) -> Seated {
        Seated {
            session: self.session,
            since: self.since,
        }
    }
}

/// A session of this node, as it is listed for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seated {
    /// Which.
    pub session: SessionId,
    /// When it came.
    pub since: Timestamp,
}

/// The sessions of this node.
#[derive(Default)]
pub struct Sessions {
    by_user: Mutex<HashMap<UserId, Vec<Listed>>>,
    /// The registry of all nodes, where there are others.
    everywhere: OnceLock<Arc<Everywhere>>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Vec<Listed>>> {
        self.by_user.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a session, if the user has fewer than `limit` (0: any number).
    ///
    /// # Errors
    /// The user has as many as allowed.
    pub fn enter(&self, user: &UserId, listed: Listed, limit: usize) -> Result<(), Listed> {
        let mut by_user = self.lock();
        let sessions = by_user.entry(user.clone()).or_default();
        if limit > 0 && sessions.len() >= limit {
            return Err(listed);
        }
        // Mostly the only one.
        sessions.reserve_exact(1);
        sessions.push(listed);
        Ok(())
    }

    /// Takes a session off the list.
    pub fn leave(&self, user: &UserId, session: SessionId) {
        let mut by_user = self.lock();
        if let Some(sessions) = by_user.get_mut(user) {
            sessions.retain(|listed| listed.session != session);
            if sessions.is_empty() {
                by_user.remove(user);
            }
        }
        drop(by_user);
        if let Some(everywhere) = self.everywhere.get() {
            everywhere.leave(user, session);
        }
    }

    /// Tells whether a user has a session here.
    #[must_use]
    pub fn has(&self, user: &UserId) -> bool {
        self.lock().contains_key(user)
    }

    /// Counts the sessions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().values().map(Vec::len).sum()
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Lists a user's sessions, in the order they came.
    #[must_use]
    pub fn of(&self, user: &UserId) -> Vec<Seated> {
        let by_user = self.lock();
        let listed = by_user.get(user).into_iter().flatten();
        listed.map(Listed::seated).collect()
    }

    /// Has sockets of a user closed, one or all; answers how many were told.
    pub fn disconnect(&self, user: &UserId, session: Option<SessionId>) -> usize {
        let by_user = self.lock();
        let mut told = 0;
        for listed in by_user.get(user).into_iter().flatten() {
            if session.is_none_or(|session| session == listed.session) {
                listed.tell(Notice::Disconnected);
                told += 1;
            }
        }
        told
    }

    /// Tells every session of a user.
    pub fn tell(&self, user: &UserId, notice: &Notice) {
        let by_user = self.lock();
        for listed in by_user.get(user).into_iter().flatten() {
            listed.tell(notice.clone());
        }
    }
}
