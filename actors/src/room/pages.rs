//! Pages of the log that were read lately: who reads the same part as others, as after a reconnect of many, shares what they read.
//!
//! Owns the pages of one room. Its positions are parted into runs of [`PAGE_EVENTS`]; a page is a run, or part of one where the events are large, and starts where others
//! look for it. Bounded by [`PAGES_PER_ROOM`], by [`KEPT_MS`], and by what all rooms of a node may keep ([`Space`]): beyond, a page is still shared by those who wait for
//! it, and then forgotten.
//!
//! Invariants:
//! - PA-1: equal reads at the same time are one read of the store.
//! - PA-2: what a page holds is what the store holds: events never change, and a page that ends at an old head is not used for a newer one.
//! - PA-3: while pages are kept, who reads on upwards has each read once, and downwards twice at most, however many a run has.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, HashMap},
    rc::Rc,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use parlor_schema::{Event, RoomId, Seq, limits::PAGES_BYTES_MAX, port::StoreError};
use tokio::sync::OnceCell;

use super::packet::{Batch, Packet};
use crate::ports::Wire;

/// Positions of a page: what a session is given at a time, and what a store answers with one read without effort.
pub const PAGE_EVENTS: usize = 128;
/// Pages a room keeps: what a thousand unread messages take, and as much again.
pub const PAGES_PER_ROOM: usize = 16;
/// Begins of pages within runs that a room knows: some 40 KB.
const BEGINS_MAX: usize = PAGES_PER_ROOM * PAGE_EVENTS;
/// How long a page stays after it was used.
pub const KEPT_MS: u64 = 5_000;
/// Copies of an event that a page may come to hold, about: itself, its frame, and the frames of all as one.
const COPIES: usize = 3;

/// What the pages of all rooms of a node take.
#[derive(Debug, Default)]
pub struct Space(AtomicUsize);

impl Space {
    /// Returns the bytes that are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One page: the events, and their frames once somebody wants them.
#[derive(Debug)]
pub struct Page {
    room: RoomId,
    /// The events, in order and without holes; fewer than the page has positions where the reader's limit of bytes came first.
    pub events: Vec<Arc<Event>>,
    /// Whether an event may mention anybody.
    pub mentions: bool,
    batch: OnceLock<Arc<Batch>>,
}

impl Page {
    fn new(room: RoomId, events: Vec<Arc<Event>>) -> Self {
        Self {
            room,
            mentions: events.iter().any(|event| super::unread::may_name(event)),
            events,
            batch: OnceLock::new(),
        }
    }

    /// Returns the events as frames; none where there is no event.
    #[must_use]
    pub fn batch(&self, wire: &dyn Wire) -> Option<Arc<Batch>> {
        if self.events.is_empty() {
            return None;
        }
        let pack = || {
            let packets = self
                .events
                .iter()
                .map(|event| Arc::new(Packet::new(self.room, event.clone(), wire)))
                .collect();
            Arc::new(Batch::new(self.room, packets))
        };
        Some(self.batch.get_or_init(pack).clone())
    }

    fn weight(&self) -> usize {
        self.events
            .iter()
            .map(|event| event.weight())
            .sum::<usize>()
            * COPIES
    }
}

/// Where in the log a page, or a run, is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first position.
    pub from: Seq,
    /// The last one it can have; not above the head.
    pub to: Seq,
}

impl Span {
    /// Finds the run that holds `seq`, in a room that is kept from `first` up to `head`.
    #[must_use]
    pub fn around(seq: Seq, first: Seq, head: Seq) -> Self {
        let events = PAGE_EVENTS as u64;
        let index = seq.max(Seq::FIRST).since(Seq::FIRST) / events;
        let from = Seq::FIRST.plus(index * events);
        Self {
            from: from.max(first),
            to: from.plus(events - 1).min(head),
        }
    }
}

struct Slot {
    /// The last position of the page when it was asked for.
    to: Seq,
    page: Rc<OnceCell<Arc<Page>>>,
    /// Bytes taken of the node's space; 0 until the page is there.
    taken: Cell<usize>,
    used_ms: Cell<u64>,
}

/// The pages of one room.
pub struct Pages {
    room: RoomId,
    space: Arc<Space>,
    slots: RefCell<HashMap<Seq, Slot>>,
    /// Where pages begin within runs: what a page ended before, which can be found by reading only.
    begins: RefCell<BTreeSet<Seq>>,
}

impl Pages {
    /// Begins without pages.
    #[must_use]
    pub fn new(room: RoomId, space: Arc<Space>) -> Self {
        Self {
            room,
            space,
            slots: RefCell::default(),
            begins: RefCell::default(),
        }
    }

