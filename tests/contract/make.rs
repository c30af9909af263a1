//! Events, ids and seeded numbers for the suites.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parlor_schema::{
    Event, EventId, EventKind, MsgId, RoomId, Seq, Timestamp, UserId,
    port::{Direction, ReadRange, Timeline},
};

/// A small seeded generator (splitmix64), so that a failure can be run again.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }
}

/// Sixteen bytes that no other call returns.
pub(crate) fn fresh() -> [u8; 16] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&Dice(n).roll().to_be_bytes());
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    bytes
}

pub(crate) fn room() -> RoomId {
    RoomId::from(fresh())
}

pub(crate) fn name(text: &str) -> UserId {
    text.parse().unwrap()
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) fn event(seq: u64, text: &str) -> Arc<Event> {
    let id = fresh();
    Arc::new(Event {
        seq: Seq::new(seq),
        id: EventId::from(id),
        kind: EventKind::Message,
        sender: name("ana"),
        sent_at: at(1_700_000_000_000 + i64::try_from(seq).unwrap()),
        msg_id: MsgId::from(fresh()),
        fingerprint: u128::from_be_bytes(id),
        content: format!(r#"{{"body":{{"text":"{text}"}}}}"#).into(),
    })
}

/// Events `from` to `to`, both included.
pub(crate) fn events(from: u64, to: u64) -> Vec<Arc<Event>> {
    (from..=to).map(|seq| event(seq, "hello")).collect()
}

pub(crate) const ALL: ReadRange = ReadRange {
    from: Seq::FIRST,
    to: Seq::MAX,
    direction: Direction::Up,
    limit: usize::MAX,
    bytes: usize::MAX,
};

/// Reads a whole room and checks T-5.
pub(crate) async fn whole(store: &dyn Timeline, room: RoomId) -> Result<Vec<Arc<Event>>, String> {
    let read = crate::told(store.read(room, ALL).await)?;
    for (event, seq) in read.iter().zip(1..) {
        crate::same!(event.seq, Seq::new(seq), "T-5: room has a hole");
    }
    let head = crate::told(store.head(room).await)?;
    crate::same!(head.get(), read.len() as u64, "T-5: head is not the last");
    Ok(read)
}
