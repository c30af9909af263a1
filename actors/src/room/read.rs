//! Reading a room's timeline: history answers and pages for sessions, from the ring where it reaches, else from the store.

use std::{cell::Cell, rc::Rc, sync::Arc};

use parlor_schema::{
    Event, RoomId, Seq, Timestamp, UserId,
    event::Viewer,
    frame::{Ack, Refusal, ack::HistoryAck, client::HistoryGet},
    limits::{HISTORY_BYTES_MAX, HISTORY_LIMIT_DEFAULT, HISTORY_LIMIT_MAX, JOINED_BYTES_MAX},
    port::{Direction, ReadRange, StoreError},
};
use serde_json::value::RawValue;

use super::{
    ask::Page,
    packet::{Batch, Ring},
    pages::{PAGE_EVENTS, Page as LogPage, Pages, Span},
    unread::{Counts, WALK_MAX},
};
use crate::ports::Ports;

/// What a read of the store needs to know of the room.
#[derive(Clone)]
pub struct Reader {
    /// The outside.
    pub ports: Ports,
    /// The room.
    pub room: RoomId,
    /// Its head now.
    pub head: Seq,
    /// Nothing sent before this is kept.
    pub horizon: Option<Timestamp>,
    /// The first position that the store holds, where there is no horizon.
    pub first_kept: FirstKept,
    /// What was read lately.
    pub pages: Rc<Pages>,
}

/// The first position that the store holds of a room, once somebody has asked: a room that keeps everything now may not always have.
#[derive(Debug, Clone, Default)]
pub struct FirstKept(Rc<Cell<Option<Seq>>>);

impl FirstKept {
    /// Notes what is known; it only rises.
    pub fn rises_to(&self, first: Seq) {
        self.0.set(self.0.get().max(Some(first)));
    }

    /// Has the next who needs it ask.
    pub fn forget(&self) {
        self.0.set(None);
    }
}

impl Reader {
    /// Finds the first kept position.
    ///
    /// # Errors
    /// The store's own.
    pub async fn first(&self) -> Result<Seq, StoreError> {
        let first = match (self.horizon, self.first_kept.0.get()) {
            (Some(at), _) => self.ports.timeline.seq_at(self.room, at).await?,
            (None, Some(first)) => first,
            (None, None) => self.first_held().await?,
        };
        Ok(first.min(self.head.next()))
    }

    /// Asks for the first position that is there at all: a retention that is no more may have taken the beginning.
    async fn first_held(&self) -> Result<Seq, StoreError> {
        let first = self.ports.timeline.first(self.room).await?;
        self.first_kept.rises_to(first);
        Ok(first)
    }

    async fn range(
        &self,
        from: Seq,
        to: Seq,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        if limit == 0 || from > to {
            return Ok(Vec::new());
        }
        // Half of a frame: `around` reads twice. What an envelope adds to an event's weight fits into the other limit's slack.
        let range = ReadRange {
            from,
            to,
            direction,
            limit,
            bytes: HISTORY_BYTES_MAX / 2,
        };
        self.ports.timeline.read(self.room, range).await
    }

    /// Reads the newest events: this room knows its head, and they are only looked at.
    async fn newest(&self, first: Seq, limit: usize) -> Result<Vec<Arc<Event>>, StoreError> {
        if limit == 0 || first > self.head {
            return Ok(Vec::new());
        }
        let range = ReadRange {
            from: first,
            to: self.head,
            direction: Direction::Down,
            limit,
            bytes: HISTORY_BYTES_MAX / 2,
        };
        self.ports.timeline.recent(self.room, range).await
    }

