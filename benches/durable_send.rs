//! From a send to its ack through a real WebSocket, one sender and 50 senders in rooms of their own, beside the embedded store's own
//! commit and beside a bare loop that appends the same bytes to a file, syncs and answers.
//!
//! Owns the bare loop, the senders and the rounds. What is inside the timed part stands in `README.md`.
//!
//! Invariants:
//! - BD-1: acks of a room carry rising positions without a hole, and after the node's end the store holds every one of them.
//! - BD-2: all cases of a round write to files in the same folder, and each writer waits for its answer before it goes on.
#![allow(clippy::unwrap_used, reason = "a bench")]

mod client;
mod figures;
mod node;
mod usage;
mod wire;

use std::{
    cell::RefCell,
    fs::File,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use parlor_cluster::EmbeddedStore;
use parlor_schema::{
    Event, EventId, EventKind, MsgId, RoomId, Seq, Timestamp,
    event::Viewer,
    port::{Append, Timeline},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::Notify,
    task::{LocalSet, spawn_local},
};
use uuid::Uuid;

use figures::{Bound, Meter, Round, Series, Times, fail_at_once, print_head, print_ratio, setting};
use node::{Node, Store};
use wire::Wire;

/// Bytes of each message's text.
const TEXT_BYTES: usize = 200;
/// Bytes of the bare loop's answer: about those of an ack.
const ACK_BYTES: usize = 240;

/// A sender: a session and the room it sends into.
struct Sender {
    wire: Wire,
    room: String,
    head: u64,
}

impl Sender {
    async fn connect(node: &Node, user: String) -> Self {
        let users = [user];
        let room = client::room(node.addr, &users).await;
        let wire = client::session(node.addr, &users[0]).await;
        // The room's creation is its first event.
        Self {
            wire,
            room,
            head: 1,
        }
    }

    async fn send(&mut self) {
        let text = "x".repeat(TEXT_BYTES);
        let payload = json!({ "room_id": self.room, "body": { "text": text } });
        let ack = client::ask(&mut self.wire, "message.send", payload).await;
        self.head += 1;
        assert_eq!(ack["seq"], self.head, "BD-1");
    }
}

/// A writer straight into a store, with a room of its own.
struct Writer {
    store: Arc<EmbeddedStore>,
    room: RoomId,
    head: Seq,
}

impl Writer {
    fn new(store: &Arc<EmbeddedStore>) -> Self {
        let (store, room) = (store.clone(), RoomId::new(Uuid::now_v7()));
        let head = Seq::ZERO;
        Self { store, room, head }
    }

    async fn append(&mut self) {
        let event = event(self.head.next());
        let appended = self
            .store
            .append(self.room, self.head, vec![event.into()])
            .await;
        assert_eq!(appended.unwrap(), Append::Appended);
        self.head = self.head.next();
    }
}

fn event(seq: Seq) -> Event {
    let content = json!({ "body": { "text": "x".repeat(TEXT_BYTES) } }).to_string();
    Event {
        seq,
        id: EventId::new(Uuid::now_v7()),
        kind: EventKind::Message,
        sender: "sender-00".parse().unwrap(),
        sent_at: Timestamp::from_millis(1_800_000_000_000),
        msg_id: MsgId::new(Uuid::now_v7()),
        fingerprint: Uuid::now_v7().as_u128(),
        content: content.into(),
    }
}

/// Returns the bytes that the bare loop appends for one message.
fn record() -> Vec<u8> {
    let room = RoomId::new(Uuid::now_v7());
    event(Seq::FIRST).frame(room, Viewer::Sender).into_bytes()
}

/// A client of the bare loop.
struct Bare {
    stream: TcpStream,
    record: Vec<u8>,
    answer: Vec<u8>,
}

impl Bare {
    async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            record: record(),
            answer: vec![0; ACK_BYTES],
        }
    }

    async fn send(&mut self) {
        self.stream.write_all(&self.record).await.unwrap();
        self.stream.read_exact(&mut self.answer).await.unwrap();
    }
}

#[derive(Default)]
struct Waiting {
    records: RefCell<Vec<(Vec<u8>, Rc<OwnedWriteHalf>)>>,
    some: Notify,
}

