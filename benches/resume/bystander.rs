//! Two sessions in a room of their own that notice how long a message takes, while others make noise.
//!
//! Invariants:
//! - BY-1: a message is due every [`EVERY`]; one that could not go out in time is timed from when it was due. What is late when nothing is
//!   counted any more is given up, so that it is not counted against what comes next.
//! - BY-2: the thread sleeps and blocks, and shares nothing with the noisy ones but the server.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::{
    board::{TEXT_BYTES, message},
    client,
    figures::Times,
    wire::{self, Frame, PING, TEXT, Wire},
};

/// Time between two messages.
const EVERY: Duration = Duration::from_millis(2);

/// What goes on around the bystanders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Nothing.
    Before,
    /// Noise.
    During,
    /// What is not counted.
    Neither,
    /// The end.
    Over,
}

#[derive(Clone)]
struct Shared {
    phase: Arc<AtomicU8>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// How long a message took from when it was due to its arrival.
pub(crate) struct Heard {
    during: bool,
    begun: Instant,
    took: Duration,
}

/// Returns the times of what `counts`, by when it was due and how long it took: before, during.
pub(crate) fn sorted(heard: &[Heard], counts: impl Fn(Instant, Duration) -> bool) -> [Times; 2] {
    let mut times = [Times::new(), Times::new()];
    for one in heard.iter().filter(|one| counts(one.begun, one.took)) {
        times[usize::from(one.during)].add(one.took);
    }
    times
}

/// The bystanders' thread.
pub(crate) struct Bystanders {
    shared: Shared,
    thread: JoinHandle<()>,
}

impl Bystanders {
    /// Connects two sessions, and has one write to the other from now on.
    pub(crate) async fn start(addr: SocketAddr) -> Self {
        let users = ["bystander-0".to_owned(), "bystander-1".to_owned()];
        let room = client::room(addr, &users).await;
        let says = Blocking::new(client::session(addr, &users[0]).await);
        let hears = Blocking::new(client::session(addr, &users[1]).await);
        let shared = Shared {
            phase: Arc::new(AtomicU8::new(Phase::Neither as u8)),
            heard: Arc::default(),
        };
        let own = shared.clone();
        let thread = std::thread::spawn(move || own.watch(&room, says, hears));
        Self { shared, thread }
    }

    /// Notes what goes on from now on.
    pub(crate) fn enter(&self, phase: Phase) {
        self.shared.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Takes what was heard since the last call.
    pub(crate) fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut self.shared.heard.lock().unwrap())
    }

    /// Has the sessions leave.
    pub(crate) fn stop(self) {
        self.enter(Phase::Over);
        self.thread.join().unwrap();
    }
}

impl Shared {
    fn watch(&self, room: &str, mut says: Blocking, mut hears: Blocking) {
        let mut due = Instant::now();
        for number in 0.. {
            let now = Instant::now();
            if self.phase.load(Ordering::Relaxed) == Phase::Neither as u8 {
                due = now;
            }
            due += EVERY;
            let begun = if due > now {
                std::thread::sleep(due - now);
                Instant::now()
            } else {
                due
            };
            let phase = self.phase.load(Ordering::Relaxed);
            if phase == Phase::Over as u8 {
                return;
            }
            let frame = message(room, 0, number, TEXT_BYTES);
            says.stream.write_all(&frame).unwrap();
            hears.until(br#"{"type":"message""#);
            let took = begun.elapsed();
            // A message belongs where it began, unless that is where nothing is counted.
            if phase != Phase::Neither as u8 {
                let during = phase == Phase::During as u8;
                let heard = Heard {
                    during,
                    begun,
                    took,
                };
                self.heard.lock().unwrap().push(heard);
            }
            says.until(br#"{"type":"ack""#);
        }
    }
}

/// A socket that blocks.
struct Blocking {
    stream: std::net::TcpStream,
    held: Vec<u8>,
}

impl Blocking {
    fn new(wire: Wire) -> Self {
        let stream = wire.stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        Self {
            stream,
            held: wire.held,
        }
    }

    /// Reads up to the next frame that begins like this.
    fn until(&mut self, beginning: &[u8]) {
        let mut buffer = [0; 4096];
        loop {
            let Some(frame) = Frame::first(&self.held) else {
                let read = self.stream.read(&mut buffer).unwrap();
                assert_ne!(read, 0, "the server left");
                self.held.extend_from_slice(&buffer[..read]);
                continue;
            };
            let payload: Vec<u8> = self.held.drain(..frame.end).skip(frame.start).collect();
            match frame.opcode {
                TEXT if payload.starts_with(beginning) => return,
                TEXT => {}
                PING => self.stream.write_all(&wire::pong()).unwrap(),
                _ => panic!("closed: {}", String::from_utf8_lossy(&payload)),
            }
        }
    }
}
