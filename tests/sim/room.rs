//! Two nodes hold the same room over one timeline, while appends conflict, outcomes stay unknown, writes land late, nodes die, and people ask again.

mod controls;
mod hints;

use std::sync::Arc;

use parlor_actors::room::state::{Facts, Found, Knowledge, Moment, Pending, Ticket};
use parlor_schema::{
    ErrorCode, Event, EventId, EventKind, MsgId, RoomId, RoomKind, Seq, Timestamp, UserId,
    event::RoomCreatedContent,
    frame::{
        Ack, ClientFrame, Refusal,
        body::MessageBody,
        client::{Caller, MessageSend, RoomOnly},
        fingerprint,
    },
    port::Append,
};

use crate::{
    checker::{self, Acked, Delivered, End, History, Report, Segment, Stored, View},
    dice::{self, Dice},
    node::{CountedIds, Node, Off, Reply, Store, Work, away},
};

const STEPS: u64 = 160;
const NODES: usize = 2;
const TALKERS: usize = 3;

/// A frame somebody wants to take effect.
struct Asked {
    msg_id: MsgId,
    frame: ClientFrame,
    /// Copies that wait at a node.
    waiting: u32,
    settled: bool,
}

struct Person {
    user: UserId,
    asked: Vec<Asked>,
}

/// What happened, in numbers.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    conflicts: u64,
    unknown: u64,
    late: u64,
    deaths: u64,
    duplicates_answered: u64,
    behind: u64,
    followed: u64,
    carried: u64,
}

struct World {
    dice: Dice,
    room: RoomId,
    now: Timestamp,
    ids: CountedIds,
    store: Store,
    nodes: Vec<Node>,
    people: Vec<Person>,
    /// Writes whose outcome nobody waits for any more.
    late: Vec<(Seq, Vec<Arc<Event>>)>,
    next: u64,
    history: History,
    refused: Vec<Refusal>,
    tally: Tally,
}

impl World {
    fn new(seed: u64, off: Off) -> Self {
        let room = RoomId::from([7; 16]);
        let names = ["ana", "ben", "cyd", "guest"];
        let people: Vec<Person> = names
            .iter()
            .map(|name| Person {
                user: name.parse().unwrap(),
                asked: Vec::new(),
            })
            .collect();
        let content = RoomCreatedContent {
            kind: RoomKind::Group,
            name: None,
            topic: None,
            public: true,
            retention_ms: None,
            members: people[..TALKERS]
                .iter()
                .map(|person| person.user.clone())
                .collect(),
        };
        let created = Event {
            seq: Seq::FIRST,
            id: EventId::from([8; 16]),
            kind: EventKind::RoomCreated,
            sender: people[0].user.clone(),
            sent_at: Timestamp::from_millis(1),
            msg_id: MsgId::from([8; 16]),
            fingerprint: 0,
            content: serde_json::to_string(&content).unwrap().into(),
        };
        let store = Store {
            events: vec![Arc::new(created)],
            off,
        };
        Self {
            dice: Dice::new(seed),
            room,
            now: Timestamp::from_millis(2),
            ids: CountedIds::default(),
            nodes: (0..NODES).map(|_| Node::start(room, &store)).collect(),
            store,
            people,
            late: Vec::new(),
            next: 0,
            history: History::default(),
            refused: Vec::new(),
            tally: Tally::default(),
        }
    }

    fn step(&mut self) {
        self.now = self.now.plus_millis(self.dice.below(40));
        let node = self.pick_node();
        match self.dice.below(22) {
            20 | 21 => self.hint(node),
            0..=4 => self.ask_anew(node),
            5..=7 => self.ask_again(node),
            8..=17 => self.work(node),
            18 => self.land_late(),
            _ => {
                self.tally.deaths += 1;
                self.die(node);
            }
        }
    }

    fn pick_node(&mut self) -> usize {
        usize::try_from(self.dice.below(NODES as u64)).unwrap()
    }

    fn ask_anew(&mut self, node: usize) {
        let who = usize::try_from(self.dice.below(self.people.len() as u64)).unwrap();
        let asked = &self.people[who].asked;
        let open = asked.iter().filter(|asked| !asked.settled).count();
        let frame = if who < TALKERS && open < 3 {
            ClientFrame::MessageSend(MessageSend {
                room_id: self.room,
                body: MessageBody::text(format!("text {}", self.next)).into(),
                reply_to: None,
                thread: None,
                mentions: None,
                attachments: None,
                expires_in_ms: None,
            })
        } else if who >= TALKERS && open == 0 {
            let only = RoomOnly { room_id: self.room };
            if asked.len().is_multiple_of(2) {
                ClientFrame::RoomJoin(only)
            } else {
                ClientFrame::RoomLeave(only)
            }
        } else {
            return;
        };
        self.next += 1;
        let msg_id = MsgId::from((u128::from(self.next) << 64).to_be_bytes());
        self.people[who].asked.push(Asked {
            msg_id,
            frame,
            waiting: 0,
            settled: false,
        });
        let at = self.people[who].asked.len() - 1;
        self.submit(node, who, at);
    }

