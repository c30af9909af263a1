//! Events inside an envelope.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Event, EventId, EventKind, MsgId, Seq, Timestamp, UserId};

/// A durable event as one node tells it to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    seq: Seq,
    id: EventId,
    /// The number of its kind, as it is stored.
    kind: u8,
    sender: UserId,
    sent_at: Timestamp,
    msg_id: MsgId,
    /// In hexadecimal: a number this long is none in JSON.
    fingerprint: String,
    content: Arc<str>,
}

impl Carried {
    /// Copies an event that is durable (rule C).
    #[must_use]
    pub fn of(event: &Event) -> Self {
        Self {
            seq: event.seq,
            id: event.id,
            kind: event.kind.number(),
            sender: event.sender.clone(),
            sent_at: event.sent_at,
            msg_id: event.msg_id,
            fingerprint: format!("{:x}", event.fingerprint),
            content: event.content.clone(),
        }
    }

    /// Returns the event; none where it is of a kind that this node does not know, or its fingerprint is none.
    #[must_use]
    pub fn event(self) -> Option<Event> {
        Some(Event {
            seq: self.seq,
            id: self.id,
            kind: EventKind::from_number(self.kind)?,
            sender: self.sender,
            sent_at: self.sent_at,
            msg_id: self.msg_id,
            fingerprint: u128::from_str_radix(&self.fingerprint, 16).ok()?,
            content: self.content,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{RoomId, envelope::Envelope};

    #[test]
    fn an_event_arrives_as_it_is_stored() {
        let event = Event {
            seq: Seq::new(7),
            id: EventId::from([1; 16]),
            kind: EventKind::Message,
            sender: "ana".parse().unwrap(),
            sent_at: Timestamp::from_millis(1_700_000_000_123),
            msg_id: MsgId::from([2; 16]),
            fingerprint: u128::MAX,
            content: r#"{"body":{"text":"\"é\u0007"}}"#.into(),
        };
        let moved = Envelope::RoomMoved {
            room_id: RoomId::from([3; 16]),
            head: event.seq,
            changes: Vec::new(),
            events: vec![Carried::of(&event)],
        };
        let relay = Envelope::Relay {
            by: "n1".parse().unwrap(),
            room_id: RoomId::from([3; 16]),
            envelope: Box::new(moved.clone()),
        };
        let text = serde_json::to_string(&relay).unwrap();
        let Envelope::Relay { envelope, .. } = serde_json::from_str(&text).unwrap() else {
            panic!("{text}");
        };
        assert_eq!(*envelope, moved);
        let Envelope::RoomMoved { events, .. } = *envelope else {
            panic!("{text}");
        };
        let got = events.into_iter().next().unwrap().event();
        assert_eq!(got, Some(event));
    }

    #[test]
    fn what_an_older_node_says_carries_no_events() {
        let text = r#"{"type":"room_moved","room_id":"03030303-0303-0303-0303-030303030303","head":7,"changes":[]}"#;
        let read: Envelope = serde_json::from_str(text).unwrap();
        assert!(matches!(read, Envelope::RoomMoved { events, .. } if events.is_empty()));
    }
}
