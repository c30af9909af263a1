//! Equal reads at one time become one.
//!
//! Who joins a read that began before it was asked may only have what can't have changed since: an answer that the head did not
//! end (T-4). A read that began later serves whatever it says.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use parlor_schema::{Event, RoomId, port::ReadRange};
use tokio::sync::watch;

/// What a read found.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) events: Vec<Arc<Event>>,
    /// Whether the room's head had no part in it, so that every later read says the same.
    pub(super) is_whole: bool,
}

type Key = (RoomId, ReadRange);
type Following = watch::Receiver<Option<Arc<Answer>>>;

/// The reads under way.
#[derive(Default)]
pub(super) struct Reads(Mutex<HashMap<Key, Following>>);

/// What a caller is to do.
pub(super) enum Part<'a> {
    /// Read, and tell.
    Lead(Lead<'a>),
    /// Wait for who reads.
    Follow(Follow),
}

pub(super) struct Lead<'a> {
    reads: &'a Reads,
    key: Key,
    answer: watch::Sender<Option<Arc<Answer>>>,
}

pub(super) struct Follow(Following);

impl Reads {
    pub(super) fn part(&self, room: RoomId, range: ReadRange) -> Part<'_> {
        let key = (room, range);
        let mut reads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(following) = reads.get(&key) {
            return Part::Follow(Follow(following.clone()));
        }
        let (answer, following) = watch::channel(None);
        reads.insert(key, following);
        Part::Lead(Lead {
            reads: self,
            key,
            answer,
        })
    }
}

impl Lead<'_> {
    /// Tells those who follow.
    pub(super) fn tell(self, answer: &Arc<Answer>) {
        let sender = self.answer.clone();
        let answer = Arc::clone(answer);
        // Gone from the list before anybody wakes: what they find there then began after they asked.
        drop(self);
        sender.send_replace(Some(answer));
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut reads = self.reads.0.lock().unwrap_or_else(PoisonError::into_inner);
        reads.remove(&self.key);
    }
}

impl Follow {
    /// Waits for the answer; none when the read failed.
    pub(super) async fn answer(mut self) -> Option<Arc<Answer>> {
        let told = self.0.wait_for(Option::is_some).await.ok()?;
        told.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use futures_util::FutureExt as _;
    use parlor_schema::{Seq, port::Direction};

    use super::*;

    const RANGE: ReadRange = ReadRange {
        from: Seq::FIRST,
        to: Seq::MAX,
        direction: Direction::Up,
        limit: 9,
        bytes: 9,
    };

    fn lead(reads: &Reads) -> Lead<'_> {
        match reads.part(RoomId::from([1; 16]), RANGE) {
            Part::Lead(lead) => lead,
            Part::Follow(_) => panic!("somebody leads"),
        }
    }

    fn follow(reads: &Reads) -> Follow {
        match reads.part(RoomId::from([1; 16]), RANGE) {
            Part::Lead(_) => panic!("nobody leads"),
            Part::Follow(follow) => follow,
        }
    }

    #[test]
    fn one_leads_and_the_others_hear() {
        let reads = Reads::default();
        let (first, second) = (lead(&reads), follow(&reads));
        let other = reads.part(RoomId::from([2; 16]), RANGE);
        assert!(matches!(other, Part::Lead(_)));
        first.tell(&Arc::new(Answer {
            events: Vec::new(),
            is_whole: true,
        }));
        drop(lead(&reads));
        let heard = second.answer().now_or_never().unwrap().unwrap();
        assert!(heard.is_whole);
    }

    #[test]
    fn a_read_that_fails_lets_go_of_those_who_follow() {
        let reads = Reads::default();
        let (first, second) = (lead(&reads), follow(&reads));
        drop(first);
        assert!(second.answer().now_or_never().unwrap().is_none());
        drop(lead(&reads));
    }
}
