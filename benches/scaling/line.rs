//! One room on several nodes: frames go to the owner, one forward of a node at a time; the owner has one append in flight. Pure.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
};

use parlor_schema::limits::APPEND_EVENTS_MAX;

use crate::load::{APPEND_US, HOP_US};

/// What a room does that others have to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A node forwards so many frames.
    Forward { from: u16, frames: u32 },
    /// The owner answers to so many.
    Answer { to: u16, frames: u32 },
    /// The owner appended so many events.
    Append { events: u32 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// A session on a node sends a frame.
    Post(u16),
    /// Frames of a node are with the owner.
    Arrive(u16, u32),
    /// The append in flight is done.
    Done,
    /// A node has its answer.
    Answered(u16),
}

/// What a node has on its way to the owner.
#[derive(Debug, Default)]
struct Outward {
    in_flight: bool,
    waiting: u32,
    /// Frames of the forward in flight, and how many of them are not decided.
    frames: u32,
    open: u32,
}

/// The room.
struct Line<'a> {
    owner: u16,
    next: BinaryHeap<Reverse<(u64, Next)>>,
    outward: BTreeMap<u16, Outward>,
    /// Frames that wait for the append in flight, each with its node.
    queue: VecDeque<u16>,
    /// Those in it.
    appending: Vec<u16>,
    tell: &'a mut dyn FnMut(u64, Step),
}

/// Plays a room whose sessions on nodes `posts` send frames at times, and tells its steps in the order of time.
pub(crate) fn play(
    owner: u16,
    posts: impl Iterator<Item = (u64, u16)>,
    tell: &mut dyn FnMut(u64, Step),
) {
    let mut line = Line {
        owner,
        next: posts
            .map(|(at, node)| Reverse((at, Next::Post(node))))
            .collect(),
        outward: BTreeMap::new(),
        queue: VecDeque::new(),
        appending: Vec::new(),
        tell,
    };
    while let Some(Reverse((now, next))) = line.next.pop() {
        line.take(now, next);
    }
}

impl Line<'_> {
    fn take(&mut self, now: u64, next: Next) {
        match next {
            Next::Post(node) if node == self.owner => self.submit(now, node),
            Next::Post(node) => {
                self.outward.entry(node).or_default().waiting += 1;
                self.forward(now, node);
            }
            Next::Arrive(node, frames) => {
                for _ in 0..frames {
                    self.submit(now, node);
                }
            }
            Next::Done => self.done(now),
            Next::Answered(node) => {
                self.outward.entry(node).or_default().in_flight = false;
                self.forward(now, node);
            }
        }
    }

    fn forward(&mut self, now: u64, node: u16) {
        let outward = self.outward.entry(node).or_default();
        if outward.in_flight || outward.waiting == 0 {
            return;
        }
        let frames = outward.waiting.min(APPEND_EVENTS_MAX as u32);
        *outward = Outward {
            in_flight: true,
            waiting: outward.waiting - frames,
            frames,
            open: frames,
        };
        (self.tell)(now, Step::Forward { from: node, frames });
        self.next
            .push(Reverse((now + HOP_US, Next::Arrive(node, frames))));
    }

    /// Takes a frame; the first that finds nothing in flight is appended alone.
    fn submit(&mut self, now: u64, node: u16) {
        self.queue.push_back(node);
        if self.appending.is_empty() {
            self.append(now);
        }
    }

    fn append(&mut self, now: u64) {
        let many = self.queue.len().min(APPEND_EVENTS_MAX);
        if many > 0 {
            self.appending.extend(self.queue.drain(..many));
            self.next.push(Reverse((now + APPEND_US, Next::Done)));
        }
    }

    fn done(&mut self, now: u64) {
        let events = u32::try_from(self.appending.len()).unwrap();
        (self.tell)(now, Step::Append { events });
        for node in std::mem::take(&mut self.appending) {
            let Some(outward) = self.outward.get_mut(&node) else {
                continue;
            };
            outward.open -= 1;
            if outward.open == 0 {
                let frames = outward.frames;
                (self.tell)(now, Step::Answer { to: node, frames });
                self.next
                    .push(Reverse((now + HOP_US, Next::Answered(node))));
            }
        }
        self.append(now);
    }
}