/// The bare loop: what has come while the last sync ran is appended with one write and one sync, then answered.
async fn bare_loop(listener: TcpListener, mut file: File) {
    let waiting = Rc::new(Waiting::default());
    let incoming = waiting.clone();
    spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            spawn_local(bare_connection(stream, incoming.clone()));
        }
    });
    let mut bytes = Vec::new();
    loop {
        waiting.some.notified().await;
        // Whatever other sockets have is in the list after one turn of the loop.
        tokio::task::yield_now().await;
        let records = waiting.records.take();
        bytes.clear();
        for (record, _) in &records {
            bytes.extend_from_slice(record);
        }
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        for (_, stream) in records {
            let written = stream.try_write(&[b'a'; ACK_BYTES]).unwrap();
            assert_eq!(written, ACK_BYTES, "an answer fits the socket");
        }
    }
}

async fn bare_connection(stream: TcpStream, waiting: Rc<Waiting>) {
    let (mut read, write) = stream.into_split();
    let write = Rc::new(write);
    let mut record = record();
    while read.read_exact(&mut record).await.is_ok() {
        let entry = (record.clone(), write.clone());
        waiting.records.borrow_mut().push(entry);
        waiting.some.notify_one();
    }
}

/// Starts the bare loop on a thread of its own; it lasts as long as the process.
fn start_bare(path: PathBuf) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let file = File::create(path).unwrap();
        runtime().block_on(LocalSet::new().run_until(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            bare_loop(listener, file).await;
        }));
    });
    addr
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// The bare primitive without a socket or another thread.
fn append_and_sync(file: &mut File, slice: Duration) -> Round {
    let (record, mut times) = (record(), Times::new());
    let (meter, start) = (Meter::start(None), Instant::now());
    while start.elapsed() < slice {
        let one = Instant::now();
        file.write_all(&record).unwrap();
        file.sync_data().unwrap();
        times.add(one.elapsed());
    }
    meter.round(&times, 1)
}

/// Has every writer do `step` again and again for the length of a slice, all at the same time.
async fn slice<W: 'static>(
    writers: &mut Vec<W>,
    slice: Duration,
    step: impl AsyncFn(&mut W) + Copy + 'static,
) -> Round {
    let (meter, start) = (Meter::start(None), Instant::now());
    let tasks: Vec<_> = writers
        .drain(..)
        .map(|mut writer| {
            spawn_local(async move {
                let mut times = Times::new();
                while start.elapsed() < slice {
                    let one = Instant::now();
                    step(&mut writer).await;
                    times.add(one.elapsed());
                }
                (writer, times)
            })
        })
        .collect();
    let mut all = Times::new();
    for task in tasks {
        let (writer, times) = task.await.unwrap();
        all.join(&times);
        writers.push(writer);
    }
    meter.round(&all, 1)
}

/// Everything that writes, one set for each number of writers.
struct Set {
    senders: Vec<Sender>,
    writers: Vec<Writer>,
    bare: Vec<Bare>,
    series: [Series; 3],
}

const ONE: [&str; 3] = [
    "1 room: send to ack",
    "1 room: store's own commit",
    "1 room: bare loop",
];
const MANY: [&str; 3] = [
    "all rooms: send to ack",
    "all rooms: store's own commit",
    "all rooms: bare loop, group commit",
];

