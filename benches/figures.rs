//! What a bench is told, and what it tells: settings from the environment, rounds, medians, ratios within a round.
//!
//! Invariant F-1: a ratio is taken between two cases of the same round, and reported as the median over rounds; on a shared machine
//! nothing else means anything.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a bench, and each binary uses a part"
)]

use std::{path::PathBuf, time::Duration};

use hdrhistogram::Histogram;

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

/// Reads the folder in memory in which stores are made whose disk is to cost nothing; none where there is no such folder.
pub(crate) fn memory() -> Option<PathBuf> {
    let folder = text("PARLOR_BENCH_MEMORY").unwrap_or_else(|| "/dev/shm".to_owned());
    Some(PathBuf::from(folder)).filter(|folder| folder.is_dir())
}

#[allow(
    clippy::disallowed_methods,
    reason = "a bench has no settings but its environment"
)]
fn text(name: &str) -> Option<String> {
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

    /// Returns how many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Sums a round up in which each time stands for `units` and all took `whole`.
    pub(crate) fn round(&self, units: usize, whole: Duration) -> Round {
        let us = |quantile| self.0.value_at_quantile(quantile) as f64 / 1_000.0;
        Round {
            rate: self.count() as f64 * units as f64 / whole.as_secs_f64(),
            p50: us(0.5),
            p99: us(0.99),
        }
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
            "| {:<34} | {:>10.0} | {:>10.0} | {:>10.0} |",
            self.name,
            self.median(|round| round.rate),
            self.median(|round| round.p50),
            self.median(|round| round.p99)
        );
    }
}

/// Prints the head of the table of medians.
pub(crate) fn print_head(what: &str) {
    println!(
        "\n| {:<34} | {:>10} | {:>10} | {:>10} |\n| {:-<34} | {:-<9}: | {:-<9}: | {:-<9}: |",
        what, "per second", "p50 us", "p99 us", "", "", "", ""
    );
}

/// Prints a ratio with its range.
pub(crate) fn print_ratio(what: &str, [middle, least, most]: [f64; 3]) {
    println!("{what}: {middle:.2} ({least:.2} to {most:.2})");
}

fn median(mut all: Vec<f64>) -> f64 {
    assert!(!all.is_empty(), "at least one round");
    all.sort_by(f64::total_cmp);
    let middle = all.len() / 2;
    if all.len() % 2 == 1 {
        all[middle]
    } else {
        f64::midpoint(all[middle - 1], all[middle])
    }
}
