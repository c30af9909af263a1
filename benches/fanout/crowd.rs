//! The sessions of one case: who publishes, who receives, who never reads.
//!
//! Invariants:
//! - BC-1: a publisher's next message goes out when its last has reached all that read in its room.
//! - BC-2: nobody sleeps on work: what is under way is kept at its number until a round's messages are all out.
//! - BC-3: the client never sleeps in a round. To wake it is charged to whoever writes to it, two to four microseconds between virtual processors: a
//!   server would pay the more the faster it is than the client. Clients on other machines are woken by their own.

use std::{
    cell::RefCell,
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    task::{Poll, ready},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    task::{JoinHandle, spawn_local, yield_now},
};

use crate::{
    board::{Board, Reader, TEXT_BYTES, message},
    figures::{Meter, Round, Times},
    wire::{self, Wire},
};

/// How long a round may take.
const WITHIN: Duration = Duration::from_secs(100);

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 * 1024]);
}

/// Who is where in a case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// How many rooms there are.
    pub(crate) rooms: usize,
    /// Sessions in each.
    pub(crate) members: usize,
    /// Those of them that publish: the first.
    pub(crate) publishers: usize,
    /// Those of them that never read: the last.
    pub(crate) stuck: usize,
    /// Messages under way at once, over all rooms.
    pub(crate) under_way: usize,
}

impl Shape {
    /// Returns how many sessions of a room read.
    pub(crate) const fn readers(self) -> usize {
        self.members - self.stuck
    }

    /// Returns how many sessions there are.
    pub(crate) const fn sessions(self) -> usize {
        self.rooms * self.members
    }
}

/// The sessions of one case.
pub(crate) struct Crowd {
    /// What its receivers count.
    pub(crate) board: Rc<Board>,
    shape: Shape,
    rooms: Vec<String>,
    publishers: Vec<Rc<OwnedWriteHalf>>,
    receivers: Vec<JoinHandle<()>>,
    // They keep their sockets open, and that is all.
    _stuck: Vec<Wire>,
}

impl Crowd {
    /// Takes the sessions that read, room by room, and those that never do.
    pub(crate) fn new(
        shape: Shape,
        rooms: Vec<String>,
        reading: Vec<Wire>,
        stuck: Vec<Wire>,
    ) -> Self {
        assert_eq!(reading.len(), shape.rooms * shape.readers());
        let board = Board::new(shape.rooms * shape.publishers, shape.readers());
        let (mut publishers, mut receivers) = (Vec::new(), Vec::new());
        for (at, wire) in reading.into_iter().enumerate() {
            let (room, member) = (at / shape.readers(), at % shape.readers());
            let (read, write) = wire.stream.into_split();
            let write = Rc::new(write);
            if member < shape.publishers {
                publishers.push(write.clone());
            }
            let first = room * shape.publishers;
            let mut reader = Reader::new(board.clone(), first, shape.publishers);
            let pings = reader.take(&wire.held);
            assert_eq!(pings, 0, "no ping comes so early");
            receivers.push(spawn_local(receive(read, write, reader)));
        }
        Self {
            board,
            shape,
            rooms,
            publishers,
            receivers,
            _stuck: stuck,
        }
    }

    /// Has `messages` said, of `bytes` of text, and each waited for.
    pub(crate) async fn say(&self, messages: usize, bytes: usize) -> Times {
        let work = self.say_all(messages, bytes);
        tokio::time::timeout(WITHIN, work)
            .await
            .expect("every receiver gets every message in time")
    }

    async fn say_all(&self, messages: usize, bytes: usize) -> Times {
        let mut idle: VecDeque<usize> = (0..self.publishers.len()).collect();
        let mut begun = vec![Instant::now(); idle.len()];
        let mut times = Times::new();
        let (mut said, mut done) = (0, 0);
        while done < messages {
            while said < messages && said - done < self.shape.under_way {
                let Some(publisher) = idle.pop_front() else {
                    break;
                };
                let room = &self.rooms[publisher / self.shape.publishers];
                let frame = message(room, publisher, self.board.say(publisher), bytes);
                begun[publisher] = Instant::now();
                let written = self.publishers[publisher].try_write(&frame).unwrap();
                assert_eq!(written, frame.len(), "one frame fits the socket");
                said += 1;
            }
            for (publisher, at) in self.board.done().await {
                times.add(at - begun[publisher]);
                idle.push_back(publisher);
                done += 1;
            }
        }
        times
    }

    /// Has `messages` said and measures it.
    pub(crate) async fn round(&self, messages: usize) -> Round {
        let awake = spawn_local(stay_awake());
        let meter = Meter::start(None);
        let times = self.say(messages, TEXT_BYTES).await;
        let round = meter.round(&times, self.shape.readers());
        awake.abort();
        round
    }

    /// Closes the sockets.
    pub(crate) async fn leave(self) {
        for receiver in self.receivers {
            receiver.abort();
            let _ = receiver.await;
        }
    }
}

/// Keeps the client's thread from sleeping (BC-3).
async fn stay_awake() {
    loop {
        yield_now().await;
    }
}

/// Reads one socket for ever.
async fn receive(mut read: OwnedReadHalf, write: Rc<OwnedWriteHalf>, mut reader: Reader) {
    loop {
        // A read by `poll_read` that leaves the buffer part empty needs no second one to learn that there is no more.
        let pings = std::future::poll_fn(|cx| {
            READ.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                ready!(Pin::new(&mut read).poll_read(cx, &mut buffer)).unwrap();
                assert!(!buffer.filled().is_empty(), "the server left");
                Poll::Ready(reader.take(buffer.filled()))
            })
        })
        .await;
        for _ in 0..pings {
            write.try_write(&wire::pong()).unwrap();
        }
    }
}
