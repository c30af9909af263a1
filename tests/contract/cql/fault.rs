//! Servers that pause and die.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parlor_cluster::CqlStore;
use parlor_config::Cql;
use parlor_schema::{
    Event, Seq,
    port::{Append, StoreError, Timeline as _},
};

use super::{SMALL, fill, open, served, settings};
use crate::{
    cassandra::Cassandra,
    make::{events, room, whole},
    timeline,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_whose_answer_is_lost_is_unknown_and_the_tail_tells() {
    let server = Cassandra::start(1);
    let settings = Cql {
        request_timeout_ms: 800,
        ..settings(vec![server.address()])
    };
    let store = open(&settings).await;
    let thread = served(&store).await;
    let (mut applied, mut void) = (0, 0);
    for round in 0..6 {
        let id = room();
        let given = fill(&store, id, &[4]).await;
        server.pause(0);
        let lost = events(5, 7);
        let began = Instant::now();
        // By the store's own thread, and from one with a session of its own.
        let append = {
            let (store, lost) = (store.clone(), lost.clone());
            async move { store.append(id, Seq::new(4), lost).await }
        };
        let answer = match round % 2 {
            0 => append.await,
            _ => thread.spawn(append).await.unwrap(),
        };
        let took = began.elapsed();
        server.resume(0);
        assert_eq!(answer.unwrap(), Append::Unknown, "round {round}");
        assert!(took < Duration::from_secs(2), "{took:?}");
        // The head settles it: all or nothing, and so it stays.
        let head = loop {
            match store.head(id).await {
                Ok(head) => break head,
                Err(StoreError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        };
        let stored = whole(&*store, id).await.unwrap();
        let all: Vec<Arc<Event>> = given.iter().chain(&lost).cloned().collect();
        // The request may still lie in the server's socket: then the next append decides, one way.
        let next = events(head.get() + 1, head.get() + 1);
        let wanted = match store.append(id, head, next.clone()).await.unwrap() {
            Append::Appended => stored.iter().chain(&next).cloned().collect(),
            Append::Conflict { .. } => all.clone(),
            Append::Unknown => panic!("unknown without a fault"),
        };
        let stored = whole(&*store, id).await.unwrap();
        assert_eq!(stored, wanted, "round {round}");
        match stored.starts_with(&all) {
            true => applied += 1,
            false => {
                assert!(!stored.iter().any(|event| lost.contains(event)));
                void += 1;
            }
        }
    }
    println!("of 6 appends without an answer {applied} took effect, {void} did not");
    assert_eq!(store.stats().unknown, 6, "{:?}", store.stats());

    server.kill(0);
    let id = room();
    // The connections break at the first; then there is nobody to send to, and nothing is stored for certain.
    let _ = store.append(id, Seq::ZERO, events(1, 1)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let gone = store.append(id, Seq::ZERO, events(1, 1)).await;
    assert!(matches!(gone, Err(StoreError::Unavailable(_))), "{gone:?}");
    let gone = store.head(id).await;
    assert!(matches!(gone, Err(StoreError::Unavailable(_))), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_copies_stand_the_loss_of_a_node() {
    let cluster = Cassandra::start(3);
    let settings = Cql {
        replication: 3,
        // Three servers and their disks share this machine.
        request_timeout_ms: 10_000,
        ..settings(cluster.addresses())
    };
    let store = open(&settings).await;
    let id = room();
    let mut given = fill(&store, id, &[20, 20]).await;

    cluster.kill(2);
    // What the dead node had under way may be unknown; from then on two of three are enough.
    let mut unknown = 0;
    while given.len() < 60 {
        let head = given.len() as u64;
        let next = events(head + 1, head + 2);
        match store.append(id, Seq::new(head), next.clone()).await {
            Ok(Append::Appended) => given.extend(next),
            Ok(Append::Unknown) => {
                unknown += 1;
                let stored = whole(&*store, id).await.unwrap();
                assert!(stored.len() == given.len() || stored.ends_with(&next));
                given = stored;
            }
            other => println!("while the node dies: {other:?}"),
        }
    }
    println!("{unknown} appends of unknown outcome");
    assert_eq!(whole(&*store, id).await.unwrap(), given);
    // A node that was not there before, too.
    let other = CqlStore::open_with(&settings, SMALL).await.unwrap();
    assert_eq!(whole(&*other, id).await.unwrap(), given);
    timeline::suite(other).await.unwrap();
}
