//! A message from a session on one node to a session on another, through a real Redis and a real Cassandra, beside the same on one node
//! and beside a bare publish of as many bytes over the same Redis.
//!
//! Owns the cases and the bare publish. What is inside the timed part stands in `README.md`.
//!
//! Invariants:
//! - BX-1: a room's positions rise by one, and its receiver gets each message in its place.
//! - BX-2: a case's room is owned by the node that the case says.
#![allow(clippy::unwrap_used, reason = "a bench")]

#[path = "../tests/support/cassandra.rs"]
mod cassandra;
mod figures;
#[path = "../tests/cluster/node.rs"]
mod node;
#[path = "../tests/support/redis.rs"]
mod redis;
#[path = "../tests/support.rs"]
mod support;
mod usage;

use std::time::{Duration, Instant};

use parlor_schema::{BootId, RoomId, placement, port::NodeInfo};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

use figures::{Round, Series, Times, print_ratio, setting};
use node::Site;
use redis::RedisServer;
use support::Client;

/// Bytes of each message's text.
const TEXT_BYTES: usize = 200;
/// Bytes of the bare message: about those of a packet with the news of one such event.
const BARE_BYTES: usize = 740;
/// Longer than a node tells another of all rooms after a change of the view.
const SETTLED: Duration = Duration::from_secs(13);

/// Two people in a room of their own.
struct Pair {
    name: &'static str,
    room: String,
    sender: Client,
    receiver: Client,
    seq: u64,
}

impl Pair {
    /// Says a message; answers when it was delivered to the other, and when acknowledged.
    async fn say(&mut self) -> (Duration, Duration) {
        let id = Uuid::now_v7().to_string();
        let body = json!({ "text": "x".repeat(TEXT_BYTES) });
        let payload = json!({ "room_id": self.room, "body": body });
        let began = Instant::now();
        self.sender.post("message.send", &id, payload).await;
        let (sender, receiver, room) = (&mut self.sender, &mut self.receiver, &self.room);
        let acked = async {
            let reply = sender.reply_to(&id).await;
            (began.elapsed(), reply)
        };
        let delivered = async {
            let event = receiver
                .wait_for(|frame| {
                    frame["type"] == "message" && frame["payload"]["room_id"] == room.as_str()
                })
                .await;
            (began.elapsed(), event)
        };
        let ((acked, reply), (delivered, event)) = tokio::join!(acked, delivered);
        self.seq += 1;
        assert_eq!(reply["payload"]["seq"], self.seq, "BX-1: {reply}");
        assert_eq!(event["payload"]["seq"], self.seq, "BX-1: {event}");
        self.sender.forget();
        self.receiver.forget();
        (delivered, acked)
    }
}

/// A publisher and a subscriber of Redis, as few bytes of code as they can be.
struct Bare {
    publisher: TcpStream,
    subscriber: TcpStream,
    publish: Vec<u8>,
    push: usize,
}

impl Bare {
    async fn connect(server: &RedisServer) -> Self {
        let url = server.url();
        let address = url.trim_start_matches("redis://").trim_end_matches('/');
        let connect = async || {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            stream
        };
        let (publisher, mut subscriber) = (connect().await, connect().await);
        subscriber.write_all(b"SUBSCRIBE bare\r\n").await.unwrap();
        let mut subscribed = [0; 512];
        let length = subscriber.read(&mut subscribed).await.unwrap();
        assert!(subscribed[..length].ends_with(b":1\r\n"));
        let payload = format!("${BARE_BYTES}\r\n{}\r\n", "x".repeat(BARE_BYTES));
        let publish = format!("*3\r\n$7\r\nPUBLISH\r\n$4\r\nbare\r\n{payload}");
        let push = format!("*3\r\n$7\r\nmessage\r\n$4\r\nbare\r\n{payload}");
        Self {
            publisher,
            subscriber,
            publish: publish.into_bytes(),
            push: push.len(),
        }
    }

    /// Publishes; answers when the subscriber had it, and when Redis answered.
    async fn say(&mut self) -> (Duration, Duration) {
        let began = Instant::now();
        self.publisher.write_all(&self.publish).await.unwrap();
        let (publisher, subscriber) = (&mut self.publisher, &mut self.subscriber);
        let mut push = vec![0; self.push];
        let answered = async {
            let mut answer = [0; 4];
            publisher.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b":1\r\n");
            began.elapsed()
        };
        let delivered = async {
            subscriber.read_exact(&mut push).await.unwrap();
            began.elapsed()
        };
        let (answered, delivered) = tokio::join!(answered, delivered);
        (delivered, answered)
    }
}

