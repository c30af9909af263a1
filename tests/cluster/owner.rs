//! Sends that the owner of a room decides, whichever node they come by, and what follows when it is gone.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    node::{Node, Site},
    people::{about, acks, hail, up_to},
    place::{owner, room_owned_by, three},
    support::Client,
};

const NAMES: [&str; 3] = ["one", "two", "three"];
const TAKEN: &str = "parlor_forwards_total{outcome=\"taken\"}";
/// Messages of each node in a round.
const ROUND: usize = 20;
/// How often.
const ROUNDS: usize = 6;

async fn sum(nodes: &[Node], name: &str) -> f64 {
    let mut sum = 0.0;
    for node in nodes {
        sum += node.metric(name).await;
    }
    sum
}

#[tokio::test]
async fn what_is_sent_elsewhere_is_acknowledged_by_the_owner() {
    let site = Site::new();
    let [one, two, three] = three(&site).await;
    let mut ana = one.session("ana").await;
    let mut ben = two.session("ben").await;
    let room = room_owned_by(&mut ana, &NAMES, "two").await;
    about(&mut ben, "room.created", &room).await;
    let nodes = [one, two, three];
    let appends = nodes[0].metric("parlor_appends_total").await;
    for turn in 2..12 {
        let sent = Instant::now();
        assert_eq!(ana.say(&room, "by way of two").await["seq"], turn);
        println!("acknowledged after {:?}", sent.elapsed());
        // What is acknowledged can be read here at once.
        let ask = json!({ "room_id": room, "limit": 1 });
        let page = ana.ask("history.get", ask).await;
        assert_eq!(page["payload"]["head"], turn, "{page}");
        up_to(&mut ben, &room, turn - 1, turn).await;
    }
    up_to(&mut ana, &room, 1, 11).await;
    assert_eq!(nodes[0].metric("parlor_appends_total").await, appends);
    assert_eq!(nodes[0].metric(TAKEN).await, 10.0);
    assert_eq!(nodes[1].metric("parlor_forwards_heard_total").await, 10.0);
    // A refusal is the owner's as well.
    let mut cat = nodes[2].session("cat").await;
    let send = json!({ "room_id": room, "body": { "text": "a stranger" } });
    let reply = cat.ask("message.send", send).await;
    assert_eq!(reply["payload"]["code"], "not_found", "{reply}");
    assert_eq!(nodes[2].metric(TAKEN).await, 1.0);
    let update = json!({ "room_id": room, "name": "Tea" });
    let reply = ana.ask("room.update", update).await;
    assert_eq!(reply["payload"]["seq"], 12, "{reply}");
    about(&mut ben, "room.updated", &room).await;
}

/// Has three nodes send into one room at once; answers the appends and conflicts.
async fn compete(forward: bool) -> (f64, f64) {
    let site = Site::new();
    let mut nodes = Vec::new();
    for name in NAMES {
        let mut command = site.command(name);
        command.env("PARLOR__CLUSTER__FORWARD", forward.to_string());
        nodes.push(site.launch(command).await);
    }
    for node in &nodes {
        node.sees(3).await;
    }
    let mut people = Vec::new();
    for (node, name) in nodes.iter().zip(["ana", "ben", "cat"]) {
        people.push(node.session(name).await);
    }
    let room = people[0].room(json!({ "members": ["ben", "cat"] })).await;
    for person in &mut people[1..] {
        about(person, "room.created", &room).await;
    }
    let (appends, conflicts) = ("parlor_appends_total", "parlor_append_conflicts_total");
    let before = (sum(&nodes, appends).await, sum(&nodes, conflicts).await);
    let mut seqs = BTreeSet::new();
    for _ in 0..ROUNDS {
        let mut rounds = Vec::new();
        for person in &mut people {
            rounds.push(async {
                let ids = hail(person, &room, ROUND).await;
                acks(person, &ids).await
            });
        }
        for got in futures_util::future::join_all(rounds).await {
            assert!(got.is_sorted(), "the order of one sender: {got:?}");
            seqs.extend(got);
        }
    }
    let head = 1 + (3 * ROUND * ROUNDS) as u64;
    assert_eq!(seqs, (2..=head).collect(), "each its own position");
    let mut seen = Vec::new();
    for person in &mut people {
        seen.push(up_to(person, &room, 1, head).await);
    }
    assert!(seen.iter().all(|got| *got == seen[0]), "one order");
    let after = (sum(&nodes, appends).await, sum(&nodes, conflicts).await);
    (after.0 - before.0, after.1 - before.1)
}

#[tokio::test]
async fn three_nodes_that_send_into_one_room_do_not_compete() {
    let (alone, lost) = compete(false).await;
    let (appends, conflicts) = compete(true).await;
    println!(
        "without forwarding {alone} appends and {lost} conflicts, with it {appends} and {conflicts}"
    );
    assert!(lost > 0.0, "nothing to compare with");
    assert!(conflicts <= appends / 50.0, "{conflicts} of {appends}");
}

