//! Three people write all the time, each behind a proxy that cuts their connection, in the middle of a frame as well.
//!
//! The same is done to the TypeScript client in `clients/typescript/tests/server/faults.test.mjs`.

use std::time::Duration;

use parlor_client::{Accounts, Stats};
use parlor_schema::{
    RoomId, UserId,
    frame::{ClientFrame, body::MessageBody, client::MessageSend},
};
use tokio::{sync::watch, time::timeout};

use crate::{
    checker::{self, History},
    cutter::{Cut, Cutter, Direction, Ending, Hit},
    dice::{self, Dice},
    person::{Memory, Person, Place, add, room_of},
    process::Site,
};

const CUTS: usize = 200;
const PEOPLE: [&str; 3] = ["ana", "bo", "cleo"];
/// Messages without an answer beyond which somebody waits.
const OPEN_MAX: usize = 5;
/// A hundred times shorter than the protocol's first, which is for a million clients and not for three.
const WAIT_MAX: Duration = Duration::from_millis(2);
const HIT_WITHIN: Duration = Duration::from_secs(20);
const SETTLE_WITHIN: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cuts_lose_nothing_double_nothing_and_keep_the_order() {
    let seed = dice::seed();
    dice::say(&format!("PARLOR_SEED={seed} cuts {CUTS}"));
    let mut dice = Dice::new(seed);
    let site = Site::new(&mut dice, Vec::new());
    let mut server = site.spawn();
    server.ready(&site).await;
    let (people, cutters) = gather(&site, &mut dice).await;
    let room = busy_room(&people).await;

    let (stop, stopped) = watch::channel(false);
    let begin = |person| tokio::spawn(talk(person, room, stopped.clone()));
    let talking: Vec<_> = people.into_iter().map(begin).collect();
    let mut hits = Vec::new();
    for nth in 0..CUTS {
        // From within the handshake to a few frames later.
        let cut = Cut {
            after: dice.between(1, 1500),
            direction: *dice.pick(&[Direction::Up, Direction::Down]),
            ending: *dice.pick(&[Ending::Reset, Ending::End]),
        };
        let hit = timeout(HIT_WITHIN, dice.pick(&cutters).cut(cut)).await;
        hits.push((
            cut.direction,
            hit.unwrap_or_else(|_| panic!("cut {nth} hits nothing: {cut:?}")),
        ));
    }
    stop.send_replace(true);
    let mut people = Vec::new();
    for task in talking {
        people.push(task.await.unwrap());
    }

    let (report, stats, wrong) = judge(people, room).await;
    let met = |direction, what| hits.iter().filter(|hit| **hit == (direction, what)).count();
    let torn = [
        met(Direction::Up, Hit::Frame),
        met(Direction::Down, Hit::Frame),
    ];
    dice::say(&format!(
        "{CUTS} cuts, within frames {torn:?} up and down; connects {}, resent {}, {report}",
        stats.connects, stats.resent,
    ));
    assert!(report.faults.is_empty(), "{report}\n{:#?}", report.faults);
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(
        (stats.order_errors, stats.gaps, stats.unreadable),
        (0, 0, 0),
        "{stats:?}"
    );
    // Less would prove nothing.
    assert!(torn.iter().all(|torn| *torn > CUTS / 8), "{torn:?}");
    assert!(stats.connects > CUTS as u64 / 2, "{stats:?}");
    assert!(stats.resent > CUTS as u64 / 10, "acks were lost: {stats:?}");
    assert!(report.acknowledged > CUTS, "{report}");
}

/// Signs three people up, and gives each a proxy.
async fn gather(site: &Site, dice: &mut Dice) -> (Vec<Person>, Vec<Cutter>) {
    let accounts = Accounts::new(site.url()).unwrap();
    let (mut people, mut cutters) = (Vec::new(), Vec::new());
    for name in PEOPLE {
        let user: UserId = name.parse().unwrap();
        let login = accounts.register(&user, "correct horse").await.unwrap();
        let cutter = Cutter::start(site.address).await;
        let place = Place {
            friend: user.clone(),
            user,
            token: login.token,
            urls: vec![format!("http://{}", cutter.address)],
            memory: Memory::Kept,
            wait_max: Some(WAIT_MAX),
        };
        let person = Person::open(place, dice.fork());
        person.client.wait_live().await.unwrap();
        people.push(person);
        cutters.push(cutter);
    }
    (people, cutters)
}

/// Makes a room of them all.
async fn busy_room(people: &[Person]) -> RoomId {
    let others = people[1..].iter().map(|person| person.place.user.clone());
    people[0].ask(room_of("busy".into(), others.collect(), None));
    people[0].settled().await;
    let made = people[0].account.seen().made();
    let room = *made[0].1.first().unwrap();
    for person in people {
        loop {
            let changed = person.account.changed.notified();
            if person.account.seen().reached().contains_key(&room) {
                break;
            }
            changed.await;
        }
    }
    room
}

/// Writes until told to stop, with a few messages in hand at most.
async fn talk(person: Person, room: RoomId, stop: watch::Receiver<bool>) -> Person {
    let mut nth = 0;
    while !*stop.borrow() {
        if person.account.seen().open.len() < OPEN_MAX {
            // Long ones and short ones, so that cuts meet both.
            let filling = "x".repeat(nth % 7 * 100);
            person.ask(ClientFrame::MessageSend(MessageSend {
                room_id: room,
                body: MessageBody::text(format!("{} {nth} {filling}", person.place.user)).into(),
                reply_to: None,
                thread: None,
                mentions: None,
                attachments: None,
                expires_in_ms: None,
            }));
            nth += 1;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    person
}

/// Waits until all is answered and delivered, reads the room as each of them, and compares.
async fn judge(people: Vec<Person>, room: RoomId) -> (checker::Report, Stats, Vec<String>) {
    // The head moves until the last of them is answered.
    for person in &people {
        in_time(person, person.settled()).await;
    }
    let mut history = History::default();
    for person in &people {
        in_time(person, async {
            person.client.wait_live().await.unwrap();
            person.caught_up().await;
        })
        .await;
        history.views.push(person.history(room).await);
    }
    let (mut stats, mut wrong) = (Stats::default(), Vec::new());
    for person in people {
        {
            let mut seen = person.account.seen();
            history.acked.extend(seen.acked(&person.place.user));
            history.delivered.extend(seen.delivered(&person.place.user));
            wrong.append(&mut seen.wrong);
        }
        add(&mut stats, person.close().await);
    }
    (checker::check(&history), stats, wrong)
}

async fn in_time(person: &Person, quiet: impl Future<Output = ()>) {
    let quiet = timeout(SETTLE_WITHIN, quiet).await;
    let failure = person.client.last_failure();
    quiet.unwrap_or_else(|_| panic!("{} does not settle: {failure:?}", person.place.user));
}