    /// Sends a copy, whether the frame waits elsewhere, failed, or was acknowledged long ago.
    fn ask_again(&mut self, node: usize) {
        let who = usize::try_from(self.dice.below(self.people.len() as u64)).unwrap();
        let count = self.people[who].asked.len() as u64;
        if count > 0 {
            let at = usize::try_from(self.dice.below(count)).unwrap();
            self.submit(node, who, at);
        }
    }

    fn submit(&mut self, node: usize, who: usize, at: usize) {
        let person = &mut self.people[who];
        let asked = &mut person.asked[at];
        asked.waiting += 1;
        self.next += 1;
        let ticket = Ticket(self.next);
        let pending = Pending {
            ticket,
            caller: Caller {
                user_id: person.user.clone(),
                device_id: "d".parse().unwrap(),
            },
            msg_id: asked.msg_id,
            fingerprint: fingerprint(&asked.frame),
            frame: asked.frame.clone(),
            facts: Facts {
                knowledge: match self.store.off {
                    Off::Asking => Knowledge::Enough,
                    _ => Knowledge::Wanting,
                },
                ..Facts::default()
            },
        };
        let moment = Moment {
            now: self.now,
            ids: &self.ids,
        };
        let node = &mut self.nodes[node];
        node.waiting.insert(ticket, (who, asked.msg_id));
        let replies = node.step(&moment, |state, at| state.submit(pending, at));
        self.take(replies);
    }

    /// Lets the store answer what a node waits for, well or badly.
    fn work(&mut self, at: usize) {
        let chance = self.dice.below(20);
        let Some(work) = self.nodes[at].work.take() else {
            return;
        };
        let moment = Moment {
            now: self.now,
            ids: &self.ids,
        };
        let node = &mut self.nodes[at];
        let replies = match work {
            Work::Append { expected, events } => {
                let answer = match chance {
                    0 => Err(away()),
                    1 | 2 => {
                        self.store.append(expected, events);
                        Ok(Append::Unknown)
                    }
                    3 | 4 => {
                        self.late.push((expected, events));
                        Ok(Append::Unknown)
                    }
                    _ => Ok(self.store.append(expected, events)),
                };
                self.tally.unknown += u64::from(matches!(answer, Ok(Append::Unknown)));
                self.tally.conflicts += u64::from(matches!(answer, Ok(Append::Conflict { .. })));
                node.step(&moment, |state, at| state.appended(answer, at))
            }
            Work::Lookup(_) if chance == 0 => {
                node.step(&moment, |state, at| state.found(Found::Failed(away()), at))
            }
            Work::Lookup(lookup) => {
                let found = node.look_up(&lookup, &self.store);
                node.step(&moment, |state, at| state.found(found, at))
            }
            Work::Recover(after) => {
                let tail = if chance < 2 {
                    Err(away())
                } else {
                    Ok(self.store.after(after).to_vec())
                };
                node.step(&moment, |state, at| state.recovered(tail, at))
            }
            Work::Follow { after, to } => {
                self.tally.followed += 1;
                let tail = (chance >= 2).then(|| self.store.between(after, to));
                let tail = tail.ok_or_else(away);
                node.step(&moment, |state, at| state.followed(tail, at))
            }
        };
        self.tally.carried += std::mem::take(&mut node.carried);
        let failed = node.failed;
        self.take(replies);
        if failed {
            self.die(at);
        }
    }

    fn land_late(&mut self) {
        if let Some((expected, events)) = self.late.pop() {
            let landed = self.store.append(expected, events) == Append::Appended;
            self.tally.late += u64::from(landed);
        }
    }

    /// Kills a node and starts it again. What it had under way lands now, late or never.
    fn die(&mut self, at: usize) {
        let fresh = Node::start(self.room, &self.store);
        let dead = std::mem::replace(&mut self.nodes[at], fresh);
        for (who, msg_id) in dead.waiting.values() {
            let asked = &mut self.people[*who].asked;
            asked
                .iter_mut()
                .filter(|asked| asked.msg_id == *msg_id)
                .for_each(|asked| asked.waiting -= 1);
        }
        if let Some(Work::Append { expected, events }) = dead.work {
            match self.dice.below(3) {
                0 => drop(self.store.append(expected, events)),
                1 => self.late.push((expected, events)),
                _ => {}
            }
        }
        self.history.delivered.push(Delivered {
            client: format!("node {at}"),
            room: self.room,
            segments: vec![Segment {
                after: dead.after,
                events: dead.published,
                end: End::Cut,
            }],
        });
    }

