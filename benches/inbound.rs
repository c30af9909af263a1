//! What one inbound message costs the server: the CPU of its process for `ping`, `typing.start` and `message.send` sent down one
//! socket, beside a bare loop that answers as many bytes; and the same in instructions, under callgrind.
//!
//! Owns the pipeline and the bare loop. What is inside the timed part stands in `README.md`.
//!
//! Invariants:
//! - BI-1: each frame gets its one reply, which is no error; the room's head counts the sends.
//! - BI-2: the session has no room delivered: what comes back is replies and nothing else.
#![allow(clippy::unwrap_used, reason = "a bench")]

mod client;
mod figures;
mod node;
mod process;
mod usage;
mod wire;

use std::{net::SocketAddr, time::Instant};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use uuid::Uuid;

use figures::{Meter, Round, Series, Times, fail_at_once, print_head, print_ratio, setting};
use node::Store;
use process::Server;
use wire::{Frame, PING, TEXT, Wire};

/// Bytes of each message's text.
const TEXT_BYTES: usize = 200;
/// Frames under way at once; a session serves 128 before its socket is read no further.
const UNDER_WAY: usize = 64;
/// Bytes of the bare loop's answer: about those of an ack.
const ACK_BYTES: usize = 240;

/// A kind of frame, and the socket it goes down.
struct Case {
    name: &'static str,
    kind: &'static str,
    reply: &'static [u8],
    payload: Value,
    server: Option<u32>,
}

impl Case {
    /// Makes the frames of a round; each is another message.
    fn frames(&self, count: usize) -> Vec<Vec<u8>> {
        let frame = || {
            let msg_id = Uuid::now_v7().to_string();
            wire::pack(
                TEXT,
                client::frame(self.kind, &msg_id, &self.payload).as_bytes(),
            )
        };
        std::iter::repeat_with(frame).take(count).collect()
    }

    async fn round(&self, wire: &mut Wire, frames: &[Vec<u8>]) -> Round {
        let meter = Meter::start(self.server);
        let times = pipeline(wire, frames, self.reply).await;
        meter.round(&times, 1)
    }
}

/// Sends `frames`, as many under way as may be, and waits for the reply to each (BI-1).
async fn pipeline(wire: &mut Wire, frames: &[Vec<u8>], reply: &[u8]) -> Times {
    let mut begun: Vec<Instant> = Vec::with_capacity(frames.len());
    let (mut times, mut batch) = (Times::new(), Vec::new());
    let mut done = 0;
    while done < frames.len() {
        let until = frames.len().min(done + UNDER_WAY);
        if begun.len() < until {
            batch.clear();
            for frame in &frames[begun.len()..until] {
                batch.extend_from_slice(frame);
            }
            begun.resize(until, Instant::now());
            wire.stream.write_all(&batch).await.unwrap();
        }
        let read = wire.stream.read_buf(&mut wire.held).await.unwrap();
        assert_ne!(read, 0, "the server left");
        let mut used = 0;
        while let Some(frame) = Frame::first(&wire.held[used..]) {
            let payload = &wire.held[used + frame.start..used + frame.end];
            used += frame.end;
            if frame.opcode == PING {
                wire.stream.write_all(&wire::pong()).await.unwrap();
                continue;
            }
            let said = || String::from_utf8_lossy(payload);
            assert!(payload.starts_with(reply), "BI-1: {}", said());
            times.add(begun[done].elapsed());
            done += 1;
        }
        wire.held.drain(..used);
    }
    times
}

/// The bare loop: counts the bytes of messages and answers each, those of one read with one write.
async fn bare_loop(listener: TcpListener, message: usize) {
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.set_nodelay(true).unwrap();
    let payload = ACK_BYTES - 4;
    let mut answer = vec![0x80 | TEXT, 126, 0, u8::try_from(payload).unwrap()];
    answer.extend_from_slice(ACK);
    answer.resize(ACK_BYTES, b' ');
    let answers = answer.repeat(UNDER_WAY);
    let (mut buffer, mut held) = (vec![0; 64 * 1024], 0);
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        held += read;
        let whole = held / message;
        held %= message;
        let answered = stream.write_all(&answers[..whole * ACK_BYTES]).await;
        answered.expect("the client is there");
    }
}

fn start_bare(message: usize) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        runtime().block_on(async move {
            bare_loop(TcpListener::from_std(listener).unwrap(), message).await;
        });
    });
    addr
}

const ACK: &[u8] = br#"{"type":"ack""#;
const PONG: &[u8] = br#"{"type":"pong""#;

fn cases(room: &str, server: u32) -> [Case; 4] {
    let send = json!({ "room_id": room, "body": { "text": "x".repeat(TEXT_BYTES) } });
    let case = |name, reply, payload, server| Case {
        name,
        kind: name,
        reply,
        payload,
        server,
    };
    [
        Case {
            kind: "message.send",
            ..case("bare loop", ACK, send.clone(), None)
        },
        case("ping", PONG, json!({}), Some(server)),
        case(
            "typing.start",
            ACK,
            json!({ "room_id": room }),
            Some(server),
        ),
        case("message.send", ACK, send, Some(server)),
    ]
}

async fn bench() {
    let messages = setting("PARLOR_BENCH_MESSAGES", 20_000);
    let rounds = setting("PARLOR_BENCH_ROUNDS", 9);
    let server = Server::start(Store::Memory, 1);
    let user = "sender".to_owned();
    let room = client::room(server.addr, std::slice::from_ref(&user)).await;
    let mut wire = Wire::connect(server.addr).await;
    let hello = json!({ "token": client::token(&user), "rooms": "none" });
    client::ask(&mut wire, "hello", hello).await;
    let cases = cases(&room, server.pid);
    let bare_addr = start_bare(cases[0].frames(1)[0].len());
    let mut bare = Wire::bare(wire::connect(bare_addr).await);
    let mut series = cases.each_ref().map(|case| Series::new(case.name));
    println!("inbound: {messages} messages a round, {UNDER_WAY} under way, {rounds} rounds");
    let mut counted = Vec::new();
    // The first round is the warm-up.
    for round in 0..=rounds {
        for turn in 0..cases.len() {
            let at = (turn + round) % cases.len();
            let case = &cases[at];
            let frames = case.frames(messages);
            let is_server = case.server.is_some();
            let wire = if is_server { &mut wire } else { &mut bare };
            if is_server && round > 0 {
                server.begin();
            }
            let figures = case.round(wire, &frames).await;
            if round > 0 {
                series[at].rounds.push(figures);
                let instructions = if is_server {
                    server.end(case.name)
                } else {
                    None
                };
                counted.extend(instructions.map(|all| (case.name, all / messages as u64)));
            }
        }
    }
    print_head("one message");
    for one in &series {
        one.print();
    }
    let [bare_loop, ping, typing, send] = &series;
    for one in [ping, typing, send] {
        let cost = one.median(|round| round.cost);
        println!("{}: {cost:.2} us of the server's CPU each", one.name);
        let what = format!("{} / {}, CPU", one.name, bare_loop.name);
        print_ratio(&what, one.ratio(bare_loop, |round| round.cost), None);
    }
    for (name, instructions) in counted {
        println!("{name}: {instructions} instructions each");
    }
    let made = client::ask(&mut wire, "room.get", json!({ "room_id": room })).await;
    let head = 1 + (messages * (rounds + 1)) as u64;
    assert_eq!(made["room"]["head"], head, "BI-1");
    println!("every frame was answered, and the room holds every message");
    drop(wire);
    server.stop();
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
    runtime().block_on(bench());
}
