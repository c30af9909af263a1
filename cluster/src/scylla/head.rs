//! Heads: of one bucket by a serial read, of a room by looking for its last bucket.
//!
//! There is no record of a room's last bucket that could be wrong. Nearly all rooms are in their first; in others the steps double,
//! and then halve.

use parlor_schema::{RoomId, Seq};

use super::{Inner, bucket::Buckets, error::Fault, row, stats::Counters};

impl Inner {
    /// Reads the position of a bucket's last event, after finishing or ending what appends left half done; none when it was never opened.
    pub(super) async fn head_of(&self, room: RoomId, bucket: u64) -> Result<Option<Seq>, Fault> {
        Counters::add(&self.counters.heads, 1);
        let values = (room.uuid(), row::bigint(bucket));
        let result = self
            .session
            .execute_unpaged(&self.statements.head_get, values)
            .await?
            .into_rows_result()?;
        match result.rows::<(Option<i64>,)>()?.next().transpose()? {
            None | Some((None,)) => Ok(None),
            Some((Some(head),)) => row::seq("head", head).map(Some),
        }
    }

    /// Reads a room's head, beginning with `bucket`; zero for a room without events.
    pub(super) async fn head_from(&self, room: RoomId, bucket: u64) -> Result<Seq, Fault> {
        let mut search = Search::from(self.buckets, bucket);
        loop {
            let head = self.head_of(room, search.asks).await?;
            if let Some(head) = search.hear(head) {
                return Ok(head);
            }
        }
    }
}

/// The search for the last bucket of a room. Pure.
struct Search {
    buckets: Buckets,
    /// The bucket whose head is wanted next.
    asks: u64,
    /// How far to go from it while one side is not known.
    step: u64,
    /// The highest bucket known to be closed, and its head.
    closed: Option<(u64, Seq)>,
    /// The lowest bucket known to be empty.
    empty: Option<u64>,
}

impl Search {
    fn from(buckets: Buckets, start: u64) -> Self {
        Self {
            buckets,
            asks: start,
            step: 1,
            closed: None,
            empty: None,
        }
    }

    /// Takes the head of the bucket that was asked for; answers the room's, once it is known.
    fn hear(&mut self, head: Option<Seq>) -> Option<Seq> {
        match head {
            Some(head) if !self.buckets.is_closed(self.asks, head) => return Some(head),
            Some(head) => self.closed = Some((self.asks, head)),
            None if self.asks == 0 => return Some(Seq::ZERO),
            None => self.empty = Some(self.asks),
        }
        match (self.closed, self.empty) {
            (Some((closed, head)), Some(empty)) if empty - closed == 1 => return Some(head),
            (Some((closed, _)), Some(empty)) => self.asks = closed + (empty - closed) / 2,
            (Some((closed, _)), None) => self.asks = closed + self.step,
            (None, _) => self.asks = self.asks.saturating_sub(self.step),
        }
        self.step = self.step.saturating_mul(2);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bucket_is_found_from_anywhere_in_few_steps() {
        let buckets = Buckets::of(10);
        for head in (0..400).chain([99_999, 100_000, 123_456]) {
            for start in [0, 1, 7, 39, 40, 41, 9_999, 10_000, 1 << 40] {
                let mut search = Search::from(buckets, start);
                let mut asked = 0_u32;
                let found = loop {
                    asked += 1;
                    let bucket = search.asks;
                    let top = head.min((bucket + 1) * 10);
                    let there = (head > bucket * 10).then(|| Seq::new(top));
                    if let Some(found) = search.hear(there) {
                        break found;
                    }
                };
                assert_eq!(found, Seq::new(head), "from {start}");
                let far = start.abs_diff(head / 10) + 2;
                assert!(asked <= 2 * far.ilog2() + 4, "{asked} steps");
            }
        }
    }
}
