//! Starting a room from what is stored: the projection, healed from the timeline (rule D).

use std::sync::Arc;

use parlor_schema::{
    Event, RoomId, Seq, Timestamp,
    limits::HISTORY_BYTES_MAX,
    port::{Direction, ReadRange, StoreError},
    record::RoomDelta,
};

use super::{dedupe::Key, members::Members};
use crate::ports::Ports;

/// What a room starts from.
#[derive(Debug)]
pub struct Loaded {
    /// Everyone in it at `head`.
    pub members: Members,
    /// The head.
    pub head: Seq,
    /// The position the stored projection has reached.
    pub applied: Seq,
    /// What the stored projection lacks up to `head`. A later step says it reaches further, so these come first.
    pub missing: Vec<RoomDelta>,
    /// When the last event was sent.
    pub last_sent_at: Timestamp,
}

/// Events read at a time.
const PAGE: usize = 1024;

/// Reads a room.
///
/// # Errors
/// The store's own.
pub async fn load(ports: &Ports, room: RoomId) -> Result<Loaded, StoreError> {
    let head = ports.timeline.head(room).await?;
    if head == Seq::ZERO {
        return Ok(Loaded {
            members: Members::default(),
            head,
            applied: head,
            missing: Vec::new(),
            last_sent_at: Timestamp::default(),
        });
    }
    let snapshot = ports.directory.snapshot(room).await?;
    let applied = snapshot
        .as_ref()
        .map_or(Seq::ZERO, |snapshot| snapshot.applied);
    let mut members = snapshot.map_or_else(Members::default, Members::from_snapshot);
    let (mut last_sent_at, mut missing) = (Timestamp::default(), Vec::new());
    // At least the last event is read, for its time.
    let mut after = applied.min(head.prev());
    while after < head {
        let events = page(ports, room, after.next(), head).await?;
        for event in &events {
            if event.seq > applied {
                missing.extend(members.apply(event));
            }
            last_sent_at = event.sent_at;
        }
        after = last_of(&events, room)?;
    }
    members.load_receipts(&ports.directory.receipts(room).await?);
    Ok(Loaded {
        members,
        head,
        applied,
        missing,
        last_sent_at,
    })
}

/// Reads the keys of every event sent since `horizon`, up to `head`.
///
/// # Errors
/// The store's own.
pub async fn window(
    ports: &Ports,
    room: RoomId,
    horizon: Timestamp,
    head: Seq,
) -> Result<Vec<(Key, Seq, Timestamp)>, StoreError> {
    let mut keys = Vec::new();
    if head == Seq::ZERO {
        return Ok(keys);
    }
    let mut after = ports.timeline.seq_at(room, horizon).await?.prev();
    while after < head {
        let events = page(ports, room, after.next(), head).await?;
        keys.extend(events.iter().map(|event| {
            (
                Key::new(&event.sender, event.msg_id),
                event.seq,
                event.sent_at,
            )
        }));
        after = last_of(&events, room)?;
    }
    Ok(keys)
}

/// Reads everything after `after`.
///
/// # Errors
/// The store's own.
pub async fn tail(ports: &Ports, room: RoomId, after: Seq) -> Result<Vec<Arc<Event>>, StoreError> {
    let head = ports.timeline.head(room).await?;
    tail_to(ports, room, after, head).await
}

/// Reads everything after `after` up to `head`, which is known to be durable.
///
/// # Errors
/// The store's own.
pub async fn tail_to(
    ports: &Ports,
    room: RoomId,
    after: Seq,
    head: Seq,
) -> Result<Vec<Arc<Event>>, StoreError> {
    let mut all = Vec::new();
    let mut after = after;
    while after < head {
        let events = page(ports, room, after.next(), head).await?;
        after = last_of(&events, room)?;
        all.extend(events);
    }
    Ok(all)
}

async fn page(
    ports: &Ports,
    room: RoomId,
    from: Seq,
    to: Seq,
) -> Result<Vec<Arc<Event>>, StoreError> {
    let range = ReadRange {
        from,
        to,
        direction: Direction::Up,
        limit: PAGE,
        bytes: 4 * HISTORY_BYTES_MAX,
    };
    let events = ports.timeline.read(room, range).await?;
    match events.first() {
        // Retention took it since the head or the projection was read: who begins anew finds both as they are now.
        Some(event) if event.seq != from => {
            let text = format!("room {room} has no seq {from} any more");
            Err(StoreError::Unavailable(text))
        }
        _ => Ok(events),
    }
}

fn last_of(events: &[Arc<Event>], room: RoomId) -> Result<Seq, StoreError> {
    // T-5: below the head there is an event at every position, so an empty page means damage, not an end.
    let hole = || StoreError::Damaged(format!("room {room} has a hole in its timeline"));
    events.last().map(|event| event.seq).ok_or_else(hole)
}
