//! A thousand sessions resume a thousand missed events each, all at once: how fast they are level, what it costs the server in memory,
//! and what two bystanders in another room notice of it.
//!
//! Owns the returning sessions and the rounds. What is inside the timed part stands in `README.md`.
//!
//! Invariants:
//! - BE-1: each returning session gets every event it missed, once and in order, or the bench fails.
//! - BE-2: bystanders have a thread of their own, and the server's worker a core that the returning clients do not use: what they wait for is the
//!   server, not the client.
//! - BE-3: what a bystander waited for while the machine itself stood still is not the server's, before and during alike: it is left out of the
//!   figure that has a bound, and how much that was is printed with the figure of all.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a bench")]

mod board;
#[path = "resume/bystander.rs"]
mod bystander;
mod client;
mod figures;
mod node;
mod process;
#[path = "resume/standstill.rs"]
mod standstill;
mod usage;
mod wire;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::{LocalSet, spawn_local},
};
use uuid::Uuid;

use board::{Board, Reader, TEXT_BYTES, message};
use bystander::{Bystanders, Phase, sorted};
use figures::{Bound, Meter, Round, Series, Times, fail_at_once, median, print_head, setting};
use node::Store;
use process::Server;
use standstill::Standstill;
use wire::{TEXT, Wire};

/// Rooms that the returning sessions are spread over.
const ROOMS: usize = 10;
/// Messages under way at once while the missed events are made.
const UNDER_WAY: usize = 64;
/// How long bystanders are watched before each round.
const BEFORE: Duration = Duration::from_secs(1);

/// Sessions that come back in one moment, and the time until the next do: all thousand within a tenth of a second.
const TOGETHER: usize = 20;
const GAP: Duration = Duration::from_millis(1);

/// A room with something to catch up on.
struct Missed {
    room: String,
    users: Vec<String>,
    seen: u64,
}

impl Missed {
    /// Makes a room and has `events` messages said in it that its members do not hear.
    async fn make(addr: SocketAddr, at: usize, members: usize, events: usize) -> Self {
        let users: Vec<String> = (0..members)
            .map(|member| format!("user-{at:02}-{member:04}"))
            .collect();
        let room = client::room(addr, &users).await;
        let mut wire = Wire::connect(addr).await;
        let hello = json!({ "token": client::token(&users[0]), "rooms": "none" });
        client::ask(&mut wire, "hello", hello).await;
        let got = client::ask(&mut wire, "room.get", json!({ "room_id": room })).await;
        let seen = got["room"]["head"].as_u64().unwrap();
        let (mut said, mut acked) = (0, 0);
        while acked < events {
            while said < events.min(acked + UNDER_WAY) {
                let frame = message(&room, at, said as u64, TEXT_BYTES);
                wire.stream.write_all(&frame).await.unwrap();
                said += 1;
            }
            let reply = wire.next_text().await;
            assert!(reply.starts_with(r#"{"type":"ack""#), "{reply}");
            acked += 1;
        }
        let got = client::ask(&mut wire, "room.get", json!({ "room_id": room })).await;
        assert_eq!(got["room"]["head"], seen + events as u64);
        Self { room, users, seen }
    }

    fn hello(&self, user: &str) -> Vec<u8> {
        let hello = json!({
            "token": client::token(user),
            "device": { "id": user },
            "rooms": "none",
            "resume": { "rooms": { &self.room: self.seen } },
        });
        let frame = client::frame("hello", &Uuid::now_v7().to_string(), &hello);
        wire::pack(TEXT, frame.as_bytes())
    }
}

/// Has everyone come back at once, and waits until all are level (BE-1).
async fn come_back(server: &Server, missed: &[Missed], events: usize, watch: &Bystanders) -> Round {
    let members = missed[0].users.len();
    let board = Board::new(missed.len(), members);
    let mut back = Vec::new();
    for (at, one) in missed.iter().enumerate() {
        for _ in 0..events {
            board.say(at);
        }
        for user in &one.users {
            let wire = Wire::connect(server.addr).await;
            back.push((wire, one.hello(user), Reader::new(board.clone(), at, 1)));
        }
    }
    watch.enter(Phase::Before);
    tokio::time::sleep(BEFORE).await;
    watch.enter(Phase::During);
    let meter = Meter::start(Some(server.pid));
    let mut returning = Vec::new();
    for (at, (wire, hello, reader)) in back.into_iter().enumerate() {
        if at % TOGETHER == 0 {
            // A network hands over one after the other; a burst from the same machine would hold a core instead.
            tokio::time::sleep(GAP).await;
        }
        let written = wire.stream.try_write(&hello).unwrap();
        assert_eq!(written, hello.len(), "one frame fits the socket");
        returning.push(spawn_local(read(wire, reader)));
    }
    let (mut times, mut level) = (Times::new(), 0);
    let begun = Instant::now();
    while level < missed.len() {
        for (_, at) in board.done().await {
            times.add(at - begun);
            level += 1;
        }
    }
    let round = meter.round(&times, members * events);
    watch.enter(Phase::Neither);
    board.check(TEXT_BYTES);
    for one in returning {
        one.abort();
        let _ = one.await;
    }
    round
}

async fn read(mut wire: Wire, mut reader: Reader) {
    reader.take(&wire.held);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = wire.stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "the server left");
        for _ in 0..reader.take(&buffer[..read]) {
            wire.stream.write_all(&wire::pong()).await.unwrap();
        }
    }
}

