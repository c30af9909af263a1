//! The timeline of a changed node: answers that come too early or say too much, and the deaths around an append.

use std::{sync::Arc, time::Duration};

use parlor_actors::ports::{Peers, Ports};
use parlor_schema::{
    Event, RoomId, Seq, Timestamp,
    envelope::{Carried, Envelope},
    port::{Append, PortFuture, ReadRange, StoreError, Timeline},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::{Bug, Orders, Step, die};

/// How much too early an answer comes.
const EARLY: Duration = Duration::from_millis(100);
/// Time that an append is on its way before a node dies.
const ON_ITS_WAY: Duration = Duration::from_millis(1);

/// An append whose answer came before it.
type Owed = (Instant, RoomId, Seq, Vec<Arc<Event>>);

/// A timeline over another.
pub(super) struct ChangedTimeline {
    inner: Arc<dyn Timeline>,
    orders: Arc<Orders>,
    peers: Peers,
    owed: mpsc::UnboundedSender<Owed>,
}

impl ChangedTimeline {
    pub(super) fn new(ports: &Ports, orders: Arc<Orders>) -> Self {
        let (owed, mut due) = mpsc::unbounded_channel::<Owed>();
        let inner = ports.timeline.clone();
        let behind = inner.clone();
        actix_rt::spawn(async move {
            while let Some((at, room, expected, events)) = due.recv().await {
                sleep_until(at).await;
                let _ = behind.append(room, expected, events).await;
            }
        });
        Self {
            inner,
            orders,
            peers: ports.peers(),
            owed,
        }
    }

    fn tell(&self, room_id: RoomId, events: &[Arc<Event>]) {
        self.peers.tell_all(|| Envelope::RoomMoved {
            room_id,
            head: events.last().map_or(Seq::ZERO, |event| event.seq),
            changes: Vec::new(),
            events: events.iter().map(|event| Carried::of(event)).collect(),
        });
    }

    async fn change(
        &self,
        room: RoomId,
        expected: Seq,
        events: Vec<Arc<Event>>,
    ) -> Result<Append, StoreError> {
        self.orders.at(Step::BeforeAppend);
        match self.orders.bug() {
            Bug::AckedBeforeAppend => {
                let owed = (Instant::now() + EARLY, room, expected, events);
                self.owed.send(owed).expect("invariant: it is taken from");
                return Ok(Append::Appended);
            }
            Bug::ToldBeforeAppend => {
                self.tell(room, &events);
                sleep(EARLY).await;
            }
            _ => {}
        }
        let append = self.inner.append(room, expected, events);
        if self.orders.dies_at(Step::WhileAppending) {
            let _ = tokio::time::timeout(ON_ITS_WAY, append).await;
            die();
        }
        let answer = append.await?;
        if answer == Append::Appended {
            self.orders.at(Step::AfterAppend);
        }
        Ok(match (self.orders.bug(), answer) {
            (Bug::ConditionOff, Append::Conflict { .. }) | (Bug::UnknownTaken, Append::Unknown) => {
                Append::Appended
            }
            (_, answer) => answer,
        })
    }
}

impl Timeline for ChangedTimeline {
    fn append(
        &self,
        room: RoomId,
        expected: Seq,
        events: Vec<Arc<Event>>,
    ) -> PortFuture<'_, Result<Append, StoreError>> {
        Box::pin(self.change(room, expected, events))
    }

    fn head(&self, room: RoomId) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.inner.head(room)
    }

    fn read(
        &self,
        room: RoomId,
        range: ReadRange,
    ) -> PortFuture<'_, Result<Vec<Arc<Event>>, StoreError>> {
        self.inner.read(room, range)
    }

    fn seq_at(&self, room: RoomId, at: Timestamp) -> PortFuture<'_, Result<Seq, StoreError>> {
        if self.orders.bug() != Bug::WindowUnread {
            return self.inner.seq_at(room, at);
        }
        Box::pin(async move { Ok(self.inner.head(room).await?.next()) })
    }

    fn forget(
        &self,
        room: RoomId,
        before: Timestamp,
        to: Seq,
    ) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.inner.forget(room, before, to)
    }

    fn first(&self, room: RoomId) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.inner.first(room)
    }
}
