//! The timeline of the memory store.

use std::{future, sync::Arc};

use parlor_schema::{
    Event, RoomId, Seq, Timestamp,
    port::{Append, Direction, PortFuture, ReadRange, StoreError, Timeline},
};

use super::store::{MemoryStore, ready};

impl Timeline for MemoryStore {
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
            return Box::pin(future::ready(Err(StoreError::Damaged(text))));
        }
        let mut state = self.state();
        let head = head(state.timelines.get(&room));
        if head != expected_head {
            return ready(Append::Conflict { head });
        }
        if !events.is_empty() {
            let timeline = state.timelines.entry(room).or_default();
            timeline.extend(events);
        }
        ready(Append::Appended)
    }

    fn head(&self, room: RoomId) -> PortFuture<'_, Result<Seq, StoreError>> {
        ready(head(self.state().timelines.get(&room)))
    }

    fn read(
        &self,
        room: RoomId,
        range: ReadRange,
    ) -> PortFuture<'_, Result<Vec<Arc<Event>>, StoreError>> {
        let state = self.state();
        let timeline = state.timelines.get(&room).map_or(&[][..], Vec::as_slice);
        let start = index(range.from.max(Seq::FIRST));
        let end = index(range.to.next()).min(timeline.len());
        let wanted = timeline.get(start..end).unwrap_or_default();
        let mut bytes = 0_usize;
        let fits = |events: &[Arc<Event>], event: &Arc<Event>, bytes: &mut usize| {
            *bytes = bytes.saturating_add(event.weight());
            events.len() < range.limit && (events.is_empty() || *bytes <= range.bytes)
        };
        let mut events: Vec<Arc<Event>> = Vec::new();
        let rising = matches!(range.direction, Direction::Up);
        for place in 0..wanted.len() {
            let event = &wanted[if rising {
                place
            } else {
                wanted.len() - 1 - place
            }];
            if !fits(&events, event, &mut bytes) {
                break;
            }
            events.push(Arc::clone(event));
        }
        if !rising {
            events.reverse();
        }
        ready(events)
    }

    fn seq_at(&self, room: RoomId, at: Timestamp) -> PortFuture<'_, Result<Seq, StoreError>> {
        let state = self.state();
        let timeline = state.timelines.get(&room).map_or(&[][..], Vec::as_slice);
        let before = timeline.partition_point(|event| event.sent_at < at);
        ready(Seq::FIRST.plus(before as u64))
    }
}

fn head(timeline: Option<&Vec<Arc<Event>>>) -> Seq {
    Seq::new(timeline.map_or(0, |timeline| timeline.len() as u64))
}

/// The place of a position in the list of events.
fn index(seq: Seq) -> usize {
    usize::try_from(seq.prev().get()).unwrap_or(usize::MAX)
}
