//! What a room's timeline still holds: retention takes whole buckets, oldest first.
//!
//! Invariants:
//! - KE-1: events are removed only after the mark says that nothing before the next bucket is kept, so that who does not find them learns why.
//! - KE-2: a bucket keeps its head for ever: it stays closed, and the search for a room's last bucket goes over it.
//! - KE-3: the mark only rises, whoever writes it, and however late.

use parlor_schema::{RoomId, Seq, Timestamp, port::Direction, port::ReadRange};

use super::{Inner, error::Fault, row, stats::Counters};

/// Buckets that are removed at one time; the rest waits for the next.
const BUCKETS_AT_ONCE: usize = 16;

impl Inner {
    /// Reads the first position that is kept.
    pub(super) async fn first_kept(&self, room: RoomId) -> Result<Seq, Fault> {
        let result = self
            .session
            .execute_unpaged(&self.statements.kept_get, (room.uuid(),))
            .await?
            .into_rows_result()?;
        match result.rows::<(Option<i64>,)>()?.next().transpose()? {
            None | Some((None,)) => Ok(Seq::FIRST),
            Some((Some(first),)) => row::seq("first", first),
        }
    }

    /// Removes the closed buckets at the room's beginning whose events are not above `to` and were all sent before `before`; answers the first
    /// position that is kept.
    pub(super) async fn forget(
        &self,
        room: RoomId,
        before: Timestamp,
        to: Seq,
    ) -> Result<Seq, Fault> {
        let mut first = self.first_kept(room).await?;
        // Whoever marked it may have ended before the bucket behind the mark was removed.
        if let Some(marked) = self.buckets.after(first.prev()).checked_sub(1) {
            self.remove(room, marked, first.prev()).await?;
        }
        for _ in 0..BUCKETS_AT_ONCE {
            let bucket = self.buckets.after(first.prev());
            let Some(last) = self.head_of(room, bucket).await? else {
                break;
            };
            if !self.buckets.is_closed(bucket, last) || last > to {
                break;
            }
            if !self.was_sent_before(room, last, before).await? {
                break;
            }
            first = last.next();
            let mark = row::bigint(first.get());
            let values = (room.uuid(), mark, mark);
            self.session
                .execute_unpaged(&self.statements.kept_put, values)
                .await?;
            self.remove(room, bucket, last).await?;
            Counters::add(&self.counters.forgotten, 1);
        }
        Ok(first)
    }

    /// Removes the events of a bucket that ends at `last`; what is gone already stays gone.
    async fn remove(&self, room: RoomId, bucket: u64, last: Seq) -> Result<(), Fault> {
        let values = (room.uuid(), row::bigint(bucket), row::bigint(last.get()));
        self.session
            .execute_unpaged(&self.statements.events_drop, values)
            .await?;
        Ok(())
    }

    /// Tells whether an event, and so everything before it, was sent before a time; one that somebody else has removed was.
    async fn was_sent_before(&self, room: RoomId, seq: Seq, at: Timestamp) -> Result<bool, Fault> {
        let one = ReadRange {
            from: seq,
            to: seq,
            direction: Direction::Up,
            limit: 1,
            bytes: 0,
        };
        let read = self.read_up(room, one).await?;
        Ok(read.events.first().is_none_or(|event| event.sent_at < at))
    }
}
