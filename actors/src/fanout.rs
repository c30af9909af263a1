//! The fan-out of one thread: a room sends one message per thread and batch, and this hands it to every session there. A room of the same thread
//! calls it.
//!
//! Owns the thread's list of subscriptions by room, the interest told to rooms, and the wheel that ticks every line.
//! Its mailbox holds [`MAILBOX`] deliveries; when full, the room owes the thread a nudge and its sessions read the log.
//!
//! Invariants:
//! - FO-1: a room is told of interest before any of its sessions asks it anything, so that no event falls between.
//! - FO-2: for events nothing is allocated, and no lock is held, per receiver; the bytes of a batch are copied at most once for all of the thread. Only the sessions of who sent it
//!   each have a frame made for them.

mod places;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use parlor_schema::{
    CloseCode, RoomId, Seq, Timestamp,
    frame::{Ack, ServerFrame},
    limits::PULLS_MAX,
};
use tokio::{
    sync::Semaphore,
    time::{MissedTickBehavior, interval},
};

use self::places::{Copies, Place};
use crate::{
    drain::Drain,
    fetch::fetch,
    ledger::{Budget, Ledger},
    line::Line,
    map::IdMap,
    metrics::Metrics,
    ports::Ports,
    room::{
        ask::{Deliver, Ephemeral, Interest, WorkerId},
        packet::Batch,
        rooms::Rooms,
    },
    scratch,
    subscription::{Phase, Subscription},
    wheel::{self, SPOKES, Wheel},
};

/// Deliveries that may wait.
pub const MAILBOX: usize = 4096;
/// Time between two looks at a line.
const TURN_MS: u64 = 250;
/// Turns of the wheel between two looks for rooms that were started afresh.
const REANNOUNCE_EVERY: u64 = 4;

static NEXT_WORKER: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static LOCAL: RefCell<Option<Rc<Fanout>>> = const { RefCell::new(None) };
}

struct LocalRoom {
    generation: u64,
    places: Vec<Place>,
}

/// The fan-out of this thread.
pub struct Fanout {
    id: WorkerId,
    rooms: Arc<Rooms>,
    ports: Ports,
    metrics: Arc<Metrics>,
    local: RefCell<IdMap<RoomId, LocalRoom>>,
    wheel: RefCell<Wheel>,
    to: RefCell<Option<Recipient<Deliver>>>,
    ledger: Rc<Ledger>,
    pulls: Arc<Semaphore>,
    queued: Cell<i64>,
    drain: Arc<Drain>,
    turns: Cell<u64>,
}

impl Fanout {
    /// Returns this thread's fan-out, making it when there is none.
    #[must_use]
    pub fn local(
        rooms: &Arc<Rooms>,
        ports: &Ports,
        metrics: &Arc<Metrics>,
        drain: &Arc<Drain>,
        budget: &Arc<Budget>,
    ) -> Rc<Self> {
        LOCAL.with_borrow_mut(|local| {
            // Another server in the same process (tests) has other rooms.
            if let Some(fanout) = local
                .as_ref()
                .filter(|fanout| Arc::ptr_eq(&fanout.rooms, rooms))
            {
                return fanout.clone();
            }
            let fanout = Rc::new(Self {
                id: WorkerId(NEXT_WORKER.fetch_add(1, Ordering::Relaxed)),
                rooms: rooms.clone(),
                ports: ports.clone(),
                metrics: metrics.clone(),
                local: RefCell::default(),
                wheel: RefCell::default(),
                to: RefCell::default(),
                ledger: Rc::new(Ledger::new(budget.clone())),
                pulls: Arc::new(Semaphore::new(PULLS_MAX)),
                queued: Cell::new(0),
                drain: drain.clone(),
                turns: Cell::new(0),
            });
            let addr = FanoutActor::create(|ctx| {
                ctx.set_mailbox_capacity(MAILBOX);
                FanoutActor(fanout.clone())
            });
            *fanout.to.borrow_mut() = Some(addr.recipient());
            *local = Some(fanout.clone());
            fanout
        })
    }

    /// Returns this thread's fan-out, where `worker` is its name. None where the thread is ending.
    #[must_use]
    pub(crate) fn here(worker: WorkerId) -> Option<Rc<Self>> {
        let here = LOCAL.try_with(|local| local.borrow().clone());
        here.ok()?.filter(|fanout| fanout.id == worker)
    }

    /// Returns the thread's name.
    pub(crate) const fn worker(&self) -> WorkerId {
        self.id
    }

