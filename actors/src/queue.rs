//! A queue of pieces in blocks. One array for ten thousands of them, which whoever reads no answers can have wait, would be copied and its pages touched anew
//! whenever it grows, in one turn of the thread.
//!
//! The first piece stands in the queue itself, so that one of a single piece, as nearly all are, needs no block.
//!
//! Invariants:
//! - QU-1: pieces leave in the order of coming, and no array holds more than 512 of them.
//! - QU-2: no piece is empty, and the head is none only where there is none; so a head with all the bytes is the only piece.

use std::collections::VecDeque;

use crate::{fetch::fetch_bytes, piece::Piece};

/// Pieces in a block: more than a lane of events mostly has.
const BLOCK: usize = 512;

/// The queue. One of at most one piece needs no memory of its own. What each event needs stands first.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Queue {
    /// What leaves next; none only when there is nothing.
    head: Option<Piece>,
    /// Bytes of it that have left.
    gone: usize,
    /// Bytes of all pieces that have not.
    bytes: usize,
    /// What comes behind it.
    block: VecDeque<Piece>,
    /// Blocks behind that, all full but the last; none mostly.
    #[expect(
        clippy::box_collection,
        reason = "one word in every session, and the collection in few"
    )]
    behind: Option<Box<VecDeque<VecDeque<Piece>>>>,
}

impl Queue {
    /// Bytes from its begin that a queue of one piece needs.
    #[cfg(test)]
    pub(crate) const HOT_BYTES: usize = std::mem::offset_of!(Self, block);

    /// Puts a piece behind all others; an empty one is none (QU-2).
    pub(crate) fn push(&mut self, piece: Piece) {
        if piece.is_empty() {
            return;
        }
        self.bytes += piece.len();
        if self.head.is_none() {
            self.head = Some(piece);
        } else if self.behind.is_none() && self.block.len() < BLOCK {
            self.block.push_back(piece);
        } else {
            self.push_behind(piece);
        }
    }

    fn push_behind(&mut self, piece: Piece) {
        let behind = self.behind.get_or_insert_default();
        match behind.back_mut() {
            Some(last) if last.len() < BLOCK => last.push_back(piece),
            _ => behind.push_back(VecDeque::from([piece])),
        }
    }

    /// Has so many bytes leave, from the front on.
    pub(crate) fn written(&mut self, bytes: usize) {
        if self.only().is_some_and(|rest| rest.len() == bytes) {
            // The blocks are not looked at, which are in no cache (QU-2).
            (self.head, self.gone, self.bytes) = (None, 0, 0);
            return;
        }
        self.bytes -= bytes;
        self.gone += bytes;
        while let Some(piece) = &self.head
            && self.gone >= piece.len()
        {
            self.gone -= piece.len();
            self.advance();
        }
    }

    /// Lets the first pieces go, `most` at most and of one block; answers how many bytes of them had not left.
    pub(crate) fn drop_front(&mut self, most: usize) -> usize {
        let Some(head) = self.head.take_if(|_| most > 0) else {
            return 0;
        };
        let count = self.block.len().min(most - 1);
        let others: usize = self.block.drain(..count).map(|piece| piece.len()).sum();
        let bytes = head.len() + others - std::mem::take(&mut self.gone);
        self.bytes -= bytes;
        self.advance();
        bytes
    }

    /// Brings up what leaves next.
    fn advance(&mut self) {
        if self.block.is_empty()
            && let Some(behind) = &mut self.behind
        {
            self.block = behind.pop_front().unwrap_or_default();
            if behind.is_empty() {
                self.behind = None;
            }
        }
        self.head = self.block.pop_front();
    }