impl Set {
    async fn new(
        names: [&'static str; 3],
        count: usize,
        node: &Node,
        store: &Arc<EmbeddedStore>,
        bare_addr: SocketAddr,
    ) -> Self {
        let (mut senders, mut writers, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        for at in 0..count {
            let user = format!("sender-{count:02}-{at:02}");
            senders.push(Sender::connect(node, user).await);
            writers.push(Writer::new(store));
            bare.push(Bare::connect(bare_addr).await);
        }
        Self {
            senders,
            writers,
            bare,
            series: names.map(Series::new),
        }
    }

    async fn case(&mut self, case: usize, length: Duration) -> Round {
        match case {
            0 => slice(&mut self.senders, length, Sender::send).await,
            1 => slice(&mut self.writers, length, Writer::append).await,
            _ => slice(&mut self.bare, length, Bare::send).await,
        }
    }

    async fn round(&mut self, round: usize, length: Duration) {
        for turn in 0..self.series.len() {
            let case = (turn + round) % self.series.len();
            let figures = self.case(case, length).await;
            self.series[case].rounds.push(figures);
        }
    }

    /// Prints the ratios; `bounds` are those of median and rate to the bare loop.
    fn print_ratios(&self, [p50_bound, rate_bound]: [Option<Bound>; 2]) {
        let [sends, store, bare] = &self.series;
        let p50 = |round: &Round| round.p50;
        let rate = |round: &Round| round.rate;
        let what = format!("{} / {}", sends.name, bare.name);
        print_ratio(&format!("{what}, p50"), sends.ratio(bare, p50), p50_bound);
        print_ratio(
            &format!("{what}, rate"),
            sends.ratio(bare, rate),
            rate_bound,
        );
        let what = format!("{} / {}", sends.name, store.name);
        print_ratio(&format!("{what}, p50"), sends.ratio(store, p50), None);
        print_ratio(&format!("{what}, rate"), sends.ratio(store, rate), None);
        let what = format!("{} / {}, p50", store.name, bare.name);
        print_ratio(&what, store.ratio(bare, p50), None);
    }

    fn heads(&self) -> Vec<(RoomId, Seq)> {
        let sent = |sender: &Sender| (sender.room.parse().unwrap(), Seq::new(sender.head));
        self.senders.iter().map(sent).collect()
    }
}

async fn bench() {
    // One room is the other set, whose sender is named after the number too.
    let rooms = setting("PARLOR_BENCH_ROOMS", 50).max(2);
    let rounds = setting("PARLOR_BENCH_ROUNDS", 13);
    let length = Duration::from_millis(setting("PARLOR_BENCH_SLICE_MS", 400) as u64);
    let folder = tempfile::tempdir_in(figures::disk()).unwrap();
    let node = Node::start(
        folder.path(),
        Store::Embedded,
        setting("PARLOR_BENCH_WORKERS", 1),
    );
    let store = EmbeddedStore::open(&folder.path().join("own")).unwrap();
    let bare_addr = start_bare(folder.path().join("bare"));
    let mut file = File::create(folder.path().join("file")).unwrap();
    let mut one = Set::new(ONE, 1, &node, &store, bare_addr).await;
    let mut many = Set::new(MANY, rooms, &node, &store, bare_addr).await;
    for set in [&mut one, &mut many] {
        for case in 0..set.series.len() {
            set.case(case, length / 8).await;
        }
    }
    println!(
        "durable send: {TEXT_BYTES} bytes of text, 1 and {rooms} rooms, {rounds} rounds of {} ms a case",
        length.as_millis()
    );
    let mut alone = Series::new("append and fdatasync, no socket");
    for round in 0..rounds {
        one.round(round, length).await;
        many.round(round, length).await;
        alone.rounds.push(append_and_sync(&mut file, length / 2));
    }
    print_head("one answer");
    for series in one.series.iter().chain(&many.series).chain([&alone]) {
        series.print();
    }
    one.print_ratios([Some(Bound::AtMost(2.0)), None]);
    many.print_ratios([None, Some(Bound::AtLeast(0.4))]);
    let heads = [one.heads(), many.heads()].concat();
    drop((one, many));
    // The folder lasts until it has been read.
    let left = node.stop();
    check(&node::data(left.path()), &heads).await;
}

/// Reads what the node left on disk (BD-1).
async fn check(data: &Path, heads: &[(RoomId, Seq)]) {
    let store = EmbeddedStore::open(data).unwrap();
    let mut acked = 0;
    for (room, head) in heads {
        assert_eq!(store.head(*room).await.unwrap(), *head, "BD-1");
        acked += head.get() - 1;
    }
    println!("all {acked} acknowledged sends are in the store after the node's end, in order");
}

fn main() {
    fail_at_once();
    runtime().block_on(LocalSet::new().run_until(bench()));
}
