//! Subscriptions of a session: starting, replacing and ending them, and rooms that come and go.

use std::rc::Rc;

use actix::prelude::*;
use parlor_schema::{
    ErrorCode, RoomId, Seq,
    frame::{
        Ack, Refusal, ServerFrame,
        ack::SubscribedAck,
        client::RoomSubscribe,
        server::{Gap, Live as LiveFrame, RemovedReason, RoomAdded, RoomRemoved},
    },
    limits::SUBSCRIPTIONS_MAX,
    room::{Mode, Room},
};

use super::{Phase as SessionPhase, Session, pull::RETRY};
use crate::{
    room::{ask::Seen, hear::Hear, state::Evicted},
    subscription::{Phase, Standing, Subscription},
};

/// Where a subscription starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// The room's head when it was asked.
    pub(super) head: Seq,
    /// The first kept position.
    pub(super) first: Seq,
    /// The client's position; none: live from the head.
    pub(super) after: Option<Seq>,
    /// Whether `live` is to follow.
    pub(super) owes_live: bool,
}

impl Session {
    /// Starts delivery: from the head, or from the client's position through the log.
    pub(super) fn start(
        &mut self,
        subscription: &Rc<Subscription>,
        start: Start,
        ctx: &mut Context<Self>,
    ) {
        if subscription.phase.get() != Phase::Joining {
            return;
        }
        let from = match start.after {
            None => start.head,
            // This node may only not have heard yet of what another one delivered.
            Some(after) if after > start.head => {
                return self.ask_timeline(subscription.clone(), start, after, ctx);
            }
            Some(after) => after,
        };
        self.start_at(subscription, start, from, ctx);
    }

    /// Starts delivery to a client that is further than this node's room, from where the timeline says that it is.
    fn ask_timeline(
        &self,
        subscription: Rc<Subscription>,
        start: Start,
        after: Seq,
        ctx: &mut Context<Self>,
    ) {
        let (timeline, room_id) = (self.env.front.ports.timeline.clone(), subscription.room);
        let head = async move { timeline.head(room_id).await };
        ctx.spawn(head.into_actor(self).map(move |head, session, ctx| {
            if subscription.phase.get() != Phase::Joining {
                return;
            }
            match head {
                Ok(head) if head >= after => {
                    let moved = Hear::Moved {
                        head,
                        changes: Vec::new(),
                        events: Vec::new(),
                    };
                    // When full: the room hears of it from the other node as well.
                    let _ = session.env.front.rooms.tell(room_id, moved);
                    // What the room has yet to follow and the client has is skipped (SU-1); the next is pushed.
                    let start = Start {
                        head: after,
                        ..start
                    };
                    session.start_at(&subscription, start, after, ctx);
                }
                Ok(_) => {
                    let gap = Gap {
                        room_id,
                        from: Seq::FIRST,
                        to: start.head,
                        head: start.head,
                        reset: true,
                    };
                    session.send_gap(gap);
                    session.start_at(&subscription, start, start.head, ctx);
                }
                Err(error) => {
                    tracing::warn!(room = %room_id, %error, "a client is ahead, and the timeline does not answer");
                    ctx.run_later(RETRY, move |session, ctx| {
                        session.start(&subscription, start, ctx);
                    });
                }
            }
        }));
    }

    fn start_at(
        &mut self,
        subscription: &Rc<Subscription>,
        start: Start,
        from: Seq,
        ctx: &mut Context<Self>,
    ) {
        let room_id = subscription.room;
        subscription.cursor.set(from);
        if start.owes_live {
            self.owe_live(room_id);
        }
        subscription
            .seen
            .set(subscription.seen.get().max(start.head));
        if subscription.is_level(start.head) && from.next() >= start.first {
            self.level(subscription);
        } else {
            subscription.phase.set(Phase::Pulling);
            self.pull(subscription.clone(), ctx);
        }
    }

    pub(super) fn send_gap(&self, gap: Gap) {
        self.env.front.metrics.gaps.inc();
        self.send(&ServerFrame::Gap(gap), None);
    }

    fn owe_live(&mut self, room: RoomId) {
        if let SessionPhase::Live(live) = &mut self.phase
            && let Some(place) = live.places.get_mut(&room)
        {
            place.owes_live = true;
        }
    }

