//! Reads of events: pages of buckets, joined, and checked for holes.
//!
//! A read at quorum may fall between the rounds of an append, or meet replicas that have different parts of one. Positions without
//! holes make that visible: where an event is missing, or the room seems to end, the head decides, and whether retention took it.

use std::sync::Arc;

use parlor_schema::{
    Event, EventId, EventKind, MsgId, RoomId, Seq, Timestamp,
    port::{Direction, ReadRange, StoreError},
};
use scylla::{statement::prepared::PreparedStatement, value::CqlTimestamp};
use uuid::Uuid;

use super::{
    Inner,
    coalesce::{Answer, Part},
    error::Fault,
    row,
    stats::Counters,
};

/// Events of one page: more makes answers that hold up others on the same connection.
const PAGE_EVENTS: usize = 256;
/// How often a read looks again for an event that must be there, before the store counts as damaged.
const LOOKS: u32 = 5;
/// The least that an event weighs.
const EVENT_WEIGHT: usize = 160;

/// A timeline row, as selected.
type EventRow<'a> = (
    i64,
    Uuid,
    i16,
    &'a str,
    CqlTimestamp,
    Uuid,
    &'a [u8],
    &'a str,
);

/// How often an event was looked for that must be there.
struct Looks {
    seq: Seq,
    count: u32,
}

impl Looks {
    fn none() -> Self {
        Self {
            seq: Seq::ZERO,
            count: 0,
        }
    }
}

/// How much more a read may take.
struct Budget {
    limit: usize,
    bytes: usize,
    events: Vec<Arc<Event>>,
    is_spent: bool,
}

impl Budget {
    fn new(range: &ReadRange) -> Self {
        Self {
            limit: range.limit,
            bytes: range.bytes,
            events: Vec::new(),
            is_spent: range.limit == 0,
        }
    }

    /// Returns how many events are worth asking for, `span` of which are in the range.
    fn asks(&self, span: u64) -> usize {
        let by_bytes = (self.bytes / EVENT_WEIGHT).saturating_add(1);
        let span = usize::try_from(span).unwrap_or(usize::MAX);
        (self.limit - self.events.len())
            .min(by_bytes)
            .min(span)
            .min(PAGE_EVENTS)
    }

    fn take(&mut self, event: Event) {
        let weight = event.weight();
        if weight > self.bytes && !self.events.is_empty() {
            self.is_spent = true;
            return;
        }
        self.bytes = self.bytes.saturating_sub(weight);
        self.events.push(Arc::new(event));
        self.is_spent = self.events.len() >= self.limit;
    }

    /// Takes the events of a page while they are those that come next; answers whether one is missing.
    fn take_page(&mut self, page: Vec<Event>, next: &mut Seq, step: fn(Seq) -> Seq) -> bool {
        for event in page {
            if self.is_spent {
                break;
            }
            if event.seq != *next {
                return true;
            }
            self.take(event);
            *next = step(*next);
        }
        false
    }

    fn answer(self, is_whole: bool) -> Answer {
        Answer {
            events: self.events,
            is_whole,
        }
    }
}

impl Inner {
    /// Reads a range, together with whoever else reads it now.
    pub(super) async fn read(
        &self,
        room: RoomId,
        range: ReadRange,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        let mut began_before = true;
        loop {
            match self.reads.part(room, range) {
                Part::Lead(lead) => {
                    Counters::add(&self.counters.reads, 1);
                    let answer = Arc::new(self.read_alone(room, range).await?);
                    lead.tell(&answer);
                    return Ok(Arc::unwrap_or_clone(answer).events);
                }
                Part::Follow(follow) => {
                    let told = follow.answer().await;
                    if let Some(answer) = told.filter(|told| told.is_whole || !began_before) {
                        Counters::add(&self.counters.coalesced, 1);
                        return Ok(answer.events.clone());
                    }
                    began_before = false;
                }
            }
        }
    }

    async fn read_alone(&self, room: RoomId, range: ReadRange) -> Result<Answer, Fault> {
        let range = ReadRange {
            from: range.from.max(Seq::FIRST),
            ..range
        };
        match range.direction {
            Direction::Up => self.read_up(room, range).await,
            Direction::Down => self.read_down(room, range).await,
        }
    }

    pub(super) async fn read_up(&self, room: RoomId, range: ReadRange) -> Result<Answer, Fault> {
        let (mut budget, mut looks) = (Budget::new(&range), Looks::none());
        let (mut next, mut to) = (range.from, range.to);
        let mut bucket = self.buckets.lowest(next);
        while next <= to && !budget.is_spent {
            let asks = budget.asks(to.since(next) + 1);
            let events = &self.statements.events_up;
            let page = self.page(events, room, bucket, (next, to), asks).await?;
            let (is_full, has_hole) = (
                page.len() == asks,
                budget.take_page(page, &mut next, Seq::next),
            );
            if next > to || budget.is_spent {
                break;
            }
            let mut looks_on = None;
            if has_hole {
                looks_on = Some(self.look_again(room, next, &mut looks).await?);
            } else if !is_full && bucket < self.buckets.highest(next) {
                bucket += 1;
            } else if !is_full {
                // Where the next event would be there is none. Not further than now: a writer may be faster than this.
                to = to.min(self.head_from(room, bucket).await?);
                if next <= to {
                    looks_on = Some(self.look_again(room, next, &mut looks).await?);
                }
            }
            if let Some(seq) = looks_on {
                if seq > next {
                    // What was read already has gone too: an answer has no hole.
                    budget = Budget::new(&range);
                }
                next = seq;
                bucket = self.buckets.lowest(next);
            }
        }
        let is_whole = to == range.to || budget.is_spent;
        Ok(budget.answer(is_whole))
    }

