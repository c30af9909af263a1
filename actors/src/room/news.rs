//! What a room is yet to tell the other nodes. Pure.
//!
//! Invariant N-1: what is bounded elsewhere is bounded here: one batch of events, the members of the room.

use std::collections::BTreeSet;

use parlor_schema::{
    Event, EventKind, Seq, UserId,
    envelope::{MemberChange, Place, Standing},
    event::{MemberContent, RoomCreatedContent},
};

use super::{packet::Evicts, state::Evicted};

/// Places that are above this node's head and wait for it. When full: the others are dropped, and come with the next receipt.
const EARLY_MAX: usize = 1024;

/// The news.
#[derive(Debug, Default)]
pub(super) struct News {
    head: Seq,
    changes: Vec<MemberChange>,
    places: BTreeSet<UserId>,
    early: Vec<Place>,
}

impl News {
    /// Notes a durable event of this node.
    pub(super) fn note(&mut self, event: &Event, evicted: Evicted) {
        self.head = self.head.max(event.seq);
        self.changes.extend(changes(event, evicted));
    }

    /// Takes the head and who came and went, when there is something.
    pub(super) fn take_moved(&mut self) -> Option<(Seq, Vec<MemberChange>)> {
        let head = std::mem::replace(&mut self.head, Seq::ZERO);
        let changes = std::mem::take(&mut self.changes);
        (head > Seq::ZERO).then_some((head, changes))
    }

    /// Notes that a member's place moved.
    pub(super) fn note_place(&mut self, user: &UserId) {
        self.places.insert(user.clone());
    }

    /// Takes those whose place moved.
    pub(super) fn take_places(&mut self) -> BTreeSet<UserId> {
        std::mem::take(&mut self.places)
    }

    /// Keeps a place until the head is there.
    pub(super) fn keep_early(&mut self, place: Place) {
        self.early.retain(|kept| kept.user_id != place.user_id);
        if self.early.len() < EARLY_MAX {
            self.early.push(place);
        }
    }

    /// Takes the places that the head has reached.
    pub(super) fn take_early(&mut self, head: Seq) -> Vec<Place> {
        self.early
            .extract_if(.., |place| place.delivered.max(place.read) <= head)
            .collect()
    }
}

/// Names those whom an event brings in or puts out, of whom sessions elsewhere must hear.
fn changes(event: &Event, evicted: Evicted) -> Vec<MemberChange> {
    let change = |user_id, to| MemberChange {
        seq: event.seq,
        user_id,
        to,
    };
    let out = match event.kind {
        EventKind::RoomCreated => {
            let members = event.content::<RoomCreatedContent>();
            let members = members.map(|content| content.members).unwrap_or_default();
            return members
                .into_iter()
                .map(|user| change(user, Standing::Member))
                .collect();
        }
        EventKind::MemberJoined | EventKind::MemberInvited => {
            let content = event.content::<MemberContent>();
            return content
                .map(|content| change(content.user_id, Standing::Member))
                .into_iter()
                .collect();
        }
        EventKind::MemberLeft => Standing::Left,
        EventKind::MemberBanned => Standing::Banned,
        _ => Standing::Removed,
    };
    match Evicts::of(event) {
        // Who only read along has the room running where the session is, and hears of it there.
        Evicts::User(user) if evicted == Evicted::Member => vec![change(user, out)],
        _ => Vec::new(),
    }
}
