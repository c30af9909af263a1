//! Negative controls: stores that break one promise each, which the suite must catch.

use std::sync::Arc;

use parlor_cluster::MemoryStore;
use parlor_schema::{
    Event, RoomId, Seq, Timestamp,
    port::{Append, PortFuture, ReadRange, StoreError, Timeline},
};

use crate::timeline;

/// What a [`Broken`] store does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Appends wherever the head is.
    ExpectedHeadOff,
    /// Stores only the first event of an append.
    Torn,
    /// Answers before it stores, and never does.
    Forgets,
    /// Answers a read in the order it was walked.
    Unsorted,
}

struct Broken {
    inner: Arc<MemoryStore>,
    fault: Fault,
}

impl Timeline for Broken {
    fn append(
        &self,
        room: RoomId,
        expected_head: Seq,
        mut events: Vec<Arc<Event>>,
    ) -> PortFuture<'_, Result<Append, StoreError>> {
        Box::pin(async move {
            let mut expected = expected_head;
            match self.fault {
                Fault::ExpectedHeadOff => {
                    expected = self.inner.head(room).await?;
                    for (event, place) in events.iter_mut().zip(1..) {
                        Arc::make_mut(event).seq = expected.plus(place);
                    }
                }
                Fault::Torn => events.truncate(1),
                Fault::Forgets => events.clear(),
                Fault::Unsorted => {}
            }
            self.inner.append(room, expected, events).await
        })
    }

    fn head(&self, room: RoomId) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.inner.head(room)
    }

    fn read(
        &self,
        room: RoomId,
        range: ReadRange,
    ) -> PortFuture<'_, Result<Vec<Arc<Event>>, StoreError>> {
        Box::pin(async move {
            let mut read = self.inner.read(room, range).await?;
            if self.fault == Fault::Unsorted
                && range.direction == parlor_schema::port::Direction::Down
            {
                read.reverse();
            }
            Ok(read)
        })
    }

    fn seq_at(&self, room: RoomId, at: Timestamp) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.inner.seq_at(room, at)
    }
}

#[tokio::test]
async fn the_suite_catches_each_broken_promise() {
    for (fault, check) in [
        (Fault::ExpectedHeadOff, "expected head: "),
        (Fault::Torn, "kept as given: "),
        (Fault::Forgets, "kept as given: "),
        (Fault::Unsorted, "reads: "),
    ] {
        let inner = MemoryStore::new();
        let caught = timeline::suite(Arc::new(Broken { inner, fault })).await;
        assert!(
            caught.as_ref().is_err_and(|why| why.starts_with(check)),
            "{fault:?}: {caught:?}"
        );
    }
}
