//! Pings by the hundred thousand: answered in order to who reads, and the end for who does not.

use std::net::{IpAddr, Ipv4Addr};

use parlor_schema::limits::{REPLY_BYTES_MAX, REPLY_FRAMES_MAX};

use super::{Child, besieged, eve};
use crate::support::raw::{FINAL, PING, PONG, Raw, dial, pack};

const PINGS: u32 = 100_000;
const CLOSED_TOO_SLOW: &str = "parlor_closes_total{code=\"4501\"}";
/// Bytes that a frame which waits takes beside its own: its place in the lane, its count of holders, what the allocator rounds up.
const FRAME_COST: u64 = 160;
/// What else moves in a server meanwhile.
const SLACK: u64 = 16 << 20;

/// Connects with a small receive buffer, so that the server soon cannot write.
async fn narrow(server: &Child) -> Raw {
    let here = IpAddr::from(Ipv4Addr::LOCALHOST);
    let stream = dial(server.addr, here, 32 * 1024).await;
    let mut raw = Raw::shake(stream, &[]).await.expect("101");
    raw.hello(&server.token("eve")).await;
    raw
}

#[tokio::test]
async fn a_hundred_thousand_pings_are_answered_in_order() {
    let (server, mut pair) = besieged(&[]).await;
    let memory = server.memory();
    pair.beside(async || {
        let Raw {
            mut reading,
            mut writing,
            ..
        } = eve(&server).await;
        let ask = async {
            for n in 0..PINGS {
                assert!(writing.bytes(&pack(FINAL | PING, &n.to_be_bytes())).await);
            }
        };
        let hear = async {
            for n in 0..PINGS {
                let pong = reading.frame().await.expect("the server stays");
                assert_eq!(pong.opcode(), PONG);
                assert_eq!(pong.payload[..], n.to_be_bytes());
            }
        };
        tokio::join!(ask, hear);
    })
    .await;
    memory.grew_at_most(SLACK);
}

/// Sends pings of these payloads that nobody reads the answers of, until the server is gone; answers how many came back first.
async fn flood(server: &Child, payload: impl Fn(u32) -> Vec<u8>) -> u32 {
    let mut eve = narrow(server).await;
    let mut sent = 0;
    loop {
        let some: Vec<u8> = (sent..sent + 10_000)
            .flat_map(|n| pack(FINAL | PING, &payload(n)))
            .collect();
        if !eve.writing.bytes(&some).await {
            break;
        }
        sent += 10_000;
        assert!(sent < 100 * PINGS, "it ends");
    }
    let mut answered = 0;
    while let Some(frame) = eve.reading.frame().await {
        if frame.opcode() != PONG {
            break;
        }
        assert_eq!(frame.payload[..], payload(answered)[..], "in order");
        answered += 1;
    }
    answered
}

#[tokio::test]
async fn who_reads_no_answers_is_closed_4501() {
    let (server, mut pair) = besieged(&[]).await;
    let memory = server.memory();
    let payload = |n: u32| [&n.to_be_bytes()[..], &[0; 121]].concat();
    let mut floods = 0;
    pair.beside(async || {
        assert!(flood(&server, payload).await < PINGS);
        floods += 1;
    })
    .await;
    assert_eq!(server.metric(CLOSED_TOO_SLOW).await, floods);
    let frames = (REPLY_BYTES_MAX / 127) as u64;
    memory.grew_at_most(REPLY_BYTES_MAX as u64 + frames * FRAME_COST + SLACK);
}

#[tokio::test]
async fn answers_of_two_bytes_are_counted_too() {
    let (server, mut pair) = besieged(&[]).await;
    let memory = server.memory();
    let mut floods = 0;
    pair.beside(async || {
        // Four mebibytes of these would be two million.
        flood(&server, |_| Vec::new()).await;
        floods += 1;
    })
    .await;
    assert_eq!(server.metric(CLOSED_TOO_SLOW).await, floods);
    memory.grew_at_most(REPLY_FRAMES_MAX as u64 * FRAME_COST + SLACK);
}
