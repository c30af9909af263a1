//! Which `msg_id`s took effect in a room, for the window of promise P-3.
//!
//! Owns an index from a 64-bit key to a position. The event at that position is the proof: it is read and compared before a frame is called a
//! duplicate, so a collision of keys costs a read, never a message. Made again from the timeline when the room starts.
//!
//! When full ([`ENTRIES_MAX`]): the room refuses to append, rather than forget early.

use std::collections::VecDeque;

use parlor_schema::{MsgId, Seq, Timestamp, UserId, limits::ID_BYTES_MAX};
use xxhash_rust::xxh3::xxh3_64;

use crate::map::IdMap;

/// Entries one room may hold: seven events a second, sustained over a window of seven days.
pub const ENTRIES_MAX: usize = 1 << 22;

/// A key of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    /// Makes the key of a user's frame.
    #[must_use]
    pub fn new(user: &UserId, msg_id: MsgId) -> Self {
        const ID_BYTES: usize = 16;
        let (id, user) = (msg_id.bytes(), user.as_str().as_bytes());
        let mut bytes = [0; ID_BYTES + ID_BYTES_MAX];
        let length = ID_BYTES + user.len();
        bytes[..ID_BYTES].copy_from_slice(&id);
        bytes[ID_BYTES..length].copy_from_slice(user);
        Self(xxh3_64(&bytes[..length]))
    }
}

/// The index.
#[derive(Debug, Default)]
pub struct Dedupe {
    seqs: IdMap<Key, Seq>,
    order: VecDeque<(Timestamp, Key, Seq)>,
    /// When the oldest of them was sent; it stands here, as the entry is in no cache when a room is asked again.
    oldest: Option<Timestamp>,
}

impl Dedupe {
    /// Finds the position a frame may have taken effect at.
    #[must_use]
    pub fn find(&self, key: Key) -> Option<Seq> {
        self.seqs.get(&key).copied()
    }

    /// Remembers an event; of several with one key the last counts, as it carries the reply.
    pub fn insert(&mut self, key: Key, seq: Seq, sent_at: Timestamp) {
        self.seqs.insert(key, seq);
        self.oldest.get_or_insert(sent_at);
        self.order.push_back((sent_at, key, seq));
    }

    /// Forgets what was sent before `horizon`.
    pub fn expire(&mut self, horizon: Timestamp) {
        if self.oldest.is_none_or(|oldest| oldest >= horizon) {
            return;
        }
        while let Some((sent_at, key, seq)) = self.order.front().copied() {
            if sent_at >= horizon {
                break;
            }
            self.order.pop_front();
            if self.seqs.get(&key) == Some(&seq) {
                self.seqs.remove(&key);
            }
        }
        self.oldest = self.order.front().map(|(sent_at, ..)| *sent_at);
    }

    /// Tells whether no more can be remembered.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.order.len() >= ENTRIES_MAX
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Tells whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn forgets_only_what_is_older_than_the_window() {
        let ana: UserId = "ana".parse().unwrap();
        let mut dedupe = Dedupe::default();
        let key = |n: u8| Key::new(&ana, MsgId::from([n; 16]));
        dedupe.insert(key(1), Seq::new(1), Timestamp::from_millis(10));
        dedupe.insert(key(2), Seq::new(2), Timestamp::from_millis(20));
        dedupe.expire(Timestamp::from_millis(20));
        assert_eq!(dedupe.find(key(1)), None);
        assert_eq!(dedupe.find(key(2)), Some(Seq::new(2)));
        dedupe.expire(Timestamp::from_millis(21));
        assert!(dedupe.is_empty());
        dedupe.insert(key(3), Seq::new(3), Timestamp::from_millis(30));
        dedupe.expire(Timestamp::from_millis(30));
        assert_eq!(dedupe.find(key(3)), Some(Seq::new(3)));
        dedupe.expire(Timestamp::from_millis(31));
        assert_eq!(dedupe.find(key(3)), None);
    }
}
