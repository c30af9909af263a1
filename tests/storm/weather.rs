//! The scenario: a crowd on three nodes, one fault after the other, and how long it takes until people are served again.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    crowd::{Crowd, Open, Size, Verdict, gather, judge},
    dice::{self, Dice},
    faults::{Cluster, KINDS, Kind},
    person::Memory,
};

/// Fewer than one embedded node serves: here they share the machine with a store, Redis and three nodes.
const SIZE: Size = Size {
    people: 12,
    guests: 4,
};
/// Answers after a fault that show that people are served again.
const ANSWERS: usize = 30;
/// Time in which they must come.
const RECOVERS_WITHIN: Duration = Duration::from_secs(90);

/// What to do.
pub(crate) struct Plan {
    /// How many faults.
    pub(crate) faults: u64,
    /// More settings of the nodes.
    pub(crate) settings: Vec<(&'static str, &'static str)>,
    /// Where chance begins.
    pub(crate) seed: u64,
}

impl Plan {
    /// Plans so many faults, with every protection on.
    pub(crate) fn new(faults: u64) -> Self {
        Self {
            faults,
            settings: Vec::new(),
            seed: dice::seed(),
        }
    }
}

/// What came of it.
pub(crate) struct Outcome {
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// Faults that met frames without an answer.
    pub(crate) hits: u64,
}

/// Runs the scenario.
pub(crate) async fn run(plan: Plan) -> Outcome {
    dice::say(&format!("PARLOR_SEED={} faults {}", plan.seed, plan.faults));
    let mut dice = Dice::new(plan.seed);
    let addresses = (0..3).map(|_| dice.free_address()).collect();
    let mut cluster = Cluster::start(addresses, plan.settings).await;
    let people = gather(&cluster.urls(), SIZE, Memory::Kept, &mut dice).await;
    let crowd = Crowd::begin(people);
    let mut hits = 0;
    let mut recovered: BTreeMap<Kind, Vec<Duration>> = BTreeMap::new();
    for fault in 0..plan.faults {
        sleep(Duration::from_millis(dice.between(300, 1_500))).await;
        let kind = KINDS[usize::try_from(fault).expect("invariant: few") % KINDS.len()];
        let Open { sends, changes } = crowd.open();
        hits += u64::from(sends + changes > 0);
        cluster.suffer(kind, &mut dice).await;
        recovered
            .entry(kind)
            .or_default()
            .push(served(&crowd).await);
    }
    let verdict = judge(crowd.end().await, SIZE, || cluster.site.last_words()).await;
    dice::say(&format!(
        "faults {}, with frames in flight {hits}, resent {}, {}",
        plan.faults, verdict.stats.resent, verdict.report
    ));
    for (kind, mut times) in recovered {
        times.sort();
        let at = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
        let (count, half, most) = (times.len(), at(50), at(99));
        dice::say(&format!(
            "{kind:?}: {count} times, served again after p50 {half:?}, p99 {most:?}"
        ));
    }
    Outcome { verdict, hits }
}

/// Waits until people are served again; answers how long it took.
async fn served(crowd: &Crowd) -> Duration {
    let (began, before) = (Instant::now(), crowd.answered());
    while crowd.answered() < before + ANSWERS {
        assert!(began.elapsed() < RECOVERS_WITHIN, "nobody is served");
        sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}
