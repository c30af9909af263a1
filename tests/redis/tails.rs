//! The newest events of rooms in Redis: read by another node, bounded, and never believed without proof.

use std::{
    future::ready,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parlor_cluster::{MemoryStore, Redis};
use parlor_config::Redis as Settings;
use parlor_schema::{
    Event, EventId, EventKind, MsgId, RoomId, Seq, Timestamp,
    port::{Append, Direction, PortFuture, ReadRange, StoreError, Timeline},
};

use super::{
    node::{room, settings, start, within},
    server::RedisServer,
};

/// A timeline that counts how often its events are read, and says what it is told of an append.
struct Counted {
    store: Arc<MemoryStore>,
    reads: AtomicUsize,
    says: Mutex<Option<Append>>,
}

impl Counted {
    fn over(store: &Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self {
            store: Arc::clone(store),
            reads: AtomicUsize::new(0),
            says: Mutex::default(),
        })
    }
}

impl Timeline for Counted {
    fn append(
        &self,
        room: RoomId,
        expected_head: Seq,
        events: Vec<Arc<Event>>,
    ) -> PortFuture<'_, Result<Append, StoreError>> {
        match *self.says.lock().unwrap() {
            Some(answer) => Box::pin(ready(Ok(answer))),
            None => self.store.append(room, expected_head, events),
        }
    }

    fn head(&self, room: RoomId) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.store.head(room)
    }

    fn read(
        &self,
        room: RoomId,
        range: ReadRange,
    ) -> PortFuture<'_, Result<Vec<Arc<Event>>, StoreError>> {
        self.reads.fetch_add(1, Relaxed);
        self.store.read(room, range)
    }

    fn seq_at(&self, room: RoomId, at: Timestamp) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.store.seq_at(room, at)
    }
}

