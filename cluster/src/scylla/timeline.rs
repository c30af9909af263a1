//! The timeline port of the CQL store.

use std::sync::Arc;

use parlor_schema::{
    Event, RoomId, Seq, Timestamp,
    port::{Append, PortFuture, ReadRange, StoreError, Timeline},
};
use tokio::runtime::Runtime;

use super::{CqlStore, local, stats::Counters};

impl Timeline for CqlStore {
    /// Events that are not numbered from `expected_head + 1`, or are more than an append may have, are the caller's fault: `Damaged`,
    /// because no retry can heal it.
    fn append(
        &self,
        room: RoomId,
        expected_head: Seq,
        events: Vec<Arc<Event>>,
    ) -> PortFuture<'_, Result<Append, StoreError>> {
        let numbered = events
            .iter()
            .zip(1..)
            .all(|(event, place)| event.seq.get() == expected_head.get() + place);
        if !numbered || events.len() as u64 > self.inner.buckets.append_max() {
            let text = format!(
                "append of {} to room {room} is not numbered from {expected_head} on, or too long",
                events.len()
            );
            return Box::pin(async move { Err(StoreError::Damaged(text)) });
        }
        if events.is_empty() {
            return self.run(async move |inner| {
                let head = inner
                    .head_from(room, inner.buckets.after(expected_head))
                    .await?;
                Ok(match head == expected_head {
                    true => Append::Appended,
                    false => Append::Conflict { head },
                })
            });
        }
        let (session, here) = local::session(self.id).unzip();
        self.run_on(
            here.as_ref()
                .or_else(|| self.runtime.as_ref().map(Runtime::handle)),
            async move |inner| {
                Counters::add(&inner.counters.local, u64::from(session.is_some()));
                let session = session.as_deref().unwrap_or(&inner.session);
                inner.append(session, room, expected_head, &events).await
            },
            |_| Ok(Append::Unknown),
        )
    }

    /// Reads at serial consistency, which finishes or ends what appends left half done: what was not there then never comes.
    fn head(&self, room: RoomId) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.run(async move |inner| Ok(inner.head_from(room, 0).await?))
    }

    fn read(
        &self,
        room: RoomId,
        range: ReadRange,
    ) -> PortFuture<'_, Result<Vec<Arc<Event>>, StoreError>> {
        self.run(async move |inner| inner.read(room, range).await)
    }

    fn forget(
        &self,
        room: RoomId,
        before: Timestamp,
        to: Seq,
    ) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.run(async move |inner| Ok(inner.forget(room, before, to).await?))
    }

    fn first(&self, room: RoomId) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.run(async move |inner| Ok(inner.first_kept(room).await?))
    }

    fn seq_at(&self, room: RoomId, at: Timestamp) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.run(async move |inner| Ok(inner.seq_at(room, at).await?))
    }
}
