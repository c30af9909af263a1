//! Performing what the pure state asks for.

use std::{collections::VecDeque, sync::Arc};

use actix::prelude::*;
use parlor_schema::{
    Event, EventKind, RoomId, Seq, UserId,
    event::{MemberContent, RoomCreatedContent},
    frame::{Refusal, server::RemovedReason},
    port::{Append, Direction, ReadRange, StoreError},
    record::RoomDelta,
};

use super::{
    Core, Projecting, Reach, Room,
    ask::Deliver,
    load,
    packet::{Batch, Evicts, Packet},
    state::{Effect, Evicted, Found, Lookup, Origin},
};
use crate::{fanout::Fanout, registry::Notice};

/// Events after which the stored projection is told how far it is, though nothing changed: it bounds what a start reads.
const PROJECT_EVERY: u64 = 512;

impl Room {
    pub(super) fn perform(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        let mut effects: VecDeque<Effect> = effects.into();
        let mut packets = Vec::new();
        let is_alone = self.env.ports.is_alone();
        while let Some(effect) = effects.pop_front() {
            if !matches!(effect, Effect::Publish { .. }) {
                self.deliver(&mut packets);
                // Before replies: a node that forwarded a frame then hears of the event, and after it of the ack.
                self.tell_peers();
            }
            match effect {
                Effect::Publish {
                    event,
                    delta,
                    evicted,
                    origin,
                } => {
                    match origin {
                        // There is nobody to tell.
                        Origin::Here if is_alone => {}
                        Origin::Here => self.news.note(&event, evicted),
                        Origin::Elsewhere => drop(self.env.metrics.followed_events.inc()),
                        Origin::Carried => drop(self.env.metrics.carried_events.inc()),
                    }
                    let may_keep_less = event.kind == EventKind::RoomUpdated;
                    self.publish(event, delta, evicted, &mut packets);
                    if may_keep_less {
                        self.retention_changed(ctx);
                    }
                }
                Effect::Reply(ticket, result) => {
                    let told = self.outward.told(ticket, result);
                    if let Some(reply) = self.replies.take(ticket) {
                        reply.give(told);
                    }
                }
                Effect::Append {
                    expected,
                    events,
                    index,
                } => self.append(expected, events, index, ctx),
                Effect::Lookup(lookup) => {
                    if let Some(more) = self.look_up(lookup, ctx) {
                        effects.extend(more);
                    }
                }
                Effect::Recover(after) => self.recover(after, ctx),
                Effect::Follow { after, to } => self.follow(after, to, ctx),
                Effect::LookAgain => {
                    self.release_all();
                    self.look_again(ctx);
                }
                Effect::Fail => {
                    self.release_all();
                    self.save_elsewhere();
                    self.core = Core::Failed(Refusal::unavailable("the store is unavailable"));
                    self.leave(ctx);
                }
            }
        }
        self.deliver(&mut packets);
        self.tell_peers();
        self.place_early();
        self.release();
        self.settle_missed(ctx);
        self.arm_nudge(ctx);
        self.project(ctx);
        if let (true, Core::Ready(state)) = (cfg!(debug_assertions), &self.core) {
            state.check_invariants();
        }
        self.pass_waiting(ctx);
    }

    fn recover(&mut self, after: Seq, ctx: &mut Context<Self>) {
        let (ports, id) = (self.env.ports.clone(), self.id);
        let tail = async move { load::tail(&ports, id, after).await };
        ctx.spawn(tail.into_actor(self).map(|tail, room, ctx| {
            let Core::Ready(state) = &mut room.core else {
                return;
            };
            let effects = state.recovered(tail, &Self::moment(&room.env));
            room.perform(effects, ctx);
        }));
    }

