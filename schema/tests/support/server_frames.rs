//! Every server frame, built from the types: the least it can say and the most.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "tests; each target uses its part"
)]

use std::collections::BTreeMap;

use parlor_schema::{
    ErrorCode, Role, RoomId, RoomKind, Seq, Timestamp, UserId,
    frame::{
        Ack, Refusal, ServerFrame as S,
        ack::*,
        hello::{Welcome, WelcomeLimits},
        server::*,
    },
    room::{Member, Mode, OwnState, Room},
};
use serde_json::value::RawValue;

use crate::events;

/// The `msg_id` that replies echo here.
pub(crate) const ECHO: &str = "0191f0c2-7b00-7000-8000-0000000000aa";

/// Returns the frames of every type, as the server writes them.
pub(crate) fn by_type() -> BTreeMap<&'static str, Vec<String>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let answers = [acks(), refusals(), welcomes(), vec![S::Pong(Empty {})]].concat();
    for frame in answers {
        all.entry(frame.kind())
            .or_default()
            .push(frame.write(Some(ECHO)));
    }
    let bare = [
        S::Pong(Empty {}),
        S::Error(Refusal::new(
            ErrorCode::BadFrame,
            "a frame is a json object",
        )),
    ];
    for frame in bare
        .into_iter()
        .chain(comings_and_goings())
        .chain(notices())
    {
        all.entry(frame.kind()).or_default().push(frame.write(None));
    }
    for (kind, frame) in events::all() {
        all.entry(kind).or_default().push(frame);
    }
    all
}

pub(crate) fn room_id(last: u8) -> RoomId {
    let mut bytes = [
        0x01, 0x91, 0xf0, 0xc2, 0x7a, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0,
    ];
    bytes[15] = last;
    bytes.into()
}

pub(crate) fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

