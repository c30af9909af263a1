//! Events that a store holds before a server opens it.

use std::sync::Arc;

use parlor_schema::{Event, EventId, EventKind, MsgId, Seq, Timestamp};
use serde_json::Value;
use uuid::Uuid;

/// Returns the time in whole seconds.
pub(crate) fn now() -> Timestamp {
    let (seconds, _) = Uuid::now_v7().get_timestamp().unwrap().to_unix();
    Timestamp::from_millis(i64::try_from(seconds).unwrap() * 1_000)
}

/// Makes an event of ana's.
pub(crate) fn event(seq: u64, sent_at: Timestamp, kind: EventKind, content: &Value) -> Arc<Event> {
    Arc::new(Event {
        seq: Seq::new(seq),
        id: EventId::new(Uuid::now_v7()),
        kind,
        sender: "ana".parse().unwrap(),
        sent_at,
        msg_id: MsgId::new(Uuid::now_v7()),
        fingerprint: 0,
        content: content.to_string().into(),
    })
}
