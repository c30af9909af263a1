//! What a room hears from other nodes, and what it tells them.
//!
//! Invariants:
//! - H-1: a head that is heard is a hint (P-5): the events behind it come from the timeline, or with it from a node that knows them as
//!   durable (rule C).
//! - H-2: whom an event brings in or puts out is told once by a run of the room: of events after its start when they are delivered,
//!   of earlier ones when another node names them.

use std::sync::Arc;

use actix::prelude::*;
use parlor_schema::{
    Event, Seq, UserId,
    envelope::{Carried, Envelope, MemberChange, Outcome, Place, Standing, TypingEdge},
    frame::{
        ServerFrame,
        server::{ReceiptFrame, RemovedReason},
    },
    limits::TYPING_MS,
};

use super::{
    Core, Room, Waiting, ask::EphemeralKey, live::Live, load, state::Evicted, tick::RETRY_MS,
};
use crate::registry::Notice;

/// Time in which places that moved are collected before other nodes are told.
pub(super) const PLACES_TOLD_MS: u64 = 50;

/// What another node says about a room.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum Hear {
    /// Its timeline grew.
    Moved {
        /// The head, at least.
        head: Seq,
        /// Who came and went.
        changes: Vec<MemberChange>,
        /// The last events up to the head, in order, where they were told.
        events: Vec<Arc<Event>>,
    },
    /// Members got or read events.
    Places(Vec<Place>),
    /// A member types, or no longer does.
    Typing(UserId, TypingEdge),
    /// The owner answered a forward.
    Forwarded {
        /// Which.
        id: u64,
        /// What became of each frame; none: they were not taken.
        outcomes: Option<Vec<Outcome>>,
    },
    /// Something may have been missed: the timeline is to be asked.
    Check,
}

impl Handler<Hear> for Room {
    type Result = ();

    fn handle(&mut self, hear: Hear, ctx: &mut Self::Context) {
        self.handled += 1;
        let Some((hear, _)) = self.ready(hear, Waiting::Hear, |_, _| {}) else {
            return;
        };
        match hear {
            Hear::Moved {
                head,
                changes,
                events,
            } => {
                self.hear_events(events, ctx);
                self.hear_head(head, ctx);
                for change in changes {
                    if change.seq <= self.began {
                        self.tell_standing(&change);
                    }
                }
            }
            Hear::Places(places) => places.into_iter().for_each(|place| self.place(place)),
            Hear::Typing(user, edge) => self.hear_typing(&user, edge, ctx),
            Hear::Forwarded { id, outcomes } => self.hear_forwarded(id, outcomes, ctx),
            Hear::Check => self.check(ctx),
        }
    }
}

impl Room {
    pub(super) fn hear_head(&mut self, head: Seq, ctx: &mut Context<Self>) {
        let Core::Ready(state) = &mut self.core else {
            return;
        };
        let effects = state.hear(head, &Self::moment(&self.env));
        self.perform(effects, ctx);
    }

    fn hear_events(&mut self, events: Vec<Arc<Event>>, ctx: &mut Context<Self>) {
        let Core::Ready(state) = &mut self.core else {
            return;
        };
        if events.is_empty() {
            return;
        }
        let effects = state.hear_events(events, &Self::moment(&self.env));
        self.perform(effects, ctx);
    }

    /// Reads what another node appended.
    pub(super) fn follow(&mut self, after: Seq, to: Seq, ctx: &mut Context<Self>) {
        let (ports, id) = (self.env.ports.clone(), self.id);
        let tail = async move { load::tail_to(&ports, id, after, to).await };
        ctx.spawn(tail.into_actor(self).map(|tail, room, ctx| {
            if let Err(error) = &tail {
                tracing::warn!(room = %room.id, %error, "what another node appended could not be read");
            }
            let Core::Ready(state) = &mut room.core else {
                return;
            };
            let effects = state.followed(tail, &Self::moment(&room.env));
            room.perform(effects, ctx);
        }));
    }

    /// Asks the timeline for its head, and the directory for receipts; later again where they do not answer.
    pub(super) fn check(&mut self, ctx: &mut Context<Self>) {
        let (ports, id) = (self.env.ports.clone(), self.id);
        let work = async move {
            let head = ports.timeline.head(id).await?;
            Ok::<_, parlor_schema::port::StoreError>((head, ports.directory.receipts(id).await?))
        };
        ctx.spawn(work.into_actor(self).map(|answer, room, ctx| {
            let Ok((head, receipts)) = answer else {
                return room.look_again(ctx);
            };
            room.hear_head(head, ctx);
            for receipt in receipts {
                room.place(Place {
                    user_id: receipt.user_id,
                    delivered: receipt.delivered,
                    read: receipt.read,
                });
            }
        }));
    }

