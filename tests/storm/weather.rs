//! The scenario: a crowd on three nodes, one fault after the other, and how long it takes until people are served again.
//!
//! After so many faults the crowd is judged, and another comes to the same servers: what one run remembers is bounded, however long it is.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use parlor_client::Stats;
use parlor_schema::RoomId;
use tokio::time::sleep;

use crate::{
    checker::{Fault, Report},
    cluster::{Beneath, Cluster, each_owns_one},
    crowd::{Crowd, Open, Patience, Size, Verdict, gather, judge},
    dice::{self, Dice},
    faults::Kind,
    person::{self, Memory, Person},
    seeded::Bug,
};

/// Faults that one crowd meets.
const FAULTS_OF_A_CROWD: u64 = 48;
/// Answers after a fault that show that people are served again.
const ANSWERS: usize = 30;
/// Time in which they must come.
const RECOVERS_WITHIN: Duration = Duration::from_secs(90);
/// The same where something is broken and they may never come.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);
/// Crowds that may come until the rooms of one are spread over all nodes.
const CROWDS_MAX: u64 = 20;

/// What to do.
pub(crate) struct Plan {
    /// How many faults.
    pub(crate) faults: u64,
    /// Which, in turn.
    pub(crate) kinds: &'static [Kind],
    /// Time in which people talk after the last.
    pub(crate) calm: Duration,
    /// The store.
    pub(crate) beneath: Beneath,
    /// More settings of the nodes.
    pub(crate) settings: Vec<(&'static str, &'static str)>,
    /// The rule that all nodes break.
    pub(crate) bug: Bug,
    /// What applications remember.
    pub(crate) memory: Memory,
    /// How long people are waited for.
    pub(crate) patience: Patience,
    /// Where chance begins.
    pub(crate) seed: u64,
}

impl Plan {
    /// Plans so many faults of these kinds, with every protection on.
    pub(crate) fn new(faults: u64, kinds: &'static [Kind]) -> Self {
        Self {
            faults,
            kinds,
            calm: Duration::ZERO,
            beneath: Beneath::One,
            settings: Vec::new(),
            bug: Bug::None,
            memory: Memory::Kept,
            patience: Patience::Long,
            seed: dice::seed(),
        }
    }
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Outcome {
    /// The judgement of all crowds.
    pub(crate) report: Report,
    /// The counts of all clients.
    pub(crate) stats: Stats,
    /// What no application should be told.
    pub(crate) wrong: Vec<String>,
    /// Faults that met frames without an answer.
    pub(crate) hits: u64,
    times: BTreeMap<Kind, Vec<Times>>,
}

/// A fault that people met.
struct Met {
    hit: bool,
    lasted: Duration,
    /// None: they were not served in time.
    served_after: Option<Duration>,
}

/// How long a fault was there, and how long it then took until people were served.
#[derive(Clone, Copy)]
struct Times {
    lasted: Duration,
    served_after: Duration,
}

impl Outcome {
    /// # Panics
    /// Nobody was served, and nothing was broken that would let it be so.
    fn meets(&mut self, kind: Kind, met: &Met, patience: Patience) {
        self.hits += u64::from(met.hit);
        if let Some(served_after) = met.served_after {
            self.times.entry(kind).or_default().push(Times {
                lasted: met.lasted,
                served_after,
            });
        } else {
            assert_eq!(patience, Patience::Short, "nobody is served");
        }
    }

    fn take(&mut self, verdict: Verdict) {
        let Verdict {
            report,
            stats,
            mut wrong,
        } = verdict;
        self.report.acknowledged += report.acknowledged;
        self.report.delivered += report.delivered;
        self.report.faults.extend(report.faults);
        person::add(&mut self.stats, stats);
        self.wrong.append(&mut wrong);
    }

    /// Returns the first faults.
    pub(crate) fn worst(&self) -> &[(Fault, String)] {
        &self.report.faults[..self.report.faults.len().min(12)]
    }

