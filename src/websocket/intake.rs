//! How much a connection takes in of its thread's time: who says little is served at once, who says much waits for turns.
//!
//! A thread serves what is ready one after the other, so that whoever is behind many who flood it waits for all of them, several times for one
//! message. Those who flood therefore take steps of the thread's pace ([`parlor_actors::pace`]), of which there are few in a turn of the loop,
//! however many of them there are.
//!
//! Invariant IN-1: who takes no more than [`FREE`] in each window does not wait; who has taken more does until a whole window in which it has
//! not. So does who has just come: a crowd of connections that each say little would else be served at once.

/// The time over which it is counted, in milliseconds.
const WINDOW_MS: u64 = 100;
/// What is free within a window: a message as large as they may be, or some 200 small ones.
const FREE: usize = 64 * 1024;
/// What a message costs beside its bytes.
const MESSAGE: usize = 256;

/// What one connection has taken.
#[derive(Debug)]
pub(super) struct Intake {
    since_ms: u64,
    used: usize,
    greedy: bool,
}

impl Intake {
    /// Begins to count for a connection that has come now.
    pub(super) const fn new(now_ms: u64) -> Self {
        Self {
            since_ms: now_ms,
            used: 0,
            greedy: true,
        }
    }

    /// Counts what was taken in at once.
    pub(super) fn add(&mut self, bytes: usize, messages: usize, now_ms: u64) {
        if now_ms >= self.since_ms + WINDOW_MS {
            // Who was silent for longer has had a window without.
            let recent = now_ms < self.since_ms + 2 * WINDOW_MS;
            self.greedy = recent && self.used > FREE;
            self.since_ms = now_ms;
            self.used = 0;
        }
        self.used += bytes + messages * MESSAGE;
        self.greedy |= self.used > FREE;
    }

    /// Tells whether the next is to wait for its turn (IN-1).
    pub(super) const fn is_greedy(&self) -> bool {
        self.greedy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_little_waits_at_first_and_then_no_more() {
        let mut intake = Intake::new(1_000);
        for now_ms in 1_000..2_000 {
            assert_eq!(intake.is_greedy(), now_ms <= 1_000 + WINDOW_MS, "IN-1");
            intake.add(380, usize::from(now_ms % 2 == 0), now_ms);
        }
    }

    #[test]
    fn who_floods_waits_until_a_window_without() {
        let mut intake = Intake::new(0);
        intake.add(FREE, 0, 1_000);
        assert!(!intake.is_greedy());
        intake.add(0, 1, 1_001);
        assert!(intake.is_greedy(), "many small ones count");
        intake.add(1, 0, 1_100);
        assert!(intake.is_greedy(), "the window before was full");
        intake.add(1, 0, 1_200);
        assert!(!intake.is_greedy());
        intake.add(FREE + 1, 0, 1_201);
        intake.add(1, 0, 1_500);
        assert!(!intake.is_greedy(), "silence is a window without");
    }
}