    /// The session has everything: events are pushed from now on.
    pub(super) fn level(&mut self, subscription: &Rc<Subscription>) {
        subscription.phase.set(Phase::Live);
        let SessionPhase::Live(live) = &mut self.phase else {
            return;
        };
        let Some(place) = live.places.get_mut(&subscription.room) else {
            return;
        };
        if std::mem::take(&mut place.owes_live) {
            let frame = LiveFrame {
                room_id: subscription.room,
                seq: subscription.cursor.get(),
            };
            self.send(&ServerFrame::Live(frame), None);
        }
    }

    pub(super) fn subscribe(
        &mut self,
        ask: RoomSubscribe,
        echo: Option<String>,
        ctx: &mut Context<Self>,
    ) {
        let SessionPhase::Live(live) = &mut self.phase else {
            return;
        };
        let known = live.places.contains_key(&ask.room_id);
        if !known && live.places.len() >= SUBSCRIPTIONS_MAX {
            let refusal = Refusal::new(
                ErrorCode::RateLimited,
                format!("at most {SUBSCRIPTIONS_MAX} subscriptions"),
            );
            return self.refuse(refusal, echo.as_deref());
        }
        if ask.mode == Some(Mode::None) {
            return self.refuse(
                Refusal::bad_field("mode", "active or passive"),
                echo.as_deref(),
            );
        }
        let held = live
            .places
            .get(&ask.room_id)
            .map(|place| place.subscription.clone());
        let active = held.filter(|held| matches!(held.phase.get(), Phase::Live | Phase::Pulling));
        let keeps = active.filter(|_| ask.after.is_none() && ask.mode != Some(Mode::Passive));
        // What is there goes on until the room has agreed; what takes its place is listed first, so that no event falls between (FO-1).
        let fresh = match keeps {
            Some(_) => None,
            None => {
                let fresh = Rc::new(Subscription::new(ask.room_id));
                self.fanout.subscribe(&fresh, &self.line);
                Some(fresh)
            }
        };
        let look = self.env.front.look(ask.room_id, &live.caller.user_id);
        self.line.hand.begin();
        ctx.spawn(look.into_actor(self).map(move |seen, session, ctx| {
            session.line.hand.served();
            match seen {
                Ok(seen) => session.subscribed(fresh, &ask, seen, echo.as_deref(), ctx),
                Err(refusal) => {
                    if let Some(fresh) = &fresh {
                        session.fanout.unsubscribe(fresh);
                    }
                    let ended = matches!(refusal.code, ErrorCode::NotFound | ErrorCode::Banned);
                    if let (true, SessionPhase::Live(live)) = (ended, &mut session.phase) {
                        live.unsubscribe(ask.room_id, &session.fanout);
                    }
                    session.reply(Err(refusal), echo.as_deref());
                }
            }
        }));
    }

    fn subscribed(
        &mut self,
        fresh: Option<Rc<Subscription>>,
        ask: &RoomSubscribe,
        seen: Seen,
        echo: Option<&str>,
        ctx: &mut Context<Self>,
    ) {
        let own = seen.room.own;
        let ack = SubscribedAck {
            head: seen.room.head,
            read: own.map_or(Seq::ZERO, |own| own.read),
            unread: own.map_or(0, |own| own.unread),
        };
        self.reply(Ok(Ack::Subscribed(ack)), echo);
        let SessionPhase::Live(live) = &mut self.phase else {
            return;
        };
        let Some(subscription) = fresh else {
            // Nothing changed: what is being delivered goes on.
            let held = live
                .places
                .get(&ask.room_id)
                .map(|place| place.subscription.clone());
            self.owe_live(ask.room_id);
            if let Some(held) = held.filter(|held| held.phase.get() == Phase::Live) {
                self.level(&held);
            }
            return;
        };
        live.adopt(&subscription, &self.fanout);
        subscription.standing.set(if own.is_some() {
            Standing::Member
        } else {
            Standing::Guest
        });
        if ask.mode == Some(Mode::Passive) {
            subscription.cursor.set(seen.room.head);
            subscription.phase.set(Phase::Passive);
            if subscription.seen.get() > seen.room.head {
                // What came while the room was asked is news too.
                self.line.heads.borrow_mut().push(ask.room_id);
                self.line.wake();
            }
            return;
        }
        let start = Start {
            head: seen.room.head,
            first: seen.first,
            after: ask.after,
            owes_live: true,
        };
        self.start(&subscription, start, ctx);
    }

