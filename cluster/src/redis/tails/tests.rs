//! Members of a tail: which are taken, which are a miss, and which are odd.
#![allow(clippy::unwrap_used, reason = "tests")]
use parlor_schema::{EventId, EventKind, MsgId};

use super::*;

const KEY: &str = "p:tail:r";

fn event(seq: u64) -> Event {
    Event {
        seq: Seq::new(seq),
        id: EventId::from([1; 16]),
        kind: EventKind::Message,
        sender: "ana".parse().unwrap(),
        sent_at: Timestamp::from_millis(7),
        msg_id: MsgId::from([2; 16]),
        fingerprint: u128::from(seq),
        content: format!(r#"{{"body":{{"text":"m{seq}"}}}}"#).into(),
    }
}

fn seal() -> PacketSeal {
    PacketSeal::new(&[7; 32])
}

fn member(event: &Event) -> Value {
    Value::BulkString(sealed(&seal(), KEY, event))
}

/// The members of a tail as Redis answers, from above.
fn members(seqs: impl Iterator<Item = u64>) -> Vec<Value> {
    seqs.map(|seq| member(&event(seq))).collect()
}

fn range(from: u64, to: u64, limit: usize) -> ReadRange {
    ReadRange {
        from: Seq::new(from),
        to: Seq::new(to),
        direction: Direction::Down,
        limit,
        bytes: usize::MAX,
    }
}

fn seqs(range: ReadRange, members: &[Value]) -> Result<Vec<u64>, Miss> {
    let events = page(&seal(), KEY, range, members)?;
    Ok(events.iter().map(|event| event.seq.get()).collect())
}

#[test]
fn a_whole_page_is_taken_as_it_was_put() {
    let held = members((3..=9).rev());
    let events = page(&seal(), KEY, range(1, 9, 7), &held).unwrap();
    let put: Vec<Event> = (3..=9).map(event).collect();
    assert!(events.iter().map(|event| &**event).eq(&put));
    // The range ends before the limit.
    assert_eq!(seqs(range(8, 9, 50), &held[..2]), Ok(vec![8, 9]));
}

#[test]
fn bytes_cut_it_and_one_event_always_fits() {
    let held = members((1..=9).rev());
    let mut cut = range(1, 9, 9);
    cut.bytes = 2 * event(9).weight() + 1;
    assert_eq!(seqs(cut, &held), Ok(vec![8, 9]));
    cut.bytes = 0;
    assert_eq!(seqs(cut, &held), Ok(vec![9]));
}

#[test]
fn what_does_not_reach_or_has_a_hole_is_a_miss() {
    let held = members((3..=9).rev());
    assert_eq!(seqs(range(1, 9, 8), &held), Err(Miss::Short));
    assert_eq!(seqs(range(1, 9, 3), &[]), Err(Miss::Short));
    // The newest is not there.
    assert_eq!(seqs(range(1, 10, 3), &held), Err(Miss::Short));
    let hole = members([9, 8, 6, 5].into_iter());
    assert_eq!(seqs(range(1, 9, 4), &hole), Err(Miss::Short));
}

#[test]
fn what_no_node_put_there_so_is_odd() {
    let whole = members((1..=3).rev());
    let wanted = range(1, 3, 3);
    assert_eq!(seqs(wanted, &whole), Ok(vec![1, 2, 3]));
    let mut other = event(2);
    other.content = r#"{"body":{"text":"never said"}}"#.into();
    let plain = serde_json::to_vec(&Carried::of(&other)).unwrap();
    let stranger = sealed(&PacketSeal::new(&[8; 32]), KEY, &other);
    let elsewhere = sealed(&seal(), "p:tail:other", &other);
    for text in [plain, stranger, elsewhere, b"x".to_vec(), Vec::new()] {
        let mut changed = whole.clone();
        changed[1] = Value::BulkString(text);
        assert_eq!(seqs(wanted, &changed), Err(Miss::Odd));
    }
    for place in 0..3 {
        let mut changed = whole.clone();
        changed[place] = Value::Nil;
        assert_eq!(seqs(wanted, &changed), Err(Miss::Odd));
        let Value::BulkString(mut text) = whole[place].clone() else {
            unreachable!("members are strings");
        };
        text[10] ^= 1;
        changed[place] = Value::BulkString(text);
        assert_eq!(seqs(wanted, &changed), Err(Miss::Odd));
    }
    // Above the position asked for, and one twice.
    assert_eq!(
        seqs(wanted, &members([4, 3, 2].into_iter())),
        Err(Miss::Odd)
    );
    assert_eq!(
        seqs(wanted, &members([3, 3, 2].into_iter())),
        Err(Miss::Odd)
    );
}

#[test]
fn only_what_a_tail_can_hold_is_asked_for() {
    assert_eq!(wanted(range(1, 9, 50)), Some(9));
    assert_eq!(wanted(range(1, 900, TAIL_EVENTS)), Some(TAIL_EVENTS));
    assert_eq!(wanted(range(1, 900, TAIL_EVENTS + 1)), None);
    assert_eq!(wanted(range(1, 900, 0)), None);
    assert_eq!(wanted(range(9, 8, 50)), None);
    let up = ReadRange {
        direction: Direction::Up,
        ..range(1, 9, 50)
    };
    assert_eq!(wanted(up), None);
}
