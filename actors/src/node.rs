//! The `Node` actor: one per process. It takes what other nodes say, and hands it to the rooms, presences and sessions it concerns.
//!
//! Its mailbox holds [`MAILBOX`] messages; when full one is heard on the thread that brings it, so that no revocation is lost. Rooms
//! are not started there: what only a new room could tell is lost then.
//!
//! Invariants:
//! - ND-1: what may have been missed is asked of the timeline: after a lost link, while the bus does not hear, and for [`UNEASY_MS`]
//!   after either, after a change of the view and after a start, since a node hears nothing from those that do not see it yet. Not all at
//!   once, where there is much (`rounds`).
//!
//! Deliberately absent here: heartbeats, membership and links (the adapters), who owns a room ([`crate::place`]).

mod forwarded;
mod rounds;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use parlor_schema::{
    Event, NodeId, RoomId, Seq,
    envelope::{Carried, Envelope, Forwarded, MemberChange, Standing},
    port::{Inbound, Inbox, Load, View},
};

use rounds::Rounds;

use crate::{
    front::Front,
    metrics::Metrics,
    place::{Places, leases::RENEW_MS},
    ports::Ports,
    presence::Presences,
    registry::{Notice, Sessions},
    room::{
        hear::{Hear, removed_reason},
        rooms::Rooms,
        state::Evicted,
    },
};

/// Messages that may wait.
pub const MAILBOX: usize = 4096;
/// How often the node looks at the others, and reports what it carries.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it asks on, where there is more to ask than it does together.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How long the timelines are asked for after something may have been missed: longer than a node takes to see another.
pub const UNEASY_MS: u64 = 3_000;

/// The process as a member of the cluster.
pub struct Node {
    inner: Arc<Inner>,
    seen: Arc<View>,
    /// When the owners of the rooms here are told of them again.
    renew_at_ms: u64,
    /// Rooms that this node owned when they were told last.
    owned_rooms: usize,
}

/// What is heard with, on any thread.
struct Inner {
    ports: Ports,
    sessions: Arc<Sessions>,
    rooms: Arc<Rooms>,
    presences: Arc<Presences>,
    places: Arc<Places>,
    metrics: Arc<Metrics>,
    uneasy_until_ms: AtomicU64,
    rounds: Mutex<Rounds>,
}

/// Where an inbound is heard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    /// On the node's own thread, where rooms can be started.
    Node,
    /// On the thread of the bus.
    Bus,
}

/// What the bus handed up.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Arrived(Inbound);

/// Asks for the nodes thought alive.
#[derive(Debug, Message)]
#[rtype(result = "Arc<View>")]
pub struct GetView;

