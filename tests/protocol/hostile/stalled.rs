//! Members who never read: each costs its lane and no more, the others get everything, and who reads again has missed nothing.

use std::net::{IpAddr, Ipv4Addr};

use parlor_schema::limits::{JOINED_BYTES_MAX, LANE_BYTES_MAX, WRITE_BYTES};
use serde_json::{Value, json};

use super::{Child, besieged};
use crate::support::raw::{Raw, dial};

/// Members who never read.
const STALLED: usize = 5;
/// Messages, and bytes of each: more than all buffers of all systems on the way.
const MESSAGES: u64 = 600;
const TEXT_BYTES: usize = 20_000;
/// Messages after which all of them are behind, since the system holds little for those who do not read: 64 KiB, and what is on the way.
const HELD_BACK: u64 = 40;
/// Bytes of one frame, and then some.
const FRAME_BYTES: usize = TEXT_BYTES + 1_000;
/// What one of them may have waiting: the lane and what goes into it at a time, what its socket took in hand, each filled up by a last frame.
const WAITING_BYTES: usize = LANE_BYTES_MAX + JOINED_BYTES_MAX + WRITE_BYTES + 2 * FRAME_BYTES;

/// Connects a member with a small receive buffer.
async fn member(server: &Child, user: &str) -> Raw {
    let here = IpAddr::from(Ipv4Addr::LOCALHOST);
    let stream = dial(server.addr, here, 32 * 1024).await;
    let mut raw = Raw::shake(stream, &[]).await.expect("101");
    raw.hello(&server.token(user)).await;
    raw
}

/// Reads messages from `next` up to `last`, each once and in order.
async fn read_on(raw: &mut Raw, next: u64, last: u64) {
    for seq in next..=last {
        let frame = raw.reading.json().await;
        assert_eq!(
            (&frame["type"], &frame["payload"]["seq"]),
            (&json!("message"), &json!(seq))
        );
    }
}

async fn say(ana: &mut Raw, room: &Value, text: &str) -> Value {
    let payload = json!({ "room_id": room, "body": { "text": text } });
    ana.ask("message.send", payload).await["payload"]["seq"].clone()
}

#[tokio::test]
async fn who_never_reads_costs_a_lane_and_misses_nothing() {
    let (server, mut pair) = besieged(&[]).await;
    let mut ana = member(&server, "ana").await;
    let users: Vec<String> = (0..=STALLED).map(|n| format!("u{n}")).collect();
    let made = ana
        .ask("room.create", json!({ "kind": "group", "members": users }))
        .await;
    let room = &made["payload"]["room"]["room_id"];
    let mut members = Vec::new();
    for user in &users {
        members.push(member(&server, user).await);
    }
    let mut reader = members.pop().expect("one more than stalled");
    let memory = server.memory();
    let text = "x".repeat(TEXT_BYTES);
    let (mut head, mut most) = (1, 0);
    pair.beside(async || {
        while head < MESSAGES {
            head += 1;
            assert_eq!(say(&mut ana, room, &text).await, head);
            read_on(&mut reader, head, head).await;
            if cfg!(target_os = "linux") && head == HELD_BACK {
                let waits = server.metric("parlor_queue_bytes").await;
                let behind = (STALLED * LANE_BYTES_MAX / 2) as u64;
                assert!(waits > behind, "the system took all but {waits} bytes");
            }
        }
        most = most.max(server.metric("parlor_queue_bytes").await);
    })
    .await;
    let bound = (STALLED * WAITING_BYTES) as u64;
    println!("{most} bytes waited at most, {bound} may");
    assert!(most <= bound, "{most} bytes waited, of {bound}");
    assert!(
        most > (STALLED * LANE_BYTES_MAX / 2) as u64,
        "all of them are behind"
    );
    // The lanes share the bytes of events; what else a room keeps is in its own bounds.
    memory.grew_at_most(bound + (16 << 20));
    for mut stalled in members {
        read_on(&mut stalled, 2, head).await;
        assert_eq!(say(&mut ana, room, "caught up").await, head + 1);
        read_on(&mut stalled, head + 1, head + 1).await;
        head += 1;
    }
}
