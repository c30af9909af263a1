//! The registry, also while actors stop under their senders.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use actix::Arbiter;
use parlor_cluster::MemoryStore;
use parlor_schema::frame::server::PresenceStatus;
use tokio::sync::{Barrier, mpsc};
use uuid::Uuid;

use super::{super::tests::alone, *};

#[actix::test]
async fn an_old_place_takes_out_no_newer_entry() {
    let presences = Presences::over(alone(&MemoryStore::new(), Pace::default()), 10_000);
    let user: UserId = "ana".parse().unwrap();
    let addr = presences.of(&user);
    let place = |number| Place {
        presences: presences.myself.clone(),
        user: user.clone(),
        number,
    };
    drop(place(0));
    assert_eq!(presences.of(&user), addr, "PS-1");
    drop(place(1));
    assert_ne!(presences.of(&user), addr);
}

#[actix::test]
async fn nothing_is_lost_while_actors_stop_under_their_senders() {
    let eager = Pace {
        rest: Duration::from_millis(1),
        ..Pace::default()
    };
    let presences = Presences::over(alone(&MemoryStore::new(), eager), 0);
    let (done, mut finished) = mpsc::unbounded_channel();
    let threads: Vec<Arbiter> = (0..3).map(|_| Arbiter::new()).collect();
    let together = Arc::new(Barrier::new(threads.len()));
    for (number, thread) in (1..).zip(&threads) {
        let (presences, done) = (presences.clone(), done.clone());
        let together = together.clone();
        thread.spawn(async move {
            let ana: UserId = "ana".parse().unwrap();
            let session = SessionId::new(Uuid::from_u128(number));
            for round in 0..300 {
                let phone = format!("phone{number}").parse().unwrap();
                presences.attach(&ana, session, phone, None).await;
                let shown = presences.look(&ana).await.status;
                assert_eq!(shown, PresenceStatus::Online, "PS-2, round {round}");
                presences.detach(&ana, session);
                if round % 7 == number % 7 {
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
                // Now and then all pause, so that an actor stops however slow the machine is.
                if round % 50 == 0 {
                    together.wait().await;
                    while !presences.is_empty() {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    together.wait().await;
                }
            }
            done.send(()).unwrap();
        });
    }
    drop(done);
    let mut count = 0;
    while finished.recv().await.is_some() {
        count += 1;
    }
    assert_eq!(count, threads.len(), "a thread failed");
    assert!(presences.lock().started > 6, "an actor for each pause");
    for thread in threads {
        thread.stop();
        thread.join().unwrap();
    }
}
