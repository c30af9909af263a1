//! A reader that knows an older beginning of its room than the store has: another node removed more meanwhile.

use std::sync::Arc;

use parlor_actors::{
    ports::Ports,
    room::{
        pages::Pages,
        read::{FirstKept, Reader},
    },
};
use parlor_cluster::{MemoryBus, MemoryStore, RandomIds, SingleMembership, SystemClock};
use parlor_schema::{
    BootId, Event, EventKind, RoomId, Seq, Timestamp,
    frame::{Ack, client::HistoryGet},
    port::{Append, Clock as _, Ids as _, NodeInfo, PortFuture, ReadRange, StoreError, Timeline},
};
use serde_json::json;
use uuid::Uuid;

use crate::{past, readers::Names};

/// Messages, and the first of them that is left: within a page, as where an append ran over a bucket's end.
const HEAD: Seq = Seq::new(300);
const LEFT: Seq = Seq::new(194);

/// A store that has lost the beginning of every room.
struct Cut(Arc<MemoryStore>);

impl Timeline for Cut {
    fn append(
        &self,
        room: RoomId,
        expected: Seq,
        events: Vec<Arc<Event>>,
    ) -> PortFuture<'_, Result<Append, StoreError>> {
        self.0.append(room, expected, events)
    }

    fn head(&self, room: RoomId) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.0.head(room)
    }

    fn read(
        &self,
        room: RoomId,
        range: ReadRange,
    ) -> PortFuture<'_, Result<Vec<Arc<Event>>, StoreError>> {
        let from = range.from.max(LEFT);
        self.0.read(room, ReadRange { from, ..range })
    }

    fn seq_at(&self, room: RoomId, at: Timestamp) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.0.seq_at(room, at)
    }

    fn first(&self, _: RoomId) -> PortFuture<'_, Result<Seq, StoreError>> {
        Box::pin(std::future::ready(Ok(LEFT)))
    }
}

/// Makes a reader that takes the room to begin at 1.
async fn reader() -> Reader {
    let (clock, ids, store) = (SystemClock::new(), RandomIds::new(), MemoryStore::new());
    let node = NodeInfo {
        node_id: "n1".parse().unwrap(),
        boot_id: BootId::new(ids.uuid(clock.now())),
        internal_address: None,
    };
    let room = RoomId::new(Uuid::now_v7());
    let text = json!({ "body": { "text": "x" } });
    let said = |seq| past::event(seq, Timestamp::from_millis(0), EventKind::Message, &text);
    let events = (1..=HEAD.get()).map(said).collect();
    let appended = store.append(room, Seq::ZERO, events).await;
    assert_eq!(appended.unwrap(), Append::Appended);
    let first_kept = FirstKept::default();
    first_kept.rises_to(Seq::FIRST);
    let ports = Ports {
        timeline: Arc::new(Cut(store.clone())),
        directory: store,
        clock,
        ids,
        bus: MemoryBus::new(node.node_id.clone()),
        membership: SingleMembership::new(node),
        gate: Arc::new(Names),
        wire: Arc::new(parlor::websocket::WebSocketWire),
    };
    Reader {
        ports,
        room,
        head: HEAD,
        horizon: None,
        first_kept,
        pages: Pages::new(room, Arc::default()).into(),
    }
}

#[tokio::test]
async fn what_is_unread_is_counted_down_to_what_is_left() {
    let ben = "ben".parse().unwrap();
    let counts = reader().await.count(&ben, Seq::ZERO, Seq::FIRST).await;
    assert_eq!(counts.unwrap().unread as u64, HEAD.since(LEFT) + 1);
}

#[tokio::test]
async fn a_page_begins_at_what_is_left() {
    // In the page of the mark, and in one before it.
    for after in [150, 5] {
        let page = reader().await.page(Seq::new(after)).await.unwrap();
        let begins = page.batch.unwrap().packets[0].seq();
        assert_eq!((page.first, begins), (LEFT, LEFT), "after {after}");
    }
}

#[tokio::test]
async fn history_ends_at_what_is_left() {
    for before in [Some(Seq::new(200)), Some(LEFT), Some(Seq::new(7))] {
        let ask = HistoryGet {
            before,
            ..serde_json::from_value(json!({ "room_id": Uuid::nil() })).unwrap()
        };
        let ben = "ben".parse().unwrap();
        let history = reader().await.history(ben, ask, 50).await.unwrap();
        let Ack::History(history) = history else {
            panic!("{history:?}");
        };
        assert_eq!((history.first, history.complete), (LEFT, true));
    }
}