impl Node {
    /// Starts the node on this thread and attaches it to the bus.
    pub fn start_on(ports: &Ports, sessions: Arc<Sessions>, front: &Front) -> Addr<Self> {
        let inner = Arc::new(Inner {
            ports: ports.clone(),
            sessions,
            rooms: front.rooms.clone(),
            presences: front.presences.clone(),
            places: front.rooms.places(),
            metrics: front.metrics.clone(),
            uneasy_until_ms: AtomicU64::new(0),
            rounds: Mutex::default(),
        });
        inner.worry();
        let outside = Arc::clone(&inner);
        let node = Self::create(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            Self {
                inner,
                seen: Arc::new(View {
                    version: 0,
                    nodes: Vec::new(),
                }),
                renew_at_ms: 0,
                owned_rooms: 0,
            }
        });
        let to = node.clone();
        let inbox: Inbox = Arc::new(move |inbound| {
            // When full: heard on the sender's thread, as a revocation must not be lost (promise P-6).
            if let Err(SendError::Full(Arrived(inbound)) | SendError::Closed(Arrived(inbound))) =
                to.try_send(Arrived(inbound))
            {
                outside.hear(inbound, On::Bus);
            }
        });
        ports.bus.attach(inbox);
        node
    }

    fn look(&mut self) {
        let inner = &self.inner;
        let view = inner.ports.membership.view();
        if view.version != self.seen.version {
            inner.worry();
            inner.places.view_changed(&view);
            // Owners changed: they are told at once.
            self.renew_at_ms = 0;
            inner.presences.others_changed(&view);
            for node in &view.nodes {
                if !self.seen.is_alive(&node.node_id, node.boot_id) {
                    inner.want_users(&node.node_id);
                }
            }
            self.seen = view.clone();
        }
        if !inner.ports.bus.is_hearing() {
            inner.worry();
        }
        let now = inner.ports.clock.monotonic_ms();
        // Alone there is nobody whose words could be missed; a bus that is deaf may hide who is there.
        let alone = view.nodes.len() < 2 && inner.ports.bus.is_hearing();
        if !alone && now < inner.uneasy_until_ms.load(Ordering::Relaxed) {
            inner.want_rooms();
        }
        if now >= self.renew_at_ms {
            self.renew_at_ms = now + RENEW_MS;
            self.owned_rooms = inner.places.renew(&inner.rooms.list());
            let owned = i64::try_from(self.owned_rooms).unwrap_or(i64::MAX);
            inner.metrics.owned_rooms.set(owned);
        }
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        inner.ports.membership.report(Load {
            sessions: count(inner.sessions.len()),
            rooms: count(inner.rooms.len()),
            owned_rooms: count(self.owned_rooms),
        });
    }
}

impl Inner {
    /// Has the timelines asked at the coming looks.
    fn worry(&self) {
        let until = self.ports.clock.monotonic_ms() + UNEASY_MS;
        self.uneasy_until_ms.fetch_max(until, Ordering::Relaxed);
    }

    /// Has every room ask its timeline.
    fn want_rooms(&self) {
        self.want(|rounds| rounds.want_rooms(|| self.rooms.list()));
    }

    /// Has a node asked what the devices of users there come to.
    fn want_users(&self, node: &NodeId) {
        if *node != self.ports.membership.own().node_id {
            self.want(|rounds| rounds.want_users(node.clone(), self.presences.list()));
        }
    }

    /// Wants something asked: at once, or in the next steps of what is under way.
    fn want(&self, what: impl FnOnce(&mut Rounds)) {
        let mut rounds = self.rounds();
        let begins = rounds.is_idle();
        what(&mut rounds);
        drop(rounds);
        if begins {
            self.ask_on();
        }
    }

    /// Asks the next of what is to be asked.
    fn ask_on(&self) {
        let mut rounds = self.rounds();
        let rooms = rounds.take_rooms(|| self.rooms.list());
        let users = rounds.take_users();
        drop(rounds);
        self.rooms.check(&rooms);
        for (node, users) in users {
            for user in users {
                self.presences.hear_lost(&user, node.clone());
            }
        }
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, inbound: Inbound, on: On) {
        match inbound {
            Inbound::Envelope(envelope) => self.hear_envelope(envelope, on),
            Inbound::Heads(heads) => {
                for (room, head) in heads {
                    self.tell(
                        room,
                        Hear::Moved {
                            head,
                            changes: Vec::new(),
                            events: Vec::new(),
                        },
                    );
                }
            }
            Inbound::LinkLost(node) => {
                tracing::info!(%node, "something a node said was lost; the timelines are asked");
                self.worry();
                self.places.lost(&node);
                self.want_rooms();
                self.want_users(&node);
            }
        }
    }

