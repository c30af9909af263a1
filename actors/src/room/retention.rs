//! Retention: what nobody may see any more is removed from the store, some time later.
//!
//! The store removes whole pieces or nothing; what is still there and too old is hidden by the reader's horizon. Any node may do it, and several
//! at once: what is removed stays removed.

use actix::prelude::*;
use parlor_schema::RoomId;

use super::{Core, Room};

/// How much longer events stay than anybody needs them: clocks of nodes differ, and one that is fast by less takes nothing early.
const LATE_MS: u64 = 2 * 3_600_000;
/// How soon after its start, or a change of its retention, a room removes what is old; rooms that start together do it apart.
const FIRST_MS: u64 = 5_000;
const APART_MS: u64 = 5_000;
/// How often, while it stays.
const EVERY_MS: u64 = 3_600_000;

/// Returns how soon a room removes for the first time.
pub(super) fn first_ms(room: RoomId) -> u64 {
    FIRST_MS + u64::from(room.bytes()[15]) * APART_MS / 256
}

impl Room {
    /// Has what is old removed soon, by a retention that has changed.
    pub(super) fn retention_changed(&mut self, ctx: &mut Context<Self>) {
        // It may have been in force until now, and on other nodes too.
        self.first_kept.forget();
        let now = self.env.ports.clock.monotonic_ms();
        self.removal_due = now + first_ms(self.id);
        self.remove_old(now, ctx);
    }

    /// Removes, when it is time, what is older than the room's retention and the window of repeats.
    pub(super) fn remove_old(&mut self, now: u64, ctx: &mut Context<Self>) {
        let Core::Ready(state) = &self.core else {
            return;
        };
        let room = state.members.room.as_ref();
        let Some(kept_ms) = room.and_then(|room| room.retention_ms) else {
            return;
        };
        // A start reads the last event, and those that the stored projection lacks.
        let to = self.projected.min(state.head().prev());
        if now >= self.removal_due {
            self.removal_due = now + EVERY_MS;
            let needed_ms = kept_ms.max(self.env.rules.dedupe_window_ms);
            let age_ms = needed_ms.saturating_add(LATE_MS);
            let before = self.env.ports.clock.now().minus_millis(age_ms);
            let (ports, id) = (self.env.ports.clone(), self.id);
            let work = async move { ports.timeline.forget(id, before, to).await };
            ctx.spawn(work.into_actor(self).map(|done, room, _| match done {
                Ok(first) => room.first_kept.rises_to(first),
                Err(error) => {
                    room.first_kept.forget();
                    tracing::warn!(room = %room.id, %error, "old events not removed, will try again");
                }
            }));
        }
        self.arm(self.removal_due.saturating_sub(now).max(1), ctx);
    }
}
