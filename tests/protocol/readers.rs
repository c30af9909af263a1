//! Any schedule of slow and fast readers: each gets one room's events from its position to the head, each once and in order.
//!
//! The rooms, sessions, fan-outs and sockets are the real ones ([`site`]), on two threads and over connections whose buffers are small, so
//! that lanes overflow: sessions turn to reading the log, and back. A reader's pauses last until the publisher has come to a position, not
//! for a time, so that a schedule does not depend on the machine.
//!
//! `PARLOR_SEED` and `PARLOR_SCHEDULES` choose which; a failure names its seed.

#[path = "../integration/dice.rs"]
mod dice;
mod site;

use std::{cell::Cell, rc::Rc};

use dice::{Dice, number, say, seed};
use parlor_actors::ports::Coding;
use serde_json::{Value, json};
pub(crate) use site::Names;
use site::Site;
use tokio::sync::watch;
use uuid::Uuid;

use crate::support::raw::{CLOSE, Frame, Raw, TEXT};

/// Schedules of one run.
const SCHEDULES: u64 = 50;
/// Readers of one schedule.
const READERS: u64 = 6;
/// Messages of one schedule: in all some three times what a lane and the buffers below it take.
const MESSAGES: u64 = 600;
/// Bytes of a text: as many short ones as long ones, by orders of magnitude.
const SHORTEST: f64 = 20.0;
const LONGEST: f64 = 20_000.0;
/// Messages that the publisher has under way at most.
const WINDOW: u64 = 32;

/// What a reader does next.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Reads this many events.
    Read(u64),
    /// Reads nothing until the room's head is there.
    Pause(u64),
    /// Goes, and comes again from where it was.
    Return,
}

/// How one reader reads, until the publisher has done; then it reads to the end.
#[derive(Debug)]
struct Script {
    user: String,
    coding: Coding,
    steps: Vec<Step>,
}

impl Script {
    /// One in six never pauses, one reads nothing till the end, the others change.
    fn draw(dice: &mut Dice, at: u64) -> Self {
        let mut steps = Vec::new();
        match at {
            0 => {}
            1 => steps.push(Step::Pause(MESSAGES + 1)),
            _ => {
                let mut head = 1;
                while head < MESSAGES {
                    steps.push(Step::Read(dice.between(1, 150)));
                    head += dice.between(1, 300);
                    steps.push(Step::Pause(head.min(MESSAGES + 1)));
                    if dice.once_in(6) {
                        steps.push(Step::Return);
                    }
                }
            }
        }
        Self {
            user: format!("u{at}"),
            coding: if dice.once_in(3) {
                Coding::Deflate
            } else {
                Coding::Plain
            },
            steps,
        }
    }
}

/// A reader at work.
struct Reader {
    user: String,
    coding: Coding,
    room: String,
    raw: Raw,
    /// The last position read.
    seq: u64,
    head: watch::Receiver<u64>,
    /// Positions named by gaps.
    gaps: u64,
}

impl Reader {
    /// Reads one event of the room; answers its position.
    async fn event(&mut self) -> u64 {
        loop {
            let frame = self.raw.reading.frame().await.expect("it is kept");
            assert_ne!(
                frame.opcode(),
                CLOSE,
                "{}: {frame:?} at {}",
                self.user,
                self.seq
            );
            if let Some(seq) = self.take(&frame) {
                return seq;
            }
        }
    }

    fn take(&mut self, frame: &Frame) -> Option<u64> {
        if frame.opcode() != TEXT {
            return None;
        }
        let json = frame.json();
        let payload = &json["payload"];
        if payload["room_id"] != self.room.as_str() {
            return None;
        }
        match json["type"].as_str().unwrap() {
            "gap" => {
                assert_eq!(payload["from"], self.seq + 1, "{json}");
                let to = payload["to"].as_u64().unwrap();
                self.gaps += to - self.seq;
                self.seq = to;
            }
            "message" | "room.created" => {
                assert_eq!(payload["seq"], self.seq + 1, "{}: {json:.200}", self.user);
                self.seq += 1;
            }
            _ => return None,
        }
        Some(self.seq)
    }

    async fn run(mut self, site: Rc<Site>, steps: Vec<Step>) -> Self {
        for step in steps {
            match step {
                Step::Read(count) => {
                    let upto = self.seq + count;
                    while self.seq < upto.min(MESSAGES + 1) {
                        self.event().await;
                    }
                }
                Step::Pause(head) => {
                    let there = self.head.wait_for(|now| *now >= head).await;
                    drop(there.expect("the publisher says it all"));
                }
                Step::Return => {
                    self.raw = enter(&site, &self.user, self.coding, &self.room, self.seq).await;
                }
            }
        }
        while self.seq < MESSAGES + 1 {
            self.event().await;
        }
        self
    }
}

