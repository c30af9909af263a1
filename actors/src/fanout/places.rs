//! A session's place in a thread's list of a room: what becomes of events there.

use std::{cell::RefCell, rc::Rc};

use parlor_schema::RoomId;

use crate::{
    fetch::fetch,
    line::{Line, Person},
    piece::Piece,
    ports::{Coding, Wire},
    room::packet::{Batch, Evicts, Packet},
    subscription::{Offer, Phase, Subscription},
};

/// Places served together, as few as the processor's first cache holds with all around them.
const TOGETHER: usize = 16;

/// The frames of a batch as one, for the sockets of this thread alone.
pub(super) type Copies = [Option<Rc<[u8]>>; Coding::ALL.len()];

/// A session's place.
pub(super) struct Place {
    pub(super) subscription: Rc<Subscription>,
    pub(super) line: Rc<Line>,
}

/// Tells whether so many places have frames of their own made for them: for fewer, there is little that a copy spares ([`Piece::Own`]).
pub(super) const fn are_worth_copies(places: &[Place]) -> bool {
    places.len() > TOGETHER
}

/// Parts the places of a room into those that are served together.
pub(super) fn together(places: &[Place]) -> impl Iterator<Item = &[Place]> {
    places.chunks(TOGETHER)
}

/// Asks for what some places need.
pub(super) fn fetch_all(places: &[Place]) {
    for Place { subscription, line } in places {
        fetch(&**subscription);
        line.fetch();
    }
}

impl Place {
    /// Gives the session a batch, of `copies` where there are such; answers how many events were pushed.
    pub(super) fn deliver(
        &self,
        batch: &Batch,
        copies: Option<&mut Copies>,
        wire: &dyn Wire,
    ) -> u64 {
        let Self { subscription, line } = self;
        let person = line.person.borrow();
        let Some(person) = person.as_ref() else {
            return 0;
        };
        if let Some((first, last)) = batch.span()
            && subscription.takes(first)
            && line.outlet.has_room()
            && let Some(frames) = batch.whole(&person.user, person.marks, line.coding, wire)
        {
            line.outlet.push(match copies {
                None => Piece::from(frames.clone()),
                Some(copies) => {
                    let copy = &mut copies[line.coding as usize];
                    copy.get_or_insert_with(|| Rc::from(&frames[..]))
                        .clone()
                        .into()
                }
            });
            subscription.pushed_to(first, last);
            return batch.packets.len() as u64;
        }
        self.deliver_each(batch, person, wire)
    }

    fn deliver_each(&self, batch: &Batch, person: &Person, wire: &dyn Wire) -> u64 {
        let Self { subscription, line } = self;
        let mut delivered = 0;
        for packet in &batch.packets {
            match subscription.offer(packet, &person.user) {
                Offer::Push if line.outlet.has_room() => {
                    let frame = packet.for_user(&person.user, line.coding, wire);
                    line.outlet.push(frame);
                    subscription.pushed(packet.seq());
                    delivered += 1;
                }
                Offer::Push | Offer::Behind => self.fall_behind(),
                Offer::Skip => {
                    if subscription.phase.get() == Phase::Passive {
                        subscription.cursor.set(packet.seq());
                        self.note(&line.heads);
                    }
                }
                Offer::Out => self.put_out(packet),
            }
            if line.watches.get() && packet.event.kind.changes_room() {
                line.recheck.set(true);
                line.wake();
            }
        }
        delivered
    }

    fn put_out(&self, packet: &Packet) {
        self.subscription.phase.set(Phase::Closed);
        // A user who is put out hears of it by a notice to all sessions; those who only read along have nobody else to tell them.
        if packet.evicts == Evicts::NonMembers {
            self.note(&self.line.out);
        }
    }

    /// Has the session read the log.
    pub(super) fn fall_behind(&self) {
        self.subscription.phase.set(Phase::Pulling);
        self.note(&self.line.behind);
    }

    /// Puts the room into a list of the line's, and wakes the session for it.
    pub(super) fn note(&self, list: &RefCell<Vec<RoomId>>) {
        let room = self.subscription.room;
        let mut list = list.borrow_mut();
        if !list.contains(&room) {
            list.push(room);
        }
        drop(list);
        self.line.wake();
    }
}
