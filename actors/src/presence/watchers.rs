//! Who is told of a user's changes, and who could not take the last one.
//!
//! Owns the recipients and what each is owed: the last value, never a queue.
//!
//! Invariants:
//! - W-1: a watcher whose mailbox stays open gets the last value in the end, however often its mailbox was full.
//! - W-2: what follows the answer to a watch comes after it: for [`HOLD_MS`] a new watcher is owed changes instead of sent them, since a
//!   message may overtake a reply.
//!
//! Deliberately absent: timers (the actor's), the bound on watchers (the state's).

use std::collections::HashMap;

use actix::{Recipient, dev::SendError};
use parlor_schema::{SessionId, frame::server::PresenceEntry};

use super::PresenceChanged;

/// How long a new watcher waits for its first change: longer than a reply takes between two threads, shorter than anybody notices.
pub(super) const HOLD_MS: u64 = 100;

struct Watcher {
    to: Recipient<PresenceChanged>,
    owed: Owed,
    hold_until_ms: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Owed {
    Nothing,
    Last,
}

/// The watchers of one user.
#[derive(Default)]
pub(super) struct Watchers(HashMap<SessionId, Watcher>);

impl Watchers {
    /// Adds a watcher that is about to be told the present value; the same session again replaces its recipient.
    pub(super) fn watch(
        &mut self,
        session: SessionId,
        to: Recipient<PresenceChanged>,
        now_ms: u64,
    ) {
        let watcher = Watcher {
            to,
            owed: Owed::Nothing,
            hold_until_ms: now_ms.saturating_add(HOLD_MS),
        };
        self.0.insert(session, watcher);
    }

    /// Forgets a watcher.
    pub(super) fn unwatch(&mut self, session: SessionId) {
        self.0.remove(&session);
    }

    /// Gives everybody a new value. When a mailbox is full: the watcher is owed the last value.
    pub(super) fn announce(&mut self, entry: &PresenceEntry, now_ms: u64) {
        for watcher in self.0.values_mut() {
            // Who is owed already gets only the last value, in its turn.
            if watcher.owed == Owed::Nothing && now_ms >= watcher.hold_until_ms {
                watcher.give(entry);
            } else {
                watcher.owed = Owed::Last;
            }
        }
    }

    /// Gives the last value to those who are owed it.
    pub(super) fn give_owed(&mut self, entry: &PresenceEntry, now_ms: u64) {
        for watcher in self.0.values_mut() {
            if watcher.owed == Owed::Last && now_ms >= watcher.hold_until_ms {
                watcher.give(entry);
            }
        }
    }

    /// Tells whether anybody is owed something.
    pub(super) fn owes(&self) -> bool {
        self.0.values().any(|watcher| watcher.owed == Owed::Last)
    }

    /// Forgets the watchers that are gone, and returns them.
    pub(super) fn take_gone(&mut self) -> Vec<SessionId> {
        self.0
            .extract_if(|_, watcher| !watcher.to.connected())
            .map(|(session, _)| session)
            .collect()
    }
}

impl Watcher {
    fn give(&mut self, entry: &PresenceEntry) {
        let entry = entry.clone();
        self.owed = match self.to.try_send(PresenceChanged { entry }) {
            Ok(()) | Err(SendError::Closed(_)) => Owed::Nothing,
            Err(SendError::Full(_)) => Owed::Last,
        };
    }
}
