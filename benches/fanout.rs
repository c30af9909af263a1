//! One message into a room of many sessions, through the real server, beside a bare loop that writes the same bytes to as many sockets
//! one by one.
//!
//! Owns the ruler, the receivers and the rounds. What is inside the timed part stands in `README.md`.
//!
//! Invariants:
//! - BF-1: every receiver gets every message, once and in order, or the bench fails.
//! - BF-2: all cases of a round use the same client, the same number of sockets and the same bytes both ways.
//!
//! Deliberately absent: several publishers and rooms; a case is a [`Crowd`], so they are more crowds.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a bench")]

mod figures;
mod node;
mod wire;

use std::{
    cell::{Cell, RefCell},
    io::ErrorKind,
    net::SocketAddr,
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{JoinHandle, LocalSet, spawn_local},
};
use uuid::Uuid;

use figures::{Round, Series, Times, fail_at_once, print_head, print_ratio, setting};
use node::Node;
use wire::{CLOSE, Frame, PING, TEXT, Wire};

/// Bytes of each message's text.
const TEXT_BYTES: usize = 200;
/// What stands before a message's number; nothing else in any frame holds it.
const MARK: u8 = b'#';
/// Digits of a message's number.
const DIGITS: usize = 8;
/// How long one message may take.
const WITHIN: Duration = Duration::from_secs(20);

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 * 1024]);
}

/// Returns the client frame of message `number`.
fn message(room: &str, number: u64) -> Vec<u8> {
    let text = format!("#{number:08} {:x<1$}", "", TEXT_BYTES - DIGITS - 2);
    let payload = json!({ "room_id": room, "body": { "text": text } });
    let frame = node::frame("message.send", &Uuid::now_v7().to_string(), &payload);
    wire::pack(TEXT, frame.as_bytes())
}

/// What the receivers of one case count.
#[derive(Default)]
struct Tally {
    got: Cell<u64>,
    due: Cell<u64>,
    bytes: Cell<u64>,
    sample: RefCell<Vec<u8>>,
    done: Notify,
}

/// The receivers of one case; the first also publishes.
struct Crowd {
    name: &'static str,
    room: String,
    streams: Vec<Rc<TcpStream>>,
    receivers: Vec<JoinHandle<()>>,
    tally: Rc<Tally>,
    said: Cell<u64>,
}

impl Crowd {
    fn new(name: &'static str, room: String, wires: Vec<Wire>) -> Self {
        let tally = Rc::new(Tally::default());
        let (mut streams, mut receivers) = (Vec::new(), Vec::new());
        for wire in wires {
            let stream = Rc::new(wire.stream);
            let receiving = receive(stream.clone(), wire.held, tally.clone());
            receivers.push(spawn_local(receiving));
            streams.push(stream);
        }
        Self {
            name,
            room,
            streams,
            receivers,
            tally,
            said: Cell::new(0),
        }
    }

    /// Says one message and waits until everyone has it.
    async fn say(&self) {
        let frame = message(&self.room, self.said.get());
        self.said.set(self.said.get() + 1);
        self.tally
            .due
            .set(self.said.get() * self.streams.len() as u64);
        let written = self.streams[0].try_write(&frame).unwrap();
        assert_eq!(written, frame.len(), "one frame fits the socket");
        tokio::time::timeout(WITHIN, self.tally.done.notified())
            .await
            .expect("every receiver gets the message in time");
        assert_eq!(self.tally.got.get(), self.tally.due.get(), "BF-1");
    }

    /// Closes the sockets.
    async fn leave(self) {
        for receiver in self.receivers {
            receiver.abort();
            let _ = receiver.await;
        }
    }

    async fn round(&self, messages: usize) -> Round {
        let mut times = Times::new();
        let start = Instant::now();
        for _ in 0..messages {
            let said = Instant::now();
            self.say().await;
            times.add(said.elapsed());
        }
        times.round(self.streams.len(), start.elapsed())
    }
}