fn event(seq: u64, text: &str) -> Arc<Event> {
    let mut id = [3; 16];
    id[..8].copy_from_slice(&seq.to_be_bytes());
    Arc::new(Event {
        seq: Seq::new(seq),
        id: EventId::from(id),
        kind: EventKind::Message,
        sender: "ana".parse().unwrap(),
        sent_at: Timestamp::from_millis(1_700_000_000_000),
        msg_id: MsgId::from(id),
        fingerprint: u128::from(seq),
        content: format!(r#"{{"body":{{"text":"{text}"}}}}"#).into(),
    })
}

fn newest(to: u64, limit: usize) -> ReadRange {
    ReadRange {
        from: Seq::FIRST,
        to: Seq::new(to),
        direction: Direction::Down,
        limit,
        bytes: 1 << 19,
    }
}

fn cached(server: &RedisServer) -> Settings {
    Settings {
        tail_cache: true,
        ..settings(&server.url())
    }
}

/// A node with tails over a store that others have too.
struct Node {
    redis: Redis,
    own: Arc<Counted>,
    timeline: Arc<dyn Timeline>,
}

impl Node {
    async fn start(name: &str, settings: &Settings, store: &Arc<MemoryStore>) -> Self {
        let (redis, _) = start(name, settings).await.unwrap();
        let own = Counted::over(store);
        let timeline = redis.timeline(own.clone());
        Self {
            redis,
            own,
            timeline,
        }
    }

    async fn append(&self, head: u64, texts: &[&str]) -> Append {
        let events = (head + 1..).zip(texts);
        let events = events.map(|(seq, text)| event(seq, text)).collect();
        let answer = self.timeline.append(room(1), Seq::new(head), events).await;
        answer.unwrap()
    }

    /// Reads the newest page; checks that it is the store's, and answers whether the store was read for it.
    async fn reads(&self, range: ReadRange) -> bool {
        let before = self.own.reads.load(Relaxed);
        let got = self.timeline.recent(room(1), range).await.unwrap();
        let held = self.own.store.read(room(1), range).await.unwrap();
        assert_eq!(got, held, "as the timeline has it");
        self.own.reads.load(Relaxed) > before
    }

    /// Returns hits, misses, and those of them that were odd.
    fn counts(&self) -> [u64; 3] {
        let stats = self.redis.health().tails;
        [stats.hits, stats.misses, stats.odd]
    }
}

fn key() -> String {
    format!("parlor:tail:{}", room(1))
}

fn held(server: &RedisServer) -> usize {
    server.cli(&["ZCARD", &key()]).parse().unwrap_or(0)
}

/// Waits until a tail has so many events, the last of them at `newest`: a tail at its bound has as many before that.
async fn until_held(server: &RedisServer, events: usize, newest: u64) {
    let from = newest.to_string();
    let is_there = || server.cli(&["ZCOUNT", &key(), &from, "+inf"]) == "1";
    let what = format!("{events} events up to {newest}");
    within(&what, 5, || is_there() && held(server) == events).await;
}

/// Starts two nodes, of which one has said so many messages.
async fn pair(server: &RedisServer, messages: usize) -> [Node; 2] {
    let store = MemoryStore::new();
    let one = Node::start("n1", &cached(server), &store).await;
    let two = Node::start("n2", &cached(server), &store).await;
    let texts: Vec<String> = (1..=messages).map(|seq| format!("m{seq}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for (at, some) in texts.chunks(10).enumerate() {
        assert_eq!(one.append(10 * at as u64, some).await, Append::Appended);
    }
    until_held(server, messages.min(64), messages as u64).await;
    [one, two]
}

#[tokio::test]
async fn another_node_reads_the_newest_page_without_the_store() {
    let server = RedisServer::start();
    let [_one, two] = pair(&server, 100).await;
    assert!(!two.reads(newest(100, 50)).await);
    assert!(!two.reads(newest(100, 64)).await);
    assert_eq!(two.counts(), [2, 0, 0]);
    // Below a head that is older than what is there (TL-2), and cut by bytes.
    assert!(!two.reads(newest(90, 50)).await);
    let few = ReadRange {
        bytes: 700,
        ..newest(100, 50)
    };
    assert!(!two.reads(few).await);
    // Further back, upwards, and by a plain read it is the store that answers.
    assert!(two.reads(newest(40, 50)).await);
    assert!(two.reads(newest(100, 65)).await);
    let up = ReadRange {
        direction: Direction::Up,
        ..newest(100, 50)
    };
    assert!(two.reads(up).await);
    let before = two.own.reads.load(Relaxed);
    two.timeline.read(room(1), newest(100, 50)).await.unwrap();
    assert_eq!(two.own.reads.load(Relaxed), before + 1);
}

#[tokio::test]
async fn a_tail_is_bounded_and_ends_by_itself() {
    let server = RedisServer::start();
    let [one, _two] = pair(&server, 100).await;
    let ttl: i64 = server.cli(&["PTTL", &key()]).parse().unwrap();
    assert!((590_000..=600_000).contains(&ttl), "{ttl}");
    let large = "x".repeat(30_000);
    for seq in 100..110 {
        one.append(seq, &[&large]).await;
    }
    // Of the large ones as many as fit, and nothing older than they are.
    until_held(&server, 4, 110).await;
    assert!(!one.reads(newest(110, 4)).await);
    assert!(one.reads(newest(110, 5)).await);
}

#[tokio::test]
async fn only_what_took_effect_is_put() {
    let server = RedisServer::start();
    let [one, two] = pair(&server, 10).await;
    let conflict = one.append(5, &["not stored"]).await;
    assert_eq!(conflict, Append::Conflict { head: Seq::new(10) });
    *one.own.says.lock().unwrap() = Some(Append::Unknown);
    assert_eq!(one.append(10, &["in doubt"]).await, Append::Unknown);
    *one.own.says.lock().unwrap() = None;
    // It did not take effect, and another has its position.
    assert_eq!(two.append(10, &["said"]).await, Append::Appended);
    until_held(&server, 11, 11).await;
    assert!(!one.reads(newest(11, 11)).await);
    assert!(!server.cli(&["ZRANGE", &key(), "0", "-1"]).contains("doubt"));
}

#[tokio::test]
async fn a_miss_puts_what_was_read() {
    let server = RedisServer::start();
    let [_one, two] = pair(&server, 30).await;
    server.cli(&["FLUSHALL"]);
    assert!(two.reads(newest(30, 20)).await);
    until_held(&server, 20, 30).await;
    assert!(!two.reads(newest(30, 20)).await);
    assert_eq!(two.counts(), [1, 1, 0]);
}

#[tokio::test]
async fn a_poisoned_tail_changes_nothing() {
    let server = RedisServer::start();
    let key = &key();
    let cli = |words: &[&str]| server.cli(words);
    let range = newest(20, 20);
    let poisons: [(&str, bool, &dyn Fn()); 8] = [
        ("a gap", false, &|| {
            cli(&["ZREMRANGEBYSCORE", key, "12", "12"]);
        }),
        ("nothing", false, &|| {
            cli(&["DEL", key]);
        }),
        ("another kind of key", false, &|| {
            cli(&["DEL", key]);
            cli(&["SET", key, "x"]);
        }),
        ("what is no event", true, &|| {
            cli(&["ZREMRANGEBYSCORE", key, "12", "12"]);
            cli(&["ZADD", key, "12", "{}"]);
        }),
        ("another text under the same seal", true, &|| {
            let text = cli(&["ZRANGEBYSCORE", key, "12", "12"]);
            cli(&["ZREMRANGEBYSCORE", key, "12", "12"]);
            assert!(text.contains("m12"));
            cli(&["ZADD", key, "12", &text.replace("m12", "x12")]);
        }),
        ("one more at a position", true, &|| {
            cli(&["ZADD", key, "12", "never said"]);
        }),
        ("an event at the position of another", false, &|| {
            let text = cli(&["ZRANGEBYSCORE", key, "15", "15"]);
            cli(&["ZREMRANGEBYSCORE", key, "12", "12"]);
            cli(&["ZADD", key, "12", &text]);
        }),
        ("the tail of another room", true, &|| {
            let other = format!("parlor:tail:{}", room(2));
            cli(&["COPY", &other, key, "REPLACE"]);
        }),
    ];
    let [one, two] = pair(&server, 20).await;
    let others: Vec<Arc<Event>> = (1..=20).map(|seq| event(seq, "elsewhere")).collect();
    let appended = one.timeline.append(room(2), Seq::ZERO, others).await;
    assert_eq!(appended.unwrap(), Append::Appended);
    for (what, is_odd, poison) in poisons {
        // Whole before, so that each poison is alone; what it was is put again by the miss.
        assert!(!two.reads(range).await, "before {what}");
        let [hits, misses, odd] = two.counts();
        poison();
        assert!(two.reads(range).await, "{what}");
        let counts = [hits, misses + 1, odd + u64::from(is_odd)];
        assert_eq!(two.counts(), counts, "{what}");
        if what == "another kind of key" {
            cli(&["DEL", key]);
            two.reads(range).await;
        }
        within(&format!("whole after {what}"), 5, || {
            let text = cli(&["ZRANGEBYSCORE", key, "-inf", "+inf"]);
            held(&server) == 20
                && (1..=20).all(|seq| text.contains(&format!("m{seq}\\")))
                && !text.contains("elsewhere")
        })
        .await;
    }
    // Events above the head that a reader knows are not for it.
    cli(&["ZADD", key, "21", "never said"]);
    assert!(!two.reads(range).await);
    assert!(!two.reads(newest(10, 10)).await);
}

#[tokio::test]
async fn nodes_of_another_secret_are_not_believed() {
    let server = RedisServer::start();
    let [one, _two] = pair(&server, 5).await;
    let store = MemoryStore::new();
    let stranger = super::node::start_with("n3", &cached(&server), [9; 32]).await;
    let (stranger, _) = stranger.unwrap();
    let forged: Vec<Arc<Event>> = (1..=5).map(|seq| event(seq, "forged")).collect();
    let appended = stranger.timeline(Counted::over(&store));
    let appended = appended.append(room(1), Seq::ZERO, forged).await;
    assert_eq!(appended.unwrap(), Append::Appended);
    within("the forgery", 5, || {
        server
            .cli(&["ZRANGE", &key(), "0", "-1"])
            .contains("forged")
    })
    .await;
    assert!(one.reads(newest(5, 5)).await);
    assert_eq!(one.counts()[2], 1);
}

#[tokio::test]
async fn without_redis_the_store_answers_and_nobody_waits_long() {
    let mut server = RedisServer::start();
    let [one, _two] = pair(&server, 20).await;
    server.pause();
    let began = Instant::now();
    assert!(one.reads(newest(20, 20)).await);
    assert_eq!(one.append(20, &["m21"]).await, Append::Appended);
    println!("a redis that hangs costs {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_millis(500));
    server.resume();
    server.kill();
    within("it is missed", 10, || !one.redis.health().commands.up).await;
    let began = Instant::now();
    assert!(one.reads(newest(21, 21)).await);
    assert_eq!(one.append(21, &["m22"]).await, Append::Appended);
    assert!(began.elapsed() < Duration::from_millis(100));
    assert!(one.redis.health().tails.dropped > 0);
    server.begin();
    within("it is back", 10, || one.redis.health().commands.up).await;
    assert!(one.reads(newest(22, 22)).await);
    until_held(&server, 22, 22).await;
    assert!(!one.reads(newest(22, 22)).await);
}

#[tokio::test]
async fn nothing_is_kept_unless_asked_for() {
    let server = RedisServer::start();
    let store = MemoryStore::new();
    let one = Node::start("n1", &settings(&server.url()), &store).await;
    assert_eq!(one.append(0, &["m1"]).await, Append::Appended);
    assert!(one.reads(newest(1, 1)).await);
    assert_eq!(one.counts(), [0, 0, 0]);
    assert_eq!(server.cli(&["EXISTS", &key()]), "0");
}

#[tokio::test]
async fn a_user_with_the_rights_of_the_documents_is_enough() {
    let server = RedisServer::start();
    let rights = "ACL SETUSER parlor on >pw ~parlor:* &parlor:* +ping +publish +spublish +subscribe +ssubscribe \
                  +set +get +sadd +srem +smembers +hset +hget +hmget +hgetall +hdel +hlen +incrby +pexpire +pttl +time \
                  +eval +evalsha +zadd +zrange +zrevrangebyscore +zremrangebyscore +zremrangebyrank";
    let words: Vec<&str> = rights.split_whitespace().collect();
    assert_eq!(server.cli(&words), "OK");
    let url = format!("redis://parlor:pw@127.0.0.1:{}", server.port);
    let settings = Settings {
        tail_cache: true,
        ..settings(&url)
    };
    let one = Node::start("n1", &settings, &MemoryStore::new()).await;
    assert_eq!(one.append(0, &["m1", "m2"]).await, Append::Appended);
    until_held(&server, 2, 2).await;
    assert!(!one.reads(newest(2, 2)).await);
    assert_eq!(one.redis.health().tails.dropped, 0);
}
