//! What two bystanders notice of each attack of the table in `docs/SECURITY.md`, and what it takes of the server's memory.
//!
//! Owns the rounds and the table. What is inside the timed part stands in `README.md`.
//!
//! Invariants:
//! - BH-1: the server does with each attack what the table says, or the bench fails.
//! - BH-2: the attacker is one thread that runs on what others leave, on another core than the server's worker; bystanders and measuring have threads of
//!   their own.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench"
)]

#[path = "hostile/attack.rs"]
mod attack;
mod board;
#[path = "resume/bystander.rs"]
mod bystander;
mod client;
#[path = "hostile/eve.rs"]
mod eve;
mod figures;
#[path = "hostile/frames.rs"]
mod frames;
mod node;
mod process;
#[path = "hostile/slow.rs"]
mod slow;
#[path = "hostile/stage.rs"]
mod stage;
#[path = "hostile/storm.rs"]
mod storm;
mod usage;
mod wire;

use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::thread::CpuSet;
use tokio::{
    runtime::{Builder, Runtime},
    task::LocalSet,
};

use attack::{ALL, Attack};
use bystander::{Bystanders, Phase, sorted};
use eve::Site;
use figures::{Bound, Times, fail_at_once, median, setting};
use node::Store;
use process::Server;
use stage::Stage;

/// Messages of the bystanders in a stretch, at least: what one in a hundred exceeds is then the fifth from above.
const SAID: u64 = 500;
/// Between two stretches.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// One attack in one round.
struct Figures {
    quiet: Times,
    loud: Times,
    /// Bytes above what was resident before.
    grown: f64,
    /// What was counted of the attack, per second.
    rate: f64,
    /// Cores that the server was busy on.
    cores: f64,
}

impl Figures {
    fn ratio(&self) -> f64 {
        self.loud.quantile(0.99) / self.quiet.quantile(0.99)
    }
}

/// One server, its bystanders, and an attack on it.
struct Siege {
    attack: Attack,
    server: Server,
    /// Where the attacker may run.
    cores: CpuSet,
    watch: Bystanders,
    room: String,
    runtime: Runtime,
}

impl Siege {
    fn begin(attack: Attack, workers: usize) -> Self {
        let server = Server::limited(Store::Embedded, workers, attack.handshakes());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (watch, room) = runtime.block_on(async {
            let watch = Bystanders::start(server.addr).await;
            (watch, client::room(server.addr, &["eve".to_owned()]).await)
        });
        Self {
            attack,
            cores: server.take_cores(),
            server,
            watch,
            room,
            runtime,
        }
    }

    fn end(self) {
        self.watch.stop();
        self.server.stop();
    }

    /// Listens to the bystanders with no attack there, but with what of it is none.
    fn before(&self) -> Times {
        let harmless = self.attack.harmless().map(|it| self.launch(it, false));
        let quiet = self.listen(Phase::Before, self.attack.stretch());
        if let Some((stage, talk)) = harmless {
            stage.end();
            talk.join().unwrap();
            self.alone();
        }
        quiet
    }

    /// Has the attacker's thread begin (BH-2).
    fn launch(&self, attack: Attack, is_last: bool) -> (Stage, JoinHandle<()>) {
        let stage = Stage::default();
        let (addr, cores) = (self.server.addr, self.cores);
        let (room, own) = (self.room.clone(), stage.clone());
        let attacker = thread::spawn(move || {
            process::as_if_remote(&cores);
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let site = Site::new(addr, &room, own, is_last);
            runtime.block_on(LocalSet::new().run_until(attack.run(&site)));
            assert!(site.stage.done() > 0, "BH-1: something was done");
        });
        while !stage.has_begun() {
            thread::sleep(LOOK);
        }
        (stage, attacker)
    }

