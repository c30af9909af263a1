//! Envelopes from one node to another through a Redis on this machine, beside bare pub/sub on the same server.
//!
//! The figures and what they hold are in `benches/README.md`.
#![allow(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

#[path = "../tests/support/redis.rs"]
mod server;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parlor_cluster::{PacketSeal, RandomIds, Redis, Seals, SystemClock};
use parlor_schema::{
    BootId,
    envelope::{Destination, Envelope},
    port::{Bus as _, Clock as _, Ids as _, Inbound, Membership as _, NodeInfo},
};
use redis::{AsyncConnectionConfig, PushInfo, PushKind};
use server::RedisServer;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::sleep,
};

/// Envelopes of one round of the rate.
const COUNT: usize = 100_000;
/// Envelopes that are published before others have their turn, as a busy room does.
const BURST: usize = 128;
/// Messages of one pipeline of the bare publisher.
const PIPELINE: usize = 128;
/// Envelopes of which each waits for the one before.
const TURNS: usize = 2000;
/// Rounds, of which the best counts.
const ROUNDS: usize = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let server = RedisServer::start();
    let (one, _) = node("n1", &server).await;
    let (two, mut arrived) = node("n2", &server).await;
    while one.membership().view().nodes.len() < 2 || two.membership().view().nodes.len() < 2 {
        sleep(Duration::from_millis(20)).await;
    }
    sleep(Duration::from_secs(1)).await;
    while arrived.try_recv().is_ok() {}
    let envelope = Envelope::UserRevoked {
        user_id: "u".repeat(128).parse().unwrap(),
    };
    let length = serde_json::to_vec(&envelope).unwrap().len();
    println!("{length} bytes in an envelope");
    let mut bare = Bare::connect(&server).await;
    let payload = vec![b'x'; length];
    let mut best = [0_f64; 2];
    for _ in 0..ROUNDS {
        best[0] = best[0].max(bare.rate(&payload).await);
        best[1] = best[1].max(rate(&one, &envelope, &mut arrived).await);
    }
    println!(
        "bare pub/sub, pipelines of {PIPELINE}: {:>9.0} messages/s",
        best[0]
    );
    println!(
        "the bus:                       {:>9.0} envelopes/s ({:.2} of bare)",
        best[1],
        best[1] / best[0]
    );
    show("bare publish to arrival", bare.turns(&payload).await);
    show(
        "envelope to arrival",
        turns(&one, &envelope, &mut arrived).await,
    );
    let stats = one.health().bus;
    assert_eq!((stats.dropped, stats.failed), (0, 0), "nothing was lost");
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| times[(times.len() - 1) * part / 1000].as_micros();
    println!("{what}: p50 {} us, p99 {} us", at(500), at(990));
}

async fn node(name: &str, server: &RedisServer) -> (Redis, UnboundedReceiver<Inbound>) {
    let (clock, ids) = (SystemClock::new(), RandomIds::new());
    let settings = parlor_config::Redis {
        url: Some(server.url().parse().unwrap()),
        ..parlor_config::Redis::default()
    };
    let own = NodeInfo {
        node_id: name.parse().unwrap(),
        boot_id: BootId::new(ids.uuid(clock.now())),
        internal_address: None,
    };
    let seals = Seals {
        packets: PacketSeal::new(&[7; 32]),
        calls: None,
    };
    let redis = Redis::start(&settings, own, clock, ids, seals)
        .await
        .unwrap();
    let (sender, arrived) = unbounded_channel();
    redis.bus().attach(Arc::new(move |inbound| {
        let _ = sender.send(inbound);
    }));
    while !redis.health().subscription.up {
        sleep(Duration::from_millis(10)).await;
    }
    (redis, arrived)
}

async fn publish(from: &Redis, envelope: &Envelope) {
    let to = Destination::Node("n2".parse().unwrap());
    from.bus().publish(to, envelope.clone()).await.unwrap();
}

/// Returns envelopes per second with at most 4096 on the way, so that no queue overflows.
async fn rate(from: &Redis, envelope: &Envelope, arrived: &mut UnboundedReceiver<Inbound>) -> f64 {
    let began = Instant::now();
    let (mut sent, mut heard) = (0, 0);
    while heard < COUNT {
        if sent < COUNT && sent - heard < 4096 {
            for _ in 0..BURST.min(COUNT - sent) {
                publish(from, envelope).await;
                sent += 1;
            }
            while arrived.try_recv().is_ok() {
                heard += 1;
            }
            continue;
        }
        assert!(
            matches!(arrived.recv().await, Some(Inbound::Envelope(_))),
            "lost"
        );
        heard += 1;
    }
    COUNT as f64 / began.elapsed().as_secs_f64()
}

async fn turns(
    from: &Redis,
    envelope: &Envelope,
    arrived: &mut UnboundedReceiver<Inbound>,
) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..TURNS {
        let began = Instant::now();
        publish(from, envelope).await;
        assert!(
            matches!(arrived.recv().await, Some(Inbound::Envelope(_))),
            "lost"
        );
        times.push(began.elapsed());
    }
    times
}

/// Publisher and subscriber of the crate, each on a connection, and nothing else.
struct Bare {
    publisher: redis::aio::MultiplexedConnection,
    _subscriber: redis::aio::MultiplexedConnection,
    arrived: UnboundedReceiver<PushInfo>,
}

impl Bare {
    async fn connect(server: &RedisServer) -> Self {
        let url = format!("{}?protocol=resp3", server.url());
        let info = redis::IntoConnectionInfo::into_connection_info(url).unwrap();
        let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true);
        let client = redis::Client::open(info.set_tcp_settings(tcp)).unwrap();
        let (sender, arrived) = unbounded_channel();
        let config = AsyncConnectionConfig::new().set_push_sender(sender);
        let mut subscriber = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .unwrap();
        subscriber.subscribe("bare").await.unwrap();
        Self {
            publisher: client.get_multiplexed_async_connection().await.unwrap(),
            _subscriber: subscriber,
            arrived,
        }
    }

    async fn rate(&mut self, payload: &[u8]) -> f64 {
        let began = Instant::now();
        let mut heard = 0;
        for _ in 0..COUNT / PIPELINE {
            let mut pipeline = redis::pipe();
            for _ in 0..PIPELINE {
                pipeline.publish("bare", payload).ignore();
            }
            pipeline.exec_async(&mut self.publisher).await.unwrap();
        }
        while heard < COUNT / PIPELINE * PIPELINE {
            heard += usize::from(self.arrived.recv().await.unwrap().kind == PushKind::Message);
        }
        heard as f64 / began.elapsed().as_secs_f64()
    }

    async fn turns(&mut self, payload: &[u8]) -> Vec<Duration> {
        let mut times = Vec::new();
        for _ in 0..TURNS {
            let began = Instant::now();
            let mut publish = redis::cmd("PUBLISH");
            publish.arg("bare").arg(payload);
            publish.exec_async(&mut self.publisher).await.unwrap();
            while self.arrived.recv().await.unwrap().kind != PushKind::Message {}
            times.push(began.elapsed());
        }
        times
    }
}