    /// Returns the page that holds `seq`, which is in `run`. `read` reads a page: the whole span, or where that is too large its first events.
    ///
    /// # Errors
    /// The store's own; a page that could not be read is tried again by the next who waits for it.
    pub async fn around(
        &self,
        seq: Seq,
        run: Span,
        now_ms: impl Fn() -> u64,
        read: impl AsyncFn(Span) -> Result<Vec<Arc<Event>>, StoreError>,
    ) -> Result<Arc<Page>, StoreError> {
        let mut from = self.begin(run, seq);
        loop {
            let span = Span { from, ..run };
            let page = self.get(span, now_ms(), async || read(span).await).await?;
            let Some(last) = page.events.last().filter(|last| last.seq < span.to) else {
                return Ok(page);
            };
            // Large events: the rest of the run is a page of its own.
            from = last.seq.next();
            self.begins_at(from);
            if from > seq {
                return Ok(page);
            }
        }
    }

    /// Finds where the page begins that holds `seq`, as far as that is known (PA-3).
    fn begin(&self, run: Span, seq: Seq) -> Seq {
        let begins = self.begins.borrow();
        let known = begins.range(run.from..=seq.max(run.from)).next_back();
        known.copied().unwrap_or(run.from)
    }

    /// Notes where a page begins. When there are too many all are forgotten, and who needs one finds it again.
    fn begins_at(&self, seq: Seq) {
        let mut begins = self.begins.borrow_mut();
        if begins.len() >= BEGINS_MAX && !begins.contains(&seq) {
            begins.clear();
        }
        begins.insert(seq);
    }

    /// Returns a page: one that is there, one that is being read, or what `read` reads.
    async fn get(
        &self,
        span: Span,
        now_ms: u64,
        read: impl AsyncFnOnce() -> Result<Vec<Arc<Event>>, StoreError>,
    ) -> Result<Arc<Page>, StoreError> {
        let cell = self.slot(span, now_ms);
        let make = async || Ok(Arc::new(Page::new(self.room, read().await?)));
        let page = cell.get_or_try_init(make).await.cloned();
        match &page {
            Ok(page) => self.keep(span, &cell, page.weight()),
            Err(_) => self.drop_slot(span, &cell),
        }
        page
    }

    fn slot(&self, span: Span, now_ms: u64) -> Rc<OnceCell<Arc<Page>>> {
        let mut slots = self.slots.borrow_mut();
        if let Some(slot) = slots.get(&span.from) {
            if slot.to >= span.to {
                slot.used_ms.set(now_ms);
                return slot.page.clone();
            }
            self.remove(&mut slots, span.from);
        }
        if slots.len() >= PAGES_PER_ROOM {
            let oldest = slots
                .iter()
                .min_by_key(|(_, slot)| slot.used_ms.get())
                .map(|(from, _)| *from);
            if let Some(oldest) = oldest {
                self.remove(&mut slots, oldest);
            }
        }
        let page = Rc::new(OnceCell::new());
        let slot = Slot {
            to: span.to,
            page: page.clone(),
            taken: Cell::new(0),
            used_ms: Cell::new(now_ms),
        };
        slots.insert(span.from, slot);
        page
    }

    /// Counts a page that is there now, or forgets it when the node has no space for it.
    fn keep(&self, span: Span, cell: &Rc<OnceCell<Arc<Page>>>, bytes: usize) {
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots
            .get(&span.from)
            .filter(|slot| Rc::ptr_eq(&slot.page, cell) && slot.taken.get() == 0)
        else {
            return;
        };
        let taken = self.space.0.fetch_add(bytes, Ordering::Relaxed) + bytes;
        slot.taken.set(bytes);
        if taken > PAGES_BYTES_MAX {
            self.remove(&mut slots, span.from);
        }
    }

    fn drop_slot(&self, span: Span, cell: &Rc<OnceCell<Arc<Page>>>) {
        let mut slots = self.slots.borrow_mut();
        // Others may wait for the same page: one of them reads it.
        if slots
            .get(&span.from)
            .is_some_and(|slot| Rc::ptr_eq(&slot.page, cell) && !cell.initialized())
        {
            self.remove(&mut slots, span.from);
        }
    }

    fn remove(&self, slots: &mut HashMap<Seq, Slot>, from: Seq) {
        if let Some(slot) = slots.remove(&from) {
            self.space.0.fetch_sub(slot.taken.get(), Ordering::Relaxed);
        }
    }

    /// Forgets what nobody used for [`KEPT_MS`]; answers whether something is left.
    pub fn expire(&self, now_ms: u64) -> bool {
        let mut slots = self.slots.borrow_mut();
        let old: Vec<Seq> = slots
            .iter()
            .filter(|(_, slot)| now_ms.saturating_sub(slot.used_ms.get()) >= KEPT_MS)
            .map(|(from, _)| *from)
            .collect();
        for from in old {
            self.remove(&mut slots, from);
        }
        if slots.is_empty() {
            slots.shrink_to_fit();
            self.begins.borrow_mut().clear();
        }
        !slots.is_empty()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let taken: usize = self
            .slots
            .borrow()
            .values()
            .map(|slot| slot.taken.get())
            .sum();
        self.space.0.fetch_sub(taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
