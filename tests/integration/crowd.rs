//! The crowd: who talks where, and the account of it all once they have settled.
//!
//! Owns the people of a scenario before and after; what happens to the servers meanwhile is the scenario's.
#![allow(dead_code, reason = "each binary uses a part")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use parlor_client::{Accounts, PhaseName, Stats};
use parlor_schema::{MsgId, RoomId, UserId, frame::ClientFrame};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use crate::{
    checker::{self, Fault, History, Report},
    dice::Dice,
    person::{Account, Memory, Person, Place, room_of},
};

/// Rooms that are there from the start, beside the public one.
const ROOMS: usize = 5;
/// Time for everything to settle after the last fault.
const SETTLE_WITHIN: Duration = Duration::from_secs(60);
/// The same of a crowd that may never settle.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);

/// How many there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// People who talk.
    pub(crate) people: usize,
    /// Those of them who go in and out of the public room: the last.
    pub(crate) guests: usize,
    /// Which crowd this is of those that the same servers meet: its people have names of their own.
    pub(crate) crowd: u64,
}

/// How long the crowd is waited for at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until all is answered and delivered.
    Long,
    /// A moment: what is broken on purpose may never come.
    Short,
}

/// Frames without an answer, or faults that met some.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Open {
    /// Messages.
    pub(crate) sends: u64,
    /// Rooms made, joined or left.
    pub(crate) changes: u64,
}

/// People at work, seen from outside.
pub(crate) struct Crowd {
    workers: Vec<Worker>,
    stop: watch::Sender<bool>,
}

struct Worker {
    account: std::sync::Arc<Account>,
    task: JoinHandle<Person>,
}

/// What came of it.
pub(crate) struct Verdict {
    /// The judgement.
    pub(crate) report: Report,
    /// The counts of all clients.
    pub(crate) stats: Stats,
    /// What no application should be told.
    pub(crate) wrong: Vec<String>,
}

impl Verdict {
    /// Returns the first faults.
    pub(crate) fn worst(&self) -> &[(Fault, String)] {
        &self.report.faults[..self.report.faults.len().min(12)]
    }
}

impl Crowd {
    /// Has people live until they are told to stop.
    pub(crate) fn begin(people: Vec<Person>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let begin = |person: Person| Worker {
            account: person.account.clone(),
            task: tokio::spawn(person.live(stopped.clone())),
        };
        let workers = people.into_iter().map(begin).collect();
        Self { workers, stop }
    }

    /// Counts the frames without an answer.
    pub(crate) fn open(&self) -> Open {
        let mut open = Open::default();
        for worker in &self.workers {
            let seen = worker.account.seen();
            for msg_id in &seen.open {
                match seen.asked[msg_id].frame {
                    ClientFrame::MessageSend(_) => open.sends += 1,
                    _ => open.changes += 1,
                }
            }
        }
        open
    }

    /// Returns the frames that have their answer.
    pub(crate) fn answered(&self) -> usize {
        let answered = |worker: &Worker| {
            let seen = worker.account.seen();
            seen.asked.len() - seen.open.len()
        };
        self.workers.iter().map(answered).sum()
    }

    /// Has them stop.
    pub(crate) async fn end(self) -> Vec<Person> {
        self.stop.send_replace(true);
        let mut people = Vec::new();
        for worker in self.workers {
            people.push(worker.task.await.unwrap());
        }
        people
    }
}

