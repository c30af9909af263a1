//! What a node does with what its states ask for, as the shells do.

use super::*;

impl World {
    /// Gives a node's state an input, and does what it asks.
    pub(super) fn act(
        &mut self,
        at: usize,
        input: impl FnOnce(&mut RoomState, &Moment<'_>) -> Vec<Effect>,
    ) {
        let moment = Moment {
            now: time(self.now_ms),
            ids: &self.ids,
        };
        let hold = &mut self.nodes[at].hold;
        let replies = hold.step(&moment, input);
        self.tally.carried += std::mem::take(&mut hold.carried);
        let news = std::mem::take(&mut hold.news);
        self.tell(at, news);
        for reply in replies {
            self.replied(at, reply);
        }
        if self.nodes[at].hold.failed {
            return self.die(at);
        }
        let (route, now) = (self.route(at), self.now_ms);
        let steps = self.nodes[at].outward.advance(route, now);
        self.steps(at, steps);
    }

    pub(super) fn route(&self, at: usize) -> Route {
        let node = &self.nodes[at];
        let is_suspect = |(owner, until)| owner == node.owner && self.now_ms < until;
        if node.owner == at || node.suspect.is_some_and(is_suspect) {
            Route::Here
        } else if node.hold.state.holds_frames() && self.broken != Broken::Order {
            Route::Later
        } else {
            Route::There(NodeInfo {
                node_id: name(node.owner),
                boot_id: BootId::from([self.nodes[node.owner].boot; 16]),
                internal_address: None,
            })
        }
    }

    pub(super) fn overdue(&mut self, at: usize) {
        let now = self.now_ms;
        let Some(owner) = self.nodes[at].outward.overdue(now) else {
            return;
        };
        self.tally.silent += 1;
        self.nodes[at].suspect = Some((index(&owner.node_id), now + SUSPECT_MS));
        let route = self.route(at);
        let steps = self.nodes[at].outward.tick(route, now);
        self.steps(at, steps);
    }

    pub(super) fn steps(&mut self, at: usize, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Send { id, to, frames } => {
                    let said = Said::Forward {
                        boot: to.boot_id.bytes()[0],
                        id,
                        until: self.wall(at).plus_millis(FORWARD_MS),
                        frames,
                    };
                    self.say(at, index(&to.node_id), said);
                }
                Step::Decide(frames, doubt) => {
                    for pending in frames {
                        self.decide(at, pending, doubt);
                    }
                }
                Step::Answer(answers) => {
                    let mut highest = Seq::ZERO;
                    for (ticket, outcome) in answers {
                        highest = highest.max(outcome.seq());
                        let (who, msg_id) = self.nodes[at].sessions.remove(&ticket).unwrap();
                        self.answer(who, msg_id, outcome.answer(self.room));
                    }
                    self.hear(at, highest);
                }
            }
        }
    }

    pub(super) fn decide(&mut self, at: usize, pending: Pending, doubt: Doubt) {
        let node = &mut self.nodes[at];
        // It may have died of the frame before.
        let Some(whose) = node.sessions.remove(&pending.ticket) else {
            return;
        };
        if doubt == Doubt::Yes {
            self.tally.doubted += 1;
            node.doubtful.push(pending.msg_id);
        }
        node.hold.waiting.insert(pending.ticket, whose);
        self.act(at, |state, moment| state.submit(pending, moment));
    }

    pub(super) fn wall(&self, at: usize) -> Timestamp {
        time(self.now_ms - self.nodes[at].skew_ms)
    }

    pub(super) fn take_forward(
        &mut self,
        (from, to): (usize, usize),
        id: u64,
        until: Timestamp,
        frames: Vec<ForwardedFrame>,
    ) {
        if self.nodes[to].owner != to || self.wall(to) > until {
            return self.say(to, from, Said::Forwarded { id, outcomes: None });
        }
        self.next += 1;
        let slot = FORWARDS + usize::try_from(self.next).unwrap();
        let taken = Taken {
            by: from,
            id,
            outcomes: vec![None; frames.len()],
            msg_ids: Vec::new(),
        };
        let boot = self.nodes[to].boot;
        self.nodes[to].taken.insert(slot, taken);
        for (place, frame) in frames.into_iter().enumerate() {
            if self.nodes[to].boot != boot {
                return;
            }
            let (caller, msg_id, frame) = frame.read().unwrap();
            self.next += 1;
            let pending = pending(Ticket(self.next), caller, msg_id, frame);
            // Which of the frames it is stands in the id that the reply names.
            let reply = MsgId::from((place as u128).to_be_bytes());
            let node = &mut self.nodes[to];
            node.hold.waiting.insert(pending.ticket, (slot, reply));
            let taken = node.taken.get_mut(&slot).unwrap();
            taken.msg_ids.push(msg_id);
            self.act(to, |state, moment| state.submit(pending, moment));
        }
    }

    pub(super) fn replied(&mut self, at: usize, reply: Reply) {
        let Reply {
            who,
            msg_id,
            answer,
        } = reply;
        if who < FORWARDS {
            let node = &mut self.nodes[at];
            let doubt = node.doubtful.iter().position(|known| *known == msg_id);
            let answer = match doubt {
                None => answer,
                Some(known) => {
                    node.doubtful.swap_remove(known);
                    answer.map_err(|refusal| Doubt::Yes.told(refusal))
                }
            };
            return self.answer(who, msg_id, answer);
        }
        let taken = self.nodes[at].taken.get_mut(&who).unwrap();
        let place = usize::try_from(msg_id.uuid().as_u128()).unwrap();
        if answer.is_err() {
            // Should the answer be lost, its own node sends it again, behind those that were stored.
            let msg_id = taken.msg_ids[place];
            let mut asked = self.people.iter_mut().flat_map(|person| &mut person.asked);
            asked
                .find(|asked| asked.msg_id == msg_id)
                .unwrap()
                .is_overtaken = true;
        }
        taken.outcomes[place] = Some(Outcome::of(answer).unwrap());
        if taken.outcomes.iter().all(Option::is_some) {
            let taken = self.nodes[at].taken.remove(&who).unwrap();
            let outcomes = taken.outcomes.into_iter().collect();
            let id = taken.id;
            self.say(at, taken.by, Said::Forwarded { id, outcomes });
        }
    }
}

pub(super) fn pending(
    ticket: Ticket,
    caller: Caller,
    msg_id: MsgId,
    frame: ClientFrame,
) -> Pending {
    Pending {
        ticket,
        caller,
        msg_id,
        fingerprint: fingerprint(&frame),
        frame,
        facts: Facts::default(),
    }
}

pub(in super::super) fn schedule(seed: u64, broken: Broken) -> (Report, Tally, Vec<Wrong>) {
    let mut world = World::new(seed, broken);
    for _ in 0..STEPS {
        world.step();
    }
    world.judge()
}
