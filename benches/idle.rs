//! Sessions that say nothing: what each keeps of the server's memory, plain and with permessage-deflate; and how fast they come:
//! handshakes with `hello` per second on one worker, beside a bare loop that answers as many bytes.
//!
//! Owns the guests, the door and the bare loop. What is inside the timed part stands in `README.md`.
//!
//! Invariants:
//! - BL-1: every guest gets `welcome`, and the server counts as many sessions as there are guests.
//! - BL-2: every guest that stays gets the message of its room at the end: it was a session all along.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a bench")]

mod client;
mod figures;
mod node;
mod process;
mod usage;
mod wire;

use std::{
    cell::Cell,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{LocalSet, spawn_local},
};
use uuid::Uuid;

use figures::{
    Bound, Meter, Series, Times, fail_at_once, print_head, print_ratio, setting, wanted,
};
use node::Store;
use process::Server;
use usage::resident;
use wire::{OFFER, TEXT, Wire};

/// Members of a room.
const MEMBERS: usize = 10;
/// Bytes of each message's text.
const TEXT_BYTES: usize = 200;
/// Connections in the making at once.
const AT_ONCE: usize = 64;
/// Time in which buffers of what went before are given back, and gauges follow.
const SETTLE: Duration = Duration::from_millis(2_500);
/// Bytes that a session may keep.
const SESSION_BYTES_MAX: f64 = 6.0 * 1024.0;
/// Handshakes with `hello` that one core must serve in a second.
const RATE_MIN: f64 = 8_000.0;
/// Bytes of the bare loop's `welcome`: about those of a session without rooms.
const WELCOME_BYTES: usize = 600;

/// Who is to come.
struct Guest {
    hello: Vec<u8>,
}

impl Guest {
    /// Makes a guest with a device of its own, which the server knows when it comes again.
    fn new(user: String) -> Self {
        let token = client::token(&user);
        let hello = json!({ "token": token, "device": { "id": user } });
        let frame = client::frame("hello", &Uuid::now_v7().to_string(), &hello);
        let hello = wire::pack(TEXT, frame.as_bytes());
        Self { hello }
    }

    async fn come(&self, addr: SocketAddr, headers: &str) -> Wire {
        let mut wire = Wire::shake(wire::connect(addr).await, headers).await;
        wire.stream.write_all(&self.hello).await.unwrap();
        let welcome = wire.next().await;
        let is_welcome = welcome.starts_with(br#"{"type":"welcome""#);
        let said = || String::from_utf8_lossy(&welcome);
        assert!(is_welcome || wire.deflates, "BL-1: {}", said());
        wire
    }
}

/// Has all guests come, some at once; answers their sockets in order, and how long each took.
async fn come_all(
    addr: SocketAddr,
    guests: &Rc<Vec<Guest>>,
    headers: &'static str,
) -> (Vec<Wire>, Times) {
    let next = Rc::new(Cell::new(0));
    let doors = (0..AT_ONCE).map(|_| {
        let (next, guests) = (next.clone(), guests.clone());
        spawn_local(async move {
            let (mut wires, mut times) = (Vec::new(), Times::new());
            loop {
                let at = next.replace(next.get() + 1);
                let Some(guest) = guests.get(at) else { break };
                let begun = Instant::now();
                wires.push((at, guest.come(addr, headers).await));
                times.add(begun.elapsed());
            }
            (wires, times)
        })
    });
    let (mut wires, mut times) = (Vec::with_capacity(guests.len()), Times::new());
    for door in doors.collect::<Vec<_>>() {
        let (some, took) = door.await.unwrap();
        wires.extend(some);
        times.join(&took);
    }
    wires.sort_unstable_by_key(|(at, _)| *at);
    (wires.into_iter().map(|(_, wire)| wire).collect(), times)
}

/// Waits until a server has no sockets.
async fn empty(addr: SocketAddr) {
    while client::metric(addr, "parlor_connections").await > 0.0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The bare loop: answers a request with a handshake and a frame with a `welcome`, and waits for the end.
async fn bare_loop(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(bare_connection(stream));
    }
}

async fn bare_connection(mut stream: TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let mut buffer = vec![0; 4096];
    let mut held = 0;
    while !buffer[..held].ends_with(b"\r\n\r\n") {
        held += stream.read(&mut buffer[held..]).await.unwrap();
    }
    stream.write_all(ANSWER).await.unwrap();
    // A `hello` comes in one piece.
    assert_ne!(stream.read(&mut buffer).await.unwrap(), 0);
    let length = u16::try_from(WELCOME_BYTES - 4).unwrap().to_be_bytes();
    let mut welcome = vec![0x80 | TEXT, 126, length[0], length[1]];
    welcome.extend_from_slice(br#"{"type":"welcome""#);
    welcome.resize(WELCOME_BYTES, b' ');
    stream.write_all(&welcome).await.unwrap();
    let _ = stream.read(&mut buffer).await;
}

fn start_bare() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        runtime().block_on(async move {
            bare_loop(TcpListener::from_std(listener).unwrap()).await;
        });
    });
    addr
}

