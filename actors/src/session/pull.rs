//! Reading the log for subscriptions that resume or fell behind, page by page, at the pace the socket takes it.

use std::{rc::Rc, sync::Arc, time::Duration};

use actix::prelude::*;
use parlor_schema::{
    ErrorCode, RoomId, UserId,
    frame::{
        Refusal, ServerFrame,
        server::{Gap, Head, RemovedReason},
    },
    limits::HEAD_FRAME_MS,
};
use tokio::sync::oneshot;

use super::{Phase as SessionPhase, Session};
use crate::{
    pace,
    room::{
        ask::{EphemeralKey, Page, ReadPage, Summarise},
        packet::Batch,
        rooms::Rooms,
    },
    subscription::{Phase, Subscription},
};

/// When a page that could not be had is asked for again.
pub(super) const RETRY: Duration = Duration::from_millis(250);

/// Asks a room for what follows a subscription's cursor.
async fn ask_page(
    rooms: &Arc<Rooms>,
    subscription: &Subscription,
    user: UserId,
) -> Result<Page, Refusal> {
    let (reply, page) = oneshot::channel();
    let after = subscription.cursor.get();
    let ask = ReadPage { user, after, reply };
    if rooms.tell(subscription.room, ask).is_err() {
        return Err(Refusal::unavailable("the room is too busy"));
    }
    page.await
        .unwrap_or_else(|_| Err(Refusal::unavailable("the room ended")))
}

impl Session {
    /// Reads on for everything that is behind, while the lane has room.
    pub(super) fn read_on(&mut self, ctx: &mut Context<Self>) {
        let behind = std::mem::take(&mut *self.line.behind.borrow_mut());
        for room in behind {
            let SessionPhase::Live(live) = &self.phase else {
                return;
            };
            if let Some(place) = live.places.get(&room) {
                self.pull(place.subscription.clone(), ctx);
            }
        }
    }

    /// Asks for the next page, unless one is under way or the lane is full; then the session is woken when it has room.
    pub(super) fn pull(&mut self, subscription: Rc<Subscription>, ctx: &mut Context<Self>) {
        let SessionPhase::Live(live) = &mut self.phase else {
            return;
        };
        let Some(place) = live.places.get_mut(&subscription.room) else {
            return;
        };
        let same = Rc::ptr_eq(&place.subscription, &subscription);
        if !same || place.pulling || subscription.phase.get() != Phase::Pulling {
            return;
        }
        if !self.line.outlet.has_room() {
            self.line.behind.borrow_mut().push(subscription.room);
            return;
        }
        place.pulling = true;
        let (user, rooms) = (live.caller.user_id.clone(), self.env.front.rooms.clone());
        let (turns, own) = (self.fanout.pulls(), subscription.clone());
        let work = async move {
            // Held until the page is in the lane.
            let turn = turns.acquire_owned().await;
            let page = ask_page(&rooms, &own, user).await;
            pace::step().await;
            (turn, page)
        };
        ctx.spawn(
            work.into_actor(self)
                .map(move |(_turn, page), session, ctx| {
                    session.paged(subscription, page, ctx);
                }),
        );
    }

    fn paged(
        &mut self,
        subscription: Rc<Subscription>,
        page: Result<Page, Refusal>,
        ctx: &mut Context<Self>,
    ) {
        let SessionPhase::Live(live) = &mut self.phase else {
            return;
        };
        let Some(place) = live.places.get_mut(&subscription.room) else {
            return;
        };
        if !Rc::ptr_eq(&place.subscription, &subscription) {
            return;
        }
        place.pulling = false;
        if subscription.phase.get() != Phase::Pulling {
            return;
        }
        match page {
            Ok(page) => {
                self.push_page(&subscription, &page);
                if subscription.phase.get() != Phase::Pulling {
                    return;
                }
                if subscription.is_level(page.head) {
                    self.level(&subscription);
                } else {
                    self.pull(subscription, ctx);
                }
            }
            Err(refusal) if matches!(refusal.code, ErrorCode::NotFound | ErrorCode::Banned) => {
                // A notice tells a member why. Who only read along hears it here.
                let standing = subscription.standing.get();
                self.drop_subscription(&subscription);
                if standing == crate::subscription::Standing::Guest {
                    self.send_removed(subscription.room, RemovedReason::NotMember);
                }
            }
            Err(_) => {
                let room = subscription.room;
                ctx.run_later(RETRY, move |session, ctx| {
                    session.line.behind.borrow_mut().push(room);
                    session.read_on(ctx);
                });
            }
        }
    }