/// Connects a reader of one room that holds its events up to `after`.
async fn enter(site: &Site, user: &str, coding: Coding, room: &str, after: u64) -> Raw {
    let mut raw = site.connect(coding).await;
    let resume = json!({ "rooms": { room: after } });
    let hello = json!({ "token": user, "rooms": "none", "resume": resume });
    let welcome = raw.ask("hello", hello).await;
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    raw
}

/// Says all messages, some at a time, and tells how far the room is.
async fn publish(raw: &mut Raw, room: &str, dice: &mut Dice, head: &watch::Sender<u64>) {
    let mut said = 0;
    while said < MESSAGES {
        let some = dice.between(1, WINDOW).min(MESSAGES - said);
        for _ in 0..some {
            let id = Uuid::now_v7().to_string();
            raw.writing
                .post("message.send", &id, &draw(room, dice))
                .await;
        }
        for _ in 0..some {
            let is_ack = |frame: &Value| frame["type"] == "ack";
            let ack = raw.reading.wait_for(is_ack).await;
            let seq = ack["payload"]["seq"].as_u64().unwrap();
            head.send_modify(|head| *head = seq.max(*head));
        }
        said += some;
    }
}

/// Draws a message whose text compression makes half as long.
fn draw(room: &str, dice: &mut Dice) -> Value {
    #[allow(clippy::cast_precision_loss, reason = "a fraction of a thousand")]
    let share = dice.below(1_000) as f64 / 1_000.0;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "20 to 20,000"
    )]
    let bytes = (SHORTEST * (LONGEST / SHORTEST).powf(share)) as usize;
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        text.push_str(&format!("{:016x}", dice.roll()));
    }
    json!({ "room_id": room, "body": { "text": text } })
}

/// Runs one schedule; answers how many positions were named by gaps.
async fn run(site: &Rc<Site>, seed: u64) -> u64 {
    let mut dice = Dice::new(seed);
    let mut ana = site.connect(Coding::Plain).await;
    let hello = json!({ "token": "ana", "rooms": "none" });
    assert_eq!(ana.ask("hello", hello).await["type"], "welcome");
    let scripts: Vec<Script> = (0..READERS).map(|at| Script::draw(&mut dice, at)).collect();
    let users: Vec<&str> = scripts.iter().map(|script| &script.user[..]).collect();
    let made = ana
        .ask("room.create", json!({ "kind": "group", "members": users }))
        .await;
    let room = made["payload"]["room"]["room_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (head, heads) = watch::channel(1);
    let mut readers = Vec::new();
    for Script {
        user,
        coding,
        steps,
    } in scripts
    {
        let raw = enter(site, &user, coding, &room, 0).await;
        let reader = Reader {
            user,
            coding,
            room: room.clone(),
            raw,
            seq: 0,
            head: heads.clone(),
            gaps: 0,
        };
        readers.push(tokio::task::spawn_local(reader.run(site.clone(), steps)));
    }
    publish(&mut ana, &room, &mut dice, &head).await;
    let mut level = Vec::new();
    for reader in readers {
        level.push(reader.await.expect("it reads to the end"));
    }
    // Those who have caught up are pushed to again, and read the log no more.
    let pulls = site.pulls();
    for seq in MESSAGES + 2..MESSAGES + 5 {
        let ack = ana.ask("message.send", draw(&room, &mut dice)).await;
        assert_eq!(ack["payload"]["seq"], seq, "{ack:.200}");
        for reader in &mut level {
            assert_eq!(reader.event().await, seq, "{}", reader.user);
        }
    }
    assert_eq!(site.pulls(), pulls, "live");
    level.iter().map(|reader| reader.gaps).sum()
}

#[test]
fn any_schedule_delivers_each_reader_a_contiguous_stream() {
    let first = seed();
    let schedules = number("PARLOR_SCHEDULES").unwrap_or(SCHEDULES);
    let gaps = Rc::new(Cell::new(0));
    let summed = gaps.clone();
    let pulls = actix_rt::System::new().block_on(async move {
        let site = Rc::new(Site::start());
        for seed in first..first + schedules {
            let _named = Named(seed);
            summed.set(summed.get() + run(&site, seed).await);
        }
        site.pulls()
    });
    say(&format!(
        "readers: {schedules} schedules from seed {first}, {pulls} reads of the log"
    ));
    assert_eq!(
        gaps.get(),
        0,
        "nothing is removed here, so nothing is missing"
    );
    // A reader that resumes reads the log once or twice: less than this would mean that hardly any lane was full.
    assert!(pulls > 10 * READERS * schedules, "{pulls} reads of the log");
}

/// Names the seed of a schedule that fails.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say(&format!(
                "readers: run again with PARLOR_SEED={} PARLOR_SCHEDULES=1",
                self.0
            ));
        }
    }
}
