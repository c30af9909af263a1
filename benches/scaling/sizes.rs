//! Bytes of what nodes tell each other, as the code of the server encodes it.

use std::sync::Arc;

use bytes::Bytes;
use parlor_cluster::link::{Contents, pack_contents, pack_heartbeat};
use parlor_schema::{
    BootId, DeviceId, Event, EventId, EventKind, MsgId, NodeId, RoomId, Seq, SessionId, Timestamp,
    UserId,
    envelope::{
        Carried, Envelope, Forward, Forwarded, ForwardedFrame, Outcome, Part, Place, Sight,
    },
    frame::{ClientFrame, client::Caller},
};
use serde::Serialize;
use serde_json::json;

use crate::load::TEXT_BYTES;

/// Bytes of the seal of a packet over Redis: a newline and 64 digits.
const SEAL: usize = 65;

/// Bytes of a thing, and of each of the parts that it has some of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) base: u32,
    pub(crate) each: u32,
}

impl Size {
    /// Measures it with one part and with two.
    fn of(with: impl Fn(usize) -> usize) -> Self {
        let (one, two) = (with(1), with(2));
        let fit = |bytes: usize| u32::try_from(bytes).unwrap();
        Self {
            base: fit(2 * one - two),
            each: fit(two - one),
        }
    }

    /// Returns the bytes with `parts` parts.
    pub(crate) const fn with(self, parts: u32) -> u32 {
        self.base + parts * self.each
    }

    /// Returns the bytes with `parts` parts, on the average.
    pub(crate) fn mean(self, parts: f64) -> f64 {
        f64::from(self.base) + parts * f64::from(self.each)
    }
}

/// The sizes of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// The news of a room with so many events.
    pub(crate) moved: Size,
    /// A forward of so many frames.
    pub(crate) forward: Size,
    /// The answer to it.
    pub(crate) forwarded: Size,
    /// Interest in so many rooms.
    pub(crate) interest: Size,
    /// So many places of members.
    pub(crate) places: Size,
    /// What a relay adds to what is in it.
    pub(crate) relay: u32,
    /// A question for somebody's presence.
    pub(crate) asked: u32,
    /// The answer.
    pub(crate) part: u32,
    /// A packet of envelopes, beside each envelope and a comma.
    pub(crate) packet: u32,
    /// A packet of so many heads.
    pub(crate) heads: Size,
    /// A heartbeat.
    pub(crate) beat: u32,
}

fn json(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).unwrap().len()
}

fn node() -> NodeId {
    "node-0001".parse().unwrap()
}

fn user() -> UserId {
    "user-1234567".parse().unwrap()
}

fn event() -> Event {
    let content = json!({ "body": { "text": "x".repeat(TEXT_BYTES) } }).to_string();
    Event {
        seq: Seq::new(1_234),
        id: EventId::from([1; 16]),
        kind: EventKind::Message,
        sender: user(),
        sent_at: Timestamp::from_millis(1_800_000_000_000),
        msg_id: MsgId::from([2; 16]),
        fingerprint: u128::MAX,
        content: Arc::from(content),
    }
}

fn frame(room_id: RoomId) -> ForwardedFrame {
    let caller = Caller {
        user_id: user(),
        device_id: "phone-1".parse::<DeviceId>().unwrap(),
    };
    let payload = json!({ "room_id": room_id, "body": { "text": "x".repeat(TEXT_BYTES) } });
    let send = ClientFrame::read("message.send", &payload.to_string()).unwrap();
    ForwardedFrame::of(&caller, MsgId::from([2; 16]), &send)
}

/// Measures everything.
pub(crate) fn measure() -> Sizes {
    let room_id = RoomId::from([3; 16]);
    let boot = BootId::new(SessionId::from([4; 16]).uuid());
    let moved = |events: usize| {
        json(&Envelope::RoomMoved {
            room_id,
            head: Seq::new(1_234),
            changes: Vec::new(),
            events: vec![Carried::of(&event()); events],
        })
    };
    let forward = |frames: usize| {
        json(&Envelope::Forward(Forward {
            by: node(),
            to: boot,
            room_id,
            id: 1_234,
            until: Timestamp::from_millis(1_800_000_000_000),
            frames: vec![frame(room_id); frames],
        }))
    };
    let sent = Outcome::Sent {
        seq: Seq::new(1_234),
        id: EventId::from([1; 16]),
        sent_at: Timestamp::from_millis(1_800_000_000_000),
        duplicate: false,
    };
    let forwarded = |outcomes: usize| {
        json(&Envelope::Forwarded(Forwarded {
            room_id,
            id: 1_234,
            outcomes: Some(vec![sent.clone(); outcomes]),
        }))
    };
    let interest = |rooms: usize| {
        json(&Envelope::Interest {
            by: node(),
            rooms: vec![room_id; rooms],
        })
    };
    Sizes {
        moved: Size::of(moved),
        forward: Size::of(forward),
        forwarded: Size::of(forwarded),
        interest: Size::of(interest),
        ..rest(room_id, boot)
    }
}

/// Measures what is told of members and presence, and packets.
fn rest(room_id: RoomId, boot_id: BootId) -> Sizes {
    let told = |places: usize| Envelope::ReceiptsMoved {
        room_id,
        places: vec![
            Place {
                user_id: user(),
                delivered: Seq::new(1_234),
                read: Seq::new(1_234),
            };
            places
        ],
    };
    let relay = Envelope::Relay {
        by: node(),
        room_id,
        envelope: Box::new(told(1)),
    };
    let asked = Envelope::PresenceAsked {
        user_id: user(),
        by: node(),
    };
    let part = Envelope::PresencePart {
        user_id: user(),
        node_id: node(),
        boot_id,
        part: Part {
            sight: Sight::Online,
            text: None,
            last_seen: None,
        },
    };
    let fit = |bytes: usize| u32::try_from(bytes).unwrap();
    let packet = |contents: &Contents| pack_contents(&node(), boot_id, 123_456, contents).len();
    let heads = |count: usize| packet(&Contents::Heads(vec![(room_id, Seq::new(1_234)); count]));
    let empty = packet(&Contents::Envelopes(vec![Bytes::from_static(b"")]));
    let none = Size { base: 0, each: 0 };
    Sizes {
        moved: none,
        forward: none,
        forwarded: none,
        interest: none,
        places: Size::of(|places| json(&told(places))),
        relay: fit(json(&relay) - json(&told(1))),
        asked: fit(json(&asked)),
        part: fit(json(&part)),
        packet: fit(empty + SEAL),
        heads: Size::of(|count| heads(count) + SEAL),
        beat: fit(pack_heartbeat(&node(), boot_id, 123_456).len() + SEAL),
    }
}