/// Waits until a server has no sockets but the bystanders'.
async fn alone(addr: SocketAddr) {
    while client::metric(addr, "parlor_connections").await > 2.0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn bench() {
    let members = setting("PARLOR_BENCH_N", 1_000) / ROOMS;
    let events = setting("PARLOR_BENCH_MESSAGES", 1_000);
    let rounds = setting("PARLOR_BENCH_ROUNDS", 25);
    let workers = setting("PARLOR_BENCH_WORKERS", 1);
    let server = Server::start(Store::Embedded, workers);
    let mut missed = Vec::new();
    for at in 0..ROOMS {
        missed.push(Missed::make(server.addr, at, members, events).await);
    }
    let watch = Bystanders::start(server.addr).await;
    let still = Standstill::watch();
    process::as_if_remote(&server.take_cores());
    println!(
        "resume: {ROOMS} rooms of {members}, each member misses {events} events, all come back at once; {rounds} rounds"
    );
    let mut series = Series::new("resume, embedded store");
    let (mut p99, mut peaks) = (Vec::new(), Vec::new());
    // The first round is the warm-up.
    for round in 0..=rounds {
        let before = usage::resident(server.pid);
        usage::reset_peak(server.pid);
        let figures = come_back(&server, &missed, events, &watch).await;
        let peak = usage::peak(server.pid);
        let (heard, stops) = (watch.take(), still.take());
        let all = sorted(&heard, |_, _| true);
        let moving = sorted(&heard, |begun, took| !stops.meet(begun, took));
        alone(server.addr).await;
        print_round(round, &figures, [&all, &moving], stops.sum());
        println!("  peak {peak} bytes, {before} before");
        if round > 0 {
            series.rounds.push(figures);
            p99.push([all, moving].map(|phases| phases.map(|times| times.quantile(0.99))));
            peaks.push((peak.saturating_sub(before)) as f64);
        }
    }
    print_head("events");
    series.print();
    report(&p99, peaks, ROOMS * members);
    if !still.sees() {
        println!(
            "whether the machine stood still was not seen: no thread of real time is allowed here"
        );
    }
    watch.stop();
    drop(missed);
    server.stop();
}

fn print_round(
    number: usize,
    figures: &Round,
    [all, moving]: [&[Times; 2]; 2],
    (stops, longest): (usize, Duration),
) {
    print!(
        "round {number}: {:.0} events/s; machine stood still {stops} times, {:.1} ms at most; bystanders' p99",
        figures.rate,
        longest.as_secs_f64() * 1e3
    );
    for (what, at) in [("before", 0), ("during", 1)] {
        print!(
            " {:.0} us {what} ({} messages; with all {} {:.0} us)",
            moving[at].quantile(0.99),
            moving[at].count(),
            all[at].count(),
            all[at].quantile(0.99)
        );
    }
    println!();
}

/// Prints ratios and memory; of each round the p99 of all messages, before and during, and the same without those that the machine held up.
fn report(p99: &[[[f64; 2]; 2]], peaks: Vec<f64>, sessions: usize) {
    let whats = [
        (
            "bystanders' p99, during / before, with what the machine held up",
            None,
        ),
        ("bystanders' p99, during / before", Some(Bound::AtMost(2.0))),
    ];
    for (at, (what, bound)) in whats.into_iter().enumerate() {
        let ratios: Vec<f64> = p99.iter().map(|one| one[at][1] / one[at][0]).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        figures::print_ratio(what, [median(ratios), least, most], bound);
    }
    let most = peaks.iter().copied().fold(0.0, f64::max);
    println!(
        "memory peak over what was there before: {:.0} bytes (most {most:.0}), {:.0} a session",
        median(peaks.clone()),
        median(peaks) / sessions as f64
    );
    println!("every session got every event it missed, in order");
}

fn main() {
    fail_at_once();
    process::serve_if_told();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(LocalSet::new().run_until(bench()));
}