    /// Listens to the bystanders for `stretch`, or longer where they say less.
    fn listen(&self, phase: Phase, stretch: Duration) -> Times {
        let _ = self.watch.take();
        let (begun, mut all) = (Instant::now(), Times::new());
        self.watch.enter(phase);
        while begun.elapsed() < stretch || all.count() < SAID {
            thread::sleep(LOOK);
            self.hear(phase, &mut all);
        }
        self.watch.enter(Phase::Neither);
        // One that was said before the end belongs to it, however late it comes.
        thread::sleep(PAUSE);
        self.hear(phase, &mut all);
        all
    }

    fn hear(&self, phase: Phase, all: &mut Times) {
        let [quiet, loud] = sorted(&self.watch.take(), |_, _| true);
        all.join(match phase {
            Phase::Before => &quiet,
            _ => &loud,
        });
    }

    fn round(&self, is_last: bool) -> Figures {
        let pid = self.server.pid;
        self.alone();
        let quiet = self.before();
        usage::reset_peak(pid);
        let resident = usage::resident(pid);
        let (stage, attacker) = self.launch(self.attack, is_last);
        let (begun, cpu, done) = (Instant::now(), usage::process_cpu(Some(pid)), stage.done());
        let loud = self.listen(Phase::During, self.attack.stretch());
        let cpu = usage::process_cpu(Some(pid)).saturating_sub(cpu);
        let (took, done) = (begun.elapsed().as_secs_f64(), stage.done() - done);
        stage.end();
        attacker.join().unwrap();
        Figures {
            quiet,
            loud,
            grown: usage::peak(pid).saturating_sub(resident) as f64,
            rate: done as f64 / took,
            cores: cpu.as_secs_f64() / took,
        }
    }

    /// Waits until the server has no sockets but the bystanders'.
    fn alone(&self) {
        let addr = self.server.addr;
        let all = || {
            self.runtime
                .block_on(client::metric(addr, "parlor_connections"))
        };
        while all() > 2.0 {
            thread::sleep(LOOK);
        }
        thread::sleep(PAUSE);
    }
}

/// Prints what all rounds of an attack came to.
fn print(name: &str, what: &str, bound: usize, rounds: &[Figures]) {
    let of = |figure: fn(&Figures) -> f64| -> Vec<f64> { rounds.iter().map(figure).collect() };
    let ratios = of(Figures::ratio);
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    let grown = of(|round| round.grown).into_iter().fold(0.0, f64::max);
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let ratio = median(ratios);
    let kept = [(ratio, 2.0), (grown, bound as f64)].map(|(figure, bound)| {
        let verdict = Bound::AtMost(bound).verdict(figure);
        if verdict.ends_with("PASS") {
            ""
        } else {
            ", above"
        }
    });
    println!(
        "| {name} | {:.0} {what} | {:.2} | {:.0} | {:.0} | {ratio:.2} ({least:.2} to {most:.2}){} | {:.1} of {:.0}{} |",
        median(of(|round| round.rate)),
        median(of(|round| round.cores)),
        median(of(|round| round.quiet.quantile(0.99))),
        median(of(|round| round.loud.quantile(0.99))),
        kept[0],
        mib(grown),
        mib(bound as f64),
        kept[1]
    );
}

fn main() {
    fail_at_once();
    process::serve_if_told();
    let rounds = setting("PARLOR_BENCH_ROUNDS", 9);
    let workers = setting("PARLOR_BENCH_WORKERS", 1);
    println!(
        "hostile: {workers} worker, {rounds} rounds of quiet and attack (fewer where one takes long); p99 of the bystanders in us, memory in MiB\n"
    );
    println!(
        "| attack | per second | cores | p99 before | p99 meanwhile | ratio | memory over before |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (attack, name, what) in ALL {
        if !figures::wanted(name) {
            continue;
        }
        let siege = Siege::begin(attack, workers);
        let count = attack.rounds(rounds);
        let figures: Vec<_> = (1..=count)
            .map(|round| siege.round(round == count))
            .collect();
        siege.end();
        print(name, what, attack.bound(), &figures);
    }
    println!("\neach attack got what docs/SECURITY.md says");
}
