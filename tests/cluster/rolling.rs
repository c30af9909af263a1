//! Three nodes behind a balancer are restarted one after another while people talk: nothing is lost, and nobody moves more than once
//! for each.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parlor_client::{Client, ClientBuilder, Notice, PhaseName};
use parlor_schema::{RoomId, frame::body::MessageBody};
use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, spawn_blocking},
    time::sleep,
};

use crate::node::{Node, Site};

const PEOPLE: usize = 12;

/// Passes connections on to the nodes that are ready, in turns.
#[derive(Default)]
struct Balancer {
    nodes: Mutex<Vec<SocketAddr>>,
    ready: Mutex<Vec<SocketAddr>>,
    turn: AtomicUsize,
}

impl Balancer {
    async fn start() -> (Arc<Self>, SocketAddr) {
        let balancer = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let passing = balancer.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(passing.clone().pass(client));
            }
        });
        let looking = balancer.clone();
        tokio::spawn(async move {
            loop {
                looking.look().await;
                sleep(Duration::from_millis(50)).await;
            }
        });
        (balancer, address)
    }

    fn replace(&self, old: Option<SocketAddr>, new: SocketAddr) {
        let mut nodes = self.nodes.lock().unwrap();
        nodes.retain(|node| Some(*node) != old);
        nodes.push(new);
    }

    async fn look(&self) {
        let nodes = self.nodes.lock().unwrap().clone();
        let mut ready = Vec::new();
        for node in nodes {
            let url = format!("http://{node}/health/ready");
            let answer = reqwest::get(url).await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                ready.push(node);
            }
        }
        *self.ready.lock().unwrap() = ready;
    }

    async fn pass(self: Arc<Self>, mut client: TcpStream) {
        let node = {
            let ready = self.ready.lock().unwrap();
            match ready.len() {
                0 => return,
                count => ready[self.turn.fetch_add(1, Relaxed) % count],
            }
        };
        if let Ok(mut node) = TcpStream::connect(node).await {
            let _ = copy_bidirectional(&mut client, &mut node).await;
        }
    }
}

/// Somebody who talks and listens.
struct Person {
    client: Client,
    talking: JoinHandle<Vec<u64>>,
    heard: Arc<Mutex<BTreeMap<u64, String>>>,
}

impl Person {
    fn start(balancer: SocketAddr, token: &str, room: RoomId, stop: &Arc<AtomicBool>) -> Self {
        let url = format!("http://{balancer}");
        let client = ClientBuilder::new(url).token(token).start().unwrap();
        let heard: Arc<Mutex<BTreeMap<u64, String>>> = Arc::default();
        let (hearing, notices) = (heard.clone(), client.clone());
        tokio::spawn(async move {
            while let Some(notice) = notices.next().await {
                if let Notice::Event(event) = notice {
                    let id = event.id.to_string();
                    let before = hearing.lock().unwrap().insert(event.seq.get(), id);
                    assert_eq!(before, None, "no event twice");
                }
            }
        });
        let (talker, stop) = (client.clone(), stop.clone());
        let talking = tokio::spawn(async move {
            let mut acked = Vec::new();
            while !stop.load(Relaxed) {
                let sent = talker.send(room, MessageBody::text("on we go".to_owned()));
                acked.push(sent.await.unwrap().seq.get());
                sleep(Duration::from_millis(40)).await;
            }
            acked
        });
        Self {
            client,
            talking,
            heard,
        }
    }
}

async fn until(what: &str, is: impl Fn() -> bool) {
    for _ in 0..600 {
        if is() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} does not come");
}

async fn launch(site: &Site, name: &str) -> Node {
    let mut command = site.command(name);
    command.env("PARLOR__NODE__DRAIN_MS", "4000");
    site.launch(command).await
}

