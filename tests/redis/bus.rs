//! What the bus carries while all is well, and how little it takes to notice that something is missing.

use std::time::{Duration, Instant};

use parlor_cluster::{
    PacketSeal,
    http::Stamp,
    link::{Contents, pack_contents},
};
use parlor_schema::{
    NodeId, Seq, Timestamp,
    envelope::Destination,
    port::{Bus as _, Inbound},
};
use tokio::time::sleep;

use super::{
    node::{Node, SECRET, name, revoked, room, settings, within},
    server::RedisServer,
};

#[tokio::test]
async fn envelopes_arrive_once_in_order_and_nothing_is_reported() {
    let server = RedisServer::start();
    let [one, mut two] = Node::pair(&settings(&server.url())).await;
    for number in 0..5000 {
        one.tell("n2", number).await;
        if number % 1000 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let before = two.hears(4999).await;
    let wanted: Vec<Inbound> = (0..4999).map(|n| Inbound::Envelope(revoked(n))).collect();
    assert!(before == wanted, "{} came before the last", before.len());
    sleep(Duration::from_millis(600)).await;
    assert_eq!(two.arrived(), []);
    let stats = one.redis.health().bus;
    assert_eq!((stats.queued, stats.dropped, stats.failed), (5000, 0, 0));
    assert!(
        stats.packets < 1000,
        "in batches: {} packets",
        stats.packets
    );
}

#[tokio::test]
async fn what_is_for_all_reaches_all_and_the_sender() {
    let server = RedisServer::start();
    let [mut one, mut two] = Node::pair(&settings(&server.url())).await;
    one.tell_all(1).await;
    assert_eq!(one.arrived(), [Inbound::Envelope(revoked(1))], "at once");
    assert_eq!(two.next().await, Inbound::Envelope(revoked(1)));
    one.tell("n1", 2).await;
    assert_eq!(one.arrived(), [Inbound::Envelope(revoked(2))]);
}

#[tokio::test]
async fn nothing_is_taken_without_an_inbox() {
    let server = RedisServer::start();
    let (redis, _) = super::node::start("n1", &settings(&server.url()))
        .await
        .unwrap();
    let early = redis.bus().publish(Destination::All, revoked(1)).await;
    assert!(early.is_err());
}

#[tokio::test]
async fn heads_come_with_the_next_heartbeat_the_highest_of_each_room() {
    let server = RedisServer::start();
    let [one, mut two] = Node::pair(&settings(&server.url())).await;
    for head in [3, 9, 4] {
        one.note("n2", 1, head);
    }
    one.note("n2", 2, 1);
    one.note("n1", 3, 1);
    let began = Instant::now();
    let Inbound::Heads(mut heads) = two.next().await else {
        panic!("heads come first");
    };
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    heads.sort();
    assert_eq!(heads, [(room(1), Seq::new(9)), (room(2), Seq::new(1))]);
    sleep(Duration::from_millis(600)).await;
    assert_eq!(two.arrived(), [], "told once");
}

#[tokio::test]
async fn a_lost_packet_is_noticed_within_a_second_though_it_was_the_last() {
    let server = RedisServer::start();
    let [one, mut two] = Node::pair(&settings(&server.url())).await;
    let mut slowest = Duration::ZERO;
    for number in 0..10 {
        one.tell("n2", number).await;
        two.hears(number).await;
        // As if Redis had taken the packet and lost it: nobody hears n2's inbox for a moment.
        let killed = server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        assert_ne!(killed, "0", "the fault did not hit");
        let began = Instant::now();
        one.tell("n2", 1000 + number).await;
        two.hears_of_loss("n1", 5).await;
        slowest = slowest.max(began.elapsed());
        within("both subscriptions", 5, || {
            let inboxes = ["parlor:inbox:n1", "parlor:inbox:n2"];
            let counts = server.cli(&["PUBSUB", "NUMSUB", inboxes[0], inboxes[1]]);
            counts.lines().filter(|line| *line == "1").count() == 2
        })
        .await;
        // A subscription that has lasted a second is made anew without delay when it ends.
        sleep(Duration::from_millis(1100)).await;
        two.arrived();
    }
    println!("a lost last packet was noticed within {slowest:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[tokio::test]
async fn garbage_on_the_inbox_is_counted_and_goes_nowhere() {
    let server = RedisServer::start();
    let [one, mut two] = Node::pair(&settings(&server.url())).await;
    let big = "x".repeat(100_000);
    let send = |garbage: &str| {
        let mut sealed = garbage.as_bytes().to_vec();
        PacketSeal::new(&SECRET).seal("parlor:inbox:n2", &mut sealed);
        let sealed = String::from_utf8(sealed).unwrap();
        server.cli(&["PUBLISH", "parlor:inbox:n2", &sealed]);
    };
    for garbage in ["", "{}", "null", "{\"v\":1}", "\u{1F480}", &big] {
        send(garbage);
    }
    let boot = one.info.boot_id;
    let later = format!(
        r#"{{"v":1,"from":"n9","boot":"{boot}","number":1,"envelopes":[{{"type":"later"}}]}}"#
    );
    send(&later);
    assert_eq!(two.next().await, Inbound::LinkLost(name("n9")));
    within("the counts", 2, || two.redis.health().bus.garbage == 7).await;
    one.tell("n2", 1).await;
    assert_eq!(two.next().await, Inbound::Envelope(revoked(1)));
}

#[tokio::test]
async fn who_has_not_the_secret_is_not_heard() {
    let server = RedisServer::start();
    let [one, mut two] = Node::pair(&settings(&server.url())).await;
    let envelope = serde_json::to_vec(&revoked(9)).unwrap();
    let contents = Contents::Envelopes(vec![envelope.into()]);
    let packet = pack_contents(&one.info.node_id, one.info.boot_id, 99, &contents);
    let sealed = |secret, channel: &str| {
        let mut packet = packet.clone();
        PacketSeal::new(secret).seal(channel, &mut packet);
        packet
    };
    for forged in [
        packet.clone(),
        sealed(&[8; 32], "parlor:inbox:n2"),
        sealed(&SECRET, "parlor:inbox:n1"),
    ] {
        let forged = String::from_utf8(forged).unwrap();
        server.cli(&["PUBLISH", "parlor:inbox:n2", &forged]);
    }
    within("the counts", 2, || two.redis.health().bus.forged == 3).await;
    one.tell("n2", 1).await;
    assert_eq!(two.next().await, Inbound::Envelope(revoked(1)));
}

#[tokio::test]
async fn a_new_run_of_a_node_is_a_new_link() {
    let server = RedisServer::start();
    let settings = settings(&server.url());
    let [one, mut two] = Node::pair(&settings).await;
    let old = one.info.boot_id;
    one.tell("n2", 1).await;
    two.hears(1).await;
    drop(one);
    let one = Node::start("n1", &settings).await;
    assert_ne!(one.info.boot_id, old);
    two.hears_of_loss("n1", 5).await;
    one.tell("n2", 2).await;
    assert_eq!(two.hears(2).await, []);
    within("the new run in the view", 5, || {
        let view = two.redis.membership();
        let view = parlor_schema::port::Membership::view(&*view);
        view.is_alive(&name("n1"), one.info.boot_id)
    })
    .await;
}

#[tokio::test]
async fn what_is_called_goes_through_the_same_link_and_is_heard_once() {
    let server = RedisServer::start();
    let [one, mut two] = Node::pair(&settings(&server.url())).await;
    one.tell("n2", 1).await;
    two.hears(1).await;
    let packet = |number, user| {
        let envelope = serde_json::to_vec(&revoked(user)).unwrap();
        let contents = Contents::Envelopes(vec![envelope.into()]);
        pack_contents(&one.info.node_id, one.info.boot_id, number, &contents)
    };
    let stamp = |from: &NodeId| Stamp {
        from: from.clone(),
        boot: one.info.boot_id,
        to: two.info.boot_id,
        time: Timestamp::from_millis(0),
    };
    let (own, other) = (stamp(&one.info.node_id), stamp(&name("n3")));
    let body = [packet(2, 2), packet(3, 3)].join(&b'\n');
    for _ in 0..2 {
        assert!(two.redis.deliver(&own, &body));
    }
    two.hears(2).await;
    two.hears(3).await;
    assert!(two.redis.deliver(&own, &packet(5, 5)));
    let lost = Inbound::LinkLost(name("n1"));
    assert_eq!(two.hears(5).await, [lost], "L-2: no call is heard twice");
    let garbage = two.redis.health().bus.garbage;
    assert!(two.redis.deliver(&other, &packet(6, 6)));
    within("another's words are not believed", 5, || {
        two.redis.health().bus.garbage == garbage + 1
    })
    .await;
    assert_eq!(two.redis.health().bus.called, 6);
}
