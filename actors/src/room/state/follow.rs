//! How a room follows what other nodes append to it.

use std::sync::Arc;

use parlor_schema::{Event, Seq, port::StoreError};

use super::{Effect, Moment, Origin, Phase, RoomState};

impl RoomState {
    /// Takes a head that another node named. What lies behind it is read once nothing is in flight; an append in flight finds out
    /// by itself.
    pub fn hear(&mut self, head: Seq, at: &Moment<'_>) -> Vec<Effect> {
        self.heard = self.heard.max(head);
        self.advance(at)
    }

    /// Has what another node appended read first: an append at an old head would only be refused.
    pub(super) fn follow_heard(&mut self) -> Option<Effect> {
        (self.heard > self.head).then(|| {
            self.phase = Phase::Following;
            Effect::Follow {
                after: self.head,
                to: self.heard,
            }
        })
    }

    /// Takes the answer to [`Effect::Follow`].
    pub fn followed(
        &mut self,
        tail: Result<Vec<Arc<Event>>, StoreError>,
        at: &Moment<'_>,
    ) -> Vec<Effect> {
        if self.phase != Phase::Following {
            return Vec::new();
        }
        self.phase = Phase::Idle;
        let mut effects = Vec::new();
        match tail {
            Ok(tail) => {
                for event in &tail {
                    self.take_durable(event, Origin::Elsewhere, &mut effects);
                }
            }
            // Frames go on: an append that is behind is refused by the store, and reads the tail then.
            Err(_) => {
                self.heard = self.head;
                effects.push(Effect::LookAgain);
            }
        }
        effects.extend(self.advance(at));
        effects
    }
}