    fn append(
        &mut self,
        expected: Seq,
        events: Vec<Arc<Event>>,
        index: Vec<UserId>,
        ctx: &mut Context<Self>,
    ) {
        let (id, clock) = (self.id, &self.env.ports.clock);
        let gone: Vec<UserId> = events
            .iter()
            .filter_map(|event| match Evicts::of(event) {
                Evicts::User(user) => Some(user),
                Evicts::Nobody | Evicts::NonMembers => None,
            })
            .collect();
        self.env.metrics.batch_events.observe(count(events.len()));
        let started = clock.monotonic_ms();
        let last = expected.plus(events.len() as u64);
        let timeline = self.env.ports.timeline.clone();
        // Most events bring nobody in and put nobody out.
        let lists =
            (!index.is_empty() || !gone.is_empty()).then(|| self.env.ports.directory.clone());
        let work = async move {
            let Some(lists) = lists else {
                return timeline.append(id, expected, events).await;
            };
            // Before the append and after it: with the positions the lists then only ever hold too much, whoever else appends.
            if !index.is_empty() {
                lists.index(id, index, last).await?;
            }
            let answer = timeline.append(id, expected, events).await?;
            if answer == Append::Appended && !gone.is_empty() {
                let _ = lists.unindex(id, gone, last).await;
            }
            Ok(answer)
        };
        ctx.spawn(work.into_actor(self).map(move |answer, room, ctx| {
            let took_ms = room.env.ports.clock.monotonic_ms().saturating_sub(started);
            let metrics = &room.env.metrics;
            #[allow(clippy::cast_precision_loss, reason = "a latency in a histogram")]
            metrics.append_seconds.observe(took_ms as f64 / 1000.0);
            match &answer {
                Ok(Append::Appended) => metrics.appends.inc(),
                Ok(Append::Conflict { .. }) => metrics.append_conflicts.inc(),
                Ok(Append::Unknown) => metrics.append_unknown.inc(),
                Err(error) => {
                    tracing::warn!(room = %room.id, %error, "append refused");
                    metrics.append_refused.inc()
                }
            };
            let Core::Ready(state) = &mut room.core else {
                return;
            };
            let effects = state.appended(answer, &Self::moment(&room.env));
            room.perform(effects, ctx);
        }));
    }

    fn look_up(&mut self, lookup: Lookup, ctx: &mut Context<Self>) -> Option<Vec<Effect>> {
        let (ports, id) = (self.env.ports.clone(), self.id);
        let Core::Ready(state) = &mut self.core else {
            return None;
        };
        let head = state.head();
        if let Lookup::Event(seq) = lookup
            && let Some(packet) = self.ring.get(seq)
        {
            return Some(state.found(
                Found::Event(seq, Some(packet.event.clone())),
                &Self::moment(&self.env),
            ));
        }
        let horizon = ports
            .clock
            .now()
            .minus_millis(self.env.rules.dedupe_window_ms);
        let work = async move {
            let found = match lookup {
                Lookup::Users(users) => ports
                    .directory
                    .missing_users(users)
                    .await
                    .map(Found::MissingUsers),
                Lookup::Event(seq) => {
                    let range = ReadRange {
                        from: seq,
                        to: seq,
                        direction: Direction::Up,
                        limit: 1,
                        bytes: 1,
                    };
                    ports
                        .timeline
                        .read(id, range)
                        .await
                        .map(|mut events| Found::Event(seq, events.pop()))
                }
                Lookup::Window => load::window(&ports, id, horizon, head)
                    .await
                    .map(Found::Window),
                Lookup::Head => ports.timeline.head(id).await.map(Found::Head),
            };
            found.unwrap_or_else(Found::Failed)
        };
        ctx.spawn(work.into_actor(self).map(|found, room, ctx| {
            let Core::Ready(state) = &mut room.core else {
                return;
            };
            let effects = state.found(found, &Self::moment(&room.env));
            room.perform(effects, ctx);
        }));
        None
    }

