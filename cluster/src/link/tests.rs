//! Links and views under lost, doubled and reordered packets, restarts and vanishing keys.
#![allow(clippy::unwrap_used, reason = "tests")]

mod carriers;
mod properties;
mod views;

use parlor_schema::{
    BootId, NodeId, RoomId, Seq, UserId,
    envelope::Envelope,
    port::{Inbound, NodeInfo},
};

use super::*;

pub(super) fn boot(number: u8) -> BootId {
    BootId::from([number; 16])
}

pub(super) fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

pub(super) fn info(name: &str, run: u8) -> NodeInfo {
    NodeInfo {
        node_id: node(name),
        boot_id: boot(run),
        internal_address: Some("10.0.0.1:7000".into()),
    }
}

pub(super) fn revoked(user: usize) -> Envelope {
    Envelope::UserRevoked {
        user_id: format!("u{user}").parse::<UserId>().unwrap(),
    }
}

const NEXT: Heard = Heard {
    lost: false,
    fresh: true,
};
const AFTER_LOSS: Heard = Heard {
    lost: true,
    fresh: true,
};
const OLD: Heard = Heard {
    lost: false,
    fresh: false,
};

#[test]
fn a_whole_link_reports_nothing() {
    let (mut incoming, n1) = (Incoming::default(), node("n1"));
    assert_eq!(incoming.heartbeat(&n1, boot(1), 0), AFTER_LOSS, "first");
    for number in 1..10 {
        assert_eq!(incoming.packet(&n1, boot(1), number), NEXT);
        assert_eq!(incoming.heartbeat(&n1, boot(1), number), NEXT);
    }
}

#[test]
fn a_missing_packet_is_noticed_by_the_next_and_by_a_heartbeat() {
    let (mut incoming, n1) = (Incoming::default(), node("n1"));
    assert_eq!(incoming.packet(&n1, boot(1), 1), AFTER_LOSS, "first");
    assert_eq!(incoming.packet(&n1, boot(1), 3), AFTER_LOSS);
    assert_eq!(incoming.packet(&n1, boot(1), 2), OLD, "late");
    assert_eq!(incoming.packet(&n1, boot(1), 3), OLD, "twice");
    assert_eq!(incoming.heartbeat(&n1, boot(1), 4), AFTER_LOSS);
    assert_eq!(incoming.heartbeat(&n1, boot(1), 4), NEXT, "told once");
    assert_eq!(incoming.packet(&n1, boot(1), 4), OLD);
    assert_eq!(incoming.packet(&n1, boot(1), 5), NEXT);
}

#[test]
fn what_was_sent_before_the_first_contact_counts_as_lost() {
    let (mut incoming, n1) = (Incoming::default(), node("n1"));
    assert_eq!(incoming.packet(&n1, boot(1), 7), AFTER_LOSS);
    assert_eq!(incoming.packet(&n1, boot(1), 8), NEXT);
    assert_eq!(incoming.heartbeat(&node("n2"), boot(2), 3), AFTER_LOSS);
}

#[test]
fn a_new_run_begins_anew_and_the_old_one_is_over() {
    let (mut incoming, n1) = (Incoming::default(), node("n1"));
    assert_eq!(incoming.packet(&n1, boot(1), 1), AFTER_LOSS);
    assert_eq!(incoming.packet(&n1, boot(2), 1), AFTER_LOSS);
    assert_eq!(incoming.packet(&n1, boot(1), 2), OLD);
    assert_eq!(incoming.heartbeat(&n1, boot(1), 9), OLD);
    assert_eq!(incoming.packet(&n1, boot(2), 2), NEXT);
}

#[test]
fn a_run_that_goes_on_is_heard_again_though_an_older_one_came_late() {
    let (mut incoming, n1) = (Incoming::default(), node("n1"));
    assert_eq!(incoming.packet(&n1, boot(2), 1), AFTER_LOSS);
    assert_eq!(
        incoming.packet(&n1, boot(1), 5),
        AFTER_LOSS,
        "late, not known"
    );
    assert_eq!(incoming.packet(&n1, boot(2), 2), OLD);
    assert_eq!(incoming.heartbeat(&n1, boot(2), 2), OLD);
    assert_eq!(incoming.packet(&n1, boot(2), 3), AFTER_LOSS);
    assert_eq!(incoming.packet(&n1, boot(2), 1), OLD, "handed up before");
}

