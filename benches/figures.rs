//! What a bench is told, and what it tells: settings from the environment, rounds, medians, ratios within a round, verdicts.
//!
//! Invariants:
//! - F-1: a ratio is taken between two cases of the same round, and reported as the median over rounds; on a shared machine nothing
//!   else means anything.
//! - F-2: a bound is printed beside its figure, kept or not: a figure ends no bench, a wrong result does.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a bench, and each binary uses a part"
)]

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::usage::{process_cpu, thread_cpu};

/// Reads a number from the environment.
pub(crate) fn setting(name: &str, default: usize) -> usize {
    text(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {text}"))
    })
}

/// Reads the folder on a disk in which stores are made: beside the build's other temporary files unless told otherwise.
pub(crate) fn disk() -> PathBuf {
    let folder = text("PARLOR_BENCH_DIR").unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").to_owned());
    std::fs::create_dir_all(&folder).unwrap();
    folder.into()
}

/// Reads which cases are to run, by name, separated by commas: all of them unless told otherwise.
pub(crate) fn wanted(case: &str) -> bool {
    text("PARLOR_BENCH_CASES").is_none_or(|list| list.split(',').any(|name| name.trim() == case))
}

/// Reads a text from the environment.
#[allow(
    clippy::disallowed_methods,
    reason = "a bench has no settings but its environment"
)]
pub(crate) fn text(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Has a panic on any thread or task end the bench: a figure whose result was wrong is none.
pub(crate) fn fail_at_once() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        std::process::exit(101);
    }));
}

/// One case in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// Units done per second.
    pub(crate) rate: f64,
    /// The median time of one, in microseconds.
    pub(crate) p50: f64,
    /// The time that one in a hundred exceeds, in microseconds.
    pub(crate) p99: f64,
    /// CPU of the served side per unit, in microseconds.
    pub(crate) cost: f64,
    /// The part of the time that the client's thread had a core.
    pub(crate) busy: f64,
}

/// Measures one case in one round, from its beginning.
pub(crate) struct Meter {
    start: Instant,
    own: Duration,
    all: Duration,
    server: Option<u32>,
}

impl Meter {
    /// Begins; what is served is served by other threads of this process, or by the process `server`.
    pub(crate) fn start(server: Option<u32>) -> Self {
        Self {
            own: thread_cpu(),
            all: process_cpu(server),
            start: Instant::now(),
            server,
        }
    }

    /// Sums up: each of `times` stands for `units`.
    pub(crate) fn round(&self, times: &Times, units: usize) -> Round {
        let whole = self.start.elapsed();
        let own = thread_cpu().saturating_sub(self.own);
        let all = process_cpu(self.server).saturating_sub(self.all);
        let served = match self.server {
            None => all.saturating_sub(own),
            Some(_) => all,
        };
        let units = times.0.len() as f64 * units as f64;
        Round {
            rate: units / whole.as_secs_f64(),
            p50: times.quantile(0.5),
            p99: times.quantile(0.99),
            cost: served.as_secs_f64() * 1e6 / units,
            busy: own.as_secs_f64() / whole.as_secs_f64(),
        }
    }
}

/// Times of one case in one round.
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn new() -> Self {
        Self(Histogram::new(3).unwrap())
    }

    pub(crate) fn add(&mut self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap();
        self.0.record(ns).unwrap();
    }

    pub(crate) fn join(&mut self, other: &Self) {
        self.0.add(&other.0).unwrap();
    }

    /// Returns a quantile in microseconds.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// Returns how many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }
}

/// A case over all rounds.
pub(crate) struct Series {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Its rounds.
    pub(crate) rounds: Vec<Round>,
}

impl Series {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            rounds: Vec::new(),
        }
    }

    /// Returns the median of one figure.
    pub(crate) fn median(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(figure).collect())
    }

    /// Returns median, lowest and highest ratio of one figure to `base`, round by round (F-1).
    pub(crate) fn ratio(&self, base: &Self, figure: impl Fn(&Round) -> f64) -> [f64; 3] {
        let pairs = self.rounds.iter().zip(&base.rounds);
        let ratios: Vec<f64> = pairs.map(|(one, two)| figure(one) / figure(two)).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        [median(ratios), least, most]
    }

    /// Prints the medians.
    pub(crate) fn print(&self) {
        println!(
            "| {:<34} | {:>10.0} | {:>8.0} | {:>8.0} | {:>8.2} | {:>5.0} % |",
            self.name,
            self.median(|round| round.rate),
            self.median(|round| round.p50),
            self.median(|round| round.p99),
            self.median(|round| round.cost),
            self.median(|round| round.busy) * 100.0
        );
    }
}

/// Prints the head of the table of medians; `CPU us` is the served side's for one, `client` how busy the client's thread was.
pub(crate) fn print_head(what: &str) {
    println!(
        "\n| {what:<34} | per second |   p50 us |   p99 us |   CPU us |  client |\n| {:-<34} | {:-<9}: | {:-<7}: | {:-<7}: | {:-<7}: | {:-<6}: |",
        "", "", "", "", "", ""
    );
}

/// What a figure must keep to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    /// It may not be lower.
    AtLeast(f64),
    /// It may not be higher.
    AtMost(f64),
}

impl Bound {
    /// Says whether a figure keeps to it (F-2).
    pub(crate) fn verdict(self, figure: f64) -> String {
        match self {
            Self::AtLeast(bound) if figure >= bound => format!("bound >= {bound}: PASS"),
            Self::AtLeast(bound) => format!("bound >= {bound}: below"),
            Self::AtMost(bound) if figure <= bound => format!("bound <= {bound}: PASS"),
            Self::AtMost(bound) => format!("bound <= {bound}: above"),
        }
    }
}

/// Prints a ratio with its range, and whether it keeps to its bound.
pub(crate) fn print_ratio(what: &str, [middle, least, most]: [f64; 3], bound: Option<Bound>) {
    print!("{what}: {middle:.3} ({least:.2} to {most:.2})");
    match bound {
        Some(bound) => println!(", {}", bound.verdict(middle)),
        None => println!(),
    }
}

/// Returns the median.
pub(crate) fn median(mut all: Vec<f64>) -> f64 {
    assert!(!all.is_empty(), "at least one round");
    all.sort_by(f64::total_cmp);
    let middle = all.len() / 2;
    if all.len() % 2 == 1 {
        all[middle]
    } else {
        f64::midpoint(all[middle - 1], all[middle])
    }
}
