//! Which bucket of a room an event is in. Pure arithmetic.
//!
//! An append lies whole in the bucket that its first event belongs to, so that it is one conditional batch in one partition; its last
//! events may run over the bucket's nominal end. Bucket `b` is *closed* once its head has reached `(b + 1) * size`.
//!
//! Invariants:
//! - K-1: events `b * size + 1 ..= (b + 1) * size` are in bucket `b`, or, only the first [`Buckets::overrun`] of them, in bucket `b - 1`.
//! - K-2: no bucket between two that hold events is empty.

use parlor_schema::{Seq, limits::APPEND_EVENTS_MAX};

/// The size of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Buckets {
    size: u64,
}

impl Buckets {
    /// Makes buckets of `size` events, at least 1.
    pub(super) fn of(size: u64) -> Self {
        Self { size: size.max(1) }
    }

    pub(super) fn size(self) -> u64 {
        self.size
    }

    /// Returns how many events an append may have: more could step over a whole bucket (K-2).
    pub(super) fn append_max(self) -> u64 {
        self.size.min(APPEND_EVENTS_MAX as u64)
    }

    /// Returns how many events of an append at most lie behind a bucket's nominal end.
    fn overrun(self) -> u64 {
        self.append_max() - 1
    }

    /// Returns the bucket that an append after `head` goes into.
    pub(super) fn after(self, head: Seq) -> u64 {
        head.get() / self.size
    }

    /// Returns the highest bucket that `seq`, at least 1, can be in.
    pub(super) fn highest(self, seq: Seq) -> u64 {
        self.after(seq.prev())
    }

    /// Returns the lowest bucket that `seq`, at least 1, can be in.
    pub(super) fn lowest(self, seq: Seq) -> u64 {
        let highest = self.highest(seq);
        let place = seq.prev().get() % self.size;
        highest - u64::from(place < self.overrun() && highest > 0)
    }

    /// Tells whether a bucket whose head is `head` takes no more events.
    pub(super) fn is_closed(self, bucket: u64, head: Seq) -> bool {
        self.after(head) > bucket
    }

    /// Tells whether an append after `head` certainly finds its bucket unopened, if `head` is the room's.
    pub(super) fn opens(self, head: Seq) -> bool {
        head.get().is_multiple_of(self.size)
    }

    /// Tells whether an append after `head` may find its bucket unopened, if `head` is the room's.
    pub(super) fn may_open(self, head: Seq) -> bool {
        head.get() % self.size <= self.overrun()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeMap;

    use super::*;

    /// Lays out a room of appends of `lengths`, as the store does, and returns each event's bucket.
    fn layout(buckets: Buckets, lengths: impl IntoIterator<Item = u64>) -> BTreeMap<u64, u64> {
        let (mut placed, mut head) = (BTreeMap::new(), 0);
        for length in lengths {
            let bucket = buckets.after(Seq::new(head));
            for seq in head + 1..=head + length {
                placed.insert(seq, bucket);
            }
            head += length;
        }
        placed
    }

    #[test]
    fn an_event_is_in_the_lowest_or_the_highest_bucket_it_can_be_in() {
        for size in [1, 2, 3, 7, 32, 200] {
            let buckets = Buckets::of(size);
            for seed in 0..50_u64 {
                let lengths = (0..60)
                    .map(|turn| 1 + (turn * (seed + 1) * 7919 + seed) % buckets.append_max());
                let placed = layout(buckets, lengths);
                let mut last = 0;
                for (seq, bucket) in &placed {
                    let seq = Seq::new(*seq);
                    let can_be = [buckets.lowest(seq), buckets.highest(seq)];
                    assert!(can_be.contains(bucket), "{seq} in {bucket}, size {size}");
                    assert!(*bucket == last || *bucket == last + 1, "K-2: size {size}");
                    last = *bucket;
                }
            }
        }
    }

    #[test]
    fn a_bucket_is_opened_only_where_it_may_be() {
        for size in [1, 2, 3, 7, 32, 200] {
            let buckets = Buckets::of(size);
            for length in 1..=buckets.append_max() {
                let placed = layout(buckets, std::iter::repeat_n(length, 40));
                for (seq, bucket) in &placed {
                    let head = Seq::new(seq - 1);
                    let begins = placed.get(&(seq - 1)) != Some(bucket);
                    let is_first = (seq - 1) % length == 0;
                    assert!(!begins || buckets.may_open(head), "{seq}, size {size}");
                    assert!(!is_first || begins || !buckets.opens(head), "{seq}");
                    let before = seq.checked_sub(1).and_then(|seq| placed.get(&seq));
                    if let (true, Some(before)) = (begins, before) {
                        assert!(buckets.is_closed(*before, head), "{seq}, size {size}");
                    }
                }
            }
        }
    }
}