    /// Finds a line by its place on the wheel.
    pub(crate) fn line(&self, slot: usize) -> Option<Rc<Line>> {
        self.wheel.borrow().line(slot)
    }

    /// Puts an `ack` into the lane of the session that it is for.
    pub(crate) fn acknowledge(&self, line: &Line, ack: Ack, echo: &str) {
        let packed = scratch::text(|text| {
            ServerFrame::Ack(ack).write_into(Some(echo), text);
            self.ports.wire.coded(text, line.coding)
        });
        line.outlet.push(packed);
    }

    /// Hands what a room says to the sessions here.
    pub(crate) fn deliver(&self, what: &Deliver) {
        match what {
            Deliver::Events(batch) => self.events(batch),
            Deliver::Nudge(room, head) => self.nudge(*room, *head),
            Deliver::Ephemeral(ephemeral) => self.ephemeral(ephemeral),
        }
    }

    /// Returns the thread's account of bytes that wait.
    #[must_use]
    pub fn ledger(&self) -> Rc<Ledger> {
        self.ledger.clone()
    }

    /// Returns the turns of the thread's sessions at reading the log, given in the order of asking ([`PULLS_MAX`]).
    #[must_use]
    pub fn pulls(&self) -> Arc<Semaphore> {
        self.pulls.clone()
    }

    /// Has the wheel tick a line.
    pub fn enter(&self, line: &Rc<Line>) {
        line.slot.set(self.wheel.borrow_mut().enter(line));
    }

    /// Takes a line off the wheel.
    pub fn leave(&self, line: &Line) {
        self.wheel.borrow_mut().leave(line);
    }

    /// Lists a subscription, and tells the room of the thread's interest when it is the first (FO-1).
    pub fn subscribe(&self, subscription: &Rc<Subscription>, line: &Rc<Line>) {
        let room = subscription.room;
        let mut local = self.local.borrow_mut();
        let entry = local.entry(room).or_insert_with(|| LocalRoom {
            generation: 0,
            places: Vec::new(),
        });
        subscription.slot.set(entry.places.len());
        entry.places.push(Place {
            subscription: subscription.clone(),
            line: line.clone(),
        });
        if entry.generation == 0 || self.rooms.generation(room) != Some(entry.generation) {
            self.announce(room, entry);
        }
    }

    /// Takes a subscription off the list.
    pub fn unsubscribe(&self, subscription: &Subscription) {
        subscription.phase.set(Phase::Closed);
        let room = subscription.room;
        let mut local = self.local.borrow_mut();
        let Some(entry) = local.get_mut(&room) else {
            return;
        };
        let slot = subscription.slot.get();
        if !entry
            .places
            .get(slot)
            .is_some_and(|place| std::ptr::eq(&*place.subscription, subscription))
        {
            return;
        }
        entry.places.swap_remove(slot);
        if let Some(moved) = entry.places.get(slot) {
            moved.subscription.slot.set(slot);
        }
        if entry.places.is_empty() {
            local.remove(&room);
            self.rooms.withdraw(room, self.id);
        }
    }

    fn announce(&self, room: RoomId, entry: &mut LocalRoom) {
        let Some(to) = self.to.borrow().clone() else {
            return;
        };
        // When full: generation stays 0, and the wheel tries again.
        entry.generation = self
            .rooms
            .tell(
                room,
                Interest {
                    worker: self.id,
                    to: Some(to),
                },
            )
            .unwrap_or(0);
    }

    /// Hands events to the sessions here.
    pub(crate) fn events(&self, batch: &Batch) {
        let local = self.local.borrow();
        let Some(entry) = local.get(&batch.room) else {
            // Said before, and lost in a full mailbox.
            return self.rooms.withdraw(batch.room, self.id);
        };
        let mut delivered = 0;
        let mut copies = places::are_worth_copies(&entry.places).then(Copies::default);
        let mut all = places::together(&entry.places);
        let mut next = all.next();
        next.into_iter().for_each(places::fetch_all);
        while let Some(together) = next {
            next = all.next();
            next.into_iter().for_each(places::fetch_all);
            // What stands one step further is read: many such reads take as long as one.
            for place in together {
                place.line.outlet.look_at_socket();
            }
            for place in together {
                delivered += place.deliver(batch, copies.as_mut(), &*self.ports.wire);
            }
        }
        self.metrics.deliveries.inc_by(delivered);
    }

    /// Asks for the list of a room's sessions, some steps before [`expect_needs`](Self::expect_needs).
    pub(crate) fn expect_places(&self, room: RoomId) {
        self.expect(room, |places| places.iter().for_each(fetch));
    }