    pub(super) fn look_again(&mut self, ctx: &mut Context<Self>) {
        self.behind = true;
        self.arm(RETRY_MS, ctx);
        self.missed_unread(ctx);
    }

    /// Tells the other nodes how far this room is now, and who came and went.
    pub(super) fn tell_peers(&mut self) {
        let Some(moved) = self.news.take_moved() else {
            return;
        };
        let peers = self.env.ports.peers();
        if peers.is_empty() {
            return;
        }
        let head = moved.head;
        let is_for_all = !moved.changes.is_empty();
        let envelope = || Envelope::RoomMoved {
            room_id: self.id,
            head,
            changes: moved.changes,
            events: moved
                .events
                .iter()
                .map(|event| Carried::of(event))
                .collect(),
        };
        if is_for_all {
            // Who is brought in or put out may be where the room does not run.
            peers.tell_all(envelope);
        } else {
            self.env.places.tell(self.id, envelope);
        }
        // Should the envelope be lost, or nobody know who wants it, the next heartbeat says it again.
        peers.each(|node| peers.bus.note_head(node, self.id, head));
    }

    /// Tells the other nodes whose place moved.
    pub(super) fn tell_places(&mut self) {
        let moved = self.news.take_places();
        let Core::Ready(state) = &self.core else {
            return;
        };
        let places: Vec<Place> = moved
            .iter()
            .filter_map(|user| state.members.receipt(self.id, user))
            .map(|record| Place {
                user_id: record.user_id,
                delivered: record.delivered,
                read: record.read,
            })
            .collect();
        if !places.is_empty() {
            let moved = || Envelope::ReceiptsMoved {
                room_id: self.id,
                places,
            };
            self.env.places.tell(self.id, moved);
        }
    }

    /// Takes the places that waited for events which are here now.
    pub(super) fn place_early(&mut self) {
        let Core::Ready(state) = &self.core else {
            return;
        };
        for place in self.news.take_early(state.head()) {
            self.place(place);
        }
    }

    fn place(&mut self, place: Place) {
        let Core::Ready(state) = &mut self.core else {
            return;
        };
        let head = state.head();
        if place.delivered.max(place.read) > head {
            return self.news.keep_early(place);
        }
        if let Some(frame) = Live::hear_place(self.id, &mut state.members, head, &place) {
            self.show_place(frame);
        }
    }

    /// Sends a member's place to those who are here: the whole of it, so that a newer frame may replace an older one.
    pub(super) fn show_place(&self, frame: ReceiptFrame) {
        let Core::Ready(state) = &self.core else {
            return;
        };
        let key = EphemeralKey::Receipt(self.id, frame.user_id.clone());
        let frame = match state.members.receipt(self.id, &frame.user_id) {
            Some(whole) => ReceiptFrame {
                delivered: Some(whole.delivered),
                read: Some(whole.read),
                ..frame
            },
            None => frame,
        };
        self.send_ephemeral(key, &ServerFrame::Receipt(frame), None);
    }

    fn hear_typing(&mut self, user: &UserId, edge: TypingEdge, ctx: &mut Context<Self>) {
        let Core::Ready(state) = &self.core else {
            return;
        };
        // Who is out meanwhile is not shown (P-6).
        if state.members.member(user).is_none() {
            return;
        }
        let now = self.env.ports.clock.monotonic_ms();
        let frame = match edge {
            TypingEdge::Start => {
                self.arm(TYPING_MS + 50, ctx);
                Some(self.live.typing_start(self.id, user, now))
            }
            TypingEdge::Stop => self.live.typing_stop(self.id, user),
        };
        if let Some(frame) = frame {
            let key = EphemeralKey::Typing(self.id, user.clone());
            self.send_ephemeral(key, &ServerFrame::Typing(frame), Some(user.clone()));
        }
    }

    /// Tells the sessions here of a change that this run of the room has not delivered.
    fn tell_standing(&self, change: &MemberChange) {
        let notice = match removed_reason(change.to) {
            None => match self.added_room(&change.user_id, change.seq.prev()) {
                Some(room) if room.own.is_some() => Notice::RoomAdded(Arc::new(room)),
                _ => return,
            },
            Some(reason) => Notice::RoomRemoved {
                room_id: self.id,
                reason,
                was: Evicted::Member,
            },
        };
        self.env.sessions.tell(&change.user_id, &notice);
    }
}

/// Says why somebody is out; none for somebody who is in.
pub(crate) const fn removed_reason(to: Standing) -> Option<RemovedReason> {
    match to {
        Standing::Member => None,
        Standing::Left => Some(RemovedReason::Left),
        Standing::Removed => Some(RemovedReason::Removed),
        Standing::Banned => Some(RemovedReason::Banned),
    }
}
