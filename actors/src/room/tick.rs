//! The room's one timer: receipts, typing, nudges, retries, and the end of a room nobody is interested in.

use std::time::Duration;

use actix::prelude::*;
use parlor_schema::{frame::ServerFrame, limits::RECEIPT_FLUSH_MS, record::RoomDelta};

use super::{
    Core, Projecting, Room,
    ask::{Deliver, EphemeralKey},
    pages::KEPT_MS,
};

/// How long a room stays when nobody is interested.
pub(super) const LINGER_MS: u64 = 30_000;
/// How long one stays that nobody made.
pub(super) const ABSENT_LINGER_MS: u64 = 1_000;
/// How often a failed room tries to write its receipts: for as long as its clients would wait.
pub(super) const SAVE_TRIES: u32 = 240;
/// When a write that failed is tried again.
pub(super) const RETRY_MS: u64 = 250;
/// When a thread whose mailbox was full is nudged.
const NUDGE_MS: u64 = 5;

impl Room {
    /// Has [`Room::tick`] run within `delay_ms`.
    pub(super) fn arm(&mut self, delay_ms: u64, ctx: &mut Context<Self>) {
        let due = self.env.ports.clock.monotonic_ms() + delay_ms;
        if let Some((armed, handle)) = self.timer {
            if armed <= due {
                return;
            }
            ctx.cancel_future(handle);
        }
        let handle = ctx.run_later(Duration::from_millis(delay_ms), |room, ctx| {
            room.timer = None;
            room.tick(ctx);
        });
        self.timer = Some((due, handle));
    }

    /// Sees to threads that are owed a nudge, soon after a delivery found them full.
    pub(super) fn arm_nudge(&mut self, ctx: &mut Context<Self>) {
        if self.interest.iter().any(|target| target.owed) {
            self.arm(NUDGE_MS, ctx);
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let now = self.env.ports.clock.monotonic_ms();
        for typing in self.live.tick(self.id, now) {
            let user = typing.user_id.clone();
            let key = EphemeralKey::Typing(self.id, user.clone());
            self.send_ephemeral(key, &ServerFrame::Typing(typing), Some(user));
        }
        self.nudge();
        self.tell_places();
        if std::mem::take(&mut self.behind) {
            self.check(ctx);
        }
        self.tick_forwards(now, ctx);
        self.save_receipts(ctx);
        self.project(ctx);
        self.remove_old(now, ctx);
        self.passivate(now, ctx);
        if let Some(due) = self.live.next_tick() {
            self.arm(due.saturating_sub(now).max(1), ctx);
        }
        if self.pages.expire(now) {
            self.arm(KEPT_MS, ctx);
        }
        self.arm_nudge(ctx);
    }

    /// Has every interested thread look where it stands: this run of the room delivered nothing to it yet.
    pub(super) fn nudge_all(&mut self) {
        for target in &mut self.interest {
            target.owed = true;
        }
        self.nudge();
    }

    pub(super) fn nudge(&mut self) {
        let Core::Ready(state) = &self.core else {
            return;
        };
        for target in self.interest.iter_mut().filter(|target| target.owed) {
            target.owed = !target.to.deliver(Deliver::Nudge(self.id, state.head()));
        }
    }

    fn save_receipts(&mut self, ctx: &mut Context<Self>) {
        let Core::Ready(state) = &self.core else {
            return;
        };
        if self.saving == Projecting::Yes || !self.live.has_unsaved() {
            return;
        }
        let records = self.live.take_unsaved(self.id, &state.members);
        if records.is_empty() {
            return;
        }
        self.saving = Projecting::Yes;
        let ports = self.env.ports.clone();
        let written = records.clone();
        let work = async move { ports.directory.put_receipts(written).await };
        ctx.spawn(work.into_actor(self).map(move |done, room, ctx| {
            room.saving = Projecting::No;
            match done {
                Ok(()) => {
                    room.env
                        .metrics
                        .receipts_flushed
                        .inc_by(records.len() as u64);
                }
                Err(error) => {
                    tracing::warn!(room = %room.id, %error, "receipts not written, will try again");
                    room.live.not_saved(records);
                }
            }
            if room.live.has_unsaved() {
                room.arm(RECEIPT_FLUSH_MS.min(RETRY_MS), ctx);
            }
        }));
    }

    fn passivate(&mut self, now: u64, ctx: &mut Context<Self>) {
        let Core::Ready(state) = &self.core else {
            return;
        };
        let absent = state.members.room.is_none();
        let busy = !self.interest.is_empty()
            || !state.is_quiet()
            || !self.outward.is_empty()
            || self.missed.is_waiting()
            || self.live.has_unsaved()
            || self.live.next_tick().is_some()
            || self.saving == Projecting::Yes
            || self.projecting == Projecting::Yes
            || !self.deltas.is_empty();
        let linger = if absent { ABSENT_LINGER_MS } else { LINGER_MS };
        let quiet_for = now.saturating_sub(self.quiet_since);
        if busy || quiet_for < linger {
            if self.interest.is_empty() {
                self.arm((linger.saturating_sub(quiet_for)).max(RETRY_MS), ctx);
            }
            return;
        }
        if state.head().since(self.projected) > 0 {
            // The next start then reads nothing but the snapshot.
            self.deltas.push_back(RoomDelta::reached(state.head()));
            self.project(ctx);
            self.arm(RETRY_MS, ctx);
            return;
        }
        if self.rooms.retire(self.id, self.generation, self.handled) {
            ctx.stop();
        } else {
            self.arm(LINGER_MS, ctx);
        }
    }
}
