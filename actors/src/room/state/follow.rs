//! How a room follows what other nodes append to it.

use std::sync::Arc;

use parlor_schema::{
    Event, Seq,
    limits::{CARRIED_BYTES_MAX, CARRIED_EVENTS_MAX},
    port::StoreError,
};

use super::{Effect, Moment, Origin, Phase, RoomState};

impl RoomState {
    /// Takes a head that another node named. What lies behind it is read once nothing is in flight; an append in flight finds out
    /// by itself.
    pub fn hear(&mut self, head: Seq, at: &Moment<'_>) -> Vec<Effect> {
        self.heard = self.heard.max(head);
        self.advance(at)
    }

    /// Takes durable events that another node told, in order. Those that come next are folded in once nothing is in flight; what is
    /// missing is read.
    ///
    /// When full ([`CARRIED_EVENTS_MAX`], [`CARRIED_BYTES_MAX`]): the rest is read.
    pub fn hear_events(&mut self, events: Vec<Arc<Event>>, at: &Moment<'_>) -> Vec<Effect> {
        let mut bytes: usize = self.carried.iter().map(|event| event.weight()).sum();
        for event in events {
            self.heard = self.heard.max(event.seq);
            let last = match (self.carried.back(), &self.phase) {
                (Some(last), _) => last.seq,
                // What is being read lies before it.
                (None, Phase::Following { to }) => *to,
                (None, _) => self.head,
            };
            if event.seq <= last {
                continue;
            }
            bytes += event.weight();
            let fits = self.carried.len() < CARRIED_EVENTS_MAX && bytes <= CARRIED_BYTES_MAX;
            if event.seq == last.next() && fits {
                self.carried.push_back(event);
            }
        }
        self.advance(at)
    }

    /// Folds in what other nodes told, as far as it comes next.
    pub(super) fn take_carried(&mut self, effects: &mut Vec<Effect>) {
        while let Some(event) = self.carried.pop_front() {
            if event.seq == self.head.next() {
                self.take_durable(&event, Origin::Carried, effects);
            }
        }
    }

    /// Has what another node appended read first: an append at an old head would only be refused.
    pub(super) fn follow_heard(&mut self) -> Option<Effect> {
        (self.heard > self.head).then(|| {
            self.phase = Phase::Following { to: self.heard };
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
        if !matches!(self.phase, Phase::Following { .. }) {
            return Vec::new();
        }
        self.phase = Phase::Idle;
        let mut effects = Vec::new();
        match tail {
            Ok(tail) => {
                // What was carried meanwhile and lies below is passed over by `take_carried`.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use parlor_schema::{EventId, EventKind, MsgId, RoomId, Timestamp, port::Ids};
    use uuid::Uuid;

    use super::*;
    use crate::room::{
        members::Members,
        state::{KnownUsers, RoomRules},
    };

    struct NoIds;

    impl Ids for NoIds {
        fn uuid(&self, _: Timestamp) -> Uuid {
            Uuid::nil()
        }
        fn secret(&self) -> [u8; 32] {
            [0; 32]
        }
        fn below(&self, _: u64) -> u64 {
            0
        }
    }

    fn at() -> Moment<'static> {
        Moment {
            now: Timestamp::from_millis(1),
            ids: &NoIds,
        }
    }

    fn events(from: u64, to: u64) -> Vec<Arc<Event>> {
        let event = |seq| Event {
            seq: Seq::new(seq),
            id: EventId::from([1; 16]),
            kind: EventKind::Message,
            sender: "ana".parse().unwrap(),
            sent_at: Timestamp::from_millis(1),
            msg_id: MsgId::from(u128::from(seq).to_be_bytes()),
            fingerprint: 0,
            content: "{}".into(),
        };
        (from..=to).map(|seq| Arc::new(event(seq))).collect()
    }

    /// A room at 5.
    fn room() -> RoomState {
        let rules = RoomRules {
            dedupe_window_ms: 1_000,
            body_bytes: 1024,
            users: KnownUsers::All,
        };
        let id = RoomId::from([7; 16]);
        let last = Timestamp::from_millis(1);
        RoomState::new(id, rules, Members::default(), Seq::new(5), last)
    }

    fn published(effects: &[Effect]) -> Vec<(u64, Origin)> {
        let of = |effect: &Effect| match effect {
            Effect::Publish { event, origin, .. } => Some((event.seq.get(), *origin)),
            _ => None,
        };
        effects.iter().filter_map(of).collect()
    }

    fn reads(effects: &[Effect]) -> Vec<(u64, u64)> {
        let of = |effect: &Effect| match effect {
            Effect::Follow { after, to } => Some((after.get(), to.get())),
            _ => None,
        };
        effects.iter().filter_map(of).collect()
    }

    #[test]
    fn what_comes_next_needs_no_read() {
        let mut room = room();
        let effects = room.hear_events(events(4, 7), &at());
        let carried = Origin::Carried;
        assert_eq!(published(&effects), [(6, carried), (7, carried)]);
        assert_eq!((reads(&effects), room.head()), (vec![], Seq::new(7)));
        assert!(room.hear_events(events(6, 7), &at()).is_empty(), "twice");
        assert!(room.hear(Seq::new(7), &at()).is_empty());
    }

    #[test]
    fn what_is_missing_is_read_and_what_follows_waits_for_it() {
        let mut room = room();
        let effects = room.hear_events(events(8, 8), &at());
        assert_eq!(reads(&effects), [(5, 8)]);
        assert!(room.hear_events(events(9, 10), &at()).is_empty());
        let effects = room.followed(Ok(events(6, 8)), &at());
        let origins = published(&effects);
        assert_eq!(origins[2], (8, Origin::Elsewhere));
        assert_eq!(origins[3..], [(9, Origin::Carried), (10, Origin::Carried)]);
        assert_eq!((reads(&effects), room.head()), (vec![], Seq::new(10)));
    }

    #[test]
    fn what_waits_for_a_read_that_fails_is_forgotten() {
        let mut room = room();
        room.hear(Seq::new(7), &at());
        room.hear_events(events(8, 8), &at());
        let away = StoreError::Unavailable("away".into());
        let effects = room.followed(Err(away), &at());
        assert!(matches!(effects[..], [Effect::LookAgain]));
        assert_eq!(room.head(), Seq::new(5));
        assert_eq!(reads(&room.hear(Seq::new(8), &at())), [(5, 8)]);
    }

    #[test]
    fn more_than_fits_is_read() {
        let mut room = room();
        room.hear(Seq::new(6), &at());
        let many = 7 + CARRIED_EVENTS_MAX as u64;
        room.hear_events(events(7, many), &at());
        let effects = room.followed(Ok(events(6, 6)), &at());
        assert_eq!(room.head(), Seq::new(many - 1));
        assert_eq!(reads(&effects), [(many - 1, many)]);
    }
}
