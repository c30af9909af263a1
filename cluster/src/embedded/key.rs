//! Keys: how ids are laid side by side so that rows lie in the order they are read in.
//!
//! Invariant K-1: a name inside a key ends with a zero byte, which no name contains, so that no key of one name lies among those of another.

use std::ops::Bound;

use parlor_schema::{RoomId, Seq, UserId};

/// A range of keys.
pub(super) type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Bytes of a room id, and of every id that is a UUID.
pub(super) const UUID_BYTES: usize = 16;
const SEQ_BYTES: usize = 8;

/// Room, then position: rows in timeline order.
pub(super) fn event(room: RoomId, seq: Seq) -> [u8; UUID_BYTES + SEQ_BYTES] {
    let mut key = [0; UUID_BYTES + SEQ_BYTES];
    key[..UUID_BYTES].copy_from_slice(&room.bytes());
    key[UUID_BYTES..].copy_from_slice(&seq.get().to_be_bytes());
    key
}

/// The position in a timeline key.
pub(super) fn seq_of(key: &[u8]) -> Option<Seq> {
    let bytes = key.get(UUID_BYTES..)?.try_into().ok()?;
    Some(Seq::new(u64::from_be_bytes(bytes)))
}

/// Positions `from` to `to` of a room.
pub(super) fn events(room: RoomId, from: Seq, to: Seq) -> KeyRange {
    (
        Bound::Included(event(room, from).to_vec()),
        Bound::Included(event(room, to).to_vec()),
    )
}

/// Room, then user.
pub(super) fn room_user(room: RoomId, user: &UserId) -> Vec<u8> {
    [&room.bytes(), user.as_str().as_bytes()].concat()
}

/// Name, zero, rest.
pub(super) fn name_then(name: &str, rest: &[u8]) -> Vec<u8> {
    [name.as_bytes(), &[0], rest].concat()
}

/// Every key that begins with `prefix`.
pub(super) fn beginning(prefix: Vec<u8>) -> KeyRange {
    let mut end = prefix.clone();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return (Bound::Included(prefix), Bound::Excluded(end));
        }
    }
    (Bound::Included(prefix), Bound::Unbounded)
}

/// The part of a range that lies after `key`.
pub(super) fn after(range: KeyRange, key: Option<Vec<u8>>) -> KeyRange {
    match key {
        Some(key) => (Bound::Excluded(key), range.1),
        None => range,
    }
}

/// The UUID at the end of a key.
pub(super) fn tail_uuid(key: &[u8]) -> Option<[u8; UUID_BYTES]> {
    key.get(key.len().checked_sub(UUID_BYTES)?..)?
        .try_into()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next() {
        let (from, to) = beginning(vec![1, 255]);
        assert_eq!(from, Bound::Included(vec![1, 255]));
        assert_eq!(to, Bound::Excluded(vec![2]));
        assert_eq!(beginning(vec![255]).1, Bound::Unbounded);
    }

    #[test]
    fn names_do_not_mix() {
        let range = beginning(name_then("an", b""));
        let key = name_then("ana", b"x");
        assert!(!std::ops::RangeBounds::contains(&range, &key));
    }
}
