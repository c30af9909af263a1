//! Unread and mention counts, derived from positions: a walk down from the head to the read position ([`super::read::Reader::count`]).

use parlor_schema::{Event, EventKind, UserId, event::MessageMentions, limits::COUNT_EXACT_MAX};

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
    /// Counts one event; answers whether more may change anything. `mentions` tells whether it may name anybody ([`may_name`]).
    pub fn add(&mut self, event: &Event, user: &UserId, mentions: bool) -> bool {
        if event.kind == EventKind::Message && event.sender != *user {
            self.unread = (self.unread + 1).min(COUNT_EXACT_MAX + 1);
            if mentions && names(event, user) {
                self.mentions = (self.mentions + 1).min(COUNT_EXACT_MAX + 1);
            }
        }
        self.unread <= COUNT_EXACT_MAX || self.mentions <= COUNT_EXACT_MAX
    }
}

/// Tells whether an event may name somebody: most messages do not, and the field's name is found faster than the content is parsed.
#[must_use]
pub fn may_name(event: &Event) -> bool {
    event.content.contains("\"mentions\":")
}

fn names(event: &Event, user: &UserId) -> bool {
    may_name(event)
        && event.content::<MessageMentions>().is_ok_and(|content| {
            content
                .mentions
                .iter()
                .any(|m| m == ROOM_MENTION || m == user.as_str())
        })
}

/// Events walked at most: it bounds what one count costs. Mentions further down are not counted; unread messages only where more than
/// nineteen of twenty events are not messages by others.
pub const WALK_MAX: usize = 20_000;