pub(crate) fn noon() -> Timestamp {
    "2026-03-01T12:00:00.000Z".parse().unwrap()
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn least_room() -> Room {
    Room {
        room_id: room_id(1),
        kind: RoomKind::Channel,
        name: None,
        topic: None,
        public: true,
        retention_ms: None,
        created_at: noon(),
        head: Seq::new(41),
        peer: None,
        own: None,
    }
}

fn own() -> OwnState {
    OwnState {
        role: Role::Owner,
        read: Seq::new(39),
        delivered: Seq::new(41),
        unread: 2,
        mentions: 1,
        mode: Mode::Active,
    }
}

fn full_room() -> Room {
    Room {
        kind: RoomKind::Group,
        name: Some("Ops".into()),
        topic: Some("Incidents".into()),
        public: false,
        retention_ms: Some(86_400_000),
        own: Some(own()),
        ..least_room()
    }
}

fn direct_room() -> Room {
    Room {
        room_id: room_id(2),
        kind: RoomKind::Direct,
        public: false,
        peer: Some(user("bo")),
        own: Some(OwnState {
            role: Role::Member,
            mode: Mode::Passive,
            ..own()
        }),
        ..least_room()
    }
}

fn welcomes() -> Vec<S> {
    let least = Welcome {
        session_id: [0x11; 16].into(),
        user_id: user("ana"),
        device_id: "phone-1".parse().unwrap(),
        node: "n1".parse().unwrap(),
        server_time: noon(),
        heartbeat_ms: 25_000,
        expires_at: noon().plus_millis(3_600_000),
        cursor: "c1.opaque".into(),
        limits: WelcomeLimits {
            frame_bytes: 65_536,
            body_bytes: 32_768,
            history_limit: 200,
            sends_per_s: 20,
            burst: 40,
        },
        rooms: Vec::new(),
        next: None,
    };
    let full = Welcome {
        rooms: vec![full_room(), direct_room()],
        next: Some("opaque".into()),
        ..least.clone()
    };
    vec![S::Welcome(Box::new(least)), S::Welcome(Box::new(full))]
}

fn acks() -> Vec<S> {
    let mut all = effects();
    all.extend(answers());
    all.into_iter().map(S::Ack).collect()
}

fn effects() -> Vec<Ack> {
    let seq = Seq::new(41);
    let sent = SentAck {
        room_id: room_id(1),
        seq,
        id: [0x22; 16].into(),
        sent_at: noon(),
        duplicate: Duplicate::No,
    };
    let created = CreatedAck {
        room: full_room(),
        duplicate: Duplicate::No,
    };
    let duplicate = Duplicate::Yes;
    vec![
        Ack::Sent(sent.clone()),
        Ack::Sent(SentAck { duplicate, ..sent }),
        Ack::Created(created.clone()),
        Ack::Created(CreatedAck {
            duplicate,
            ..created
        }),
        Ack::seq(seq),
        Ack::Seq(SeqAck { seq, duplicate }),
        Ack::Refreshed(RefreshedAck { expires_at: noon() }),
        Ack::Pong(Empty {}),
        Ack::empty(),
    ]
}

fn answers() -> Vec<Ack> {
    let head = Seq::new(41);
    let more = || Some("opaque".to_owned());
    let event = raw(&events::message_of_history());
    let history = HistoryAck {
        events: Vec::new(),
        head,
        first: head.next(),
        complete: true,
    };
    let page = HistoryAck {
        events: vec![event],
        head,
        first: Seq::FIRST,
        complete: false,
    };
    vec![
        Ack::Subscribed(SubscribedAck {
            head,
            read: Seq::ZERO,
            unread: 1000,
        }),
        Ack::Room(RoomAck { room: least_room() }),
        Ack::Members(MembersAck {
            members: Vec::new(),
            next: None,
        }),
        Ack::Members(MembersAck {
            members: members(),
            next: more(),
        }),
        Ack::Rooms(RoomsAck {
            rooms: Vec::new(),
            next: None,
        }),
        Ack::Rooms(RoomsAck {
            rooms: vec![direct_room()],
            next: more(),
        }),
        Ack::History(history),
        Ack::History(page),
        Ack::Presence(PresenceAck {
            presence: presences(),
        }),
        Ack::User(UserAck {
            user: profile("bo", None),
        }),
        Ack::User(UserAck {
            user: profile("ana", Some("Ana")),
        }),
    ]
}

fn members() -> Vec<Member> {
    let member = Member {
        user_id: user("bo"),
        role: Role::Reader,
        joined_at: noon(),
        muted_until: None,
        muted: false,
    };
    let muted = Member {
        muted_until: Some(noon()),
        muted: true,
        ..member.clone()
    };
    vec![member, muted]
}

fn profile(id: &str, name: Option<&str>) -> User {
    let avatar = name.map(|name| format!("https://example.org/{name}.png"));
    User {
        user_id: user(id),
        name: name.map(str::to_owned),
        avatar,
    }
}

fn refusals() -> Vec<S> {
    let mut all: Vec<_> = ErrorCode::ALL
        .iter()
        .map(|code| S::Error(Refusal::new(*code, "says why")))
        .collect();
    all.push(S::Error(Refusal::bad_field(
        "body.text",
        "must not be empty",
    )));
    all.push(S::Error(Refusal::rate_limited(50)));
    all.push(S::Error(
        Refusal::new(ErrorCode::Muted, "muted").until(Some(noon())),
    ));
    all.push(S::Error(Refusal {
        retry_after_ms: Some(1_000),
        ..Refusal::not_served("thread")
            .at("thread")
            .until(Some(noon()))
    }));
    all
}

fn presences() -> Vec<PresenceEntry> {
    let least = PresenceEntry {
        user_id: user("bo"),
        status: PresenceStatus::Online,
        text: None,
        last_seen: None,
    };
    let dnd = PresenceEntry {
        status: PresenceStatus::Dnd,
        text: Some("in a meeting".into()),
        ..least.clone()
    };
    let gone = PresenceEntry {
        status: PresenceStatus::Offline,
        last_seen: Some(noon()),
        ..least.clone()
    };
    vec![
        PresenceEntry {
            status: PresenceStatus::Away,
            ..least.clone()
        },
        least,
        dnd,
        gone,
    ]
}

fn comings_and_goings() -> Vec<S> {
    use RemovedReason::*;
    let room_id = room_id(1);
    let mut all = vec![
        S::RoomAdded(RoomAdded { room: full_room() }),
        S::RoomAdded(RoomAdded {
            room: direct_room(),
        }),
    ];
    let removed = [Left, Removed, Banned, Deleted, NotMember];
    all.extend(removed.map(|reason| S::RoomRemoved(RoomRemoved { room_id, reason })));
    all
}

fn notices() -> Vec<S> {
    let room_id = room_id(1);
    let (from, to) = (Seq::new(3), Seq::new(9));
    let gap = Gap {
        room_id,
        from,
        to,
        head: Seq::new(41),
        reset: false,
    };
    let head = Head {
        room_id,
        head: Seq::new(41),
        unread: 2,
        mentions: 0,
        last: None,
    };
    let last = Head {
        last: Some(raw(&events::message_payload())),
        ..head.clone()
    };
    let receipt = ReceiptFrame {
        room_id,
        user_id: user("bo"),
        delivered: Some(to),
        read: None,
    };
    let typing = Typing {
        room_id,
        user_id: user("bo"),
        state: TypingState::Start,
        expires_in_ms: Some(6_000),
    };
    let stopped = Typing {
        state: TypingState::Stop,
        expires_in_ms: None,
        ..typing.clone()
    };
    let mut all = vec![
        S::Live(Live {
            room_id,
            seq: Seq::ZERO,
        }),
        S::Gap(gap.clone()),
        S::Gap(Gap {
            reset: true,
            from: Seq::FIRST,
            ..gap
        }),
        S::Head(head),
        S::Head(last),
        S::Receipt(receipt.clone()),
        S::Receipt(ReceiptFrame {
            read: Some(from),
            ..receipt
        }),
        S::Typing(typing),
        S::Typing(stopped),
        S::MessageHidden(MessageHidden {
            room_id,
            target: to,
        }),
        S::AuthExpiring(AuthExpiring { expires_at: noon() }),
        S::Goaway(Goaway {
            reason: "draining".into(),
            reconnect_in_ms: 1_500,
            close_in_ms: 10_000,
        }),
    ];
    all.extend(presences().into_iter().map(S::Presence));
    all
}
