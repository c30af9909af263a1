//! A queue of pieces in blocks. One array for ten thousands of them, which whoever reads no answers can have wait, would be copied and its pages touched anew
//! whenever it grows, in one turn of the thread.
//!
//! Invariant QU-1: pieces leave in the order of coming, and no array holds more than [`BLOCK`] of them.

use std::collections::VecDeque;

use crate::piece::Piece;

/// Pieces in a block: more than a lane of events mostly has.
const BLOCK: usize = 512;

/// The queue. An empty one has no memory of its own. What each event needs stands first.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Queue {
    /// What leaves next; empty only when there is nothing.
    first: VecDeque<Piece>,
    /// Bytes of the first of them that have left.
    gone: usize,
    /// Bytes of all pieces that have not.
    bytes: usize,
    /// Blocks behind it, all full but the last; none mostly.
    #[expect(
        clippy::box_collection,
        reason = "one word in every session, and the collection in few"
    )]
    behind: Option<Box<VecDeque<VecDeque<Piece>>>>,
}

impl Queue {
    pub(crate) fn push(&mut self, piece: Piece) {
        self.bytes += piece.len();
        if self.behind.is_none() && self.first.len() < BLOCK {
            return self.first.push_back(piece);
        }
        let behind = self.behind.get_or_insert_default();
        match behind.back_mut() {
            Some(last) if last.len() < BLOCK => last.push_back(piece),
            _ => behind.push_back(VecDeque::from([piece])),
        }
    }

    /// Has so many bytes leave, from the front on.
    pub(crate) fn written(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.gone += bytes;
        while let Some(piece) = self.first.front()
            && self.gone >= piece.len()
        {
            self.gone -= piece.len();
            self.first.pop_front();
            self.advance();
        }
    }

    /// Lets the first pieces go, `most` at most and of one block; answers how many bytes of them had not left.
    pub(crate) fn drop_front(&mut self, most: usize) -> usize {
        let count = most.min(self.first.len());
        if count == 0 {
            return 0;
        }
        let all: usize = self.first.drain(..count).map(|piece| piece.len()).sum();
        let bytes = all - std::mem::take(&mut self.gone);
        self.bytes -= bytes;
        self.advance();
        bytes
    }

    fn advance(&mut self) {
        if self.first.is_empty()
            && let Some(behind) = &mut self.behind
        {
            self.first = behind.pop_front().unwrap_or_default();
            if behind.is_empty() {
                self.behind = None;
            }
        }
    }

    /// Returns the pieces that leave next, all there are or the first of them, and how many bytes of the first have left.
    pub(crate) const fn front(&self) -> (&VecDeque<Piece>, usize) {
        (&self.first, self.gone)
    }

    /// Returns the bytes that have not left.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        let behind = self.behind.as_ref().map_or(0, |behind| {
            (behind.len() - 1) * BLOCK + behind.back().map_or(0, VecDeque::len)
        });
        self.first.len() + behind
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Gives back the memory of an empty queue.
    pub(crate) fn rest(&mut self) {
        if self.first.is_empty() && self.first.capacity() > 0 {
            self.first = VecDeque::new();
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

    fn number(piece: &Piece) -> usize {
        usize::from_be_bytes((**piece).try_into().unwrap())
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
                let (pieces, gone) = queue.front();
                assert_eq!((number(&pieces[0]), gone), (left, 3), "QU-1");
                queue.written(5);
                left += 1;
                assert_eq!(
                    (queue.len(), queue.bytes()),
                    (came - left, 8 * (came - left))
                );
            }
            let blocks = queue.behind.iter().flat_map(|behind| behind.iter());
            for block in blocks.chain([&queue.first]) {
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
        let (pieces, gone) = queue.front();
        assert_eq!((number(&pieces[0]), gone), (2 * BLOCK + 1, 4));
        assert_eq!(queue.bytes(), 8 * (BLOCK - 1) - 4);
    }

    #[test]
    fn what_is_dropped_at_a_time_is_of_one_block() {
        let mut queue = Queue::default();
        for number in 0..BLOCK + 2 {
            queue.push(piece(number));
        }
        queue.written(9);
        assert_eq!(queue.drop_front(10), 79);
        assert_eq!(queue.drop_front(BLOCK), 8 * (BLOCK - 11));
        assert_eq!((queue.len(), queue.bytes()), (2, 16));
        assert_eq!(number(&queue.front().0[1]), BLOCK + 1);
        assert_eq!(queue.drop_front(BLOCK), 16);
        queue.rest();
        assert_eq!(queue.first.capacity(), 0);
    }
}
