//! The people, the store, deaths, and the judgement.

use super::{act::pending, *};

impl Tally {
    /// Adds another.
    pub(in super::super) fn add(&mut self, mut other: Self) {
        for (mine, theirs) in self.all().into_iter().zip(other.all()) {
            *mine += *theirs;
        }
    }

    /// Returns the least of all counts.
    pub(in super::super) fn least(mut self) -> u64 {
        self.all().into_iter().map(|count| *count).min().unwrap()
    }
}

impl World {
    pub(super) fn ask_anew(&mut self) {
        let who = self.below(self.people.len());
        let asked = &mut self.people[who].asked;
        let open = asked.iter().filter(|asked| asked.stored.is_none()).count();
        if open >= 6 {
            return;
        }
        self.next += 1;
        asked.push(Asked {
            msg_id: MsgId::from((u128::from(self.next) << 64).to_be_bytes()),
            waits: false,
            stored: None,
            again: false,
            is_overtaken: false,
            gives_up: self.dice.once_in(4),
            refused: false,
        });
        let which = asked.len() - 1;
        // Each is at a node of their own.
        self.submit(who, who, which);
    }

    /// Sends again what was refused, or whose node died, there or elsewhere.
    pub(super) fn ask_again(&mut self) {
        let who = self.below(self.people.len());
        let open = |asked: &Asked| asked.stored.is_none() && !asked.waits && !asked.refused;
        let Some(which) = self.people[who].asked.iter().position(open) else {
            return;
        };
        self.people[who].asked[which].again = true;
        let at = self.below(NODES);
        self.submit(at, who, which);
    }

    fn submit(&mut self, at: usize, who: usize, which: usize) {
        self.next += 1;
        let ticket = Ticket(self.next);
        let person = &mut self.people[who];
        let asked = &mut person.asked[which];
        asked.waits = true;
        let frame = ClientFrame::MessageSend(MessageSend {
            room_id: self.room,
            body: MessageBody::text(format!("text {}", asked.msg_id)).into(),
            reply_to: None,
            thread: None,
            mentions: None,
            attachments: None,
            expires_in_ms: None,
        });
        let caller = Caller {
            user_id: person.user.clone(),
            device_id: "d".parse().unwrap(),
        };
        let msg_id = asked.msg_id;
        let pending = pending(ticket, caller, msg_id, frame);
        self.nodes[at].sessions.insert(ticket, (who, msg_id));
        let (route, now) = (self.route(at), self.now_ms);
        let steps = self.nodes[at].outward.take(pending, route, now);
        self.steps(at, steps);
    }

    pub(super) fn answer(&mut self, who: usize, msg_id: MsgId, answer: Result<Ack, Refusal>) {
        let person = &mut self.people[who];
        let mut all = person.asked.iter_mut();
        let asked = all.find(|asked| asked.msg_id == msg_id).unwrap();
        asked.waits = false;
        match answer {
            Ok(Ack::Sent(ack)) => {
                asked.stored = Some(ack.seq);
                self.history.acked.push(Acked {
                    user: person.user.clone(),
                    room: self.room,
                    seq: ack.seq,
                    id: Some(ack.id),
                    msg_id,
                    text: Some(format!("text {msg_id}")),
                    nth: None,
                });
            }
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => match refusal.code {
                // Nothing is stored, nor will be, unless an earlier copy was.
                ErrorCode::Unavailable => {
                    asked.refused = asked.gives_up && !asked.again;
                    self.tally.gave_up += u64::from(asked.refused);
                }
                ErrorCode::UnknownOutcome => {}
                _ => panic!("{refusal:?}"),
            },
        }
    }

    /// Lets the store answer what a node waits for, well or badly.
    pub(super) fn work(&mut self, at: usize) {
        let chance = self.dice.below(40);
        let Some(work) = self.nodes[at].hold.work.take() else {
            return;
        };
        match work {
            Work::Append { expected, events } => {
                let answer = match chance {
                    _ if self.dice.below(40) < self.refuses => Err(away()),
                    0 | 1 => {
                        self.store.append(expected, events);
                        Ok(Append::Unknown)
                    }
                    2 => {
                        self.late.push((expected, events));
                        Ok(Append::Unknown)
                    }
                    _ => Ok(self.store.append(expected, events)),
                };
                self.tally.conflicts += u64::from(matches!(answer, Ok(Append::Conflict { .. })));
                self.act(at, |state, moment| state.appended(answer, moment));
            }
            Work::Lookup(lookup) => {
                let found = match chance {
                    0 => Found::Failed(away()),
                    _ => self.nodes[at].hold.look_up(&lookup, &self.store),
                };
                self.act(at, |state, moment| state.found(found, moment));
            }
            Work::Recover(after) => {
                let tail = (chance > 0).then(|| self.store.after(after).to_vec());
                let tail = tail.ok_or_else(away);
                self.act(at, |state, moment| state.recovered(tail, moment));
            }
            Work::Follow { after, to } => {
                let tail = (chance > 1).then(|| self.store.between(after, to));
                let tail = tail.ok_or_else(away);
                self.act(at, |state, moment| state.followed(tail, moment));
            }
        }
    }

