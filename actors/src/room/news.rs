//! What a room is yet to tell the other nodes. Pure.
//!
//! Invariants:
//! - N-1: what is bounded elsewhere is bounded here: one batch of events, the members of the room.
//! - N-2: events that are carried are durable, follow each other without a hole, and end at the head that is told.

use std::{collections::BTreeSet, sync::Arc};

use parlor_schema::{
    Event, EventKind, Seq, UserId,
    envelope::{MemberChange, Place, Standing},
    event::{MemberContent, RoomCreatedContent},
};

use super::{packet::Evicts, state::Evicted};

/// Places that are above this node's head and wait for it. When full: the others are dropped, and come with the next receipt.
const EARLY_MAX: usize = 1024;

/// Bytes of events that go with the news of them. When full: none does, and they are read.
const CARRY_BYTES_MAX: usize = 64 << 10;

/// What a batch of events is for other nodes.
#[derive(Debug)]
pub(super) struct Moved {
    /// The last of them.
    pub(super) head: Seq,
    /// Who came and went.
    pub(super) changes: Vec<MemberChange>,
    /// They themselves; none where they are too long.
    pub(super) events: Vec<Arc<Event>>,
}

/// The news.
#[derive(Debug, Default)]
pub(super) struct News {
    head: Seq,
    changes: Vec<MemberChange>,
    events: Vec<Arc<Event>>,
    bytes: usize,
    places: BTreeSet<UserId>,
    early: Vec<Place>,
}

impl News {
    /// Notes a durable event of this node.
    pub(super) fn note(&mut self, event: &Arc<Event>, evicted: Evicted) {
        self.changes.extend(changes(event, evicted));
        let follows = self.head == Seq::ZERO || event.seq == self.head.next();
        self.head = self.head.max(event.seq);
        self.bytes += event.weight();
        if follows && self.bytes <= CARRY_BYTES_MAX {
            self.events.push(event.clone());
        } else {
            self.events.clear();
        }
    }

    /// Takes what moved, when something did.
    pub(super) fn take_moved(&mut self) -> Option<Moved> {
        self.bytes = 0;
        let moved = Moved {
            head: std::mem::replace(&mut self.head, Seq::ZERO),
            changes: std::mem::take(&mut self.changes),
            events: std::mem::take(&mut self.events),
        };
        (moved.head > Seq::ZERO).then_some(moved)
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