    fn push_page(&self, subscription: &Subscription, page: &Page) {
        let kept_before = page.first.prev();
        if subscription.cursor.get() < kept_before {
            let gap = Gap {
                room_id: subscription.room,
                from: subscription.cursor.get().next(),
                to: kept_before,
                head: page.head,
                reset: false,
            };
            self.send_gap(gap);
            subscription.cursor.set(kept_before);
        }
        let Some(batch) = &page.batch else { return };
        let before = subscription.cursor.get();
        let person = self.line.person.borrow();
        let Some(person) = person.as_ref() else {
            return;
        };
        let wire = &*self.env.front.ports.wire;
        if let Some((first, last)) = batch.span()
            && first == before.next()
            && let Some(frames) = batch.whole(&person.user, person.marks, self.line.coding, wire)
        {
            self.line.outlet.push(frames.clone());
            subscription.pushed_to(first, last);
        } else {
            self.push_each(subscription, batch, &person.user);
        }
        let pushed = subscription.cursor.get().since(before);
        self.env.front.metrics.deliveries.inc_by(pushed);
    }

    fn push_each(&self, subscription: &Subscription, batch: &Batch, user: &UserId) {
        for packet in &batch.packets {
            if packet.seq() != subscription.cursor.get().next() {
                continue;
            }
            let wire = &*self.env.front.ports.wire;
            let frame = packet.for_user(user, self.line.coding, wire);
            self.line.outlet.push(frame);
            subscription.pushed(packet.seq());
            if self.line.watches.get() && packet.event.kind.changes_room() {
                self.line.recheck.set(true);
            }
        }
    }

    /// Sends the heads of passive rooms, each at most once in [`HEAD_FRAME_MS`].
    pub(super) fn tell_heads(&mut self, ctx: &mut Context<Self>) {
        let rooms = std::mem::take(&mut *self.line.heads.borrow_mut());
        let now = self.env.front.ports.clock.monotonic_ms();
        for room in rooms {
            let SessionPhase::Live(live) = &mut self.phase else {
                return;
            };
            let Some(place) = live.places.get_mut(&room) else {
                continue;
            };
            if place.head_due.is_some() {
                continue;
            }
            let due = place
                .head_sent
                .map_or(now, |sent| (sent + HEAD_FRAME_MS).max(now));
            place.head_due = Some(due);
            ctx.run_later(Duration::from_millis(due - now), move |session, ctx| {
                session.ask_head(room, ctx)
            });
        }
    }

    fn ask_head(&mut self, room: RoomId, ctx: &mut Context<Self>) {
        let now = self.env.front.ports.clock.monotonic_ms();
        let SessionPhase::Live(live) = &mut self.phase else {
            return;
        };
        let Some(place) = live.places.get_mut(&room) else {
            return;
        };
        place.head_due = None;
        place.head_sent = Some(now);
        let (to, from) = oneshot::channel();
        let ask = Summarise {
            user: live.caller.user_id.clone(),
            reply: to,
        };
        if self.env.front.rooms.tell(room, ask).is_err() {
            self.line.heads.borrow_mut().push(room);
            return;
        }
        ctx.spawn(from.into_actor(self).map(move |summary, session, _| {
            let SessionPhase::Live(live) = &session.phase else {
                return;
            };
            let passive = live
                .places
                .get(&room)
                .is_some_and(|place| place.subscription.phase.get() == Phase::Passive);
            if let (true, Ok(Ok(summary))) = (passive, summary) {
                let frame = ServerFrame::Head(Head {
                    room_id: room,
                    head: summary.head,
                    unread: summary.unread,
                    mentions: summary.mentions,
                    last: summary.last,
                });
                let bytes = session.env.front.ports.wire.text(&frame.write(None));
                session
                    .line
                    .outlet
                    .push_ephemeral(&EphemeralKey::Head(room), bytes);
            }
        }));
    }
}
