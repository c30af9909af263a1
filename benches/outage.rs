//! What people on two nodes notice of a Redis that is killed, stays away and comes back, under a steady load.
//!
//! Owns the fault and the table. What is inside the timed part stands in `README.md`.
//!
//! Invariants:
//! - BO-1: each message sent is acknowledged once, is delivered once and in its place to everybody in its room, and stands there in the
//!   timeline afterwards.
//! - BO-2: no socket ends.
//! - BO-3: the nodes notice: they call each other while Redis is away, and no more when it is back.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench"
)]

#[path = "../tests/support/cassandra.rs"]
mod cassandra;
mod figures;
#[path = "../tests/cluster/node.rs"]
mod node;
#[path = "outage/people.rs"]
mod people;
#[path = "outage/picture.rs"]
mod picture;
#[path = "../tests/support/redis.rs"]
mod redis;
#[path = "outage/seen.rs"]
mod seen;
#[path = "../tests/support.rs"]
mod support;
mod usage;

use std::{
    cell::RefCell,
    ops::Range,
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::task::LocalSet;

use figures::setting;
use node::{Node, Site};
use people::Crowd;
use picture::Picture;
use seen::Seen;

/// Longer than a node tells another of all rooms after a change of the view.
const SETTLED: Duration = Duration::from_secs(13);
/// Load before anything is counted.
const WARM: Duration = Duration::from_secs(10);
/// How long the nodes may take to notice that Redis is gone, or is back.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);
/// The part of a phase that is told of by itself, after its beginning.
const FIRST: Duration = Duration::from_secs(3);

/// When what happened, since counting began.
struct Times {
    down: Duration,
    around: Duration,
    up: Duration,
    back: Duration,
    end: Duration,
}

/// Waits until each node calls so many others, and its commands to Redis go through or not (BO-3).
async fn noticed(nodes: [&Node; 2], calls: f64, commands: f64) {
    let began = Instant::now();
    for node in nodes {
        while node.metric("parlor_links_http").await != calls
            || node.metric("parlor_redis_commands_up").await != commands
        {
            assert!(began.elapsed() < NOTICED_WITHIN, "BO-3: {calls} {commands}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Does something to Redis on a thread of its own: people go on meanwhile.
async fn redis_of(mut site: Site, fault: fn(&mut redis::RedisServer)) -> Site {
    let done = tokio::task::spawn_blocking(move || {
        fault(&mut site.redis);
        site
    });
    done.await.unwrap()
}

/// Kills Redis after `around`, has it stay away for `away`, and waits for `around` once it is back.
async fn fault(
    site: Site,
    nodes: [&Node; 2],
    began: Instant,
    [around, away]: [Duration; 2],
) -> (Site, Times) {
    let until = async |at: Duration| tokio::time::sleep_until((began + at).into()).await;
    until(around).await;
    let down = began.elapsed();
    let site = redis_of(site, redis::RedisServer::kill).await;
    noticed(nodes, 1.0, 0.0).await;
    let gone_around = began.elapsed();
    until(down + away).await;
    let up = began.elapsed();
    let site = redis_of(site, redis::RedisServer::begin).await;
    noticed(nodes, 0.0, 1.0).await;
    let back = began.elapsed();
    until(up + around).await;
    let times = Times {
        down,
        around: gone_around,
        up,
        back,
        end: began.elapsed(),
    };
    (site, times)
}

fn print(seen: &Seen, times: &Times) {
    println!(
        "\n| {:<26} | messages | ack p50 ms |   p99 |   most | across p50 ms |   p99 |   most |",
        "sent while"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let phases: [(&str, Range<Duration>); 5] = [
        ("before", Duration::ZERO..times.down),
        ("Redis away", times.down..times.up),
        ("its first 3 s", times.down..times.down + FIRST),
        ("Redis back", times.up..times.end),
        ("its first 3 s", times.up..times.up + FIRST),
    ];
    for (name, phase) in phases {
        let (acked, crossed) = (seen.acked(&phase), seen.crossed(&phase));
        let row = |times: &figures::Times| {
            [0.5, 0.99, 1.0].map(|quantile| times.quantile(quantile) / 1_000.0)
        };
        let ([a, b, c], [d, e, f]) = (row(&acked), row(&crossed));
        println!(
            "| {name:<26} | {:>8} | {a:>10.1} | {b:>5.1} | {c:>6.1} | {d:>13.1} | {e:>5.1} | {f:>6.1} |",
            acked.count()
        );
    }
}

/// Returns where the picture goes: what was not built to be fast is not shown.
fn picture_file() -> PathBuf {
    let folder = match cfg!(debug_assertions) {
        true => env!("CARGO_TARGET_TMPDIR"),
        false => concat!(env!("CARGO_MANIFEST_DIR"), "/docs/images"),
    };
    PathBuf::from(folder).join("redis-outage.svg")
}

async fn run() {
    let seconds = |name, default| Duration::from_secs(setting(name, default) as u64);
    let around = seconds("PARLOR_BENCH_AROUND_S", 30);
    let away = seconds("PARLOR_BENCH_AWAY_S", 60);
    let rate = setting("PARLOR_BENCH_RATE", 100) as u32;
    let site = Site::with_internal();
    let (one, two) = site.pair().await;
    let crowd = Crowd::gather([&one, &two], setting("PARLOR_BENCH_ROOMS", 10)).await;
    tokio::time::sleep(SETTLED).await;

    let began = Instant::now() + WARM;
    let seen = Rc::new(RefCell::new(Seen::new(began, crowd.len())));
    let talk = crowd.talk(&seen, rate);
    let (site, times) = fault(site, [&one, &two], began, [around, away]).await;
    talk.finish().await;

    let seen = seen.replace(Seen::new(began, 0));
    let totals = seen.judge();
    let kept = crowd.read_back([&one, &two], &seen).await;
    print(&seen, &times);
    let ms = |time: Duration| time.as_millis();
    println!(
        "\nnodes call each other {} ms after the kill, and no more {} ms after the start; a sender was at most {} ms late",
        ms(times.around - times.down),
        ms(times.back - times.up),
        ms(seen.late),
    );
    println!("{totals}; read back {kept}");
    for node in [&one, &two] {
        let silent = node
            .metric("parlor_forwards_total{outcome=\"silent\"}")
            .await;
        println!("forwards without an answer within 2 s: {silent}");
    }
    let picture = Picture {
        away: times.down..times.up,
        end: times.end,
        acked: seen.seconds(times.end, Seen::acked),
        crossed: seen.seconds(times.end, Seen::crossed),
    };
    let file = picture_file();
    std::fs::write(&file, picture.draw()).unwrap();
    println!("{}", file.display());
    totals.check();
    drop(site);
    one.terminate();
    two.terminate();
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Nothing ends the process at once here: a panic unwinds, so that nodes and Redis end with it.
    LocalSet::new().run_until(run()).await;
}