/// Measures how fast guests come, who have a device that is known and no room.
async fn rate() {
    let count = setting("PARLOR_BENCH_CONNECTIONS", 2_000);
    let rounds = setting("PARLOR_BENCH_ROUNDS", 7);
    let servers = [Store::Memory, Store::Embedded].map(|store| Server::start(store, 1));
    let names = [
        "bare loop",
        "server, timeline in memory",
        "server, embedded store",
    ];
    let doors = [
        (start_bare(), None),
        (servers[0].addr, Some(servers[0].pid)),
        (servers[1].addr, Some(servers[1].pid)),
    ];
    let guests = Rc::new(
        (0..count)
            .map(|at| Guest::new(format!("guest-{at:05}")))
            .collect(),
    );
    let mut series = names.map(Series::new);
    println!("\ncase rate: {count} connections a round, {AT_ONCE} at once, {rounds} rounds");
    // In the first round devices are new and are written down, which is a round for itself.
    for round in 0..=rounds {
        for turn in 0..doors.len() {
            let at = (turn + round) % doors.len();
            let (addr, server) = doors[at];
            let meter = Meter::start(server);
            let (wires, times) = come_all(addr, &guests, "").await;
            let figures = meter.round(&times, 1);
            assert_eq!(wires.len(), count, "BL-1");
            drop(wires);
            if server.is_some() {
                empty(addr).await;
            }
            if round > 0 {
                series[at].rounds.push(figures);
            } else {
                println!("{}, new devices: {:.0}/s", names[at], figures.rate);
            }
        }
    }
    print_head("handshake and hello");
    for one in &series {
        one.print();
    }
    for one in &series[1..] {
        let (wall, core) = (
            one.median(|round| round.rate),
            1e6 / one.median(|round| round.cost),
        );
        let bound = Bound::AtLeast(RATE_MIN);
        println!(
            "{}: {wall:.0}/s with one worker, {}",
            one.name,
            bound.verdict(wall)
        );
        println!(
            "{}: {core:.0}/s for one core's CPU, {}",
            one.name,
            bound.verdict(core)
        );
        let what = format!("{} / {}, per second", one.name, series[0].name);
        print_ratio(&what, one.ratio(&series[0], |round| round.rate), None);
    }
    servers.into_iter().for_each(Server::stop);
}

/// Has the first member of each room say something, and all members hear it (BL-2).
async fn speak_in_all(wires: &mut [Wire], rooms: &[String]) {
    for (members, room) in wires.chunks_mut(MEMBERS).zip(rooms) {
        let payload = json!({ "room_id": room, "body": { "text": "x".repeat(TEXT_BYTES) } });
        let frame = client::frame("message.send", &Uuid::now_v7().to_string(), &payload);
        members[0].text(&frame).await;
        for wire in members {
            let mut heard = wire.next().await;
            // What comes compressed is not read: it is the message, or its ack at whoever said it.
            while !wire.deflates && !heard.starts_with(br#"{"type":"message""#) {
                heard = wire.next().await;
            }
        }
    }
}

/// Measures what a session keeps, in rooms of ten.
async fn hold(case: &str, headers: &'static str) {
    let count = setting("PARLOR_BENCH_N", 10_000) / MEMBERS * MEMBERS;
    let server = Server::start(Store::Embedded, 1);
    let addr = server.addr;
    let probe = Guest::new("probe".to_owned()).come(addr, headers).await;
    if !headers.is_empty() && !probe.deflates {
        println!(
            "\ncase {case}: the server does not answer the offer of permessage-deflate; left out"
        );
        drop(probe);
        return server.stop();
    }
    let users: Vec<String> = (0..count).map(|at| format!("guest-{at:05}")).collect();
    let bare = resident(server.pid);
    let mut rooms = Vec::with_capacity(count / MEMBERS);
    for members in users.chunks(MEMBERS) {
        rooms.push(client::room(addr, members).await);
    }
    tokio::time::sleep(SETTLE).await;
    let made = resident(server.pid);
    let guests = Rc::new(users.into_iter().map(Guest::new).collect());
    let (meter, begun) = (Meter::start(Some(server.pid)), Instant::now());
    let (mut wires, times) = come_all(addr, &guests, headers).await;
    let (took, figures) = (begun.elapsed(), meter.round(&times, 1));
    tokio::time::sleep(SETTLE).await;
    let come = resident(server.pid);
    assert_eq!(
        client::metric(addr, "parlor_sessions").await,
        (count + 1) as f64,
        "BL-1"
    );
    speak_in_all(&mut wires, &rooms).await;
    tokio::time::sleep(SETTLE).await;
    let spoken = resident(server.pid);
    println!(
        "\ncase {case}: {count} sessions in {} rooms, come in {:.1} s, {:.0} us of CPU each",
        rooms.len(),
        took.as_secs_f64(),
        figures.cost
    );
    println!("the process before: {bare} bytes, and with the rooms {made}");
    let each = |from: u64, to: u64| to.saturating_sub(from) as f64 / count as f64;
    for (what, each) in [
        ("a session", each(made, come)),
        (
            "a session, after a message in each room",
            each(made, spoken),
        ),
        ("a session and its part of a room", each(bare, spoken)),
    ] {
        let verdict = Bound::AtMost(SESSION_BYTES_MAX).verdict(each);
        println!("{what}: {each:.0} bytes, {verdict}");
    }
    drop((wires, probe));
    empty(addr).await;
    server.stop();
}

async fn bench() {
    if wanted("rate") {
        rate().await;
    }
    if wanted("plain") {
        hold("plain", "").await;
    }
    if wanted("deflate") {
        hold("deflate", OFFER).await;
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn main() {
    fail_at_once();
    process::serve_if_told();
    runtime().block_on(LocalSet::new().run_until(bench()));
}
