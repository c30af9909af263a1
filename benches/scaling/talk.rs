//! What people do in the time that is looked at: messages, receipts, and sessions that begin and end. It is the same on any number of
//! nodes.

use crate::{
    chance::Chance,
    load::{KINDS, READ_WITHIN_S, SAYS_PER_S, SESSION_S},
    world::World,
};

/// Something that a member of a room does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deed {
    /// Which room.
    pub(crate) room: u32,
    /// When, in microseconds.
    pub(crate) at_us: u64,
    /// Whose session.
    pub(crate) session: u32,
}

/// All of it.
pub(crate) struct Talk {
    pub(crate) seconds: u64,
    /// Messages, by room and time.
    pub(crate) messages: Vec<Deed>,
    /// Receipts, by room and time.
    pub(crate) receipts: Vec<Deed>,
    /// Sessions that begin, each with its time; as many end, half the time later.
    pub(crate) begun: Vec<(u32, u64)>,
}

impl Talk {
    /// Has so many seconds of it. The messages of each kind are as many as the load says; which room, who and when is by chance. What
    /// would come after the end comes after the beginning.
    pub(crate) fn new(world: &World, seconds: u64, chance: &mut Chance) -> Self {
        let (mut messages, mut receipts) = (Vec::new(), Vec::new());
        let end_us = seconds * 1_000_000;
        let said = world.sessions as f64 * SAYS_PER_S * seconds as f64;
        let mut first = 0;
        for kind in &KINDS {
            let rooms = kind.rooms(world.sessions);
            let mut sum = 0.0;
            let sums: Vec<f64> = kind
                .weights(rooms)
                .into_iter()
                .map(|weight| {
                    sum += weight;
                    sum
                })
                .collect();
            for _ in 0..(said * kind.share).round() as usize {
                let part = chance.part() * sum;
                let room = first + sums.partition_point(|up_to| *up_to <= part).min(rooms - 1);
                let members = world.members(&world.rooms[room]);
                let message = Deed {
                    room: u32::try_from(room).unwrap(),
                    at_us: chance.below(end_us as usize) as u64,
                    session: members[chance.below(members.len())],
                };
                messages.push(message);
                let read = kind.receipts * (members.len() - 1) as f64;
                for _ in 0..read as usize + usize::from(chance.part() < read.fract()) {
                    let within = (READ_WITHIN_S * 1e6) as usize;
                    let session = loop {
                        let one = members[chance.below(members.len())];
                        if one != message.session {
                            break one;
                        }
                    };
                    receipts.push(Deed {
                        at_us: (message.at_us + chance.below(within) as u64) % end_us,
                        session,
                        ..message
                    });
                }
            }
            first += rooms;
        }
        messages.sort_unstable();
        receipts.sort_unstable();
        let begin = (world.sessions as f64 * seconds as f64 / SESSION_S).round() as usize;
        let begun = (0..begin)
            .map(|_| {
                let session = u32::try_from(chance.below(world.sessions)).unwrap();
                (session, chance.below(end_us as usize) as u64)
            })
            .collect();
        Self {
            seconds,
            messages,
            receipts,
            begun,
        }
    }
}