/// Three nodes, the accounts of the people, and the room of all of them.
async fn begin(
    site: &Site,
    balancer: &Balancer,
) -> (Vec<(&'static str, Node)>, Vec<String>, RoomId) {
    let mut nodes = Vec::new();
    for name in ["one", "two", "three"] {
        let node = launch(site, name).await;
        balancer.replace(None, node.address);
        nodes.push((name, node));
    }
    let one = &nodes[0].1;
    one.sees(3).await;
    let mut tokens = Vec::new();
    for person in 0..PEOPLE {
        tokens.push(one.register(&format!("p{person}")).await);
    }
    let mut first = one.hello(&tokens[0], json!({})).await;
    let members: Vec<String> = (1..PEOPLE).map(|person| format!("p{person}")).collect();
    let room = first.room(json!({ "members": members })).await;
    let are_ready = || balancer.ready.lock().unwrap().len() == 3;
    until("three ready nodes", are_ready).await;
    (nodes, tokens, room.parse().unwrap())
}

fn connects(people: &[Person]) -> Vec<u64> {
    let stats = people.iter().map(|person| person.client.stats());
    stats.map(|stats| stats.connects).collect()
}

/// Waits for all acks, and checks that everybody heard the same, each once and without a hole.
async fn judge(people: Vec<Person>) {
    let mut acked = Vec::new();
    let mut all = Vec::new();
    for person in people {
        acked.extend(person.talking.await.unwrap());
        all.push((person.client, person.heard));
    }
    acked.sort_unstable();
    let head = 1 + acked.len() as u64;
    println!("{} messages by {PEOPLE} people", acked.len());
    let places: Vec<u64> = (2..=head).collect();
    assert_eq!(acked, places, "each once, at its own place");
    for (_, heard) in &all {
        let has_last = || heard.lock().unwrap().contains_key(&head);
        until("the last message", has_last).await;
    }
    let longest = all
        .iter()
        .max_by_key(|(_, heard)| heard.lock().unwrap().len());
    let reference = longest.unwrap().1.lock().unwrap().clone();
    for (client, heard) in &all {
        let heard = heard.lock().unwrap();
        let from = *heard.keys().next().unwrap();
        assert_eq!(heard.len() as u64, head - from + 1, "no hole");
        let is_same = |(seq, id): (&u64, &String)| reference.get(seq) == Some(id);
        assert!(heard.iter().all(is_same), "one order");
        let stats = client.stats();
        assert_eq!((stats.order_errors, stats.gaps), (0, 0), "{stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_nothing_and_moves_each_client_once_a_node() {
    let site = Site::new();
    let (balancer, address) = Balancer::start().await;
    let (mut nodes, tokens, room) = begin(&site, &balancer).await;
    let stop = Arc::new(AtomicBool::new(false));
    let people: Vec<Person> = tokens
        .iter()
        .map(|token| Person::start(address, token, room, &stop))
        .collect();
    let are_live = || {
        let is_live = |person: &Person| person.client.phase() == PhaseName::Live;
        people.iter().all(is_live)
    };
    until("everybody", are_live).await;
    for turn in 0..3 {
        let before = connects(&people);
        let (name, node) = nodes.remove(0);
        let old = node.address;
        let here = node.metric("parlor_sessions").await;
        assert!(here >= 1.0, "somebody is on {name}");
        spawn_blocking(move || node.terminate()).await.unwrap();
        let node = launch(&site, name).await;
        balancer.replace(Some(old), node.address);
        node.sees(3).await;
        nodes.push((name, node));
        until("everybody back", are_live).await;
        let after = connects(&people).into_iter();
        let moved: Vec<u64> = after
            .zip(&before)
            .map(|(after, before)| after - before)
            .collect();
        println!("restart {turn}, {here} sessions on {name}: moves {moved:?}");
        assert!(moved.iter().all(|moves| *moves <= 1), "{moved:?}");
        sleep(Duration::from_millis(500)).await;
    }
    stop.store(true, Relaxed);
    judge(people).await;
}
