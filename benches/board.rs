//! What the receivers of a case find in what they read, and when a message has reached all of them.
//!
//! Invariant BB-1: each receiver finds the messages of each publisher of its room once and in order, or the bench fails.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a bench, and each binary uses a part"
)]

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Instant,
};

use serde_json::json;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    client,
    wire::{self, CLOSE, Frame, PING, TEXT},
};

/// Bytes of each message's text.
pub(crate) const TEXT_BYTES: usize = 200;
/// What stands before a message's publisher and number; nothing else in any frame holds it.
const MARK: u8 = b'#';
/// Digits of a publisher, and of a number.
const WHO: usize = 3;
const NUMBER: usize = 8;

/// Returns the client frame of a publisher's message, with `bytes` of text.
pub(crate) fn message(room: &str, publisher: usize, number: u64, bytes: usize) -> Vec<u8> {
    let mut text = format!("#{}", name(publisher, number));
    text.extend(std::iter::repeat_n('x', bytes - text.len()));
    let payload = json!({ "room_id": room, "body": { "text": text } });
    let frame = client::frame("message.send", &Uuid::now_v7().to_string(), &payload);
    wire::pack(TEXT, frame.as_bytes())
}

fn name(publisher: usize, number: u64) -> String {
    format!("{publisher:0WHO$}{number:0NUMBER$}")
}

/// Puts another message's name into a server's frame.
pub(crate) fn rename(frame: &mut [u8], publisher: usize, number: u64) {
    let mark = frame.iter().position(|byte| *byte == MARK).unwrap();
    let name = name(publisher, number);
    frame[mark + 1..=mark + name.len()].copy_from_slice(name.as_bytes());
}

/// What the receivers of one case count.
pub(crate) struct Board {
    reach: u64,
    said: Vec<Cell<u64>>,
    got: Vec<Cell<u64>>,
    bytes: Cell<u64>,
    sample: RefCell<Vec<u8>>,
    done: RefCell<Vec<(usize, Instant)>>,
    some_done: Notify,
}

impl Board {
    /// Makes a board on which a message is done when `reach` receivers have it.
    pub(crate) fn new(publishers: usize, reach: usize) -> Rc<Self> {
        Rc::new(Self {
            reach: reach as u64,
            said: vec![Cell::new(0); publishers],
            got: vec![Cell::new(0); publishers],
            bytes: Cell::new(0),
            sample: RefCell::default(),
            done: RefCell::default(),
            some_done: Notify::new(),
        })
    }

    /// Notes that a publisher says one more; answers its number.
    pub(crate) fn say(&self, publisher: usize) -> u64 {
        self.said[publisher].replace(self.said[publisher].get() + 1)
    }

    /// Waits for messages to be done; answers whose, and since when.
    pub(crate) async fn done(&self) -> Vec<(usize, Instant)> {
        self.some_done.notified().await;
        self.done.take()
    }

    /// Returns an event's frame as others than its sender got it; empty before there was one.
    pub(crate) fn sample(&self) -> Vec<u8> {
        self.sample.borrow().clone()
    }

    /// Checks that everything said was got (BB-1), in frames of `bytes` at least.
    pub(crate) fn check(&self, bytes: usize) {
        let mut all = 0;
        for (said, got) in self.said.iter().zip(&self.got) {
            assert_eq!(got.get(), said.get() * self.reach, "BB-1");
            all += got.get();
        }
        assert!(self.bytes.get() >= all * bytes as u64);
    }

    fn got(&self, publisher: usize, frame: &[u8]) {
        let got = &self.got[publisher];
        got.set(got.get() + 1);
        self.bytes.set(self.bytes.get() + frame.len() as u64);
        if got.get() == self.said[publisher].get() * self.reach {
            self.done.borrow_mut().push((publisher, Instant::now()));
            self.some_done.notify_one();
        }
        if self.sample.borrow().is_empty() && !is_own(frame) {
            *self.sample.borrow_mut() = frame.to_vec();
        }
    }
}

/// Tells whether a frame is the sender's own copy, which is longer than the others.
fn is_own(frame: &[u8]) -> bool {
    let name = b"client_msg_id";
    frame.windows(name.len()).any(|some| some == name)
}

/// What one receiver has found, and the bytes that are not a whole frame yet.
pub(crate) struct Reader {
    board: Rc<Board>,
    first: usize,
    expected: Vec<u64>,
    // Where the last mark was: the next is mostly in the same place, and a frame is not searched for it.
    mark: usize,
    held: Vec<u8>,
}

impl Reader {
    /// Makes a reader of a room that has `publishers`, counted from `first`.
    pub(crate) fn new(board: Rc<Board>, first: usize, publishers: usize) -> Self {
        Self {
            board,
            first,
            expected: vec![0; publishers],
            mark: 0,
            held: Vec::new(),
        }
    }

    /// Takes what was read; answers how many pings were in it.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        if self.held.is_empty() {
            let (used, pings) = self.count(bytes);
            self.held.extend_from_slice(&bytes[used..]);
            return pings;
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let (used, pings) = self.count(&held);
        held.drain(..used);
        self.held = held;
        pings
    }

    /// Counts the whole frames in `bytes`; answers how far they reach, and how many were pings.
    fn count(&mut self, bytes: &[u8]) -> (usize, usize) {
        let (mut used, mut pings) = (0, 0);
        while let Some(frame) = Frame::first(&bytes[used..]) {
            let whole = &bytes[used..used + frame.end];
            used += frame.end;
            match frame.opcode {
                TEXT => self.look(whole),
                PING => pings += 1,
                CLOSE => panic!("closed: {}", String::from_utf8_lossy(&whole[frame.start..])),
                other => panic!("opcode {other}"),
            }
        }
        (used, pings)
    }

    fn look(&mut self, frame: &[u8]) {
        if frame.get(self.mark) != Some(&MARK) {
            let Some(mark) = frame.iter().position(|byte| *byte == MARK) else {
                return;
            };
            self.mark = mark;
        }
        let name = &frame[self.mark + 1..=self.mark + WHO + NUMBER];
        let publisher = usize::try_from(digits(&name[..WHO])).unwrap();
        let expected = &mut self.expected[publisher - self.first];
        assert_eq!(digits(&name[WHO..]), *expected, "BB-1");
        *expected += 1;
        self.board.got(publisher, frame);
    }
}

fn digits(text: &[u8]) -> u64 {
    text.iter().fold(0, |number, digit| {
        assert!(digit.is_ascii_digit(), "a digit");
        number * 10 + u64::from(digit - b'0')
    })
}
