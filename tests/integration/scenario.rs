//! The scenario: people, rooms, kills, and the account of it all.

use std::{collections::BTreeMap, time::Duration};

use parlor_client::{Accounts, PhaseName, Stats};
use parlor_schema::{RoomId, UserId, frame::ClientFrame};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{
    checker::{self, Fault, History, Report},
    dice::{self, Dice},
    person::{Memory, Person, Place, room_of},
    process::Site,
    seen::Seen,
};

/// People who talk.
const PEOPLE: usize = 22;
/// People who go in and out of the public room.
const GUESTS: usize = 6;
/// Rooms that are there from the start, beside the public one.
const ROOMS: usize = 5;
/// Time for everything to settle after the last start.
const SETTLE_WITHIN: Duration = Duration::from_secs(60);

/// What to do.
pub(crate) struct Plan {
    /// Times to kill.
    pub(crate) rounds: u64,
    /// More settings of the server.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// What applications remember.
    pub(crate) memory: Memory,
    /// Where chance begins.
    pub(crate) seed: u64,
}

impl Plan {
    /// Plans so many kills, with every protection on.
    pub(crate) fn new(rounds: u64) -> Self {
        Self {
            rounds,
            settings: Vec::new(),
            memory: Memory::Kept,
            seed: dice::seed(),
        }
    }
}

/// What came of it.
pub(crate) struct Outcome {
    /// The judgement.
    pub(crate) report: Report,
    /// Kills that met frames without an answer.
    pub(crate) hits: Open,
    /// The counts of all clients.
    pub(crate) stats: Stats,
    /// What no application should be told.
    pub(crate) wrong: Vec<String>,
}

impl Outcome {
    /// Returns the first faults.
    pub(crate) fn worst(&self) -> &[(Fault, String)] {
        &self.report.faults[..self.report.faults.len().min(12)]
    }
}

/// Frames without an answer, or kills that met some.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Open {
    /// Messages.
    pub(crate) sends: u64,
    /// Rooms made, joined or left.
    pub(crate) changes: u64,
}

impl Open {
    fn count(&mut self, seen: &Seen) {
        for msg_id in &seen.open {
            match seen.asked[msg_id].frame {
                ClientFrame::MessageSend(_) => self.sends += 1,
                _ => self.changes += 1,
            }
        }
    }
}

/// Somebody at work, seen from outside.
struct Worker {
    account: std::sync::Arc<crate::person::Account>,
    task: JoinHandle<Person>,
}

/// Runs the scenario.
pub(crate) async fn run(plan: Plan) -> Outcome {
    dice::say(&format!("PARLOR_SEED={} rounds {}", plan.seed, plan.rounds));
    let mut dice = Dice::new(plan.seed);
    let site = Site::new(&mut dice, plan.settings.clone());
    let mut server = site.spawn();
    server.ready(&site).await;
    let people = gather(&site, &plan, &mut dice).await;
    let (stop, stopped) = watch::channel(false);
    let workers: Vec<Worker> = people
        .into_iter()
        .map(|person| Worker {
            account: person.account.clone(),
            task: tokio::spawn(person.live(stopped.clone())),
        })
        .collect();
    let (mut hits, mut young) = (Open::default(), 0);
    for _ in 0..plan.rounds {
        let (live, busy) = (dice.between(0, 2000), dice.once_in(4));
        // Most kills meet a server at work, some one that has just begun.
        let live = if busy { live / 8 } else { live };
        tokio::time::sleep(Duration::from_millis(live)).await;
        let mut open = Open::default();
        for worker in &workers {
            open.count(&worker.account.seen());
        }
        hits.sends += u64::from(open.sends > 0);
        hits.changes += u64::from(open.changes > 0);
        server.kill(&site);
        server = site.spawn();
        if dice.once_in(6) {
            // This one dies while it opens its store.
            tokio::time::sleep(Duration::from_millis(dice.below(120))).await;
            server.kill(&site);
            server = site.spawn();
            young += 1;
        }
        server.ready(&site).await;
    }
    stop.send_replace(true);
    let mut people = Vec::new();
    for worker in workers {
        people.push(worker.task.await.unwrap());
    }
    let outcome = judge(people, hits, &site).await;
    dice::say(&format!(
        "rounds {}, kills with sends in flight {}, with rooms made, joined or left {}, kills while starting {young}, resent {}, {}",
        plan.rounds, hits.sends, hits.changes, outcome.stats.resent, outcome.report,
    ));
    outcome
}