    /// Returns the pieces that leave next, of the first only what has not left; not all where there are blocks behind.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let head = self.head.iter().map(|piece| &piece[self.gone..]);
        head.chain(self.block.iter().map(|piece| &**piece))
    }

    /// Returns what waits, if it is one piece (QU-2).
    #[must_use]
    pub fn only(&self) -> Option<&[u8]> {
        let rest = &self.head.as_ref()?[self.gone..];
        (rest.len() == self.bytes).then_some(rest)
    }

    /// Asks for the begin of what leaves next.
    pub(crate) fn fetch_front(&self) {
        let rest = self
            .head
            .as_ref()
            .map_or(&[][..], |piece| &piece[self.gone..]);
        fetch_bytes(rest);
    }

    /// Returns the bytes that have not left.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns how many pieces wait.
    #[must_use]
    pub fn len(&self) -> usize {
        if self.is_empty() || self.only().is_some() {
            return self.head.iter().len();
        }
        let behind = self.behind.as_ref().map_or(0, |behind| {
            (behind.len() - 1) * BLOCK + behind.back().map_or(0, VecDeque::len)
        });
        1 + self.block.len() + behind
    }

    /// Tells whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// Gives back the memory of an empty block.
    pub(crate) fn rest(&mut self) {
        if self.block.is_empty() && self.block.capacity() > 0 {
            self.block = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn piece(number: usize) -> Piece {
        Piece::Own(number.to_be_bytes().as_slice().into())
    }

    #[test]
    fn pieces_leave_in_the_order_of_coming_from_arrays_of_one_block() {
        let mut queue = Queue::default();
        let (mut came, mut left) = (0, 0);
        // Grows to some blocks and falls to nearly none, again and again, so that the first is left and reached at every place.
        for round in 1..=40 {
            for _ in 0..BLOCK / 3 * round {
                queue.push(piece(came));
                came += 1;
                assert_eq!(
                    (queue.len(), queue.bytes()),
                    (came - left, 8 * (came - left))
                );
            }
            for _ in 0..queue.len() - round % 7 {
                queue.written(3);
                let first = left.to_be_bytes();
                assert_eq!(queue.pieces().next(), Some(&first[3..]), "QU-1");
                queue.written(5);
                left += 1;
                assert_eq!(
                    (queue.len(), queue.bytes()),
                    (came - left, 8 * (came - left))
                );
            }
            let blocks = queue.behind.iter().flat_map(|behind| behind.iter());
            for block in blocks.chain([&queue.block]) {
                assert!(block.len() <= BLOCK && block.capacity() <= BLOCK, "QU-1");
            }
        }
        assert_eq!(queue.drop_front(came), 8 * (came - left));
        assert!(queue.is_empty(), "{}", queue.len());
        assert_eq!((queue.drop_front(9), queue.bytes()), (0, 0));
    }

    #[test]
    fn what_is_written_at_once_may_end_in_any_block() {
        let mut queue = Queue::default();
        for number in 0..3 * BLOCK {
            queue.push(piece(number));
        }
        queue.written(8 * (2 * BLOCK + 1) + 4);
        let first = (2 * BLOCK + 1).to_be_bytes();
        assert_eq!(queue.pieces().next(), Some(&first[4..]));
        assert_eq!(queue.bytes(), 8 * (BLOCK - 1) - 4);
        queue.written(queue.bytes());
        assert!((queue.is_empty(), queue.len(), queue.bytes()) == (true, 0, 0));
        for number in 0..2 {
            queue.push(piece(number));
        }
        queue.written(16);
        queue.push(piece(2));
        assert_eq!(queue.only(), Some(&2_usize.to_be_bytes()[..]));
    }

    #[test]
    fn what_is_dropped_at_a_time_is_of_one_block() {
        let mut queue = Queue::default();
        for number in 0..BLOCK + 3 {
            queue.push(piece(number));
        }
        queue.written(9);
        assert_eq!(queue.drop_front(10), 79);
        assert_eq!(queue.drop_front(BLOCK), 8 * (BLOCK - 10));
        assert_eq!((queue.len(), queue.bytes()), (2, 16));
        let left = [BLOCK + 1, BLOCK + 2].map(usize::to_be_bytes);
        assert!(queue.pieces().eq(left.iter().map(|piece| &piece[..])));
        assert_eq!(queue.drop_front(BLOCK), 16);
        queue.rest();
        assert_eq!(queue.block.capacity(), 0);
    }

    #[test]
    fn one_piece_takes_no_memory_and_an_empty_one_is_none() {
        let mut queue = Queue::default();
        queue.push(Piece::Own([].into()));
        assert!(
            (queue.is_empty(), queue.len(), queue.only()) == (true, 0, None),
            "QU-2"
        );
        queue.push(piece(1));
        queue.written(7);
        assert_eq!((queue.len(), queue.only()), (1, Some(&[1][..])));
        queue.push(piece(2));
        assert_eq!((queue.len(), queue.only()), (2, None));
        queue.written(1);
        assert_eq!(queue.only(), Some(&2_usize.to_be_bytes()[..]));
        queue.rest();
        queue.written(8);
        assert!((queue.is_empty(), queue.block.capacity()) == (true, 0));
    }
}
