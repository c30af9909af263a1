//! From one socket to many, through the real server, beside bare loops that write the same bytes to as many sockets: one message at a
//! time, a busy room, many small rooms, and a room in which some never read.
//!
//! Owns the cases; a case is a shape of rooms and the entrants that serve it. What is inside the timed part stands in `README.md`.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a bench")]

mod board;
#[path = "fanout/case.rs"]
mod case;
mod client;
#[path = "fanout/crowd.rs"]
mod crowd;
mod figures;
mod node;
#[path = "fanout/ruler.rs"]
mod ruler;
mod usage;
mod wire;

use std::time::Duration;

use parlor_schema::limits::LANE_BYTES_MAX;
use tokio::task::LocalSet;

use case::{Case, Entrant, Kind, Served, disperse};
use crowd::Shape;
use figures::{Bound, fail_at_once, setting, wanted};
use node::Store;
use ruler::Ruler;

/// Publishers of the busy room.
const BUSY: usize = 32;
/// Members of each of many rooms, and messages under way over all of them.
const SMALL: usize = 10;
const UNDER_WAY: usize = 64;
/// What fills the sockets that are never read: more than a kernel holds for one (4 MiB of `tcp_wmem`) and a lane.
const FILL_MESSAGES: usize = 300;
const FILL_BYTES: usize = 16_000;
/// Bytes that a node may hold for a socket that takes none: a full lane, and the frame that filled it.
const HELD_BYTES_MAX: usize = LANE_BYTES_MAX + FILL_BYTES + 1_000;
/// Time in which a node's gauges follow.
const GAUGES_WITHIN: Duration = Duration::from_millis(2_500);

const MEMORY: &str = "server, timeline in memory";
const EMBEDDED: &str = "server, embedded store";

fn entrant(name: &'static str, kind: Kind, bound: Option<Bound>) -> Entrant {
    Entrant { name, kind, bound }
}

fn at_least(least: f64) -> Option<Bound> {
    Some(Bound::AtLeast(least))
}

fn single(members: usize, messages: usize) -> Case {
    Case {
        key: "single",
        title: "one message at a time into one room",
        shape: Shape {
            rooms: 1,
            members,
            publishers: 1,
            stuck: 0,
            under_way: 1,
        },
        messages,
        entrants: vec![
            entrant("one by one", Kind::Bare(Ruler::OneByOne), None),
            entrant(MEMORY, Kind::Node(Store::Memory, 0), at_least(0.85)),
            entrant(EMBEDDED, Kind::Node(Store::Embedded, 0), None),
        ],
    }
}

fn busy(members: usize, messages: usize) -> Case {
    let publishers = BUSY.min(members);
    Case {
        key: "busy",
        title: "32 publishers in one room, each waiting for its message to reach all",
        shape: Shape {
            rooms: 1,
            members,
            publishers,
            stuck: 0,
            under_way: publishers,
        },
        messages: messages * publishers,
        entrants: vec![
            entrant("task and cork", Kind::Bare(Ruler::Corked), None),
            entrant(MEMORY, Kind::Node(Store::Memory, 0), at_least(0.9)),
            entrant(EMBEDDED, Kind::Node(Store::Embedded, 0), None),
        ],
    }
}

fn rooms(rooms: usize, messages: usize) -> Case {
    Case {
        key: "rooms",
        title: "a publisher in each of many rooms of 10, 64 messages under way over all",
        shape: Shape {
            rooms,
            members: SMALL,
            publishers: 1,
            stuck: 0,
            under_way: UNDER_WAY,
        },
        messages: messages * 100,
        entrants: vec![
            entrant("one by one", Kind::Bare(Ruler::OneByOne), None),
            entrant(MEMORY, Kind::Node(Store::Heads, 0), at_least(0.85)),
        ],
    }
}

fn stuck(members: usize, messages: usize) -> Case {
    let never = (members / 100).max(1);
    Case {
        entrants: vec![
            entrant("all read", Kind::Node(Store::Memory, 0), None),
            entrant(
                "one in 100 never reads",
                Kind::Node(Store::Memory, never),
                at_least(0.95),
            ),
        ],
        key: "stuck",
        title: "one message at a time into one room, in which some never read",
        ..single(members, messages)
    }
}

/// Fills the sockets that are never read, so that the rounds find the node with its hands full.
async fn fill(served: &[Served]) {
    for one in served {
        one.crowd.say(FILL_MESSAGES, FILL_BYTES).await;
    }
}

/// Says what the node holds for those that never read.
async fn report_stuck(served: &[Served], never: usize) {
    let node = served[1].node.as_ref().unwrap();
    tokio::time::sleep(GAUGES_WITHIN).await;
    let bytes = client::metric(node.addr, "parlor_queue_bytes").await;
    let each = bytes / never as f64;
    println!(
        "held for {never} sessions that never read: {bytes:.0} bytes, {each:.0} each, {}",
        Bound::AtMost(HELD_BYTES_MAX as f64).verdict(each)
    );
    let slow = client::metric(node.addr, "parlor_closes_total{code=\"4501\"}").await;
    let silent = client::metric(node.addr, "parlor_closes_total{code=\"4503\"}").await;
    println!("closed by the node meanwhile: {slow} as too slow, {silent} as silent");
}

async fn bench() {
    let sessions = setting("PARLOR_BENCH_N", 1_000);
    let messages = setting("PARLOR_BENCH_MESSAGES", 40);
    let rounds = setting("PARLOR_BENCH_ROUNDS", 15);
    let cases = [
        single(sessions, messages),
        busy(sessions, messages),
        rooms(setting("PARLOR_BENCH_ROOMS", 200), messages),
        stuck(sessions, messages),
    ];
    for case in cases.iter().filter(|case| wanted(case.key)) {
        let served = case.gather().await;
        let never = case.entrants.iter().find_map(|one| match one.kind {
            Kind::Node(_, never) if never > 0 => Some(never),
            _ => None,
        });
        if never.is_some() {
            fill(&served).await;
        }
        case.measure(&served, rounds).await;
        if let Some(never) = never {
            report_stuck(&served, never).await;
        }
        disperse(served).await;
    }
}

fn main() {
    fail_at_once();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(LocalSet::new().run_until(bench()));
}
