//! A node whose ports are changed: the whole server in a process of its own, with a seeded bug or a death at one step of a send between the
//! actors and what stands behind the ports.
//!
//! The process is this test binary, which runs [`serve`] where [`ROLE`] is set: no line of the server knows of any of it.
//!
//! Invariants:
//! - SD-1: until it is told to break its rule, or to die at a step, the changed ports do what those beneath do.
//! - SD-2: a death is a SIGKILL: nothing runs after it, and nobody is told.

mod bus;
mod directory;
mod timeline;

use std::{
    io::{BufRead as _, stdin},
    process::{Command, exit},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use parlor::wiring;
use parlor_actors::ports::Ports;
use parlor_config::Settings;
use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use bus::ChangedBus;
use directory::ChangedDirectory;
use timeline::ChangedTimeline;

/// The variable that makes a process of this binary a node; its value is the number of a bug.
const ROLE: &str = "PARLOR_STORM_NODE";

/// The line of standard input that has a node break its rule from then on.
pub(crate) const BREAK: &str = "break";

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// None is.
    None,
    /// A frame is acknowledged, and its event delivered, before it is durable (P-1, rule C).
    AckedBeforeAppend,
    /// Other nodes are told events before they are durable (rule C).
    ToldBeforeAppend,
    /// An append whose head is not the timeline's counts as done (the store's condition).
    ConditionOff,
    /// An append of unknown outcome counts as done (rule B).
    UnknownTaken,
    /// The window of frames that took effect is not read when a room starts (rule A).
    WindowUnread,
    /// What other nodes say about rooms is not heard, and a lost link neither (P-4, P-5).
    HintsForgotten,
    /// The owner of a room is not told that it runs here.
    InterestForgotten,
    /// The stored members keep those who were put out, and count as read up to the head (rule D).
    MembersStale,
    /// What other nodes say about logins that ended is not heard (P-6).
    RevocationsForgotten,
}

/// A step of a send at which a node may die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The session's node is about to forward the frame to the owner.
    BeforeForward,
    /// It has left for the owner.
    AfterForward,
    /// The owner has heard it, and decided nothing.
    Heard,
    /// The owner is about to append.
    BeforeAppend,
    /// The append is on its way to the store.
    WhileAppending,
    /// The store has answered, and nobody knows.
    AfterAppend,
    /// Other nodes are about to be told.
    BeforeTelling,
    /// The owner is about to answer the forward.
    BeforeAnswer,
    /// The answer has left.
    AfterAnswer,
    /// The session's node has the answer, and nobody is acknowledged.
    BeforeAck,
}

impl Bug {
    const ALL: [Self; 10] = [
        Self::None,
        Self::AckedBeforeAppend,
        Self::ToldBeforeAppend,
        Self::ConditionOff,
        Self::UnknownTaken,
        Self::WindowUnread,
        Self::HintsForgotten,
        Self::InterestForgotten,
        Self::MembersStale,
        Self::RevocationsForgotten,
    ];
}

/// Returns the command that becomes a node with a bug.
pub(crate) fn command(bug: Bug) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", crate::NODE, "--nocapture", "--test-threads=1"])
        .env(ROLE, (bug as usize).to_string());
    command
}

/// Becomes a node, in a process that is to be one; never returns then.
#[allow(
    clippy::disallowed_methods,
    reason = "what the server's main does; no setting of it"
)]
pub(crate) fn serve_where_asked() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let bug = Bug::ALL[role.parse::<usize>().unwrap()];
    let settings = Settings::load(None, std::env::vars()).unwrap();
    let orders = Arc::new(Orders {
        bug,
        is_broken: AtomicBool::new(false),
        step: AtomicU8::new(0),
    });
    let told = orders.clone();
    thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            match line.as_str() {
                BREAK => told.is_broken.store(true, Relaxed),
                step => told.step.store(step.parse().unwrap(), Relaxed),
            }
        }
        // Whoever started it is gone, or waits for its end.
        let _ = kill_process(getpid(), Signal::TERM);
    });
    actix_rt::System::new().block_on(async move {
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        let change = |ports| changed(ports, &orders);
        let running = wiring::start_through(settings, change).await.unwrap();
        println!("parlor is ready: open http://{}/", running.address);
        terminate.recv().await;
        running.drain().await;
    });
    // The runner of tests would write to an output that nobody reads any more.
    exit(0);
}

fn changed(ports: Ports, orders: &Arc<Orders>) -> Ports {
    let timeline = ChangedTimeline::new(&ports, orders.clone());
    Ports {
        timeline: Arc::new(timeline),
        directory: Arc::new(ChangedDirectory {
            inner: ports.directory,
            orders: orders.clone(),
        }),
        bus: Arc::new(ChangedBus {
            inner: ports.bus,
            orders: orders.clone(),
        }),
        ..ports
    }
}

/// What a changed node was told.
struct Orders {
    bug: Bug,
    is_broken: AtomicBool,
    /// The step at which it dies; 0 for none, else its number and one.
    step: AtomicU8,
}

impl Orders {
    /// Returns the rule that is broken now.
    fn bug(&self) -> Bug {
        match self.is_broken.load(Relaxed) {
            true => self.bug,
            false => Bug::None,
        }
    }

    fn dies_at(&self, step: Step) -> bool {
        self.step.load(Relaxed) == asked(step)
    }

    /// Dies where this is the step.
    fn at(&self, step: Step) {
        if self.dies_at(step) {
            die();
        }
    }

    /// Dies where this is the step, once what has begun has left.
    fn after(&self, step: Step) {
        if self.dies_at(step) {
            thread::spawn(|| {
                thread::sleep(Duration::from_millis(2));
                die();
            });
        }
    }
}

/// Returns what asks for a step, as a line of standard input.
pub(crate) const fn asked(step: Step) -> u8 {
    step as u8 + 1
}

fn die() -> ! {
    kill_process(getpid(), Signal::KILL).expect("one may kill oneself");
    loop {
        thread::park();
    }
}
