//! The session registry, and rates and counts over all nodes.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use parlor_schema::{
    SessionId, Timestamp, UserId,
    port::{Clock, Quota as _, QuotaRate, SessionEntry, SessionRegistry as _, Taken},
};
use tokio::time::sleep;

use super::{
    node::{Node, settings, within},
    server::RedisServer,
};

fn entry(node: &Node, number: u8) -> SessionEntry {
    SessionEntry {
        session_id: SessionId::from([number; 16]),
        node_id: node.info.node_id.clone(),
        boot_id: node.info.boot_id,
        connected_at: Timestamp::from_millis(1_700_000_000_000),
        last_ping: Timestamp::from_millis(0),
    }
}

/// Lists a user's sessions, and checks that each was put a moment ago.
async fn sessions(node: &Node, user: &UserId) -> Vec<SessionEntry> {
    let mut listed = node.redis.sessions().sessions(user).await.unwrap();
    let now = Clock::now(&*parlor_cluster::SystemClock::new()).millis();
    for entry in &mut listed {
        let ago = now - entry.last_ping.millis();
        assert!(
            (-1_000..60_000).contains(&ago),
            "by the clock of the server: {ago}"
        );
        entry.last_ping = Timestamp::from_millis(0);
    }
    listed
}

#[tokio::test]
async fn sessions_are_seen_from_every_node_until_removed() {
    let server = RedisServer::start();
    let [one, two] = Node::pair(&settings(&server.url())).await;
    let ana: UserId = "ana".parse().unwrap();
    let (first, second) = (entry(&one, 1), entry(&two, 2));
    assert_eq!(one.redis.sessions().put(&ana, &first).await.unwrap(), 1);
    assert_eq!(two.redis.sessions().put(&ana, &second).await.unwrap(), 2);
    assert_eq!(sessions(&one, &ana).await, [first.clone(), second.clone()]);
    assert_eq!(one.redis.sessions().put(&ana, &first).await.unwrap(), 2);
    assert_eq!(sessions(&two, &ana).await, [first.clone(), second.clone()]);
    one.redis
        .sessions()
        .remove(&ana, second.session_id)
        .await
        .unwrap();
    one.redis
        .sessions()
        .remove(&ana, second.session_id)
        .await
        .unwrap();
    assert_eq!(sessions(&two, &ana).await, [first]);
    let nobody = "bob".parse().unwrap();
    assert_eq!(sessions(&one, &nobody).await, []);
    let ttl: i64 = server.cli(&["TTL", "parlor:sessions:ana"]).parse().unwrap();
    assert!((3_500..=3_600).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn sessions_end_with_the_run_of_their_node() {
    let server = RedisServer::start();
    let settings = settings(&server.url());
    let [one, two] = Node::pair(&settings).await;
    let ana: UserId = "ana".parse().unwrap();
    one.redis
        .sessions()
        .put(&ana, &entry(&two, 2))
        .await
        .unwrap();
    assert_eq!(sessions(&one, &ana).await.len(), 1);
    let old = two.info.boot_id;
    drop(two);
    let two = Node::start("n2", &settings).await;
    within("the new run", 5, || {
        let view = parlor_schema::port::Membership::view(&*one.redis.membership());
        !view.is_alive(&two.info.node_id, old)
    })
    .await;
    assert_eq!(sessions(&one, &ana).await, []);
    assert_eq!(
        server.cli(&["HLEN", "parlor:sessions:ana"]),
        "0",
        "taken out too"
    );
}

#[tokio::test]
async fn a_user_has_a_bounded_number_of_entries() {
    let server = RedisServer::start();
    let [one, _two] = Node::pair(&settings(&server.url())).await;
    let ana: UserId = "ana".parse().unwrap();
    let registry = one.redis.sessions();
    let mut first = None;
    for number in 0..=256_u32 {
        let mut entry = entry(&one, 0);
        let mut id = [7; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        entry.session_id = SessionId::from(id);
        registry.put(&ana, &entry).await.unwrap();
        if first.is_none() {
            first = Some(entry.session_id);
            // By the clock of the server one is older than all others.
            sleep(Duration::from_millis(5)).await;
        }
    }
    let left = sessions(&one, &ana).await;
    assert_eq!(left.len(), 256);
    let is_first = |entry: &&SessionEntry| Some(entry.session_id) == first;
    assert_eq!(
        left.iter().find(is_first),
        None,
        "the one put longest ago left"
    );
}

#[tokio::test]
async fn an_entry_that_is_not_put_again_ends_by_itself() {
    let server = RedisServer::start();
    let [one, _two] = Node::pair(&settings(&server.url())).await;
    let ana: UserId = "ana".parse().unwrap();
    let (held, void) = (entry(&one, 1), entry(&one, 2));
    for entry in [&held, &void] {
        one.redis.sessions().put(&ana, entry).await.unwrap();
    }
    let (key, field) = ("parlor:sessions:ana", void.session_id.to_string());
    let text = server.cli(&["HGET", key, &field]);
    let at = text.find("\"ping\":").unwrap() + "\"ping\":".len();
    let (from, rest) = text.split_at(at);
    let end = rest.find([',', '}']).unwrap();
    let ping: i64 = rest[..end].parse().unwrap();
    let old = format!("{from}{}{}", ping - 3_600_001, &rest[end..]);
    server.cli(&["HSET", key, &field, &old]);
    assert_eq!(sessions(&one, &ana).await, [held]);
    assert_eq!(server.cli(&["HLEN", key]), "1", "taken out too");
}

#[tokio::test]
async fn what_was_spent_on_all_nodes_is_settled_afterwards() {
    let server = RedisServer::start();
    let [one, two] = Node::pair(&settings(&server.url())).await;
    let (one, two) = (one.redis.quota(), two.redis.quota());
    let spend = async |quota: &parlor_cluster::redis::RedisQuota, count| {
        quota.spend("sends:ana", count, rate(10, 20)).await.unwrap()
    };
    assert_eq!(spend(&one, 10).await, 0);
    assert_eq!(spend(&two, 9).await, 0);
    let wait = spend(&one, 6).await;
    assert!(
        (100..=500).contains(&wait),
        "5 too many at 10 a second: {wait}"
    );
    let wait = spend(&two, 1_000).await;
    assert!(
        (1_900..=2_000).contains(&wait),
        "as deep as a full bucket: {wait}"
    );
    sleep(Duration::from_millis(wait + 50)).await;
    assert_eq!(spend(&one, 0).await, 0, "paid");
}

fn rate(per_s: u32, burst: u32) -> QuotaRate {
    QuotaRate {
        tokens: NonZeroU32::new(per_s).unwrap(),
        period_ms: NonZeroU32::new(1_000).unwrap(),
        burst: NonZeroU32::new(burst).unwrap(),
    }
}

#[tokio::test]
async fn a_bucket_is_shared_by_all_nodes_and_fills_again() {
    let server = RedisServer::start();
    let [one, two] = Node::pair(&settings(&server.url())).await;
    let (one, two) = (one.redis.quota(), two.redis.quota());
    let mut granted = 0;
    let began = Instant::now();
    let mut wait = 0;
    for turn in 0..30 {
        let quota = if turn % 2 == 0 { &one } else { &two };
        match quota.take("sends:ana", rate(2, 10)).await.unwrap() {
            Taken::Granted => granted += 1,
            Taken::Refused { retry_after_ms } => wait = retry_after_ms,
        }
    }
    let more = usize::try_from(began.elapsed().as_millis() / 500).unwrap();
    assert!((10..=11 + more).contains(&granted), "{granted} granted");
    assert!((1..=500).contains(&wait), "{wait}");
    assert_eq!(
        one.take("sends:bob", rate(2, 10)).await.unwrap(),
        Taken::Granted
    );
    sleep(Duration::from_millis(wait + 50)).await;
    assert_eq!(
        two.take("sends:ana", rate(2, 10)).await.unwrap(),
        Taken::Granted
    );
}

#[tokio::test]
async fn scripts_are_taught_to_a_redis_that_forgot_them() {
    let server = RedisServer::start();
    let [one, two] = Node::pair(&settings(&server.url())).await;
    let (one, two) = (one.redis.quota(), two.redis.quota());
    assert_eq!(one.add("logins", 3, 60_000).await.unwrap(), 3);
    server.cli(&["SCRIPT", "FLUSH"]);
    assert_eq!(two.add("logins", 4, 60_000).await.unwrap(), 7);
    server.cli(&["SCRIPT", "FLUSH"]);
    assert_eq!(one.take("b", rate(1, 1)).await.unwrap(), Taken::Granted);
}

#[tokio::test]
async fn a_counter_is_forgotten_at_the_end_of_its_window() {
    let server = RedisServer::start();
    let [one, _two] = Node::pair(&settings(&server.url())).await;
    let quota = one.redis.quota();
    assert_eq!(quota.add("c", 1, 300).await.unwrap(), 1);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(quota.add("c", 1, 300).await.unwrap(), 2);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(
        quota.add("c", 1, 300).await.unwrap(),
        1,
        "not put off by adding"
    );
}

#[tokio::test]
async fn without_redis_the_caller_is_told_within_two_seconds() {
    let server = RedisServer::start();
    let [one, _two] = Node::pair(&settings(&server.url())).await;
    server.pause();
    let began = Instant::now();
    assert!(one.redis.quota().take("a", rate(1, 1)).await.is_err());
    let ana: UserId = "ana".parse().unwrap();
    assert!(one.redis.sessions().sessions(&ana).await.is_err());
    assert!(
        began.elapsed() < Duration::from_millis(2500),
        "{:?}",
        began.elapsed()
    );
    server.resume();
    within("it is back", 10, || one.is_up()).await;
    within("and answers", 5, || one.redis.health().commands.up).await;
    assert!(one.redis.quota().take("a", rate(1, 1)).await.is_ok());
}
