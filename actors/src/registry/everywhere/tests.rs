//! Two nodes on one registry: who may stay, and what the registry is told.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use actix::prelude::*;
use parlor_cluster::SystemClock;
use parlor_schema::{
    BootId, Timestamp,
    port::{PortFuture, RegistryError},
};

use super::*;
use crate::registry::{Listed, Notice};

type Entries = BTreeMap<(UserId, SessionId), SessionEntry>;

/// A registry that can be away, and forget.
#[derive(Default)]
struct Shared {
    away: AtomicBool,
    epoch: AtomicU64,
    entries: Mutex<Entries>,
}

impl Shared {
    fn reach(&self) -> Result<MutexGuard<'_, Entries>, RegistryError> {
        match self.away.load(Relaxed) {
            true => Err(RegistryError("away".to_owned())),
            false => Ok(self.entries.lock().unwrap()),
        }
    }

    fn len(&self) -> usize {
        self.entries.lock().unwrap().len()
    }
}

impl SessionRegistry for Shared {
    fn put<'a>(
        &'a self,
        user: &'a UserId,
        entry: &'a SessionEntry,
    ) -> PortFuture<'a, Result<usize, RegistryError>> {
        Box::pin(async move {
            let mut entries = self.reach()?;
            entries.insert((user.clone(), entry.session_id), entry.clone());
            Ok(entries.keys().filter(|(of, _)| of == user).count())
        })
    }

    fn remove<'a>(
        &'a self,
        user: &'a UserId,
        session: SessionId,
    ) -> PortFuture<'a, Result<(), RegistryError>> {
        Box::pin(async move {
            self.reach()?.remove(&(user.clone(), session));
            Ok(())
        })
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    fn sessions<'a>(
        &'a self,
        user: &'a UserId,
    ) -> PortFuture<'a, Result<Vec<SessionEntry>, RegistryError>> {
        Box::pin(async move {
            let entries = self.reach()?;
            let of = entries.iter().filter(|((of, _), _)| of == user);
            Ok(of.map(|(_, entry)| entry.clone()).collect())
        })
    }
}

struct Deaf;

impl Actor for Deaf {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(16);
    }
}

impl Handler<Notice> for Deaf {
    type Result = ();

    fn handle(&mut self, _: Notice, _: &mut Self::Context) {}
}

struct Site {
    shared: Arc<Shared>,
    ana: UserId,
    number: u8,
}

impl Site {
    fn new() -> Self {
        Self {
            shared: Arc::default(),
            ana: "ana".parse().unwrap(),
            number: 0,
        }
    }

    fn node(&self, name: &str) -> Arc<Sessions> {
        let sessions = Arc::new(Sessions::default());
        let own = NodeInfo {
            node_id: name.parse().unwrap(),
            boot_id: BootId::from([name.as_bytes()[0]; 16]),
            internal_address: None,
        };
        sessions.share(self.shared.clone(), own, SystemClock::new(), Metrics::new());
        sessions
    }

    /// Lists one more session of ana on a node.
    async fn come(&mut self, node: &Sessions, limit: usize) -> (Seated, Place) {
        self.number += 1;
        let listed = Listed {
            session: SessionId::from([self.number; 16]),
            to: Deaf.start().recipient(),
            lost: Arc::default(),
            since: Timestamp::from_millis(i64::from(self.number)),
        };
        let seated = listed.seated();
        assert!(node.enter(&self.ana, listed, limit).is_ok());
        let place = node.enter_everywhere(&self.ana, seated, limit).await;
        (seated, place)
    }
}

async fn until(what: &str, is: impl Fn() -> bool) {
    for _ in 0..200 {
        if is() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} does not come");
}

#[actix::test]
async fn the_limit_counts_sessions_on_all_nodes() {
    let mut site = Site::new();
    let (one, two) = (site.node("one"), site.node("two"));
    let (first, place) = site.come(&one, 2).await;
    assert_eq!(place, Place::Free);
    assert_eq!(site.come(&two, 2).await.1, Place::Free);
    let (third, place) = site.come(&two, 2).await;
    assert_eq!(place, Place::Taken);
    // The last one too many waits, and stays once another has ended elsewhere.
    let ana = site.ana.clone();
    let (ended, waited) = tokio::join!(
        async { one.leave(&ana, first.session) },
        two.wait_everywhere(&ana, third, 2)
    );
    assert_eq!((ended, waited), ((), Place::Free));
    assert_eq!(two.elsewhere(&ana).await.unwrap(), []);
    assert_eq!(one.elsewhere(&ana).await.unwrap().len(), 2);
}

#[actix::test]
async fn nobody_is_refused_while_the_registry_is_away() {
    let mut site = Site::new();
    let (one, two) = (site.node("one"), site.node("two"));
    site.come(&one, 1).await;
    site.shared.away.store(true, Relaxed);
    assert_eq!(site.come(&two, 1).await.1, Place::Free, "EV-1");
    assert_eq!(two.elsewhere(&site.ana).await, None);
    site.shared.away.store(false, Relaxed);
    site.shared.epoch.fetch_add(1, Relaxed);
    let shared = site.shared.clone();
    until("the session that came meanwhile", || shared.len() == 2).await;
}

#[actix::test]
async fn a_registry_that_forgot_is_told_again() {
    let mut site = Site::new();
    let one = site.node("one");
    for _ in 0..3 {
        site.come(&one, 0).await;
    }
    let shared = site.shared.clone();
    shared.entries.lock().unwrap().clear();
    shared.epoch.fetch_add(1, Relaxed);
    until("all three", || shared.len() == 3).await;
    for seated in one.of(&site.ana) {
        one.leave(&site.ana, seated.session);
    }
    until("the end of all three", || shared.len() == 0).await;
}
