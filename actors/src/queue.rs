//! A queue of pieces in blocks. One array for ten thousands of them, which whoever reads no answers can have wait, would be copied and its pages touched anew
//! whenever it grows, in one turn of the thread.
//!
//! Invariant QU-1: pieces leave in the order of coming, and no array holds more than [`BLOCK`] of them.

use std::collections::VecDeque;

use crate::piece::Piece;

/// Pieces in a block: more than a lane of events mostly has.
const BLOCK: usize = 512;

/// The queue. An empty one has no memory of its own.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Queue {
    /// What leaves next; empty only when there is nothing.
    first: VecDeque<Piece>,
    /// Blocks behind it, all full but the last; none mostly.
    behind: Option<Box<VecDeque<VecDeque<Piece>>>>,
}

impl Queue {
    pub(crate) fn push_back(&mut self, piece: Piece) {
        if self.behind.is_none() && self.first.len() < BLOCK {
            return self.first.push_back(piece);
        }
        let behind = self.behind.get_or_insert_default();
        match behind.back_mut() {
            Some(last) if last.len() < BLOCK => last.push_back(piece),
            _ => behind.push_back(VecDeque::from([piece])),
        }
    }

    pub(crate) fn pop_front(&mut self) -> Option<Piece> {
        let piece = self.first.pop_front();
        self.advance();
        piece
    }

    /// Lets the first pieces go, `most` at most and of one block; answers their bytes.
    pub(crate) fn drop_front(&mut self, most: usize) -> usize {
        let count = most.min(self.first.len());
        let bytes = self.first.drain(..count).map(|piece| piece.len()).sum();
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

    /// Returns what leaves next: all there is, or the first of it.
    pub(crate) const fn first(&self) -> &VecDeque<Piece> {
        &self.first
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
        // Grows to some blocks, falls to nearly none, and again, so that the first is left and reached at every place.
        for round in 1..=40 {
            for _ in 0..BLOCK / 3 * round {
                queue.push_back(piece(came));
                came += 1;
                assert_eq!(queue.len(), came - left);
            }
            let goes = queue.len() - round % 7;
            for _ in 0..goes {
                assert_eq!(number(&queue.first()[0]), left, "QU-1");
                assert_eq!(number(&queue.pop_front().unwrap()), left, "QU-1");
                left += 1;
                assert_eq!(queue.len(), came - left);
            }
            let blocks = queue.behind.iter().flat_map(|behind| behind.iter());
            for block in blocks.chain([&queue.first]) {
                assert!(block.len() <= BLOCK && block.capacity() <= BLOCK, "QU-1");
            }
        }
        assert_eq!(queue.drop_front(came), 8 * (came - left));
        assert!(queue.is_empty() && queue.pop_front().is_none());
        assert_eq!((queue.len(), queue.drop_front(9)), (0, 0));
    }

    #[test]
    fn what_is_dropped_at_a_time_is_of_one_block() {
        let mut queue = Queue::default();
        for number in 0..BLOCK + 2 {
            queue.push_back(piece(number));
        }
        assert_eq!(queue.drop_front(10), 80);
        assert_eq!(queue.drop_front(BLOCK), 8 * (BLOCK - 10));
        assert_eq!(queue.len(), 2);
        assert_eq!(number(&queue.first()[1]), BLOCK + 1);
        assert_eq!(queue.drop_front(BLOCK), 16);
        queue.rest();
        assert_eq!(queue.first.capacity(), 0);
    }
}