/// Returns the name of a room's owner among nodes (BX-2).
fn owner(room: &str, names: &[&str]) -> String {
    let node = |name: &&str| NodeInfo {
        node_id: name.parse().unwrap(),
        boot_id: BootId::from([0; 16]),
        internal_address: None,
    };
    let nodes: Vec<NodeInfo> = names.iter().map(node).collect();
    let room: RoomId = room.parse().unwrap();
    placement::owner(room, &nodes).unwrap().node_id.to_string()
}

/// Makes a room that a node owns, of a sender on node one and a receiver on the node it is given.
async fn pair(
    name: &'static str,
    own: &str,
    number: usize,
    [one, other]: [&node::Node; 2],
) -> Pair {
    let users = [format!("ana{number}"), format!("ben{number}")];
    let mut sender = one.session(&users[0]).await;
    let mut receiver = other.session(&users[1]).await;
    let room = loop {
        let room = sender.room(json!({ "members": [users[1]] })).await;
        receiver.wait_for(|frame| has_room(frame, &room)).await;
        if owner(&room, &["one", "two"]) == own {
            break room;
        }
    };
    Pair {
        name,
        room,
        sender,
        receiver,
        seq: 1,
    }
}

fn has_room(frame: &Value, room: &str) -> bool {
    frame["type"] == "room.added" && frame["payload"]["room"]["room_id"] == room
}

/// Sums up the times of a round.
fn round(times: &Times, whole: Duration) -> Round {
    Round {
        rate: f64::from(u32::try_from(times.count()).unwrap()) / whole.as_secs_f64(),
        p50: times.quantile(0.5),
        p99: times.quantile(0.99),
        cost: 0.0,
        busy: 0.0,
    }
}

/// The rounds of a case: until it was delivered, and until it was acknowledged.
struct Case {
    delivered: Series,
    acked: Series,
}

impl Case {
    fn new(name: &'static str) -> Self {
        Self {
            delivered: Series::new(name),
            acked: Series::new(name),
        }
    }

    async fn run(&mut self, turns: usize, mut say: impl AsyncFnMut() -> (Duration, Duration)) {
        let (mut delivered, mut acked) = (Times::new(), Times::new());
        let began = Instant::now();
        for _ in 0..turns {
            let (one, two) = say().await;
            delivered.add(one);
            acked.add(two);
        }
        let whole = began.elapsed();
        self.delivered.rounds.push(round(&delivered, whole));
        self.acked.rounds.push(round(&acked, whole));
    }

    fn print(&self) {
        println!(
            "| {:<28} | {:>8.0} | {:>8.0} | {:>8.0} | {:>8.0} |",
            self.delivered.name,
            self.delivered.median(|round| round.p50),
            self.delivered.median(|round| round.p99),
            self.acked.median(|round| round.p50),
            self.acked.median(|round| round.p99),
        );
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Nothing ends the process at once here: a panic unwinds, so that nodes and Redis end with it.
    let rounds = setting("PARLOR_BENCH_ROUNDS", 11);
    let turns = setting("PARLOR_BENCH_MESSAGES", 200);
    let site = Site::new();
    let (one, two) = site.pair().await;
    let mut bare = Bare::connect(&site.redis).await;
    let mut pairs = [
        pair("one node", "one", 0, [&one, &one]).await,
        pair("across, sender's node owns", "one", 1, [&one, &two]).await,
        pair("across, receiver's node owns", "two", 2, [&one, &two]).await,
    ];
    tokio::time::sleep(SETTLED).await;
    let mut cases: Vec<Case> = pairs.iter().map(|pair| Case::new(pair.name)).collect();
    let mut ruler = Case::new("bare publish");
    for number in 0..=rounds {
        for at in 0..=pairs.len() {
            // Who comes first changes.
            match (at + number) % (pairs.len() + 1) {
                0 => ruler.run(turns, async || bare.say().await).await,
                case => {
                    let pair = &mut pairs[case - 1];
                    cases[case - 1].run(turns, async || pair.say().await).await;
                }
            }
        }
        if number == 0 {
            // The first round warms up.
            for case in cases.iter_mut().chain([&mut ruler]) {
                case.delivered.rounds.clear();
                case.acked.rounds.clear();
            }
        }
    }
    println!(
        "\n| {:<28} | delivered p50 us | p99 us | acked p50 us | p99 us |",
        "one message under way"
    );
    println!("| --- | --- | --- | --- | --- |");
    ruler.print();
    cases.iter().for_each(Case::print);
    let [base, own, other] = [&cases[0], &cases[1], &cases[2]];
    for case in [own, other] {
        let name = case.delivered.name;
        let ratio = case.delivered.ratio(&base.delivered, |round| round.p50);
        print_ratio(&format!("{name}: p50 of one node's"), ratio, None);
    }
    let ratio = own.delivered.ratio(&ruler.delivered, |round| round.p50);
    print_ratio("across: p50 of bare publish's", ratio, None);
    one.terminate();
    two.terminate();
}