    /// Asks for what the first sessions of a room need, some steps before [`events`](Self::events).
    pub(crate) fn expect_needs(&self, room: RoomId) {
        self.expect(room, places::fetch_all);
    }

    fn expect(&self, room: RoomId, ask: impl Fn(&[Place])) {
        if let Some(entry) = self.local.borrow().get(&room)
            && let Some(first) = places::together(&entry.places).next()
        {
            ask(first);
        }
    }

    fn nudge(&self, room: RoomId, head: Seq) {
        let local = self.local.borrow();
        for place in local
            .get(&room)
            .map(|entry| &entry.places)
            .into_iter()
            .flatten()
        {
            let subscription = &place.subscription;
            subscription.seen.set(subscription.seen.get().max(head));
            match subscription.phase.get() {
                Phase::Live if subscription.cursor.get() < head => place.fall_behind(),
                Phase::Passive if subscription.cursor.get() < head => {
                    subscription.cursor.set(head);
                    place.note(&place.line.heads);
                }
                _ => {}
            }
        }
    }

    fn ephemeral(&self, ephemeral: &Ephemeral) {
        let local = self.local.borrow();
        let mut dropped = 0;
        for place in local
            .get(&ephemeral.room)
            .map(|entry| &entry.places)
            .into_iter()
            .flatten()
        {
            if !matches!(place.subscription.phase.get(), Phase::Live | Phase::Pulling) {
                continue;
            }
            let person = place.line.person.borrow();
            if ephemeral.except.is_some()
                && person.as_ref().map(|person| &person.user) == ephemeral.except.as_ref()
            {
                continue;
            }
            dropped += place
                .line
                .outlet
                .push_ephemeral(&ephemeral.key, ephemeral.bytes.clone());
        }
        if dropped > 0 {
            self.metrics.ephemeral_dropped.inc_by(dropped);
        }
    }

    /// Sees to what is due on a line; answers whether its client was told something.
    fn see_to(&self, line: &Line, (now_ms, now): (u64, Timestamp)) -> bool {
        let wire = &*self.ports.wire;
        let sent_away = match self.drain.left_ms(now_ms) {
            None => false,
            Some(0) => line.end(CloseCode::Draining, CloseCode::Draining.reason()),
            // Each client its own moment, so that they do not all come to the next node at once.
            Some(left) => line.send_away(self.ports.ids.below(left), left, wire),
        };
        line.tick(now_ms, now, wire) || sent_away
    }

    /// Goes on by one spoke of the wheel.
    async fn tick(&self) {
        self.ledger.tell();
        let queued = self.ledger.held();
        self.metrics
            .queue_bytes
            .inc_by(queued - self.queued.replace(queued));
        let (lines, is_turn) = self.wheel.borrow_mut().turn();
        let now = || (self.ports.clock.monotonic_ms(), self.ports.clock.now());
        let mut moment = now();
        // The time of a node that drains is counted.
        let lends = self.drain.left_ms(moment.0).is_none();
        wheel::each(&lines, lends, |line| {
            let told = self.see_to(line, moment);
            // Some turns of the loop may come between; one does not matter.
            if told {
                moment = now();
            }
            told
        })
        .await;
        if !is_turn
            || !self
                .turns
                .replace(self.turns.get() + 1)
                .is_multiple_of(REANNOUNCE_EVERY)
        {
            return;
        }
        // A room that was started afresh knows nobody: it is told again, and asked for what was missed.
        let mut local = self.local.borrow_mut();
        for (room, entry) in local.iter_mut() {
            if self.rooms.generation(*room) != Some(entry.generation) {
                self.announce(*room, entry);
                for place in entry
                    .places
                    .iter()
                    .filter(|place| place.subscription.phase.get() == Phase::Live)
                {
                    place.fall_behind();
                }
            }
        }
    }
}

struct FanoutActor(Rc<Fanout>);

impl Actor for FanoutActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let every = Duration::from_millis(TURN_MS / SPOKES as u64);
        let fanout = self.0.clone();
        let ticking = async move {
            let mut ticks = interval(every);
            // None is passed over where one took its time.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                fanout.tick().await;
            }
        };
        ctx.spawn(ticking.into_actor(self));
    }
}

impl Handler<Deliver> for FanoutActor {
    type Result = ();

    fn handle(&mut self, message: Deliver, _: &mut Self::Context) {
        self.0.deliver(&message);
    }
}
