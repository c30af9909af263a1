//! A node that holds as much for its sockets as it may: nobody more comes in, those who are in are served, and it recovers by itself.

use std::{
    cell::Cell,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use serde_json::json;
use tokio::time::sleep;

use super::{Child, besieged};
use crate::support::{
    WITHIN,
    raw::{Closed, FINAL, PING, Raw, dial, pack},
};

const LIMIT: &str = "1000000";
const LIMIT_BYTES: u64 = 1_000_000;
/// What the hog has waiting for it, so that what it reads does not bring the node below its limit.
const HELD_BYTES: u64 = 2_000_000;

/// Takes the node's memory: asks much and reads little, yet always something, until `pace` ends.
struct Hog {
    raw: Raw,
    pings: Vec<u8>,
}

impl Hog {
    /// Connects, and asks until the node holds [`HELD_BYTES`].
    async fn fill(server: &Child) -> Self {
        let here = IpAddr::from(Ipv4Addr::LOCALHOST);
        let stream = dial(server.addr, here, 32 * 1024).await;
        let mut raw = Raw::shake(stream, &[]).await.expect("101");
        raw.hello(&server.token("eve")).await;
        let mut hog = Self {
            raw,
            pings: pack(FINAL | PING, &[0; 125]).repeat(500),
        };
        while server.metric("parlor_queue_bytes").await < HELD_BYTES {
            assert!(hog.raw.writing.bytes(&hog.pings).await, "not closed yet");
            // The account is told by a wheel that turns four times a second.
            sleep(Duration::from_millis(50)).await;
        }
        hog
    }

    /// Reads as much as it asks, until `over`.
    async fn hold(&mut self, over: &Cell<bool>) {
        while !over.get() {
            for _ in 0..500 {
                self.raw.reading.frame().await.expect("it is kept");
            }
            self.raw.writing.bytes(&self.pings).await;
            sleep(Duration::from_millis(200)).await;
        }
    }
}

#[tokio::test]
async fn a_node_out_of_memory_turns_away_503_and_4504_and_recovers() {
    let (server, mut pair) = besieged(&[("PARLOR__LIMITS__QUEUE_BYTES", LIMIT)]).await;
    let mut late = Vec::new();
    for _ in 0..20 {
        late.push(Raw::connect(server.addr, &[]).await);
    }
    let mut hog = Hog::fill(&server).await;
    let over = Cell::new(false);
    let attack = async {
        pair.beside(async || {
            let refused = Raw::shake(dial_here(&server).await, &[]).await;
            let answer = refused.err().expect("no memory to spare");
            assert_eq!(
                (answer.status, &answer.body["code"]),
                (503, &json!("unavailable"))
            );
            assert!(answer.retry_after_s() >= 1, "{}", answer.head);
            if let Some(late) = late.pop() {
                turned_away(late, &server.token("late")).await;
            }
        })
        .await;
        assert!(server.metric("parlor_queue_bytes").await > LIMIT_BYTES);
        over.set(true);
    };
    tokio::join!(attack, hog.hold(&over));
    // Now it reads nothing any more. A node in need waits five seconds for such a client.
    let again = async {
        while Raw::shake(dial_here(&server).await, &[]).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(WITHIN, again).await.expect("recovers");
    assert_eq!(server.metric("parlor_closes_total{code=\"4501\"}").await, 1);
    let mut guest = Raw::connect(server.addr, &[]).await;
    guest.hello(&server.token("guest")).await;
}

async fn dial_here(server: &Child) -> tokio::net::TcpStream {
    dial(server.addr, IpAddr::from(Ipv4Addr::LOCALHOST), 0).await
}

/// Says `hello` on a connection that came in before.
async fn turned_away(mut late: Raw, token: &str) {
    let error = late.ask("hello", json!({ "token": token })).await;
    assert_eq!(error["payload"]["code"], "unavailable", "{error}");
    let wait = error["payload"]["retry_after_ms"].as_u64().unwrap();
    assert!(wait > 0);
    let end = late.reading.end().await;
    let reason = format!("retry_after_ms={wait}");
    assert_eq!(end, Some(Closed { code: 4504, reason }));
}
