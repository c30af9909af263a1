//! Connections: too many, or too many at once, of one address or of all.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Instant,
};

use futures_util::future::join_all;

use super::{Child, besieged};
use crate::support::{
    WITHIN,
    raw::{Answer, Raw, dial},
};

/// Where the attacker, and the pair, come from.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Where others come from.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// Connects of one attack, and how many of them at once.
const CONNECTS: usize = 2_000;
const AT_ONCE: usize = 50;
/// What a handshake that is refused may leave behind, and those under way take.
const FLAT_BYTES: u64 = 24 << 20;

async fn knock(addr: SocketAddr, from: IpAddr) -> Result<Raw, Answer> {
    Raw::shake(dial(addr, from, 0).await, &[]).await
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.head);
    assert_eq!(answer.body["code"], code, "{}", answer.body);
    assert!(answer.retry_after_s() >= 1, "{}", answer.head);
    assert_eq!(answer.header("connection"), "close");
}

/// Knocks [`CONNECTS`] times as fast as it goes; answers how many were let in, all others being refused with `status` and `code`.
async fn storm(addr: SocketAddr, status: u16, code: &str) -> usize {
    let mut admitted = 0;
    for _ in 0..CONNECTS / AT_ONCE {
        for knocked in join_all((0..AT_ONCE).map(|_| knock(addr, HERE))).await {
            match knocked {
                Ok(_) => admitted += 1,
                Err(answer) => refused(&answer, status, code),
            }
        }
    }
    admitted
}

/// Lets somebody in from elsewhere, and hears the welcome.
async fn visit(server: &Child, from: IpAddr) {
    let mut guest = knock(server.addr, from).await.expect("101");
    guest.hello(&server.token("guest")).await;
}

#[tokio::test]
async fn a_storm_of_one_address_is_refused_429_and_shuts_nobody_else_out() {
    let rate = 20;
    let began = Instant::now();
    let limit = [("PARLOR__LIMITS__HANDSHAKES_PER_IP_PER_S", "20")];
    let (server, mut pair) = besieged(&limit).await;
    let memory = server.memory();
    let mut admitted = 0;
    pair.beside(async || {
        let (let_in, ()) = tokio::join!(storm(server.addr, 429, "rate_limited"), async {
            for _ in 0..10 {
                visit(&server, ELSEWHERE).await;
            }
        });
        admitted += let_in;
    })
    .await;
    // A full bucket, and what came back since then.
    let most = rate * (began.elapsed().as_secs() + 2);
    assert!(admitted as u64 <= most, "{admitted}, {most} at most");
    memory.grew_at_most(FLAT_BYTES);
}

#[tokio::test]
async fn a_storm_from_anywhere_is_refused_503_and_hurts_nobody_who_is_in() {
    let rate = 20;
    let began = Instant::now();
    let limit = [("PARLOR__LIMITS__HANDSHAKES_PER_S", "20")];
    let (server, mut pair) = besieged(&limit).await;
    let memory = server.memory();
    let mut admitted = 0;
    pair.beside(async || admitted += storm(server.addr, 503, "unavailable").await)
        .await;
    let most = rate * (began.elapsed().as_secs() + 2);
    assert!(admitted as u64 <= most, "{admitted}, {most} at most");
    memory.grew_at_most(FLAT_BYTES);
}

#[tokio::test]
async fn a_storm_without_a_limit_is_served_and_leaves_nothing() {
    let (server, mut pair) = besieged(&[]).await;
    pair.beside(async || {
        let admitted = storm(server.addr, 503, "unavailable").await;
        assert_eq!(admitted, CONNECTS);
    })
    .await;
    let gone = async {
        while server.metric("parlor_connections").await != 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WITHIN, gone)
        .await
        .expect("only the pair is left");
}

/// Fills a server of which `limit` says how many connections it takes, the pair's among them; nobody more comes in from `HERE` until
/// one leaves.
async fn fill(limit: &'static str, status: u16, code: &str) -> (Child, Vec<Raw>) {
    let (server, mut pair) = besieged(&[(limit, "5")]).await;
    let mut inside = Vec::new();
    for _ in 0..3 {
        let mut one = knock(server.addr, HERE).await.expect("101");
        one.hello(&server.token("eve")).await;
        inside.push(one);
    }
    pair.beside(async || {
        let answer = knock(server.addr, HERE).await.err().expect("it is full");
        refused(&answer, status, code);
    })
    .await;
    drop(inside.pop());
    let again = async {
        loop {
            if let Ok(one) = knock(server.addr, HERE).await {
                return one;
            }
        }
    };
    let again = tokio::time::timeout(WITHIN, again).await;
    inside.push(again.expect("who leaves makes room"));
    (server, inside)
}

#[tokio::test]
async fn a_full_node_refuses_503_until_somebody_leaves() {
    let limit = "PARLOR__LIMITS__CONNECTIONS";
    fill(limit, 503, "unavailable").await;
}

#[tokio::test]
async fn a_full_address_is_refused_429_until_somebody_leaves_and_others_come_in() {
    let limit = "PARLOR__LIMITS__CONNECTIONS_PER_IP";
    let (server, _inside) = fill(limit, 429, "rate_limited").await;
    visit(&server, ELSEWHERE).await;
}
