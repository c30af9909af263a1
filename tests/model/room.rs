//! What a room does with what reaches it: the steps of `actors/src/room/state.rs`, one function for each of its own.
//!
//! Deliberately absent: what cannot change the order (limits, times, fan-out to threads), and followers, which are answered with their leader.

use super::{
    rules::{Asks, Frame, Off},
    world::{Answer, FRAMES, Id, Phase, Room, Seq, World, bit},
};

/// A step of one room in its world.
pub(crate) struct Step<'a> {
    /// Everything else.
    pub(crate) world: &'a mut World,
    /// The room.
    pub(crate) room: &'a mut Room,
    /// The frames there are.
    pub(crate) frames: &'a [Frame],
    /// Which rule is off.
    pub(crate) off: Off,
}

impl Room {
    /// A room that a first frame starts (`Rooms`).
    pub(crate) fn start() -> Self {
        Self {
            phase: Phase::Loading,
            head: 0,
            heard: 0,
            window: None,
            has_bob: true,
            queue: Vec::new(),
            batch: Vec::new(),
            doubt: 0,
            since: 0,
            published: Vec::new(),
        }
    }
}

impl Step<'_> {
    /// `load::load`: head and members, the stored projection healed from the events behind it (rule D).
    pub(crate) fn load(&mut self, head: Seq) {
        let projection = self.world.projection;
        let mut has_bob = projection.has_bob;
        let is_read = !matches!(self.off, Off::ProjectionCatchesUp | Off::MembersFromEvents);
        for seq in (projection.applied + 1..=head).filter(|_| is_read) {
            has_bob &= !self.puts_bob_out(self.world.event(seq));
        }
        let room = &mut *self.room;
        (room.head, room.heard, room.since) = (head, head, head);
        room.has_bob = has_bob;
        room.phase = Phase::Idle;
        self.advance();
    }

    /// `RoomState::submit`.
    pub(crate) fn submit(&mut self, frame: Id) {
        self.room.queue.push(frame);
        self.advance();
    }

    /// `RoomState::found` with `Found::Window`, read up to the head (rule A).
    pub(crate) fn look(&mut self) {
        let mut window = [0; FRAMES];
        for seq in 1..=self.room.head {
            if let Some(frame) = self.read(seq).filter(|_| self.off != Off::WindowRead) {
                window[usize::from(frame)] = seq;
            }
        }
        self.room.window = Some(window);
        self.room.phase = Phase::Idle;
        self.advance();
    }

    /// `RoomState::appended` with `Append::Appended` or `Append::Conflict`.
    pub(crate) fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::None => {}
            Answer::Appended => self.done(),
            Answer::Conflict { head } if self.off == Off::TailAfterConflict => {
                self.room.head = head;
                self.room.heard = self.room.heard.max(head);
                self.again();
            }
            Answer::Conflict { .. } if self.off == Off::ReadAfterConflict => self.again(),
            Answer::Conflict { .. } => self.room.phase = Phase::Recovering { is_conflict: true },
        }
    }

    /// `RoomState::appended` with `Append::Unknown`.
    pub(crate) fn unknown(&mut self) {
        if self.off == Off::TailAfterUnknown {
            return self.done();
        }
        if self.off == Off::ReadBeforeRepeat {
            return self.again();
        }
        self.room.phase = Phase::Recovering { is_conflict: false };
    }

    /// `RoomState::appended` with an error: the store says that it stored nothing.
    pub(crate) fn refused(&mut self) {
        for frame in std::mem::take(&mut self.room.batch) {
            self.refuse(frame);
        }
        self.room.phase = Phase::Idle;
        self.advance();
    }

    /// `RoomState::recovered` with an error: every frame is refused, and the room ends (`Effect::Fail`).
    pub(crate) fn failed(&mut self) {
        let is_conflict = self.room.phase == Phase::Recovering { is_conflict: true };
        for frame in std::mem::take(&mut self.room.batch) {
            // After `Unknown` it is told `unknown_outcome`.
            if is_conflict {
                self.refuse(frame);
            }
        }
        for frame in std::mem::take(&mut self.room.queue) {
            self.refuse(frame);
        }
    }

    /// `RoomState::recovered`: the tail is folded in; one's own events in it are acknowledged, the rest is decided again (rule B).
    pub(crate) fn recovered(&mut self) {
        let after = self.room.head;
        for seq in after + 1..=self.world.head() {
            self.take_durable(seq, self.world.event(seq));
            self.name(seq);
        }
        let batch = std::mem::take(&mut self.room.batch);
        let is_unknown = self.room.phase == Phase::Recovering { is_conflict: false };
        if is_unknown && self.room.head == after {
            self.room.doubt = batch.iter().fold(self.room.doubt, |all, id| all | bit(*id));
        }
        for frame in batch.into_iter().rev() {
            let own = (after + 1..=self.world.head())
                .rev()
                .find(|seq| self.read(*seq) == Some(frame));
            match own {
                Some(seq) => self.acknowledge(frame, seq),
                None => self.room.queue.insert(0, frame),
            }
        }
        self.room.phase = Phase::Idle;
        self.advance();
    }

    /// `RoomState::hear`.
    pub(crate) fn hear(&mut self, head: Seq) {
        self.room.heard = self.room.heard.max(head);
        if self.off == Off::HeadsAreHints && self.room.phase == Phase::Idle {
            self.room.head = self.room.heard;
        }
        self.advance();
    }

    /// `RoomState::followed`: what lies up to the named head is read and folded in.
    pub(crate) fn followed(&mut self) {
        for seq in self.room.head + 1..=self.room.heard {
            self.take_durable(seq, self.world.event(seq));
        }
        self.room.phase = Phase::Idle;
        self.advance();
    }

    /// `RoomState::advance`: decides what waits until the batch must be closed, or something must be read.
    fn advance(&mut self) {
        match self.room.phase {
            Phase::Appending { .. } | Phase::Recovering { .. } => {
                let room = &mut *self.room;
                room.queue.retain(|frame| !room.batch.contains(frame));
                return;
            }
            Phase::Loading | Phase::Looking | Phase::Following => return,
            Phase::Idle => {}
        }
        if self.room.heard > self.room.head {
            self.room.phase = Phase::Following;
            return;
        }
        while let Some(front) = self.room.queue.first().copied() {
            let asks = self.frames[usize::from(front)].asks;
            let Some(window) = self.room.window else {
                if self.room.batch.is_empty() {
                    self.room.phase = Phase::Looking;
                    return;
                }
                break;
            };
            let seq = window[usize::from(front)];
            if seq != 0 {
                self.acknowledge(front, seq);
            } else if !self.room.batch.contains(&front) && self.may(asks) {
                let changes_room = asks == Asks::PutsBobOut;
                if changes_room && !self.room.batch.is_empty() {
                    break;
                }
                self.room.batch.push(front);
                if changes_room {
                    self.room.queue.remove(0);
                    break;
                }
            }
            self.room.queue.remove(0);
        }
        if !self.room.batch.is_empty() {
            self.send();
        }
    }

    /// `Effect::Append`.
    fn send(&mut self) {
        let answer = Answer::None;
        self.room.phase = Phase::Appending { answer };
        let batch = self.room.batch.clone();
        for (frame, seq) in batch.into_iter().zip(self.room.head + 1..) {
            match self.off {
                Off::PublishDurable => self.room.published.push(frame),
                Off::AcknowledgeDurable => self.acknowledge(frame, seq),
                _ => {}
            }
        }
    }

    /// The batch is durable where it was meant to be.
    fn done(&mut self) {
        let batch = std::mem::take(&mut self.room.batch);
        for frame in batch {
            let seq = self.room.head + 1;
            self.take_durable(seq, Some(frame));
            if let Some(window) = &mut self.room.window {
                window[usize::from(frame)] = seq;
            }
            self.acknowledge(frame, seq);
            self.name(seq);
        }
        self.room.phase = Phase::Idle;
        self.advance();
    }

    /// The batch goes back to the front of the queue.
    fn again(&mut self) {
        let mut queue = std::mem::take(&mut self.room.batch);
        queue.append(&mut self.room.queue);
        self.room.queue = queue;
        self.room.phase = Phase::Idle;
        self.advance();
    }

    /// `RoomState::take_durable`: folds an event in and has it published.
    fn take_durable(&mut self, seq: Seq, event: Option<Id>) {
        self.room.head = seq;
        self.room.heard = self.room.heard.max(seq);
        self.room.doubt = 0;
        let Some(frame) = event else {
            return;
        };
        let is_known = !matches!(self.off, Off::KeysInTheRow | Off::TailRemembered);
        if let Some(window) = self.room.window.as_mut().filter(|_| is_known) {
            window[usize::from(frame)] = seq;
        }
        if self.off != Off::MembersFromEvents && self.puts_bob_out(event) {
            self.room.has_bob = false;
        }
        if self.off != Off::PublishDurable {
            self.room.published.push(frame);
        }
    }

    fn acknowledge(&mut self, frame: Id, seq: Seq) {
        self.world.acked[usize::from(frame)] |= bit(seq);
    }

    /// `refuse`, with `unavailable`; a frame in doubt is told `unknown_outcome` instead.
    fn refuse(&mut self, frame: Id) {
        if self.off == Off::DoubtKept || self.room.doubt & bit(frame) == 0 {
            self.world.refused |= bit(frame);
        }
    }

    /// `News` and the heartbeats: what this node found durable is told to the others.
    fn name(&mut self, head: Seq) {
        self.world.named |= bit(head);
    }

    /// Whose event a read finds at a position.
    fn read(&self, seq: Seq) -> Option<Id> {
        let event = self.world.event(seq)?;
        (self.off != Off::KeysInTheRow).then_some(event)
    }

    /// `decide::decide`, as far as membership goes.
    fn may(&self, asks: Asks) -> bool {
        asks == Asks::Message || self.room.has_bob
    }

    fn puts_bob_out(&self, event: Option<Id>) -> bool {
        event.is_some_and(|frame| self.frames[usize::from(frame)].asks == Asks::PutsBobOut)
    }
}