    /// Ends a subscription, unless another has taken its place meanwhile.
    pub(super) fn drop_subscription(&mut self, subscription: &Rc<Subscription>) {
        let SessionPhase::Live(live) = &mut self.phase else {
            return;
        };
        let same = live
            .places
            .get(&subscription.room)
            .is_some_and(|place| Rc::ptr_eq(&place.subscription, subscription));
        if same {
            live.unsubscribe(subscription.room, &self.fanout);
        } else {
            self.fanout.unsubscribe(subscription);
        }
    }

    pub(super) fn unsubscribe(&mut self, room: RoomId, echo: Option<&str>) {
        if let SessionPhase::Live(live) = &mut self.phase {
            live.unsubscribe(room, &self.fanout);
        }
        self.reply(Ok(Ack::empty()), echo);
    }

    pub(super) fn send_removed(&self, room_id: RoomId, reason: RemovedReason) {
        self.line.outlet.forget(room_id);
        self.send(
            &ServerFrame::RoomRemoved(RoomRemoved { room_id, reason }),
            None,
        );
    }

    /// The user is in a room from now on.
    pub(super) fn added(&mut self, room: &Room, ctx: &mut Context<Self>) {
        let SessionPhase::Live(live) = &mut self.phase else {
            return;
        };
        if live
            .greeted
            .iter()
            .any(|(greeted, head)| *greeted == room.room_id && *head > room.head)
        {
            // `welcome` told of it already.
            return;
        }
        let mut room = room.clone();
        let subscribes = live.wants_all && live.places.len() < SUBSCRIPTIONS_MAX;
        let reads_along = live
            .places
            .get(&room.room_id)
            .map(|place| place.subscription.clone());
        if let Some(own) = &mut room.own {
            own.mode = match &reads_along {
                Some(_) => live.mode_of(room.room_id),
                None => super::greeting::default_mode(subscribes),
            };
        }
        let (room_id, head) = (room.room_id, room.head);
        self.send(&ServerFrame::RoomAdded(RoomAdded { room }), None);
        if self.line.watches.get() {
            self.recheck_watches(ctx);
        }
        if let Some(subscription) = reads_along {
            // A reader of a public room who joined: delivery goes on where it is.
            subscription.standing.set(Standing::Member);
            return;
        }
        if subscribes {
            let SessionPhase::Live(live) = &mut self.phase else {
                return;
            };
            let subscription = live.subscribe(room_id, &self.fanout, &self.line);
            // At least the event that brought the user in is there already.
            subscription.seen.set(head.next());
            let start = Start {
                head: head.next(),
                first: Seq::FIRST,
                after: Some(head),
                owes_live: false,
            };
            self.start(&subscription, start, ctx);
        }
    }

    /// The user is out of a room from now on.
    pub(super) fn removed(
        &mut self,
        room: RoomId,
        reason: RemovedReason,
        was: Evicted,
        ctx: &mut Context<Self>,
    ) {
        let SessionPhase::Live(live) = &mut self.phase else {
            return;
        };
        live.greeted.retain(|(greeted, _)| *greeted != room);
        let subscribed = live.unsubscribe(room, &self.fanout);
        if subscribed || was == Evicted::Member {
            self.send_removed(room, reason);
        }
        if self.line.watches.get() {
            self.recheck_watches(ctx);
        }
    }

    /// Leaves rooms that turned private around a reader.
    pub(super) fn put_out(&mut self) {
        let rooms = std::mem::take(&mut *self.line.out.borrow_mut());
        for room in rooms {
            let SessionPhase::Live(live) = &mut self.phase else {
                return;
            };
            if live.unsubscribe(room, &self.fanout) {
                self.send_removed(room, RemovedReason::NotMember);
            }
        }
    }
}