    fn say(&self) {
        dice::say(&format!(
            "with frames in flight {}, resent {}, {}",
            self.hits, self.stats.resent, self.report
        ));
        for (kind, times) in &self.times {
            let of = |time: fn(&Times) -> Duration| {
                let mut all: Vec<Duration> = times.iter().map(time).collect();
                all.sort();
                let at = |percent: usize| all[(all.len() * percent).div_ceil(100) - 1];
                format!("p50 {:.0?}, p99 {:.0?}", at(50), at(99))
            };
            dice::say(&format!(
                "{kind:?}: {} times, lasted {}, served again after {}",
                times.len(),
                of(|times| times.lasted),
                of(|times| times.served_after)
            ));
        }
    }
}

/// Runs the scenario.
pub(crate) async fn run(plan: Plan) -> Outcome {
    dice::say(&format!(
        "PARLOR_SEED={} faults {} bug {:?}",
        plan.seed, plan.faults, plan.bug
    ));
    let began = Instant::now();
    let mut dice = Dice::new(plan.seed);
    let settings = plan.settings.clone();
    let mut cluster = Cluster::start(plan.beneath, settings, plan.bug, &mut dice).await;
    let mut outcome = Outcome::default();
    let (mut fault, mut number) = (0, 0);
    loop {
        let (people, size) = come(&cluster, &plan, &mut number, &mut dice).await;
        cluster.break_rule();
        let crowd = Crowd::begin(people);
        let end = plan.faults.min(fault + FAULTS_OF_A_CROWD);
        while fault < end {
            let at = usize::try_from(fault).expect("invariant: few") % plan.kinds.len();
            let kind = plan.kinds[at];
            let met = meet(&mut cluster, &crowd, (kind, plan.patience), &mut dice).await;
            outcome.meets(kind, &met, plan.patience);
            fault += 1;
        }
        sleep(plan.calm).await;
        let last_words = || cluster.site.last_words();
        let verdict = judge(crowd.end().await, size, plan.patience, last_words).await;
        outcome.take(verdict);
        if fault == plan.faults || !outcome.report.faults.is_empty() || !outcome.wrong.is_empty() {
            break;
        }
        dice::say(&format!("after {fault} faults: {}", outcome.report));
    }
    dice::say(&format!("{fault} faults in {:.0?}", began.elapsed()));
    outcome.say();
    outcome
}

/// Has people come whose rooms have owners on all nodes.
async fn come(
    cluster: &Cluster,
    plan: &Plan,
    number: &mut u64,
    dice: &mut Dice,
) -> (Vec<Person>, Size) {
    for _ in 0..CROWDS_MAX {
        // Fewer than one embedded node serves: here they share the machine with a store, Redis and three nodes.
        let size = Size {
            people: 12,
            guests: 4,
            crowd: *number,
        };
        *number += 1;
        let people = gather(&cluster.urls(), size, plan.memory, dice).await;
        let rooms = people.iter().flat_map(Person::rooms);
        let rooms: Vec<RoomId> = rooms.copied().collect();
        if each_owns_one(&rooms) {
            return (people, size);
        }
        for person in people {
            person.close().await;
        }
    }
    panic!("a node owns none of the rooms of {CROWDS_MAX} crowds");
}

/// Has people meet a fault, and waits until they are served again.
async fn meet(
    cluster: &mut Cluster,
    crowd: &Crowd,
    (kind, patience): (Kind, Patience),
    dice: &mut Dice,
) -> Met {
    sleep(Duration::from_millis(dice.between(100, 500))).await;
    let Open { sends, changes } = crowd.open();
    println!("{kind:?} meets {sends} messages and {changes} changes");
    let began = Instant::now();
    cluster.suffer(kind, dice).await;
    let lasted = began.elapsed();
    println!("{kind:?} lasted {lasted:.0?}");
    Met {
        hit: sends + changes > 0,
        lasted,
        served_after: served(crowd, patience).await,
    }
}

/// Waits until people are served again; answers how long it took, or nothing where they are not in time.
async fn served(crowd: &Crowd, patience: Patience) -> Option<Duration> {
    let within = match patience {
        Patience::Long => RECOVERS_WITHIN,
        Patience::Short => GIVE_UP_AFTER,
    };
    let (began, before) = (Instant::now(), crowd.answered());
    while crowd.answered() < before + ANSWERS {
        if began.elapsed() > within {
            return None;
        }
        sleep(Duration::from_millis(10)).await;
    }
    Some(began.elapsed())
}