    pub(super) fn land_late(&mut self) {
        if let Some((expected, events)) = self.late.pop() {
            self.store.append(expected, events);
        }
    }

    /// Kills a node and starts it again. What it had under way lands now, late or never; the others look at the timeline.
    pub(super) fn die(&mut self, at: usize) {
        self.tally.deaths += 1;
        let (boot, skew_ms) = (self.nodes[at].boot, self.nodes[at].skew_ms);
        let fresh = self.place(boot + 1, skew_ms);
        let dead = std::mem::replace(&mut self.nodes[at], fresh);
        let waiting = dead.sessions.values().chain(dead.hold.waiting.values());
        for (who, msg_id) in waiting.filter(|(who, _)| *who < FORWARDS) {
            let asked = &mut self.people[*who].asked;
            let asked = asked.iter_mut().find(|asked| asked.msg_id == *msg_id);
            asked.unwrap().waits = false;
        }
        if let Some(Work::Append { expected, events }) = dead.hold.work {
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
                after: dead.hold.after,
                events: dead.hold.published,
                end: End::Cut,
            }],
        });
        self.links.cut(at);
        self.renew(at);
    }

    /// Lets everything come to rest; then judges.
    pub(super) fn judge(mut self) -> (Report, Tally, Vec<Wrong>) {
        self.links.is_calm = true;
        for node in &mut self.nodes {
            node.owner = 0;
        }
        let open = |asked: &Asked| asked.stored.is_none() && !asked.refused;
        for _ in 0..4_000 {
            self.now_ms += 10;
            self.pass_time();
            self.ask_again();
            for at in 0..NODES {
                self.work(at);
            }
            let asks = self
                .people
                .iter()
                .any(|person| person.asked.iter().any(open));
            let works = self.nodes.iter().any(|node| node.hold.work.is_some());
            if !asks && !works && self.links.is_empty() {
                break;
            }
        }
        for _ in 0..2_000 {
            self.now_ms += 10;
            self.pass_time();
            let head = self.store.head();
            for at in 0..NODES {
                // A write that landed when nobody waited for it is found as a start or a loss finds it.
                self.hear(at, head);
                self.work(at);
            }
            let level = |node: &Place| node.hold.state.head() == head;
            if self.nodes.iter().all(level) {
                break;
            }
        }
        for node in &self.nodes {
            assert!(node.outward.is_empty(), "nothing is left on its way");
            let head = node.hold.state.head();
            assert_eq!(head, self.store.head(), "all know all events");
        }
        self.judge_people();
        for at in 0..NODES {
            self.die(at);
        }
        self.tally.deaths -= NODES as u64;
        [self.tally.lost, self.tally.late] = self.links.counts;
        let events = self.store.events.iter().map(stored).collect();
        self.history.views.push(View {
            reader: "the store".into(),
            room: self.room,
            events,
        });
        (checker::check(&self.history), self.tally, self.found)
    }

    /// Looks whether everything was answered, the frames of one sender took effect in their order, and what was refused did not.
    fn judge_people(&mut self) {
        for person in &self.people {
            let mut last = Seq::ZERO;
            for asked in &person.asked {
                if asked.refused {
                    let mut events = self.store.events.iter();
                    let stored = events.any(|event| event.msg_id == asked.msg_id);
                    if stored {
                        self.found.push(Wrong::RefusedAndStored);
                    }
                    continue;
                }
                let seq = asked.stored.expect("everything is answered in the end");
                if !asked.again && !asked.is_overtaken {
                    if seq < last {
                        self.found.push(Wrong::Reordered);
                    }
                    last = seq;
                }
            }
        }
    }
}

fn stored(event: &Arc<Event>) -> Stored {
    let content: serde_json::Value = serde_json::from_str(&event.content).unwrap();
    let text = content.pointer("/body/text");
    Stored {
        seq: event.seq,
        id: event.id,
        sender: event.sender.clone(),
        msg_id: Some(event.msg_id),
        text: text.map(|text| text.as_str().unwrap().to_owned()),
    }
}

impl Tally {
    fn all(&mut self) -> [&mut u64; 12] {
        let Self {
            conflicts,
            deaths,
            taken,
            given_back,
            silent,
            doubted,
            relayed,
            handed_on,
            carried,
            lost,
            late,
            gave_up,
        } = self;
        [
            conflicts, deaths, taken, given_back, silent, doubted, relayed, handed_on, carried,
            lost, late, gave_up,
        ]
    }
}