/// Signs everybody up and makes the rooms they begin with.
async fn gather(site: &Site, plan: &Plan, dice: &mut Dice) -> Vec<Person> {
    let accounts = Accounts::new(site.url()).unwrap();
    let names: Vec<UserId> = (0..PEOPLE)
        .map(|n| format!("p{n:02}").parse().unwrap())
        .collect();
    let mut people = Vec::new();
    for (n, user) in names.iter().enumerate() {
        let login = accounts.register(user, "correct horse").await.unwrap();
        let place = Place {
            user: user.clone(),
            token: login.token,
            url: site.url(),
            friend: names[(n + 7) % PEOPLE].clone(),
            memory: plan.memory,
        };
        let person = Person::open(place, dice.fork());
        person.client.wait_live().await.unwrap();
        people.push(person);
    }
    // Everybody is in two rooms, some in three.
    let member = |n: usize, room: usize| {
        n % ROOMS == room
            || (n + 2) % ROOMS == room
            || (n.is_multiple_of(3) && (n + 3) % ROOMS == room)
    };
    for (room, owner) in people.iter().enumerate().take(ROOMS) {
        let members = (0..PEOPLE)
            .filter(|n| member(*n, room))
            .map(|n| names[n].clone());
        owner.ask(room_of(format!("room {room}"), members.collect(), None));
    }
    people[0].ask(room_of("door".into(), Vec::new(), Some(true)));
    for person in &people[..ROOMS] {
        person.settled().await;
    }
    let made: BTreeMap<String, RoomId> = people
        .iter()
        .flat_map(|person| person.account.seen().made())
        .filter_map(|(name, rooms)| Some((name, *rooms.first()?)))
        .collect();
    for (n, person) in people.iter_mut().enumerate() {
        let rooms = (0..ROOMS).filter(|room| member(n, *room));
        let mut rooms: Vec<RoomId> = rooms.map(|room| made[&format!("room {room}")]).collect();
        if n == 0 {
            rooms.push(made["door"]);
        }
        let guest = n >= PEOPLE - GUESTS;
        person.settle_in(rooms, guest.then_some(made["door"]));
        person.caught_up().await;
    }
    people
}

/// Waits until all is settled, reads everything there is, and checks it.
async fn judge(people: Vec<Person>, hits: Open, site: &Site) -> Outcome {
    let mut history = History::default();
    let mut twice_made = Vec::new();
    for person in &people {
        let settled = timeout(SETTLE_WITHIN, person.settled()).await;
        assert!(
            settled.is_ok(),
            "{} does not settle: {}",
            person.place.user,
            stuck(person, site)
        );
    }
    for person in &people {
        person.client.wait_live().await.unwrap();
        // Who left positions out may never catch up; the checker says what is missing.
        let within = match person.place.memory {
            Memory::Kept => SETTLE_WITHIN,
            Memory::Ahead | Memory::Forgotten => Duration::from_millis(200),
        };
        let _ = timeout(within, person.caught_up()).await;
    }
    for person in &people {
        let user = &person.place.user;
        let listed = person.rooms_now().await;
        for room in &listed {
            history.views.push(person.history(room.room_id).await);
        }
        let seen = person.account.seen();
        history.acked.extend(seen.acked(user));
        history.delivered.extend(seen.delivered(user));
        for (name, rooms) in seen.made() {
            let there = listed
                .iter()
                .filter(|room| room.name.as_ref() == Some(&name))
                .count();
            if there != 1 || rooms.len() != 1 {
                twice_made.push(format!("{user} made {name}: {there} rooms, told {rooms:?}"));
            }
        }
    }
    // Who has left the public room reads it all the same: one's own keys are seen by oneself only.
    let door = people[0].rooms_now().await;
    let door = door
        .iter()
        .find(|room| room.public)
        .expect("the public room")
        .room_id;
    for guest in &people[PEOPLE - GUESTS..] {
        history.views.push(guest.history(door).await);
    }
    let mut report = checker::check(&history);
    for what in twice_made {
        report.fault(Fault::Duplicate, what);
    }
    let (mut stats, mut wrong) = (Stats::default(), Vec::new());
    for person in people {
        wrong.append(&mut person.account.seen().wrong);
        crate::person::add(&mut stats, person.close().await);
    }
    Outcome {
        report,
        hits,
        stats,
        wrong,
    }
}

fn stuck(person: &Person, site: &Site) -> String {
    let phase: PhaseName = person.client.phase();
    let seen = person.account.seen();
    let open: Vec<_> = seen
        .open
        .iter()
        .map(|msg_id| (msg_id, &seen.asked[msg_id]))
        .collect();
    let failure = person.client.last_failure();
    format!(
        "{phase:?}, {failure:?}, {open:?}, {:?}\n{}",
        seen.wrong,
        site.last_words()
    )
}
