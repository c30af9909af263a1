//! The timeline of the embedded store.
//!
//! Invariant L-1: a room's head is the position of its last row; there is no second record of it that could differ.

use std::{ops::ControlFlow, sync::Arc};

use parlor_schema::{
    Event, RoomId, Seq, Timestamp,
    port::{Append, Direction, PortFuture, ReadRange, StoreError, Timeline},
};

use super::{
    EmbeddedStore,
    error::Fault,
    key, row,
    table::{Order, Rows, Table},
};

impl Timeline for EmbeddedStore {
    /// Events that are not numbered from `expected_head + 1` are the caller's fault: `Damaged`, because no retry can heal it.
    fn append(
        &self,
        room: RoomId,
        expected_head: Seq,
        events: Vec<Arc<Event>>,
    ) -> PortFuture<'_, Result<Append, StoreError>> {
        let numbered = events
            .iter()
            .zip(1..)
            .all(|(event, place)| event.seq.get() == expected_head.get() + place);
        if !numbered {
            let text = format!("append to room {room} is not numbered from {expected_head} on");
            return Box::pin(async move { Err(StoreError::Damaged(text)) });
        }
        let bytes = events.iter().map(|event| event.weight()).sum();
        self.write_or(
            bytes,
            move |tables| {
                let head = head(tables, room)?;
                if head != expected_head {
                    return Ok(Append::Conflict { head });
                }
                for event in &events {
                    let key = key::event(room, event.seq);
                    tables.put(Table::Timeline, &key, &row::seal_event(&key, event));
                }
                Ok(Append::Appended)
            },
            |_| Ok(Append::Unknown),
        )
    }

    fn head(&self, room: RoomId) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.read(move |tables| head(tables, room))
    }

    fn read(
        &self,
        room: RoomId,
        range: ReadRange,
    ) -> PortFuture<'_, Result<Vec<Arc<Event>>, StoreError>> {
        EmbeddedStore::read(self, move |tables| read(tables, room, range))
    }

    fn seq_at(&self, room: RoomId, at: Timestamp) -> PortFuture<'_, Result<Seq, StoreError>> {
        EmbeddedStore::read(self, move |tables| {
            // Times never fall within a room, so halving finds the first that is not before `at`.
            let (mut low, mut high) = (Seq::FIRST, head(tables, room)?.next());
            while low < high {
                let middle = low.plus(high.since(low) / 2);
                let key = key::event(room, middle);
                let Some(row) = tables.get(Table::Timeline, &key)? else {
                    return Err(hole(room, middle));
                };
                if row::unseal_event(&key, middle, &row)?.sent_at < at {
                    low = middle.next();
                } else {
                    high = middle;
                }
            }
            Ok(low)
        })
    }
}

fn head(tables: &mut impl Rows, room: RoomId) -> Result<Seq, Fault> {
    let mut head = Seq::ZERO;
    let all = key::events(room, Seq::ZERO, Seq::MAX);
    tables.scan(Table::Timeline, all, Order::Falling, &mut |key, _| {
        head = key::seq_of(key).unwrap_or(Seq::ZERO);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(head)
}

fn read(tables: &mut impl Rows, room: RoomId, range: ReadRange) -> Result<Vec<Arc<Event>>, Fault> {
    let order = match range.direction {
        Direction::Up => Order::Rising,
        Direction::Down => Order::Falling,
    };
    let from = range.from.max(Seq::FIRST);
    let mut events: Vec<Arc<Event>> = Vec::new();
    let (mut bytes, mut cut) = (0_usize, range.limit == 0);
    let keys = key::events(room, from, range.to);
    tables.scan(Table::Timeline, keys, order, &mut |key, row| {
        cut = cut || events.len() >= range.limit;
        if cut {
            return Ok(ControlFlow::Break(()));
        }
        let seq = key::seq_of(key).unwrap_or(Seq::ZERO);
        let event = row::unseal_event(key, seq, row)?;
        bytes = bytes.saturating_add(event.weight());
        cut = bytes > range.bytes && !events.is_empty();
        if cut {
            return Ok(ControlFlow::Break(()));
        }
        events.push(Arc::new(event));
        Ok(ControlFlow::Continue(()))
    })?;
    if order == Order::Falling {
        events.reverse();
    }
    match first_hole(tables, room, from, &range, &events, cut)? {
        Some(missing) => Err(hole(room, missing)),
        None => Ok(events),
    }
}

/// Finds a position that a walk should have met and did not (T-5); `cut` says that a limit ended it.
fn first_hole(
    tables: &mut impl Rows,
    room: RoomId,
    from: Seq,
    range: &ReadRange,
    events: &[Arc<Event>],
    cut: bool,
) -> Result<Option<Seq>, Fault> {
    let pairs = events.iter().zip(events.iter().skip(1));
    for (event, next) in pairs {
        if next.seq != event.seq.next() {
            return Ok(Some(event.seq.next()));
        }
    }
    let up = matches!(range.direction, Direction::Up);
    if let Some(lowest) = events.first()
        && (up || !cut)
        && lowest.seq != from
    {
        return Ok(Some(from));
    }
    // Above the highest there is nothing in the range, or the room ends there.
    let highest = events.last().map_or(from.prev(), |event| event.seq);
    if highest >= range.to || (up || events.is_empty()) && cut {
        return Ok(None);
    }
    let head = head(tables, room)?;
    Ok((highest < head).then(|| highest.next()))
}

fn hole(room: RoomId, seq: Seq) -> Fault {
    Fault::Row(format!(
        "{}: not there, though a later one is",
        Table::Timeline.describe(&key::event(room, seq))
    ))
}