#[test]
fn a_full_queue_drops_the_oldest_and_says_so_by_a_number() {
    let mut outgoing = Outgoing::new(Limits {
        waiting: 2,
        ..Limits::default()
    });
    let dropped: usize = (0..5)
        .map(|user| outgoing.push(encode(&revoked(user)).unwrap()))
        .sum();
    assert_eq!(dropped, 3);
    let (number, contents) = outgoing.take_envelopes().unwrap();
    assert_eq!(number, 2, "the first number stands for what was dropped");
    let bytes = pack_contents(&node("n1"), boot(1), number, &contents);
    let packet = read_packet(&bytes).unwrap();
    assert_eq!(
        packet.inbound,
        [revoked(3), revoked(4)].map(Inbound::Envelope)
    );
    assert_eq!(outgoing.last(), 2);
}

#[test]
fn packets_are_bounded_in_number_and_bytes() {
    let mut outgoing = Outgoing::new(Limits {
        packet: 3,
        packet_bytes: 100,
        ..Limits::default()
    });
    for length in [10, 10, 10, 10, 95, 300, 1] {
        outgoing.push(vec![b'1'; length].into());
    }
    let sizes: Vec<Vec<usize>> = std::iter::from_fn(|| outgoing.take_envelopes())
        .map(|(_, contents)| match contents {
            Contents::Envelopes(envelopes) => envelopes.iter().map(bytes::Bytes::len).collect(),
            Contents::Heads(_) => panic!("no heads here"),
        })
        .collect();
    assert_eq!(
        sizes,
        [vec![10, 10, 10], vec![10], vec![95], vec![300], vec![1]]
    );
}

#[test]
fn the_highest_head_of_a_room_counts_and_rooms_are_bounded() {
    let mut outgoing = Outgoing::new(Limits {
        heads: 1,
        ..Limits::default()
    });
    let (one, two) = (RoomId::from([1; 16]), RoomId::from([2; 16]));
    assert!(outgoing.note_head(one, Seq::new(5)));
    assert!(outgoing.note_head(one, Seq::new(4)));
    assert!(!outgoing.note_head(two, Seq::new(1)));
    let (number, contents) = outgoing.take_heads().unwrap();
    assert_eq!(
        (number, &contents),
        (2, &Contents::Heads(vec![(one, Seq::new(5))]))
    );
    let bytes = pack_contents(&node("n1"), boot(1), number, &contents);
    assert_eq!(
        read_packet(&bytes).unwrap().inbound,
        [Inbound::Heads(vec![(one, Seq::new(5))])]
    );
    assert!(outgoing.take_heads().is_none());
}

#[test]
fn garbage_is_no_packet_and_unknown_envelopes_are_passed_over() {
    let boot = "00000000-0000-7000-8000-000000000001";
    for garbage in [
        String::new(),
        "{}".to_owned(),
        "\u{0}".to_owned(),
        format!(r#"{{"v":2,"from":"n1","boot":"{boot}","last":1}}"#),
        format!(r#"{{"v":1,"from":"n1","boot":"{boot}"}}"#),
        format!(r#"{{"v":1,"from":"n1","boot":"{boot}","number":0}}"#),
        format!(r#"{{"v":1,"from":"n1","boot":"{boot}","number":1,"last":1}}"#),
        format!(r#"{{"v":1,"from":"n1","boot":"{boot}","last":18446744073709551615}}"#),
        format!(r#"{{"v":1,"from":"n 1","boot":"{boot}","last":1}}"#),
    ] {
        assert!(read_packet(garbage.as_bytes()).is_err(), "{garbage}");
    }
    let later = format!(
        r#"{{"v":1,"from":"n1","boot":"{boot}","number":1,"extra":1,"envelopes":[{{"type":"later"}},{{"type":"user_revoked","user_id":"u1"}}]}}"#
    );
    let packet = read_packet(later.as_bytes()).unwrap();
    assert_eq!(packet.unknown, 1);
    assert_eq!(packet.inbound, [Inbound::Envelope(revoked(1))]);
    let beat = pack_heartbeat(&node("n1"), super::tests::boot(3), 4);
    let beat = read_packet(&beat).unwrap();
    assert_eq!((beat.number, beat.last), (None, 4));
}
