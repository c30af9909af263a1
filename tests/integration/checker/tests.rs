//! Negative controls: each kind of fault, alone, is found.

use super::*;

const ROOM: [u8; 16] = [9; 16];

fn id(n: u8) -> EventId {
    EventId::from([n; 16])
}

fn key(n: u8) -> MsgId {
    MsgId::from([n; 16])
}

fn name(text: &str) -> UserId {
    text.parse().expect("a name")
}

/// Ana has said three things, and both have them all.
fn good() -> History {
    let room = RoomId::from(ROOM);
    let events = || {
        (1_u8..=3).map(|n| Stored {
            seq: Seq::new(u64::from(n)),
            id: id(n),
            sender: name("ana"),
            msg_id: Some(key(n)),
            text: Some(format!("text {n}")),
        })
    };
    let acked = events().zip(0_u64..).map(|(event, nth)| Acked {
        user: event.sender,
        room,
        seq: event.seq,
        id: Some(event.id),
        msg_id: key(u8::try_from(nth + 1).expect("small")),
        text: event.text,
        nth: Some(nth),
    });
    let blind = |event: Stored| Stored {
        msg_id: None,
        ..event
    };
    let delivered = |client: &str, after: u64| Delivered {
        client: client.into(),
        room,
        segments: vec![Segment {
            after: Seq::new(after),
            events: events()
                .skip(after as usize)
                .map(|event| (event.seq, event.id))
                .collect(),
            end: End::Head,
        }],
    };
    History {
        acked: acked.collect(),
        views: vec![
            View {
                reader: "ana".into(),
                room,
                events: events().collect(),
            },
            View {
                reader: "ben".into(),
                room,
                events: events().map(blind).collect(),
            },
        ],
        delivered: vec![delivered("ana", 0), delivered("ben", 1)],
    }
}

/// The faults found after `change`, without repeats.
fn found(change: impl FnOnce(&mut History)) -> Vec<Fault> {
    let mut history = good();
    change(&mut history);
    let mut kinds: Vec<Fault> = Vec::new();
    for (kind, _) in check(&history).faults {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

#[test]
fn a_good_history_has_no_fault() {
    let report = check(&good());
    assert_eq!(report.faults, []);
    assert_eq!((report.acknowledged, report.delivered), (3, 5));
    assert_eq!(
        found(|history| history.acked.push(history.acked[1].clone())),
        []
    );
}

#[test]
fn a_lost_message_is_found() {
    let gone = found(|history| {
        for view in &mut history.views {
            view.events.pop();
        }
        for delivered in &mut history.delivered {
            delivered.segments[0].events.pop();
        }
    });
    assert_eq!(gone, [Fault::Lost]);
    let other = found(|history| history.acked[2].text = Some("other".into()));
    assert_eq!(other, [Fault::Lost]);
    let elsewhere = found(|history| history.acked[2].seq = Seq::new(4));
    assert_eq!(elsewhere, [Fault::Lost]);
}

#[test]
fn a_duplicate_is_found() {
    let stored_again = |msg_id: MsgId| {
        found(move |history| {
            for view in &mut history.views {
                let visible = view.events[2].msg_id.is_some();
                view.events.push(Stored {
                    seq: Seq::new(4),
                    id: id(4),
                    msg_id: visible.then_some(msg_id),
                    ..view.events[2].clone()
                });
            }
            for delivered in &mut history.delivered {
                delivered.segments[0].events.push((Seq::new(4), id(4)));
            }
        })
    };
    assert_eq!(stored_again(key(3)), [Fault::Duplicate]);
    assert_eq!(stored_again(key(4)), [Fault::Duplicate]);
    let twice = found(|history| {
        let events = &mut history.delivered[1].segments[0].events;
        events.push(events[1]);
    });
    assert_eq!(twice, [Fault::Duplicate]);
}

#[test]
fn a_message_nobody_was_told_of_is_found() {
    assert_eq!(
        found(|history| drop(history.acked.pop())),
        [Fault::Duplicate]
    );
}

#[test]
fn a_hole_is_found() {
    let delivered = found(|history| {
        history.delivered[0].segments[0].events.remove(1);
    });
    assert_eq!(delivered, [Fault::Hole]);
    let at_the_end = found(|history| {
        history.delivered[0].segments[0].events.pop();
    });
    assert_eq!(at_the_end, [Fault::Hole]);
    let skipped = found(|history| history.delivered[1].segments[0].after = Seq::ZERO);
    assert_eq!(skipped, [Fault::Hole]);
    let read = found(|history| {
        history.views[1].events.remove(1);
    });
    assert_eq!(read, [Fault::Hole]);
    let stored = found(|history| {
        for view in &mut history.views {
            view.events.remove(1);
        }
        history.acked.remove(1);
        history.delivered.clear();
    });
    assert_eq!(stored, [Fault::Hole]);
    let cut = found(|history| {
        history.delivered[0].segments[0].events.pop();
        history.delivered[0].segments[0].end = End::Cut;
    });
    assert_eq!(cut, []);
}

#[test]
fn an_order_difference_is_found() {
    let delivered = found(|history| {
        let events = &mut history.delivered[1].segments[0].events;
        (events[0].1, events[1].1) = (events[1].1, events[0].1);
    });
    assert_eq!(delivered, [Fault::Order]);
    let read = found(|history| history.views[1].events[2].id = id(7));
    assert_eq!(read, [Fault::Order]);
    let sent = found(|history| history.acked[0].nth = Some(9));
    assert_eq!(sent, [Fault::Order]);
}
