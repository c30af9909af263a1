//! Appends: one conditional batch in one partition.

use std::sync::Arc;

use parlor_schema::{Event, RoomId, Seq, port::Append, port::StoreError};
use scylla::{
    client::session::Session,
    errors::SerializationError,
    serialize::{
        row::{RowSerializationContext, SerializeRow},
        writers::RowWriter,
    },
    value::CqlTimestamp,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Inner,
    error::{Effect, Fault},
    row::{self, Outcome},
    stats::Counters,
};

impl Inner {
    /// Appends at least one event through `session`, numbered from `expected` on and no more than a bucket may take at once.
    pub(super) async fn append(
        &self,
        session: &Session,
        room: RoomId,
        expected: Seq,
        events: &[Arc<Event>],
    ) -> Result<Append, StoreError> {
        let _lock = self.rooms.lock(room, self.within).await?;
        let began = Instant::now();
        let answer = self.append_now(session, room, expected, events).await;
        let counters = &self.counters;
        match &answer {
            Ok(Append::Appended) => {
                let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                Counters::add(&counters.append_us, took);
                Counters::add(&counters.appends, 1);
                Counters::add(&counters.events, events.len() as u64);
            }
            Ok(Append::Conflict { .. }) => Counters::add(&counters.conflicts, 1),
            Ok(Append::Unknown) => Counters::add(&counters.unknown, 1),
            Err(_) => {}
        }
        answer
    }

    async fn append_now(
        &self,
        session: &Session,
        room: RoomId,
        expected: Seq,
        events: &[Arc<Event>],
    ) -> Result<Append, StoreError> {
        let bucket = self.buckets.after(expected);
        if self.buckets.opens(expected) {
            return self.open(session, room, bucket, expected, events).await;
        }
        let outcome = match self
            .write(session, room, bucket, Some(expected), events)
            .await
        {
            Ok(outcome) => outcome,
            Err(fault) => return lost(room, fault),
        };
        if outcome.is_applied {
            return Ok(Append::Appended);
        }
        // A bucket begins behind what ran over the end of the one before.
        if outcome.seq("head")?.is_none() && self.buckets.may_open(expected) {
            return self.open(session, room, bucket, expected, events).await;
        }
        self.conflict(room, bucket).await
    }

    /// Appends to a bucket that nothing is in, if the one before it ends at `expected`.
    async fn open(
        &self,
        session: &Session,
        room: RoomId,
        bucket: u64,
        expected: Seq,
        events: &[Arc<Event>],
    ) -> Result<Append, StoreError> {
        let ends = match bucket.checked_sub(1) {
            Some(before) => self.head_of(room, before).await?,
            None => Some(Seq::ZERO),
        };
        if ends != Some(expected) {
            return self.conflict(room, bucket).await;
        }
        let outcome = match self.write(session, room, bucket, None, events).await {
            Ok(outcome) => outcome,
            Err(fault) => return lost(room, fault),
        };
        if outcome.is_applied {
            Counters::add(&self.counters.buckets, u64::from(bucket > 0));
            return Ok(Append::Appended);
        }
        self.conflict(room, bucket).await
    }

    /// Finds the head that an append met. The answer to it is not enough: its bucket may be closed by now, or none.
    async fn conflict(&self, room: RoomId, bucket: u64) -> Result<Append, StoreError> {
        let head = self.head_from(room, bucket).await?;
        Ok(Append::Conflict { head })
    }

    async fn write(
        &self,
        session: &Session,
        room: RoomId,
        bucket: u64,
        head: Option<Seq>,
        events: &[Arc<Event>],
    ) -> Result<Outcome, Fault> {
        let mut batch = self.statements.conditional_batch();
        batch.statements.reserve_exact(events.len() + 1);
        batch.append_statement(self.statements.head_move.clone());
        let (room, bucket) = (room.uuid(), row::bigint(bucket));
        let mut rows = Vec::with_capacity(events.len() + 1);
        let last = events.last().map_or(0, |event| event.seq.get());
        let head = head.map(|head| row::bigint(head.get()));
        rows.push(BatchRow::Head((row::bigint(last), room, bucket, head)));
        for event in events {
            batch.append_statement(self.statements.event_put.clone());
            rows.push(BatchRow::Event(EventRow {
                room,
                bucket,
                event,
            }));
        }
        let result = session.batch(&batch, &rows).await?;
        Outcome::read(result)
    }
}

/// Answers for an append that met a fault.
fn lost(room: RoomId, fault: Fault) -> Result<Append, StoreError> {
    match fault.effect() {
        Effect::None => Err(fault.into()),
        Effect::Unknown => {
            tracing::warn!(%room, fault = %StoreError::from(fault), "append of unknown outcome");
            Ok(Append::Unknown)
        }
    }
}

/// What is bound to a statement of the batch.
enum BatchRow<'a> {
    Head((i64, Uuid, i64, Option<i64>)),
    Event(EventRow<'a>),
}

struct EventRow<'a> {
    room: Uuid,
    bucket: i64,
    event: &'a Event,
}

impl SerializeRow for BatchRow<'_> {
    fn serialize(
        &self,
        context: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        match self {
            Self::Head(values) => values.serialize(context, writer),
            Self::Event(EventRow {
                room,
                bucket,
                event,
            }) => {
                let values: (
                    Uuid,
                    i64,
                    i64,
                    Uuid,
                    i16,
                    &str,
                    CqlTimestamp,
                    Uuid,
                    [u8; 16],
                    &str,
                ) = (
                    *room,
                    *bucket,
                    row::bigint(event.seq.get()),
                    event.id.uuid(),
                    i16::from(event.kind.number()),
                    event.sender.as_str(),
                    row::time(event.sent_at),
                    event.msg_id.uuid(),
                    event.fingerprint.to_be_bytes(),
                    &event.content,
                );
                values.serialize(context, writer)
            }
        }
    }

    fn is_empty(&self) -> bool {
        false
    }
}
