//! The actor and its registry, with real timers and the memory store.

#![allow(clippy::unwrap_used, reason = "tests")]

use actix::Addr;
use parlor_cluster::{MemoryBus, MemoryStore, SingleMembership, SystemClock};
use parlor_schema::{
    BootId,
    port::{NodeInfo, UserDirectory},
};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::*;

mod elsewhere;

const GRACE_MS: u64 = 40;
const BRISK: Pace = Pace {
    owed: Duration::from_millis(5),
    rest: Duration::from_millis(5),
    doubt: Duration::from_millis(40),
};
/// For actors that are to stay.
const STEADY: Pace = Pace {
    owed: Duration::from_millis(5),
    rest: Duration::from_secs(3_600),
    doubt: Duration::from_millis(40),
};

fn presences(pace: Pace) -> (Arc<Presences>, Arc<MemoryStore>) {
    let store = MemoryStore::new();
    (Presences::over(alone(&store, pace), GRACE_MS), store)
}

/// The outside of a node without others.
pub(super) fn alone(store: &Arc<MemoryStore>, pace: Pace) -> Outside {
    let own = NodeInfo {
        node_id: "one".parse().unwrap(),
        boot_id: BootId::new(Uuid::from_u128(1)),
        internal_address: None,
    };
    Outside {
        clock: SystemClock::new(),
        directory: store.clone(),
        peers: Peers {
            bus: MemoryBus::new(own.node_id.clone()),
            membership: SingleMembership::new(own),
        },
        pace,
    }
}

fn user(id: &str) -> UserId {
    id.parse().unwrap()
}

fn device(id: &str) -> DeviceId {
    id.parse().unwrap()
}

fn session(number: u128) -> SessionId {
    SessionId::new(Uuid::from_u128(number))
}

/// A watcher that passes on what it is told, once it is let go.
struct Friend {
    told: mpsc::UnboundedSender<PresenceEntry>,
    held: Option<oneshot::Receiver<()>>,
}

impl Actor for Friend {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(1);
        if let Some(held) = self.held.take() {
            ctx.wait(held.into_actor(self).map(|_, _, _| ()));
        }
    }
}

impl Handler<PresenceChanged> for Friend {
    type Result = ();

    fn handle(&mut self, message: PresenceChanged, _: &mut Context<Self>) {
        self.told.send(message.entry).unwrap();
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Leave;

impl Handler<Leave> for Friend {
    type Result = ();

    fn handle(&mut self, _: Leave, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

fn friend(
    held: Option<oneshot::Receiver<()>>,
) -> (Addr<Friend>, mpsc::UnboundedReceiver<PresenceEntry>) {
    let (told, heard) = mpsc::unbounded_channel();
    (Friend { told, held }.start(), heard)
}

#[actix::test]
async fn a_watcher_is_told_of_coming_and_going() {
    let (presences, store) = presences(STEADY);
    let ana = user("ana");
    let (bob, mut heard) = friend(None);
    let watched = presences.watch(&ana, session(9), bob.recipient()).await;
    assert_eq!(watched.unwrap().status, PresenceStatus::Offline);

    presences
        .attach(&ana, session(1), device("phone"), None)
        .await;
    assert_eq!(heard.recv().await.unwrap().status, PresenceStatus::Online);
    presences.detach(&ana, session(1));
    let gone = heard.recv().await.unwrap();
    assert_eq!(gone.status, PresenceStatus::Offline);
    let stored = store.user(&ana).await.unwrap().unwrap().last_seen;
    assert!(stored.is_some());
    assert_eq!(gone.last_seen, stored);
}

#[actix::test]
async fn set_answers_what_others_see() {
    let (presences, _) = presences(STEADY);
    let ana = user("ana");
    let text = Some("tea".to_owned());
    let set = presences.set(&ana, device("phone"), PresenceSetting::Away, text);
    let shown = set.await.unwrap();
    assert_eq!(shown.status, PresenceStatus::Away);
    assert_eq!(shown.text.as_deref(), Some("tea"));
    let set = presences.set(&ana, device("desk"), PresenceSetting::Invisible, None);
    assert_eq!(set.await.unwrap().status, PresenceStatus::Offline);

    let long = Some("x".repeat(2_000));
    let set = presences.set(&ana, device("phone"), PresenceSetting::Away, long);
    assert_eq!(set.await.unwrap_err().field.as_deref(), Some("text"));
}

#[actix::test]
async fn a_full_watcher_gets_the_last_value() {
    let (presences, _) = presences(STEADY);
    let ana = user("ana");
    let (free, held) = oneshot::channel();
    let (bob, mut heard) = friend(Some(held));
    let (cat, mut unheld) = friend(None);
    for (number, to) in [(8, bob.recipient()), (9, cat.recipient())] {
        presences.watch(&ana, session(number), to).await.unwrap();
    }
    presences
        .attach(&ana, session(1), device("phone"), None)
        .await;
    unheld.recv().await.unwrap();
    for number in 0..100 {
        let text = Some(number.to_string());
        let set = presences.set(&ana, device("phone"), PresenceSetting::Dnd, text);
        set.await.unwrap();
    }
    free.send(()).unwrap();
    let mut told = 0;
    while heard.recv().await.unwrap().text.as_deref() != Some("99") {
        told += 1;
    }
    assert!(told < 10, "a mailbox of 1 held {told}");
}

#[actix::test]
async fn an_actor_with_nothing_left_stops() {
    let (presences, store) = presences(BRISK);
    let ana = user("ana");
    let (bob, heard) = friend(None);
    let watched = presences.watch(&ana, session(9), bob.clone().recipient());
    watched.await.unwrap();
    let addr = presences.of(&ana);
    presences
        .attach(&ana, session(1), device("phone"), None)
        .await;
    presences.detach(&ana, session(1));
    bob.send(Leave).await.unwrap();
    drop((bob, heard));

    while addr.send(Look).await.is_ok() {}
    assert!(presences.is_empty(), "PS-1");

    let shown = presences.look(&ana).await;
    assert_eq!(shown.status, PresenceStatus::Offline);
    let stored = store.user(&ana).await.unwrap().unwrap().last_seen;
    assert_eq!(shown.last_seen, stored);
    presences.detach(&ana, session(1));
    presences.unwatch(&ana, session(9));
    assert!(presences.is_empty(), "looking starts nothing");

    // A successor knows what the one before knew.
    let (cat, _heard) = friend(None);
    let watched = presences.watch(&ana, session(8), cat.recipient());
    assert_eq!(watched.await.unwrap().last_seen, stored);
}