    /// Packs a durable event, keeps it in the ring, puts it to the packets to deliver, and tells those it brings in or puts out.
    fn publish(
        &mut self,
        event: Arc<Event>,
        delta: Option<RoomDelta>,
        evicted: Evicted,
        packets: &mut Vec<Arc<Packet>>,
    ) {
        // Once for all of them, ahead of the packing.
        if packets.is_empty() {
            self.expect(Fanout::expect_needs);
        }
        if let Some(old) = self.ring.leaving() {
            old.fetch_parts();
        }
        let packet = Packet::new(self.id, event.clone(), &*self.env.ports.wire);
        if let Some(old) = self.ring.leaving() {
            old.fetch_content();
        }
        let packet = Arc::new(packet);
        self.ring.push(packet.clone());
        if event.kind == EventKind::Message {
            self.last_message = Some(event.clone());
        }
        if let Some(delta) = delta {
            self.tell(&event, evicted);
            self.deltas.push_back(delta);
        } else if event.seq.since(self.projected) >= PROJECT_EVERY && self.deltas.is_empty() {
            self.deltas.push_back(RoomDelta::reached(event.seq));
        }
        packets.push(packet);
    }

    fn tell(&self, event: &Event, evicted: Evicted) {
        let members: Vec<UserId> = match event.kind {
            EventKind::RoomCreated => event
                .content::<RoomCreatedContent>()
                .map(|c| c.members)
                .unwrap_or_default(),
            EventKind::MemberJoined | EventKind::MemberInvited => event
                .content::<MemberContent>()
                .map(|c| vec![c.user_id])
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        for user in members {
            if let Some(room) = self.added_room(&user, event.seq.prev()) {
                self.env
                    .sessions
                    .tell(&user, &Notice::RoomAdded(Arc::new(room)));
            }
        }
        if let Evicts::User(user) = Evicts::of(event) {
            let reason = match event.kind {
                EventKind::MemberLeft => RemovedReason::Left,
                EventKind::MemberBanned => RemovedReason::Banned,
                _ => RemovedReason::Removed,
            };
            let notice = Notice::RoomRemoved {
                room_id: self.id,
                reason,
                was: evicted,
            };
            self.env.sessions.tell(&user, &notice);
        }
    }

    /// Asks for what the sessions of this thread are going to need: `step` is the next of the fan-out's two.
    pub(super) fn expect(&self, step: impl Fn(&Fanout, RoomId)) {
        for target in &self.interest {
            if let Reach::Here(fanout) = &target.to {
                step(fanout, self.id);
            }
        }
    }

    fn deliver(&mut self, packets: &mut Vec<Arc<Packet>>) {
        if packets.is_empty() {
            return;
        }
        let batch = Batch::new(self.id, std::mem::take(packets));
        // When full: the thread is owed a nudge, and its sessions read the room themselves (promise P-4).
        let mut away = Vec::new();
        for target in self.interest.iter_mut().filter(|target| !target.owed) {
            match &target.to {
                Reach::Here(fanout) => fanout.events(&batch),
                Reach::There(_) => away.push(target),
            }
        }
        if away.is_empty() {
            return;
        }
        let batch = Arc::new(batch);
        for target in away {
            target.owed = !target.to.deliver(Deliver::Events(batch.clone()));
        }
    }

    /// Writes the next step of the stored projection. What fails stays, and is tried again at the next tick.
    pub(super) fn project(&mut self, ctx: &mut Context<Self>) {
        if self.projecting == Projecting::Yes {
            return;
        }
        let Some(delta) = self.deltas.front().cloned() else {
            return;
        };
        self.projecting = Projecting::Yes;
        let (ports, id, applied) = (self.env.ports.clone(), self.id, delta.applied);
        let work = async move { ports.directory.apply(id, delta).await };
        ctx.spawn(work.into_actor(self).map(move |done: Result<(), StoreError>, room, ctx| {
            room.projecting = Projecting::No;
            match done {
                Ok(()) => {
                    room.projected = room.projected.max(applied);
                    room.deltas.pop_front();
                    room.project(ctx);
                }
                Err(error) => {
                    tracing::warn!(room = %room.id, %error, "projection not written, will try again");
                    room.arm(super::tick::RETRY_MS, ctx);
                }
            }
        }));
    }
}

#[allow(clippy::cast_precision_loss, reason = "a batch size in a histogram")]
fn count(events: usize) -> f64 {
    events as f64
}
