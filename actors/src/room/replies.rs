//! Who waits for an answer of the room, by ticket.

use std::collections::VecDeque;

use super::state::Ticket;
use crate::answer::Answer;

/// Tickets rise, and are answered about in that order: the one that is answered stands at the front or near it.
#[derive(Default)]
pub(super) struct Replies(VecDeque<(Ticket, Answer)>);

impl Replies {
    /// Notes who waits; `ticket` is higher than every one before.
    pub(super) fn put(&mut self, ticket: Ticket, reply: Answer) {
        debug_assert!(self.0.back().is_none_or(|(last, _)| *last < ticket));
        self.0.push_back((ticket, reply));
    }

    /// Hands over who waits, once.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Answer> {
        let at = self
            .0
            .binary_search_by_key(&ticket, |(held, _)| *held)
            .ok()?;
        let (_, reply) = self.0.remove(at)?;
        Some(reply)
    }
}
