//! What other nodes tell a room: heads, and durable events with them; late, twice, out of order, or of the middle of a timeline.

use parlor_actors::room::state::Moment;
use parlor_schema::Seq;

use super::World;

/// Events that one hint brings at most.
const CARRIED_MAX: u64 = 4;

impl World {
    /// Tells a node how far the timeline is, or was, with the last events or without.
    pub(super) fn hint(&mut self, at: usize) {
        // The last of the timeline mostly, as they come; any at times, as they come late.
        let head = match self.dice.below(3) {
            0 => Seq::new(1 + self.dice.below(self.store.head().get())),
            _ => self.store.head(),
        };
        let after = Seq::new(head.get() - self.dice.below(CARRIED_MAX.min(head.get()) + 1));
        let events = self.store.between(after, head);
        let moment = Moment {
            now: self.now,
            ids: &self.ids,
        };
        let node = &mut self.nodes[at];
        let replies = node.step(&moment, |state, at| match events.is_empty() {
            true => state.hear(head, at),
            false => state.hear_events(events, at),
        });
        self.tally.carried += std::mem::take(&mut node.carried);
        self.take(replies);
    }
}