/// Sends three messages at a time; answers positions and ids, and the longest wait for three acks.
async fn talk(person: &mut Client, room: &str, until: Instant) -> (Vec<(u64, String)>, Duration) {
    let (mut sent, mut slowest) = (Vec::new(), Duration::ZERO);
    while Instant::now() < until {
        let began = Instant::now();
        let ids = hail(person, room, 3).await;
        for id in &ids {
            let reply = acked(person, room, id).await;
            sent.push((reply["payload"]["seq"].as_u64().unwrap(), id.clone()));
        }
        slowest = slowest.max(began.elapsed());
    }
    (sent, slowest)
}

/// Waits for the ack of a frame, and sends it again where it may have been stored.
async fn acked(person: &mut Client, room: &str, id: &str) -> Value {
    loop {
        let reply = person.reply_to(id).await;
        if reply["type"] == "ack" {
            return reply;
        }
        let code = reply["payload"]["code"].as_str().unwrap();
        assert!(
            ["unknown_outcome", "unavailable"].contains(&code),
            "{reply}"
        );
        let again = json!({ "room_id": room, "body": { "text": "again" } });
        person.post("message.send", id, again).await;
    }
}

#[tokio::test]
async fn when_the_owner_is_killed_others_acknowledge_and_nothing_is_lost_or_doubled() {
    let site = Site::new();
    let [one, two, three] = three(&site).await;
    let mut ana = one.session("ana").await;
    let mut ben = three.session("ben").await;
    let room = room_owned_by(&mut ana, &NAMES, "two").await;
    about(&mut ben, "room.created", &room).await;
    assert_eq!(owner(&room, &NAMES), "two");
    let until = Instant::now() + Duration::from_secs(9);
    let killer = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        two.kill();
        println!("the owner is killed");
    };
    let ((from_ana, slow_ana), (from_ben, slow_ben), ()) = tokio::join!(
        talk(&mut ana, &room, until),
        talk(&mut ben, &room, until),
        killer
    );
    println!(
        "{} and {} messages, the slowest acknowledged after {slow_ana:?} and {slow_ben:?}",
        from_ana.len(),
        from_ben.len()
    );
    assert!(slow_ana.max(slow_ben) < Duration::from_secs(5));
    let silent = "parlor_forwards_total{outcome=\"silent\"}";
    assert!(one.metric(silent).await + three.metric(silent).await >= 1.0);
    let all: BTreeSet<u64> = from_ana
        .iter()
        .chain(&from_ben)
        .map(|(seq, _)| *seq)
        .collect();
    let head = 1 + (from_ana.len() + from_ben.len()) as u64;
    assert_eq!(all, (2..=head).collect(), "nothing lost, nothing doubled");
    for sent in [&from_ana, &from_ben] {
        assert!(
            sent.is_sorted_by_key(|(seq, _)| *seq),
            "the order of one sender"
        );
    }
    let (seen_ana, seen_ben) = (
        up_to(&mut ana, &room, 1, head).await,
        up_to(&mut ben, &room, 1, head).await,
    );
    assert_eq!(seen_ana, seen_ben, "one order");
}

#[tokio::test]
async fn an_owner_that_is_paused_and_one_that_leaves_cost_time_alone() {
    let site = Site::new();
    let [one, two, three] = three(&site).await;
    let mut ana = one.session("ana").await;
    let mut ben = three.session("ben").await;
    let room = room_owned_by(&mut ana, &NAMES, "two").await;
    about(&mut ben, "room.created", &room).await;
    let until = Instant::now() + Duration::from_secs(12);
    let faults = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        two.pause();
        // Longer than its key lives: it is out of the view, and does not know.
        tokio::time::sleep(Duration::from_secs(7)).await;
        two.resume();
        one.sees(3).await;
        three.sees(3).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        two.terminate();
    };
    let ((from_ana, slow_ana), (from_ben, slow_ben), ()) = tokio::join!(
        talk(&mut ana, &room, until),
        talk(&mut ben, &room, until),
        faults
    );
    println!("paused: the slowest acknowledged after {slow_ana:?} and {slow_ben:?}");
    let all: BTreeSet<u64> = from_ana
        .iter()
        .chain(&from_ben)
        .map(|(seq, _)| *seq)
        .collect();
    let head = 1 + (from_ana.len() + from_ben.len()) as u64;
    assert_eq!(all, (2..=head).collect(), "nothing lost, nothing doubled");
    for sent in [&from_ana, &from_ben] {
        assert!(
            sent.is_sorted_by_key(|(seq, _)| *seq),
            "the order of one sender"
        );
    }
    let (seen_ana, seen_ben) = (
        up_to(&mut ana, &room, 1, head).await,
        up_to(&mut ben, &room, 1, head).await,
    );
    assert_eq!(seen_ana, seen_ben, "one order");
}