/// Signs everybody up and makes the rooms they begin with.
/// Everybody goes from one of `urls` to the next when a connection is lost for long.
pub(crate) async fn gather(
    urls: &[String],
    size: Size,
    memory: Memory,
    dice: &mut Dice,
) -> Vec<Person> {
    let accounts = Accounts::new(urls[0].clone()).unwrap();
    let names: Vec<UserId> = (0..size.people)
        .map(|n| format!("p{}-{n:02}", size.crowd).parse().unwrap())
        .collect();
    let mut people = Vec::new();
    for (n, user) in names.iter().enumerate() {
        let login = accounts.register(user, "correct horse").await.unwrap();
        let place = Place {
            user: user.clone(),
            token: login.token,
            urls: urls[n % urls.len()..]
                .iter()
                .chain(&urls[..n % urls.len()])
                .cloned()
                .collect(),
            friend: names[(n + 7) % size.people].clone(),
            memory,
            wait_max: None,
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
        let members = (0..size.people)
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
        let guest = n >= size.people - size.guests;
        person.settle_in(rooms, guest.then_some(made["door"]));
        person.caught_up().await;
    }
    people
}

/// Waits until all is settled, reads everything there is, and checks it.
pub(crate) async fn judge(
    people: Vec<Person>,
    size: Size,
    patience: Patience,
    last_words: impl Fn() -> String,
) -> Verdict {
    settle(&people, patience, last_words).await;
    let mut history = History::default();
    let mut twice_made = Vec::new();
    for person in &people {
        let user = &person.place.user;
        let listed = answered(patience, person.rooms_now()).await;
        for room in listed.iter().flatten() {
            let view = answered(patience, person.history(room.room_id)).await;
            history.views.extend(view);
        }
        let seen = person.account.seen();
        history.acked.extend(seen.acked(user));
        history.delivered.extend(seen.delivered(user));
        let made = listed.as_ref().map_or_else(Vec::new, |_| seen.made());
        for (name, rooms) in made {
            let there = listed
                .iter()
                .flatten()
                .filter(|room| room.name.as_ref() == Some(&name))
                .count();
            if there != 1 || rooms.len() != 1 {
                twice_made.push(format!("{user} made {name}: {there} rooms, told {rooms:?}"));
            }
        }
    }
    // Who has left the public room reads it all the same: one's own keys are seen by oneself only.
    let door = people[0].rooms().last().expect("the public room");
    for guest in &people[size.people - size.guests..] {
        let view = answered(patience, guest.history(*door)).await;
        history.views.extend(view);
    }
    if patience == Patience::Short {
        // Of a room that nobody could read nothing is known.
        let read: BTreeSet<RoomId> = history.views.iter().map(|view| view.room).collect();
        history.acked.retain(|acked| read.contains(&acked.room));
        history.delivered.retain(|given| read.contains(&given.room));
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
    Verdict {
        report,
        stats,
        wrong,
    }
}

/// Waits until nobody waits for an answer, and everybody has been given what there is.
///
/// # Panics
/// Somebody waits for ever, and nothing is broken that would let it be so.
async fn settle(people: &[Person], patience: Patience, last_words: impl Fn() -> String) {
    let within = match patience {
        Patience::Long => SETTLE_WITHIN,
        Patience::Short => GIVE_UP_AFTER,
    };
    let end = Instant::now() + within;
    for person in people {
        let settled = timeout_at(end, person.settled()).await;
        assert!(
            settled.is_ok() || patience == Patience::Short,
            "{} does not settle: {}",
            person.place.user,
            stuck(person, &last_words())
        );
    }
    let end = Instant::now() + within;
    for person in people {
        let live = answered(patience, person.client.wait_live()).await;
        live.map_or(Ok(()), |live| live.map(drop)).unwrap();
        // Who left positions out may never catch up; the checker says what is missing.
        let end = match person.place.memory {
            Memory::Kept => end,
            Memory::Ahead | Memory::Forgotten => Instant::now() + Duration::from_millis(200),
        };
        let _ = timeout_at(end, person.caught_up()).await;
    }
}

/// Waits for an answer; only a moment where it may never come.
async fn answered<T>(patience: Patience, answer: impl Future<Output = T>) -> Option<T> {
    match patience {
        Patience::Long => Some(answer.await),
        Patience::Short => timeout_at(Instant::now() + GIVE_UP_AFTER, answer)
            .await
            .ok(),
    }
}

fn stuck(person: &Person, last_words: &str) -> String {
    let phase: PhaseName = person.client.phase();
    let seen = person.account.seen();
    let open: Vec<(&MsgId, _)> = seen
        .open
        .iter()
        .map(|msg_id| (msg_id, &seen.asked[msg_id]))
        .collect();
    let failure = person.client.last_failure();
    format!(
        "{phase:?}, {failure:?}, {open:?}, {:?}\n{last_words}",
        seen.wrong
    )
}