    fn take(&mut self, replies: Vec<Reply>) {
        for Reply {
            who,
            msg_id,
            answer,
        } in replies
        {
            let person = &mut self.people[who];
            let asked = person
                .asked
                .iter_mut()
                .find(|asked| asked.msg_id == msg_id)
                .unwrap();
            asked.waiting -= 1;
            let text = match &asked.frame {
                ClientFrame::MessageSend(send) => send.body.parse().unwrap().text,
                _ => None,
            };
            let (seq, id, duplicate) = match answer {
                Ok(Ack::Sent(ack)) => (ack.seq, Some(ack.id), ack.duplicate),
                Ok(Ack::Seq(ack)) => (ack.seq, None, ack.duplicate),
                Ok(other) => panic!("{other:?}"),
                Err(refusal) => {
                    match refusal.code {
                        ErrorCode::Unavailable | ErrorCode::UnknownOutcome => continue,
                        // Out already: whoever leaves has been let in before.
                        ErrorCode::Forbidden if text.is_none() => self.tally.behind += 1,
                        _ => self.refused.push(refusal),
                    }
                    asked.settled = true;
                    continue;
                }
            };
            asked.settled = true;
            let own = self.store.after(seq.prev()).first();
            if text.is_none() && own.is_none_or(|event| event.msg_id != msg_id) {
                // In already, on whatever head: whoever comes in has been put out before.
                self.tally.behind += 1;
                continue;
            }
            self.tally.duplicates_answered += u64::from(!duplicate.is_no());
            let user = person.user.clone();
            self.history.acked.push(Acked {
                user,
                room: self.room,
                seq,
                id,
                msg_id,
                text,
                nth: None,
            });
        }
    }

    /// Asks until everything has an answer; then judges.
    fn judge(mut self) -> (Report, Tally, Vec<Refusal>) {
        for _ in 0..10_000 {
            let open = self.people.iter().enumerate().find_map(|(who, person)| {
                let at = person
                    .asked
                    .iter()
                    .position(|asked| !asked.settled && asked.waiting == 0)?;
                Some((who, at))
            });
            let node = self.pick_node();
            if let Some((who, at)) = open {
                self.submit(node, who, at);
            }
            let waits = self.nodes.iter().position(|node| node.work.is_some());
            if open.is_none() && waits.is_none() {
                break;
            }
            self.work(waits.unwrap_or(node));
        }
        let all = |person: &Person| {
            person
                .asked
                .iter()
                .all(|asked| asked.settled && asked.waiting == 0)
        };
        assert!(
            self.people.iter().all(all),
            "everything is answered in the end"
        );
        for at in 0..NODES {
            assert!(self.nodes[at].state.is_quiet(), "nothing is left to do");
            self.die(at);
        }
        let stored = |event: &Arc<Event>| {
            let content: serde_json::Value = serde_json::from_str(&event.content).unwrap();
            Stored {
                seq: event.seq,
                id: event.id,
                sender: event.sender.clone(),
                msg_id: Some(event.msg_id),
                text: content
                    .pointer("/body/text")
                    .map(|text| text.as_str().unwrap().to_owned()),
            }
        };
        self.history.views.push(View {
            reader: "the store".into(),
            room: self.room,
            events: self.store.events.iter().map(stored).collect(),
        });
        (checker::check(&self.history), self.tally, self.refused)
    }
}

fn schedule(seed: u64, off: Off) -> (Report, Tally, Vec<Refusal>) {
    let mut world = World::new(seed, off);
    for _ in 0..STEPS {
        world.step();
    }
    world.judge()
}

#[test]
fn a_room_keeps_its_promises_under_every_schedule() {
    let seed = dice::seed();
    let schedules = dice::number("PARLOR_SCHEDULES").unwrap_or(3000);
    dice::say(&format!("PARLOR_SEED={seed} PARLOR_SCHEDULES={schedules}"));
    let (mut acknowledged, mut all) = (0, Tally::default());
    for seed in (0..schedules).map(|n| seed.wrapping_add(n)) {
        let (report, tally, refused) = schedule(seed, Off::Nothing);
        let again = "run again with PARLOR_SCHEDULES=1 and";
        assert!(
            report.faults.is_empty(),
            "{again} PARLOR_SEED={seed}: {report}\n{:#?}",
            report.faults
        );
        assert!(
            refused.is_empty(),
            "{again} PARLOR_SEED={seed}: {refused:?}"
        );
        assert_eq!(tally.behind, 0, "R-10: {again} PARLOR_SEED={seed}");
        acknowledged += report.acknowledged;
        all.conflicts += tally.conflicts;
        all.unknown += tally.unknown;
        all.late += tally.late;
        all.deaths += tally.deaths;
        all.duplicates_answered += tally.duplicates_answered;
        all.followed += tally.followed;
        all.carried += tally.carried;
    }
    dice::say(&format!(
        "schedules {schedules}, acknowledged {acknowledged}, {all:?}"
    ));
    // Less would prove nothing.
    let least = [
        all.conflicts,
        all.unknown,
        all.late,
        all.deaths,
        all.duplicates_answered,
        all.followed,
        all.carried,
    ];
    assert!(
        schedules < 100 || least.iter().all(|count| *count > schedules / 20),
        "{all:?}"
    );
}
