//! One server with a password, an ACL user or TLS; a master watched by Sentinels; a Redis Cluster.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use parlor_cluster::RedisStartError;
use parlor_config::{Redis as Settings, RedisMode};
use parlor_schema::port::{Quota as _, QuotaRate};
use tokio::time::sleep;

use super::{
    node::{Node, settings, start, within},
    server::{RedisCluster, RedisServer, certificates, cli, free_port},
};

/// Tells something both ways, uses a script, and reads a hash.
async fn works(one: &mut Node, two: &mut Node, number: usize) {
    one.tell("n2", number).await;
    two.hears(number).await;
    two.tell("n1", number).await;
    one.hears(number).await;
    let rate = QuotaRate {
        tokens: 1.try_into().unwrap(),
        period_ms: 1_000.try_into().unwrap(),
        burst: 1.try_into().unwrap(),
    };
    let key = format!("k{number}");
    one.redis.quota().take(&key, rate).await.unwrap();
    let ana = "ana".parse().unwrap();
    let sessions = two.redis.sessions();
    parlor_schema::port::SessionRegistry::sessions(&*sessions, &ana)
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_there_is_an_error_that_names_it_without_its_password() {
    let url = format!("redis://ana:secret@127.0.0.1:{}", free_port());
    let error = start("n1", &settings(&url)).await.err().unwrap();
    let shown = error.to_string();
    assert!(matches!(error, RedisStartError::Away { .. }), "{shown}");
    assert!(
        shown.contains("127.0.0.1") && !shown.contains("secret"),
        "{shown}"
    );
}

#[tokio::test]
async fn an_acl_user_needs_no_more_than_the_documented_rights() {
    let server = RedisServer::with(&["--requirepass", "operator"]);
    let rights = "ACL SETUSER parlor on >pw ~parlor:* &parlor:* +ping +publish +spublish +subscribe +ssubscribe \
                  +set +get +sadd +srem +smembers +hset +hget +hmget +hgetall +hdel +hlen +incrby +pexpire +pttl +time \
                  +eval +evalsha";
    let mut command = vec!["--no-auth-warning", "-a", "operator"];
    command.extend(rights.split_whitespace());
    assert_eq!(server.cli(&command), "OK");
    let url = format!("redis://parlor:pw@127.0.0.1:{}", server.port);
    let [mut one, mut two] = Node::pair(&settings(&url)).await;
    works(&mut one, &mut two, 1).await;
    let wrong = format!("redis://parlor:wrong@127.0.0.1:{}", server.port);
    let error = start("n3", &settings(&wrong)).await.err().unwrap();
    assert!(error.to_string().contains("WRONGPASS"), "{error}");
}

#[tokio::test]
async fn tls_is_checked_against_the_authority_of_the_settings() {
    let folder = tempfile::TempDir::new().unwrap();
    let [ca, cert, key] = certificates(folder.path());
    let port = free_port();
    let tls = port.to_string();
    let server = RedisServer::with(&[
        "--tls-port",
        &tls,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
    ]);
    let mut settings = settings(&format!("rediss://127.0.0.1:{port}"));
    let stranger = start("n3", &settings).await.err().unwrap();
    assert!(
        matches!(stranger, RedisStartError::Away { .. }),
        "{stranger}"
    );
    settings.ca_file = Some(PathBuf::from(ca));
    let [mut one, mut two] = Node::pair(&settings).await;
    works(&mut one, &mut two, 1).await;
    assert_eq!(server.cli(&["PING"]), "PONG");
}

fn several(mode: RedisMode, ports: impl Iterator<Item = u16>) -> Settings {
    Settings {
        nodes: ports
            .map(|port| format!("127.0.0.1:{port}").parse().unwrap())
            .collect(),
        mode: Some(mode),
        master: (mode == RedisMode::Sentinel).then(|| "parlor-test".to_owned()),
        ..Settings::default()
    }
}

#[tokio::test]
async fn a_master_that_sentinels_replace_is_followed() {
    let mut master = RedisServer::start();
    let replica = RedisServer::with(&["--replicaof", &format!("127.0.0.1 {}", master.port)]);
    let is_synced = || {
        master
            .cli(&["INFO", "replication"])
            .contains("state=online")
    };
    within("the replica is in step", 15, is_synced).await;
    let sentinels: Vec<RedisServer> = (0..3)
        .map(|_| RedisServer::sentinel("parlor-test", master.port, 2))
        .collect();
    within("the sentinels know each other and the replica", 20, || {
        sentinels.iter().all(|one| {
            let known = one.cli(&["SENTINEL", "MASTER", "parlor-test"]);
            let mut lines = known.lines();
            let mut number = |name| {
                lines.find(|line| *line == name);
                lines.next().and_then(|text| text.parse::<u32>().ok())
            };
            number("num-slaves") == Some(1) && number("num-other-sentinels") == Some(2)
        })
    })
    .await;
    let settings = several(RedisMode::Sentinel, sentinels.iter().map(|one| one.port));
    let [mut one, mut two] = Node::pair(&settings).await;
    works(&mut one, &mut two, 1).await;
    master.kill();
    let began = Instant::now();
    within("the fault is seen", 5, || {
        !one.redis.health().commands.up && !two.is_up()
    })
    .await;
    within("the replica is promoted", 30, || {
        cli(replica.port, &["ROLE"]).starts_with("master")
    })
    .await;
    let promoted = Instant::now();
    within("both follow", 15, || one.is_up() && two.is_up()).await;
    println!(
        "sentinel: promoted after {:?}, followed {:?} later",
        promoted - began,
        promoted.elapsed()
    );
    works(&mut one, &mut two, 2).await;
    assert_eq!(one.view(), ["n1", "n2"]);
    // The old master comes back and is demoted; nothing goes to it.
    master.begin();
    sleep(Duration::from_secs(5)).await;
    works(&mut one, &mut two, 3).await;
}

#[tokio::test]
async fn a_cluster_is_used_by_shard_and_a_master_that_is_replaced_is_followed() {
    let mut cluster = RedisCluster::start();
    let settings = several(
        RedisMode::Cluster,
        cluster.servers.iter().map(|one| one.port),
    );
    let [mut one, mut two] = Node::pair(&settings).await;
    for number in 0..20 {
        works(&mut one, &mut two, number).await;
    }
    let channel = "parlor:inbox:n2";
    let shard = cluster.master_of(channel);
    assert_eq!(
        shard.cli(&["PUBSUB", "SHARDCHANNELS"]).lines().count(),
        1,
        "sharded"
    );
    shard.kill();
    let began = Instant::now();
    within("the fault is seen", 10, || {
        !one.redis.health().commands.up && !two.is_up()
    })
    .await;
    within("both follow", 30, || one.is_up() && two.is_up()).await;
    println!(
        "cluster: talking again {:?} after a master was killed",
        began.elapsed()
    );
    for number in 20..40 {
        works(&mut one, &mut two, number).await;
    }
    assert_eq!(one.view(), ["n1", "n2"]);
}