    fn hear_envelope(&self, envelope: Envelope, on: On) {
        match envelope {
            Envelope::LoginEnded { user_id, login_id } => {
                self.ports.gate.login_ended(login_id);
                self.sessions.tell(&user_id, &Notice::LoginEnded(login_id));
            }
            Envelope::UserRevoked { user_id } => {
                self.ports.gate.user_revoked(&user_id);
                self.sessions.tell(&user_id, &Notice::Revoked);
            }
            Envelope::Disconnected {
                user_id,
                session_id,
            } => {
                let sessions = self.sessions.disconnect(&user_id, session_id);
                tracing::debug!(user = %user_id, sessions, "sockets closed because another node said so");
            }
            Envelope::RoomMoved { .. }
            | Envelope::ReceiptsMoved { .. }
            | Envelope::Typing { .. } => self.hear_of_room(envelope, on),
            Envelope::Relay {
                by,
                room_id,
                envelope,
            } => {
                self.places.hear_relay(&by, room_id, &envelope);
                self.hear_of_room(*envelope, on);
            }
            Envelope::Forward(forward) => self.hear_forward(forward, on),
            Envelope::Forwarded(Forwarded {
                room_id,
                id,
                outcomes,
            }) => {
                self.tell(room_id, Hear::Forwarded { id, outcomes });
            }
            Envelope::Interest { by, rooms } => self.places.hear_interest(&by, &rooms),
            Envelope::PresenceAsked { user_id, by } => self.presences.hear_asked(&user_id, by),
            Envelope::PresencePart {
                user_id,
                node_id,
                boot_id,
                part,
            } => self.presences.hear_part(&user_id, node_id, boot_id, part),
        }
    }

    /// Hears what is told of a room; nothing else, so that no relay goes further.
    fn hear_of_room(&self, envelope: Envelope, on: On) {
        self.metrics.room_envelopes.inc();
        match envelope {
            Envelope::RoomMoved {
                room_id,
                head,
                mut changes,
                events,
            } => {
                changes.retain(|change| self.sessions.has(&change.user_id));
                let read: Option<Vec<_>> = events.into_iter().map(Carried::event).collect();
                // What cannot be read here is read from the timeline.
                let events = read.unwrap_or_default().into_iter().map(Arc::new).collect();
                self.hear_moved(room_id, head, (changes, events), on);
            }
            Envelope::ReceiptsMoved { room_id, places } => {
                self.tell(room_id, Hear::Places(places));
            }
            Envelope::Typing {
                room_id,
                user_id,
                edge,
            } => {
                self.tell(room_id, Hear::Typing(user_id, edge));
            }
            _ => {}
        }
    }

    fn hear_moved(
        &self,
        room: RoomId,
        head: Seq,
        (changes, events): (Vec<MemberChange>, Vec<Arc<Event>>),
        on: On,
    ) {
        let moved = Hear::Moved {
            head,
            changes: changes.clone(),
            events,
        };
        if self.tell(room, moved) || changes.is_empty() {
            return;
        }
        // The room does not run here, but somebody whom it brings in or puts out is here.
        let (added, removed): (Vec<_>, Vec<_>) = changes
            .into_iter()
            .partition(|change| change.to == Standing::Member);
        for change in removed {
            if let Some(reason) = removed_reason(change.to) {
                let notice = Notice::RoomRemoved {
                    room_id: room,
                    reason,
                    was: Evicted::Member,
                };
                self.sessions.tell(&change.user_id, &notice);
            }
        }
        if !added.is_empty() && on == On::Node {
            // When full: they find the room in their list.
            let _ = self.rooms.tell(
                room,
                Hear::Moved {
                    head,
                    changes: added,
                    events: Vec::new(),
                },
            );
        }
    }

    /// Tells a room that runs here; answers whether it does. When its mailbox is full: it is asked to look at its timeline soon.
    fn tell(&self, room: RoomId, hear: Hear) -> bool {
        self.rooms.tell_running(room, hear).unwrap_or_else(|_| {
            self.worry();
            true
        })
    }
}

impl Actor for Node {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(LOOK_EVERY, |node, _| node.look());
        ctx.run_interval(ASK_EVERY, |node, _| node.inner.ask_on());
    }
}

impl Handler<Arrived> for Node {
    type Result = ();

    fn handle(&mut self, Arrived(inbound): Arrived, _: &mut Self::Context) {
        self.inner.hear(inbound, On::Node);
    }
}

impl Handler<GetView> for Node {
    type Result = MessageResult<GetView>;

    fn handle(&mut self, _: GetView, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.inner.ports.membership.view())
    }
}
