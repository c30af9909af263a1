//! What the nodes of the simulation say to each other, and how it gets lost.

use std::sync::Arc;

use parlor_schema::{
    Event, Seq, Timestamp,
    envelope::{ForwardedFrame, Outcome},
};

use crate::dice::Dice;

/// What one node says to another.
#[derive(Debug, Clone)]
pub(super) enum Said {
    /// It has the room running.
    Interest,
    /// The room moved.
    Moved(Vec<Arc<Event>>),
    /// The same, for the owner to hand on.
    Relay(Vec<Arc<Event>>),
    /// Frames for the owner.
    Forward {
        boot: u8,
        id: u64,
        until: Timestamp,
        frames: Vec<ForwardedFrame>,
    },
    /// What it answers.
    Forwarded {
        id: u64,
        outcomes: Option<Vec<Outcome>>,
    },
}

/// A letter under way.
pub(super) struct Letter {
    pub(super) due_ms: u64,
    pub(super) from: usize,
    /// The run that sent it.
    pub(super) boot: u8,
    pub(super) to: usize,
    /// Its number on the link, as those of a packet.
    pub(super) number: u64,
    pub(super) said: Said,
}

/// The links between three nodes.
#[derive(Default)]
pub(super) struct Links {
    letters: Vec<Letter>,
    /// The last numbers.
    last: [[u64; 3]; 3],
    /// Heads for the next beat.
    pub(super) noted: [[Option<Seq>; 3]; 3],
    /// Beats lost in a row.
    beats_lost: [[u8; 3]; 3],
    /// Whether nothing is lost any more.
    pub(super) is_calm: bool,
    /// What was lost, and what came late.
    pub(super) counts: [u64; 2],
}

impl Links {
    /// Puts a letter in; it comes once, twice, late or never.
    pub(super) fn post(
        &mut self,
        dice: &mut Dice,
        now_ms: u64,
        (boot, (from, to)): (u8, (usize, usize)),
        said: Said,
    ) {
        self.last[from][to] += 1;
        let number = self.last[from][to];
        let chance = dice.below(20);
        if !self.is_calm && chance < 2 {
            self.counts[0] += 1;
            return;
        }
        let copies = if self.is_calm || chance > 2 { 1 } else { 2 };
        for _ in 0..copies {
            // Some are later than the owner's time to answer.
            let late = !self.is_calm && dice.once_in(15);
            self.counts[1] += u64::from(late);
            let wait = if late { 4_000 } else { 30 };
            self.letters.push(Letter {
                due_ms: now_ms + dice.below(wait),
                from,
                boot,
                to,
                number,
                said: said.clone(),
            });
        }
    }

    /// Takes a letter that is due.
    pub(super) fn next(&mut self, now_ms: u64) -> Option<Letter> {
        let due = self
            .letters
            .iter()
            .position(|letter| letter.due_ms <= now_ms)?;
        Some(self.letters.swap_remove(due))
    }

    /// Tells whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// Has a beat go from one to the other; answers the head it brings, numbered, and the last number. Of three in a row at least one
    /// arrives.
    pub(super) fn beat(
        &mut self,
        dice: &mut Dice,
        from: usize,
        to: usize,
    ) -> Option<(Option<(u64, Seq)>, u64)> {
        let head = self.noted[from][to].take();
        self.last[from][to] += u64::from(head.is_some());
        let last = self.last[from][to];
        let row = &mut self.beats_lost[from][to];
        if !self.is_calm && *row < 2 && dice.once_in(6) {
            *row += 1;
            return None;
        }
        *row = 0;
        Some((head.map(|head| (last, head)), last))
    }

    /// Forgets what a node that died had to say.
    pub(super) fn cut(&mut self, node: usize) {
        self.noted[node] = [None; 3];
        self.last[node] = [0; 3];
    }
}
