//! Unread and mention counts, derived from positions: a walk down from the head to the read position.

use std::sync::Arc;

use parlor_schema::{
    Event, EventKind, RoomId, Seq, UserId,
    event::MessageMentions,
    limits::{COUNT_EXACT_MAX, HISTORY_BYTES_MAX},
    port::{Direction, ReadRange, StoreError, Timeline},
};

use super::message::ROOM_MENTION;

/// The counts of one user in one room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages by others; one above the exact limit means more.
    pub unread: u32,
    /// Those that name the user or everybody.
    pub mentions: u32,
}

impl Counts {
    /// Counts one event; answers whether more may change anything.
    pub fn add(&mut self, event: &Event, user: &UserId) -> bool {
        if event.kind == EventKind::Message && event.sender != *user {
            self.unread = (self.unread + 1).min(COUNT_EXACT_MAX + 1);
            if names(event, user) {
                self.mentions = (self.mentions + 1).min(COUNT_EXACT_MAX + 1);
            }
        }
        self.unread <= COUNT_EXACT_MAX || self.mentions <= COUNT_EXACT_MAX
    }
}

fn names(event: &Event, user: &UserId) -> bool {
    // Most messages name nobody; the field's name is looked for before the content is parsed.
    event.content.contains("\"mentions\":")
        && event.content::<MessageMentions>().is_ok_and(|content| {
            content
                .mentions
                .iter()
                .any(|m| m == ROOM_MENTION || m == user.as_str())
        })
}

/// Events read at a time.
const PAGE: usize = 512;
/// Events walked at most: it bounds what one count costs. Mentions further down are not counted; unread messages only where more than
/// nineteen of twenty events are not messages by others.
const WALK_MAX: usize = 20_000;

/// Counts from the timeline: the events after `read`, up to `head`.
///
/// # Errors
/// The store's own.
pub async fn count(
    timeline: Arc<dyn Timeline>,
    room: RoomId,
    user: UserId,
    read: Seq,
    head: Seq,
) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    let mut to = head;
    let mut walked = 0;
    while to > read && walked < WALK_MAX {
        let range = ReadRange {
            from: read.next(),
            to,
            direction: Direction::Down,
            limit: PAGE,
            bytes: HISTORY_BYTES_MAX,
        };
        let events = timeline.read(room, range).await?;
        for event in events.iter().rev() {
            if !counts.add(event, &user) {
                return Ok(counts);
            }
        }
        let Some(first) = events.first() else { break };
        walked += events.len();
        to = first.seq.prev();
    }
    Ok(counts)
}