    /// Answers `history.get`.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn history(
        self,
        user: UserId,
        ask: HistoryGet,
        limit: usize,
    ) -> Result<Ack, Refusal> {
        // Whoever scrolls up is told where it ends, and would else ask for ever: what is known may be old.
        self.first_kept.forget();
        let first = self.first().await?;
        let (head, top) = (self.head, self.head.next());
        let (events, complete) = if let Some(seq) = ask.around {
            let middle = seq.clamp(first, top);
            let mut above = self.range(middle, head, Direction::Up, limit).await?;
            let mut events = self
                .range(first, middle.prev(), Direction::Down, limit)
                .await?;
            // Half on each side; what one side lacks the other has.
            let below = events.len().min(limit / 2);
            above.truncate(limit - below);
            events.drain(..events.len().saturating_sub(limit - above.len()));
            events.extend(above);
            let complete = reaches(&events, first, head);
            (events, complete.0 && complete.1)
        } else if ask.after.is_some() || ask.at.is_some() {
            let from = match (ask.after, ask.at) {
                (Some(after), _) => after.next(),
                (None, Some(at)) => self.ports.timeline.seq_at(self.room, at).await?,
                (None, None) => first,
            };
            let events = self
                .range(from.max(first), head, Direction::Up, limit)
                .await?;
            let complete = from > head || reaches(&events, first, head).1;
            (events, complete)
        } else {
            let to = ask.before.map_or(head, |before| before.min(top).prev());
            let events = match to == head {
                true => self.newest(first, limit).await?,
                false => self.range(first, to, Direction::Down, limit).await?,
            };
            let complete = to < first || reaches(&events, first, head).0;
            (events, complete)
        };
        let frames = events
            .iter()
            .map(|event| frame(self.room, event, &user))
            .collect();
        Ok(Ack::History(HistoryAck {
            events: frames,
            head,
            first,
            complete,
        }))
    }

    /// Reads the page that holds `seq`, at least `first` and at most the head.
    async fn page_around(&self, seq: Seq, first: Seq) -> Result<Arc<LogPage>, StoreError> {
        let read = async |span: Span| {
            let range = ReadRange {
                from: span.from,
                to: span.to,
                direction: Direction::Up,
                limit: PAGE_EVENTS,
                bytes: JOINED_BYTES_MAX,
            };
            self.ports.timeline.read(self.room, range).await
        };
        let run = Span::around(seq, first, self.head);
        let now_ms = || self.ports.clock.monotonic_ms();
        self.pages.around(seq, run, now_ms, read).await
    }

    /// Reads a page of packed events after `after`.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn page(self, after: Seq) -> Result<Page, Refusal> {
        let mut first = self.first().await?;
        let mut batch = None;
        while after.next().max(first) <= self.head {
            let next = after.next().max(first);
            let page = self.page_around(next, first).await?;
            // What is not there was taken since: another node may still carry out a retention that is no more.
            let held = match page.events.first() {
                Some(event) => event.seq,
                None => self.first_held().await?,
            };
            if held <= next {
                batch = page.batch(&*self.ports.wire);
                break;
            }
            self.first_kept.rises_to(held);
            first = held;
        }
        Ok(Page {
            batch,
            head: self.head,
            first,
        })
    }

    /// Counts what `user` has not read: the events after `read`, and not before `first`.
    ///
    /// # Errors
    /// The store's own.
    pub async fn count(&self, user: &UserId, read: Seq, first: Seq) -> Result<Counts, StoreError> {
        let mut counts = Counts::default();
        let low = read.next().max(first);
        let (mut to, mut walked) = (self.head, 0);
        while to >= low && walked < WALK_MAX {
            let page = self.page_around(to, first).await?;
            for event in page.events.iter().rev().filter(|event| event.seq <= to) {
                if event.seq < low || !counts.add(event, user, page.mentions) {
                    return Ok(counts);
                }
                walked += 1;
            }
            // A page that does not reach down to `to` says that the rest was taken meanwhile.
            let Some(lowest) = page.events.first().filter(|event| event.seq <= to) else {
                break;
            };
            to = lowest.seq.prev();
        }
        Ok(counts)
    }
}

/// Answers a page from the ring, when it holds all that is asked for.
#[must_use]
pub fn page_from_ring(room: RoomId, ring: &Ring, after: Seq, head: Seq) -> Option<Page> {
    let mut left = JOINED_BYTES_MAX;
    let mut packets = Vec::new();
    if after < head {
        for packet in ring.after(after)?.take(PAGE_EVENTS) {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(packet.frame_len());
            packets.push(packet.clone());
        }
    }
    let batch = (!packets.is_empty()).then(|| Arc::new(Batch::new(room, packets)));
    Some(Page {
        batch,
        head,
        first: Seq::FIRST,
    })
}

/// Says whether events reach down to the first kept one, and up to the head.
fn reaches(events: &[Arc<Event>], first: Seq, head: Seq) -> (bool, bool) {
    if first > head {
        return (true, true);
    }
    (
        events.first().is_some_and(|event| event.seq <= first),
        events.last().is_some_and(|event| event.seq >= head),
    )
}

fn frame(room: RoomId, event: &Event, user: &UserId) -> Box<RawValue> {
    let viewer = if event.sender == *user {
        Viewer::Sender
    } else {
        Viewer::Other
    };
    RawValue::from_string(event.frame(room, viewer)).expect("E-1: contents are json objects")
}

/// Checks what `history.get` asks; answers how many events it may have.
///
/// # Errors
/// `bad_frame` with the field to blame.
pub fn check(ask: &HistoryGet) -> Result<usize, Refusal> {
    let positions = [
        ask.before.is_some(),
        ask.after.is_some(),
        ask.around.is_some(),
        ask.at.is_some(),
    ];
    if positions.iter().filter(|there| **there).count() > 1 {
        return Err(Refusal::new(
            parlor_schema::ErrorCode::BadFrame,
            "at most one of before, after, around, at",
        ));
    }
    let limit = ask.limit.unwrap_or(HISTORY_LIMIT_DEFAULT);
    if limit == 0 {
        return Err(Refusal::bad_field("limit", "at least 1"));
    }
    Ok(limit.min(HISTORY_LIMIT_MAX) as usize)
}
