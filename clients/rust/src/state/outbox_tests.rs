//! Tests of the outbox: order, bound, retries, and what a lost connection does to it.
#![allow(clippy::unwrap_used, reason = "tests")]

use parlor_schema::ErrorCode;
use rand::SeedableRng;

use super::*;

const ZERO: Duration = Duration::ZERO;

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn limits() -> OutboxLimits {
    OutboxLimits {
        bound: 4,
        window: 1,
        refusals_max: u32::MAX,
    }
}

fn id(n: u8) -> MsgId {
    MsgId::from([n; 16])
}

fn entry(n: u8, room: u8) -> Entry {
    let room = RoomId::from([room; 16]);
    let text = format!(
        r#"{{"type":"message.send","msg_id":"{}","payload":{{"room_id":"{room}","body":{{"text":"{n}"}}}}}}"#,
        id(n)
    );
    Entry {
        msg_id: id(n),
        frame: RawValue::from_string(text).unwrap(),
    }
}

fn filled(limits: OutboxLimits, entries: &[(u8, u8)]) -> Outbox {
    let mut outbox = Outbox::new(limits);
    for (n, room) in entries {
        outbox.push(entry(*n, *room), Origin::Appended).unwrap();
        outbox.check_invariants();
    }
    outbox
}

/// The bodies of what is due, which number the entries.
fn due(outbox: &mut Outbox, now: Duration) -> Vec<String> {
    let due = outbox.due(now);
    outbox.check_invariants();
    due.iter()
        .map(|due| {
            let frame: serde_json::Value = serde_json::from_str(&due.text).unwrap();
            frame["payload"]["body"]["text"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

fn refuse(outbox: &mut Outbox, n: u8, code: ErrorCode, after: Option<u64>) -> Option<Refused> {
    let refusal = Refusal {
        retry_after_ms: after,
        ..Refusal::new(code, "no")
    };
    outbox.refused(id(n), &refusal, ZERO, &mut rng())
}

#[test]
fn one_of_each_room_is_in_flight_and_the_next_follows_its_ack() {
    let mut outbox = filled(limits(), &[(1, 1), (2, 1), (3, 2)]);
    assert_eq!(due(&mut outbox, ZERO), ["1", "3"]);
    assert!(due(&mut outbox, ZERO).is_empty());
    assert_eq!(outbox.acked(id(1)), Some(Origin::Appended));
    assert_eq!(outbox.acked(id(1)), None);
    assert_eq!(due(&mut outbox, ZERO), ["2"]);
}

#[test]
fn a_wider_window_sends_more_in_order() {
    let wide = OutboxLimits {
        window: 3,
        ..limits()
    };
    let mut outbox = filled(wide, &[(4, 1), (3, 1), (2, 1), (1, 1)]);
    assert_eq!(due(&mut outbox, ZERO), ["4", "3", "2"]);
    outbox.acked(id(3));
    assert_eq!(due(&mut outbox, ZERO), ["1"]);
    outbox.connection_lost();
    assert_eq!(due(&mut outbox, ZERO), ["4", "2", "1"]);
}

#[test]
fn a_full_outbox_and_a_used_msg_id_are_refused() {
    let mut outbox = filled(limits(), &[(1, 1), (2, 1), (3, 1), (4, 1)]);
    assert_eq!(
        outbox.push(entry(5, 1), Origin::Appended),
        Err(NotTaken::Full)
    );
    assert_eq!(
        outbox.push(entry(1, 2), Origin::Appended),
        Err(NotTaken::InUse)
    );
    outbox.acked(id(2));
    assert_eq!(outbox.push(entry(5, 1), Origin::Appended), Ok(()));
}

#[test]
fn a_temporary_refusal_holds_the_room_until_its_time() {
    for code in ErrorCode::ALL.iter().copied() {
        let mut outbox = filled(limits(), &[(1, 1), (2, 1)]);
        due(&mut outbox, ZERO);
        let outcome = refuse(&mut outbox, 1, code, Some(250));
        if !code.is_temporary() {
            assert_eq!(outcome, Some(Refused::Gone(Origin::Appended)), "{code}");
            assert_eq!(due(&mut outbox, ZERO), ["2"], "{code}");
            continue;
        }
        assert_eq!(outcome, Some(Refused::Kept), "{code}");
        let then = Duration::from_millis(250);
        assert_eq!(outbox.deadline(), Some(then));
        assert!(due(&mut outbox, then - Duration::from_millis(1)).is_empty());
        assert_eq!(due(&mut outbox, then), ["1"]);
    }
}

#[test]
fn without_a_time_the_wait_is_the_back_off() {
    let mut outbox = filled(limits(), &[(1, 1)]);
    for ceiling in [100, 200, 400, 800] {
        due(&mut outbox, Duration::from_secs(60));
        refuse(&mut outbox, 1, ErrorCode::Unavailable, None);
        assert!(outbox.deadline().unwrap() <= Duration::from_millis(ceiling));
    }
}

#[test]
fn refusals_are_counted_where_the_settings_say_so() {
    let few = OutboxLimits {
        refusals_max: 1,
        ..limits()
    };
    let mut outbox = filled(few, &[(1, 1)]);
    assert_eq!(
        refuse(&mut outbox, 1, ErrorCode::Unavailable, Some(1)),
        Some(Refused::Kept)
    );
    assert_eq!(
        refuse(&mut outbox, 1, ErrorCode::Unavailable, Some(1)),
        Some(Refused::Gone(Origin::Appended))
    );
    assert!(outbox.is_empty());
}

#[test]
fn what_is_exported_is_what_goes_out_after_a_restart() {
    let mut outbox = filled(limits(), &[(1, 1), (2, 1), (3, 2)]);
    due(&mut outbox, ZERO);
    let json = serde_json::to_string(&outbox.entries()).unwrap();
    let entries: Vec<Entry> = serde_json::from_str(&json).unwrap();
    let mut restored = Outbox::new(limits());
    for entry in entries {
        restored.push(entry, Origin::Restored).unwrap();
    }
    assert_eq!(due(&mut restored, ZERO), ["1", "3"]);
    assert_eq!(restored.acked(id(1)), Some(Origin::Restored));
    assert_eq!(due(&mut restored, ZERO), ["2"]);
}
