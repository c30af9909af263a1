//! The lines of a thread, each looked at once in a turn of the wheel: a part of them at a time, so that a thousand that came together are not pinged, or given
//! up, together.
//!
//! Invariant WH-1: behind a line that was told something, others of the thread have their turn.

use std::rc::{Rc, Weak};

use tokio::task::yield_now;

use crate::line::Line;

/// Parts of a turn.
pub(crate) const SPOKES: usize = 25;

/// Lines by which their memory is asked for ahead.
const AHEAD: usize = 2;

/// The wheel.
#[derive(Default)]
pub(crate) struct Wheel {
    /// By slot; the slots of a spoke are those with the same rest.
    lines: Vec<Option<Weak<Line>>>,
    free: Vec<usize>,
    spoke: usize,
}

impl Wheel {
    /// Gives a line a slot.
    pub(crate) fn enter(&mut self, line: &Rc<Line>) -> usize {
        let slot = self.free.pop().unwrap_or(self.lines.len());
        if slot == self.lines.len() {
            self.lines.push(None);
        }
        self.lines[slot] = Some(Rc::downgrade(line));
        slot
    }

    /// Takes a line off, if it is there.
    pub(crate) fn leave(&mut self, line: &Line) {
        let slot = line.slot.get();
        if let Some(there) = self.lines.get_mut(slot)
            && there
                .take_if(|there| std::ptr::eq(there.as_ptr(), line))
                .is_some()
        {
            self.free.push(slot);
        }
    }

    /// Finds the line that has the slot.
    pub(crate) fn line(&self, slot: usize) -> Option<Rc<Line>> {
        self.lines.get(slot)?.as_ref()?.upgrade()
    }

    /// Goes on by one spoke; answers its lines, and whether a turn is complete with it.
    pub(crate) fn turn(&mut self) -> (Vec<Rc<Line>>, bool) {
        let spoke = self.lines.iter().skip(self.spoke).step_by(SPOKES);
        let lines = spoke.flatten().filter_map(Weak::upgrade).collect();
        self.spoke = (self.spoke + 1) % SPOKES;
        (lines, self.spoke == 0)
    }
}

/// Sees to lines, one after the other. `see` answers whether the client was told something: many that came together, or all of a node that drains, would be
/// one long turn (WH-1). They do not wait behind storms, as what is paced does, since their deadlines do not.
///
/// `lends`: whether the core is lent to others as well. While a thread tells many it does not sleep, and the store's, woken on the same core, would wait for the
/// system's slice, as in `pace`; but where more want the core, each time may cost such a slice.
pub(crate) async fn each(lines: &[Rc<Line>], lends: bool, mut see: impl FnMut(&Line) -> bool) {
    for (at, line) in lines.iter().enumerate() {
        if let Some(later) = lines.get(at + 2 * AHEAD) {
            later.fetch_due();
        }
        if let Some(soon) = lines.get(at + AHEAD) {
            soon.fetch_lost();
        }
        if see(line) {
            if lends {
                std::thread::yield_now();
            }
            yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::cell::Cell;

    use parlor_schema::SessionId;

    use super::*;
    use crate::{
        ledger::{Budget, Ledger},
        outlet::{Outlet, nobody},
        ports::Coding,
    };

    fn line(number: u8) -> Rc<Line> {
        let ledger = Rc::new(Ledger::new(Budget::new(0)));
        let session = SessionId::new(uuid::Uuid::from_bytes([number; 16]));
        let outlet = Outlet::new(ledger, nobody());
        Rc::new(Line::new(session, outlet, Coding::Plain, 0))
    }

    #[test]
    fn each_line_comes_once_in_a_turn_and_not_with_all_others() {
        let mut wheel = Wheel::default();
        let lines: Vec<_> = (0..100).map(line).collect();
        for line in &lines {
            line.slot.set(wheel.enter(line));
        }
        for gone in &lines[..40] {
            wheel.leave(gone);
        }
        let again = line(200);
        let slot = wheel.enter(&again);
        assert!(slot < 40, "a slot that is free is used");
        for gone in &lines[..40] {
            wheel.leave(gone);
        }
        assert!(Rc::ptr_eq(&wheel.line(slot).unwrap(), &again));
        for turn in 1..=2 {
            let (mut seen, mut is_over) = (Vec::new(), false);
            while !is_over {
                let some;
                (some, is_over) = wheel.turn();
                assert!(some.len() <= 100 / SPOKES);
                seen.extend(some.iter().map(|line| line.session));
            }
            seen.sort();
            let mut wanted: Vec<_> = lines[40..].iter().map(|line| line.session).collect();
            wanted.push(again.session);
            assert_eq!(seen, wanted, "turn {turn}");
        }
    }

    #[actix::test]
    async fn many_that_are_told_something_take_turns_and_the_others_wait_for_nobody() {
        const TOLD: usize = 5;
        let lines: Vec<_> = (0..2 * TOLD).map(|_| line(0)).collect();
        let seen = Rc::new(Cell::new(0));
        let count = seen.clone();
        actix_rt::spawn(async move {
            each(&lines, true, |_| {
                count.set(count.get() + 1);
                count.get() <= TOLD
            })
            .await;
        });
        for turn in 1..=TOLD {
            yield_now().await;
            assert_eq!(seen.get(), turn, "WH-1");
        }
        yield_now().await;
        assert_eq!(seen.get(), 2 * TOLD);
    }

    #[test]
    fn a_line_that_is_gone_is_not_found() {
        let mut wheel = Wheel::default();
        let slot = wheel.enter(&line(1));
        assert!(wheel.line(slot).is_none() && wheel.line(slot + 1).is_none());
        assert_eq!(wheel.turn().0.len(), 0);
    }
}
