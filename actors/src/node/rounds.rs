//! What is still to be asked because something may have been missed. Pure.
//!
//! A node of many rooms and users asks a bounded number in each step. All at once, a change of the view would be more requests than a store answers, and
//! the questions after a lost link would overflow the link back, whose loss is asked about in turn, without an end.
//!
//! Invariants:
//! - RN-1: each room that runs is asked after [`Rounds::want_rooms`], also if it was asked shortly before in the same round.
//! - RN-2: the last loss of a link has every user there is asked about.

use std::collections::BTreeMap;

use parlor_schema::{NodeId, RoomId, UserId};

/// Rooms that ask their timelines in one step, and users that are asked about.
pub(super) const TOGETHER: usize = 1024;

/// What is left to ask.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    rooms: Vec<RoomId>,
    /// Somebody wanted another round while one was under way (RN-1).
    again: bool,
    users: BTreeMap<NodeId, Vec<UserId>>,
}

impl Rounds {
    /// Tells whether nothing is left to ask.
    pub(super) fn is_idle(&self) -> bool {
        self.rooms.is_empty() && !self.again && self.users.is_empty()
    }

    /// Has every room asked; `all` lists them.
    pub(super) fn want_rooms(&mut self, all: impl FnOnce() -> Vec<RoomId>) {
        if self.rooms.is_empty() {
            self.rooms = all();
        } else {
            self.again = true;
        }
    }

    /// Takes rooms to ask now.
    pub(super) fn take_rooms(&mut self, all: impl FnOnce() -> Vec<RoomId>) -> Vec<RoomId> {
        if self.rooms.is_empty() && std::mem::take(&mut self.again) {
            self.rooms = all();
        }
        let rest = self.rooms.len().saturating_sub(TOGETHER);
        self.rooms.split_off(rest)
    }

    /// Has a node asked about `users`, in place of what was left to ask it.
    pub(super) fn want_users(&mut self, node: NodeId, users: Vec<UserId>) {
        self.users.insert(node, users);
    }

    /// Takes users to ask about now, and whom.
    pub(super) fn take_users(&mut self) -> Vec<(NodeId, Vec<UserId>)> {
        let mut left = TOGETHER;
        let mut taken = Vec::new();
        for (node, users) in &mut self.users {
            let now = users.split_off(users.len().saturating_sub(left));
            left -= now.len();
            taken.push((node.clone(), now));
            if left == 0 {
                break;
            }
        }
        self.users.retain(|_, users| !users.is_empty());
        taken
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use super::*;

    fn rooms() -> Vec<RoomId> {
        let room = |number| RoomId::new(uuid::Uuid::from_u128(number));
        (0..2_500).map(room).collect()
    }

    #[test]
    fn every_room_is_asked_a_bounded_number_at_a_time() {
        let mut rounds = Rounds::default();
        assert_eq!(rounds.take_rooms(rooms), [], "nobody wanted it");
        rounds.want_rooms(rooms);
        let mut asked = BTreeSet::new();
        for expected in [TOGETHER, TOGETHER, 452, 0] {
            let taken = rounds.take_rooms(rooms);
            assert_eq!(taken.len(), expected);
            asked.extend(taken);
        }
        assert_eq!(asked.len(), rooms().len());
    }

    #[test]
    fn who_wants_it_in_the_midst_of_a_round_gets_a_whole_one_after_it() {
        let mut rounds = Rounds::default();
        rounds.want_rooms(rooms);
        rounds.take_rooms(rooms);
        rounds.want_rooms(rooms);
        rounds.want_rooms(rooms);
        let left: usize = (0..9).map(|_| rounds.take_rooms(rooms).len()).sum();
        assert_eq!(left, 2 * rooms().len() - TOGETHER, "RN-1");
    }

    #[test]
    fn users_are_asked_about_a_bounded_number_at_a_time_and_anew_after_another_loss() {
        let [two, three]: [NodeId; 2] = ["two", "three"].map(|name| name.parse().unwrap());
        let users = || -> Vec<UserId> {
            (0..1_500)
                .map(|n| format!("u{n}").parse().unwrap())
                .collect()
        };
        let mut rounds = Rounds::default();
        rounds.want_users(two.clone(), users());
        rounds.want_users(three, users());
        let mut counts = Vec::new();
        for _ in 0..2 {
            let taken = rounds.take_users();
            counts.push(taken.iter().map(|(_, users)| users.len()).sum::<usize>());
        }
        assert_eq!(counts, [TOGETHER; 2]);
        rounds.want_users(two.clone(), users());
        let mut of_two = BTreeSet::new();
        loop {
            let taken = rounds.take_users();
            if taken.is_empty() {
                break;
            }
            for (node, users) in taken {
                of_two.extend(users.into_iter().filter(|_| node == two));
            }
        }
        assert_eq!(of_two.len(), users().len(), "RN-2");
    }
}