/// Reads one socket for ever and checks the order of what comes (BF-1).
async fn receive(stream: Rc<TcpStream>, mut held: Vec<u8>, tally: Rc<Tally>) {
    let mut expected = 0;
    loop {
        stream.readable().await.unwrap();
        let pings = READ.with_borrow_mut(|buffer| {
            let read = match stream.try_read(buffer) {
                Ok(0) => panic!("the server left"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return 0,
                Err(error) => panic!("{error}"),
            };
            if held.is_empty() {
                let (used, pings) = count(&buffer[..read], &mut expected, &tally);
                held.extend_from_slice(&buffer[used..read]);
                pings
            } else {
                held.extend_from_slice(&buffer[..read]);
                let (used, pings) = count(&held, &mut expected, &tally);
                held.drain(..used);
                pings
            }
        });
        for _ in 0..pings {
            stream.try_write(&wire::pong()).unwrap();
        }
    }
}

/// Counts the whole frames in `bytes`; answers how far they reach, and how many were pings.
fn count(bytes: &[u8], expected: &mut u64, tally: &Tally) -> (usize, usize) {
    let (mut used, mut pings) = (0, 0);
    while let Some(frame) = Frame::first(&bytes[used..]) {
        let whole = &bytes[used..used + frame.end];
        used += frame.end;
        match frame.opcode {
            TEXT => {}
            PING => pings += 1,
            CLOSE => panic!("closed: {}", String::from_utf8_lossy(&whole[frame.start..])),
            other => panic!("opcode {other}"),
        }
        let Some(at) = whole.iter().position(|byte| *byte == MARK) else {
            continue;
        };
        assert_eq!(number(whole, at), *expected, "BF-1: in order");
        *expected += 1;
        tally.bytes.set(tally.bytes.get() + whole.len() as u64);
        tally.got.set(tally.got.get() + 1);
        if tally.sample.borrow().is_empty() && !is_own(whole) {
            *tally.sample.borrow_mut() = whole.to_vec();
        }
        if tally.got.get() == tally.due.get() {
            tally.done.notify_one();
        }
    }
    (used, pings)
}

/// Tells whether a frame is the publisher's own copy, which is longer than the others.
fn is_own(frame: &[u8]) -> bool {
    let name = b"client_msg_id";
    frame.windows(name.len()).any(|some| some == name)
}

fn number(frame: &[u8], mark: usize) -> u64 {
    let digits = &frame[mark + 1..=mark + DIGITS];
    let digits = std::str::from_utf8(digits).unwrap();
    digits.parse().unwrap()
}

/// The ruler: reads a message from the first socket and writes `frame`, numbered, to all, one by one.
async fn ruler(listener: TcpListener, sockets: usize, mut frame: Vec<u8>) {
    let mut streams = Vec::with_capacity(sockets);
    while streams.len() < sockets {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        streams.push(stream);
    }
    let message = message(&Uuid::nil().to_string(), 0).len();
    let mark = frame.iter().position(|byte| *byte == MARK).unwrap();
    let (mut buffer, mut held, mut said) = (vec![0; 64 * 1024], 0, 0_u64);
    loop {
        streams[0].readable().await.unwrap();
        match streams[0].try_read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => held += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => panic!("{error}"),
        }
        while held >= message {
            held -= message;
            frame[mark + 1..=mark + DIGITS].copy_from_slice(format!("{said:08}").as_bytes());
            said += 1;
            for stream in &streams {
                write(stream, &frame).await;
            }
        }
    }
}

async fn write(stream: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                stream.writable().await.unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Starts the ruler on a thread of its own; it ends when its publisher leaves.
fn start_ruler(sockets: usize, frame: Vec<u8>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = runtime();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            ruler(listener, sockets, frame).await;
        });
    });
    addr
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Starts a node with one room, and connects every member.
async fn gather(name: &'static str, parent: &Path, sockets: usize) -> (Node, Crowd) {
    let node = Node::start(parent, setting("PARLOR_BENCH_WORKERS", 1));
    let users: Vec<String> = (0..sockets).map(|at| format!("user-{at:05}")).collect();
    let room = node.room(&users).await;
    let mut wires = Vec::with_capacity(sockets);
    for user in &users {
        wires.push(node.session(user).await);
    }
    (node, Crowd::new(name, room, wires))
}

async fn bench() {
    let sockets = setting("PARLOR_BENCH_N", 1_000);
    let messages = setting("PARLOR_BENCH_MESSAGES", 40);
    let rounds = setting("PARLOR_BENCH_ROUNDS", 15);
    let (mut nodes, mut crowds) = (Vec::new(), Vec::new());
    let (node, crowd) = gather("server, store on disk", &figures::disk(), sockets).await;
    nodes.push(node);
    crowd.round(messages.min(10)).await;
    let sample = crowd.tally.sample.borrow().clone();
    let bytes = sample.len();
    crowds.push(crowd);
    if let Some(memory) = figures::memory() {
        let (node, crowd) = gather("server, store in memory", &memory, sockets).await;
        nodes.push(node);
        crowds.insert(0, crowd);
    }
    let addr = start_ruler(sockets, sample);
    let mut wires = Vec::with_capacity(sockets);
    for _ in 0..sockets {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let held = Vec::new();
        wires.push(Wire { stream, held });
    }
    let nobody = Uuid::nil().to_string();
    crowds.insert(0, Crowd::new("ruler", nobody, wires));

    for crowd in &crowds {
        crowd.round(messages.min(10)).await;
    }
    println!("fan-out: {sockets} sessions, {messages} messages a round, {bytes} bytes each");
    let mut series: Vec<Series> = crowds.iter().map(|crowd| Series::new(crowd.name)).collect();
    for round in 0..rounds {
        // Each goes first, second and last equally often.
        for turn in 0..crowds.len() {
            let at = (turn + round) % crowds.len();
            let figures = crowds[at].round(messages).await;
            series[at].rounds.push(figures);
        }
        report(round, &series);
    }
    print_head("deliveries");
    for one in &series {
        one.print();
    }
    for one in &series[1..] {
        let what = format!("{} / ruler, deliveries per second", one.name);
        print_ratio(&what, one.ratio(&series[0], |round| round.rate));
    }
    for crowd in &crowds {
        let sent = crowd.said.get() * sockets as u64;
        assert_eq!(crowd.tally.got.get(), sent, "BF-1");
        assert!(crowd.tally.bytes.get() >= sent * bytes as u64);
    }
    println!("every receiver of every case got every message, in order");
    for crowd in crowds {
        crowd.leave().await;
    }
    for node in nodes {
        node.stop();
    }
}

fn report(round: usize, series: &[Series]) {
    let base = series[0].rounds[round].rate;
    print!("round {round}:");
    for one in series {
        let rate = one.rounds[round].rate;
        print!("  {} {:.0}/s ({:.2})", one.name, rate, rate / base);
    }
    println!();
}

fn main() {
    fail_at_once();
    runtime().block_on(LocalSet::new().run_until(bench()));
}