    async fn read_down(&self, room: RoomId, range: ReadRange) -> Result<Answer, Fault> {
        let (mut budget, mut looks) = (Budget::new(&range), Looks::none());
        // Until the first event is met, `next` may lie beyond the head.
        let (mut next, mut is_whole) = (range.to, true);
        let mut bucket = self.buckets.highest(next.max(Seq::FIRST));
        while next >= range.from && !budget.is_spent {
            let asks = budget.asks(next.since(range.from) + 1);
            let events = &self.statements.events_down;
            let page = self
                .page(events, room, bucket, (range.from, next), asks)
                .await?;
            let (is_full, is_empty) = (page.len() == asks, page.is_empty());
            let has_hole = budget.take_page(page, &mut next, Seq::prev);
            if next < range.from || budget.is_spent {
                break;
            }
            if !has_hole && is_full && !is_empty {
                continue;
            }
            if !has_hole && bucket > self.buckets.lowest(next) {
                bucket -= 1;
                continue;
            }
            if budget.events.is_empty() {
                let start = if is_empty { 0 } else { bucket };
                let head = self.head_from(room, start).await?;
                if head < next {
                    (next, is_whole) = (head, false);
                    bucket = self.buckets.highest(next.max(Seq::FIRST));
                    continue;
                }
            }
            if self.look_again(room, next, &mut looks).await? > next {
                break;
            }
            bucket = self.buckets.highest(next);
        }
        budget.events.reverse();
        Ok(budget.answer(is_whole))
    }

    /// Settles what may hide an event that must be there; answers where to look on, which is behind it only where retention took it. An error when
    /// it was looked for often enough.
    async fn look_again(&self, room: RoomId, seq: Seq, looks: &mut Looks) -> Result<Seq, Fault> {
        let first = self.first_kept(room).await?;
        if first > seq {
            return Ok(first);
        }
        Counters::add(&self.counters.holes, 1);
        let count = match looks.seq == seq {
            true => looks.count + 1,
            false => 1,
        };
        *looks = Looks { seq, count };
        if count > LOOKS {
            let text =
                format!("timeline of room {room}: seq {seq} is not there, though a later one is");
            return Err(Fault::Shape(text));
        }
        for bucket in self.buckets.lowest(seq)..=self.buckets.highest(seq) {
            self.head_of(room, bucket).await?;
        }
        Ok(seq)
    }

    async fn page(
        &self,
        statement: &PreparedStatement,
        room: RoomId,
        bucket: u64,
        (from, to): (Seq, Seq),
        limit: usize,
    ) -> Result<Vec<Event>, Fault> {
        let values = (
            room.uuid(),
            row::bigint(bucket),
            row::bigint(from.get()),
            row::bigint(to.get()),
            row::limit(limit),
        );
        let result = self.session.execute_unpaged(statement, values).await?;
        let result = result.into_rows_result()?;
        let rows = result.rows::<EventRow<'_>>()?;
        rows.map(|row| event(room, row?)).collect()
    }

    /// Finds the first position whose event was sent at `at` or later.
    pub(super) async fn seq_at(&self, room: RoomId, at: Timestamp) -> Result<Seq, Fault> {
        // Times never fall within a room, so halving finds the first that is not before `at`.
        let first = self.first_kept(room).await?;
        let bucket = self.buckets.after(first.prev());
        let (mut low, mut high) = (first, self.head_from(room, bucket).await?.next());
        while low < high {
            let middle = low.plus(high.since(low) / 2);
            let one = ReadRange {
                from: middle,
                to: middle,
                direction: Direction::Up,
                limit: 1,
                bytes: 0,
            };
            let read = self.read_up(room, one).await?;
            let Some(event) = read.events.first() else {
                // Taken meanwhile, because it is old.
                let first = self.first_kept(room).await?;
                if first > middle {
                    low = first.min(high);
                    continue;
                }
                let text = format!("timeline of room {room}: seq {middle} was there and is not");
                return Err(Fault::Shape(text));
            };
            if event.sent_at < at {
                low = middle.next();
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

fn event(room: RoomId, row: EventRow<'_>) -> Result<Event, Fault> {
    let (seq, id, kind, sender, sent_at, msg_id, fingerprint, content) = row;
    let seq = row::seq("seq", seq)?;
    let damaged = |what: &str| Fault::Shape(format!("timeline of room {room}, seq {seq}: {what}"));
    Ok(Event {
        seq,
        id: EventId::new(id),
        kind: u8::try_from(kind)
            .ok()
            .and_then(EventKind::from_number)
            .ok_or_else(|| damaged("kind is not known"))?,
        sender: sender
            .parse()
            .map_err(|_| damaged("sender is not a name"))?,
        sent_at: row::timestamp(sent_at),
        msg_id: MsgId::new(msg_id),
        fingerprint: u128::from_be_bytes(row::bytes("fingerprint", fingerprint)?),
        content: Arc::from(content),
    })
}
