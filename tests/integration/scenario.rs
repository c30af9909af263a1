//! The scenario: people, rooms, kills, and the account of it all.

use std::time::Duration;

use crate::{
    crowd::{Crowd, Open, Patience, Size, Verdict, gather, judge},
    dice::{self, Dice},
    person::Memory,
    process::Site,
};

/// People who talk, and those who go in and out of the public room.
const SIZE: Size = Size {
    people: 22,
    guests: 6,
    crowd: 0,
};

/// What to do.
pub(crate) struct Plan {
    /// Times to kill.
    pub(crate) rounds: u64,
    /// More settings of the server.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// What applications remember.
    pub(crate) memory: Memory,
    /// Where chance begins.
    pub(crate) seed: u64,
}

impl Plan {
    /// Plans so many kills, with every protection on.
    pub(crate) fn new(rounds: u64) -> Self {
        Self {
            rounds,
            settings: Vec::new(),
            memory: Memory::Kept,
            seed: dice::seed(),
        }
    }
}

/// What came of it.
pub(crate) struct Outcome {
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// Kills that met frames without an answer.
    pub(crate) hits: Open,
}

/// Runs the scenario.
pub(crate) async fn run(plan: Plan) -> Outcome {
    dice::say(&format!("PARLOR_SEED={} rounds {}", plan.seed, plan.rounds));
    let mut dice = Dice::new(plan.seed);
    let site = Site::new(&mut dice, plan.settings.clone());
    let mut server = site.spawn();
    server.ready(&site).await;
    let people = gather(&[site.url()], SIZE, plan.memory, &mut dice).await;
    let crowd = Crowd::begin(people);
    let (mut hits, mut young) = (Open::default(), 0);
    for _ in 0..plan.rounds {
        let (live, busy) = (dice.between(0, 2000), dice.once_in(4));
        // Most kills meet a server at work, some one that has just begun.
        let live = if busy { live / 8 } else { live };
        tokio::time::sleep(Duration::from_millis(live)).await;
        let open = crowd.open();
        hits.sends += u64::from(open.sends > 0);
        hits.changes += u64::from(open.changes > 0);
        server.kill(&site);
        server = site.spawn();
        if dice.once_in(6) {
            // This one dies while it opens its store.
            tokio::time::sleep(Duration::from_millis(dice.below(120))).await;
            server.kill(&site);
            server = site.spawn();
            young += 1;
        }
        server.ready(&site).await;
    }
    let verdict = judge(crowd.end().await, SIZE, Patience::Long, || {
        site.last_words()
    })
    .await;
    dice::say(&format!(
        "rounds {}, kills with sends in flight {}, with rooms made, joined or left {}, kills while starting {young}, resent {}, {}",
        plan.rounds, hits.sends, hits.changes, verdict.stats.resent, verdict.report,
    ));
    Outcome { verdict, hits }
}
