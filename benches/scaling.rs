//! Clusters of 1 to 1,000 nodes, played in memory: what nodes tell each other, Redis and the store, counted, and held against the
//! formulas of `docs/SCALING.md`.
//!
//! Owns the sizes of cluster that are played, and the tolerance. The load is in `scaling/load.rs`; what is inside and what is not stands
//! in `README.md`.
//!
//! Invariants:
//! - SC-1: the same settings give the same counts, on any machine.
//! - SC-2: each count is within [`TOLERANCE`] of its formula, or within four times the deviation of as many chances where that is more.
//! - SC-3: a room moves only from a node that dies, and only to one that joins.
//!
//! Deliberately absent: time that anything takes beyond an append, a hop and a write; failures but one death.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench"
)]

#[path = "scaling/chance.rs"]
mod chance;
#[path = "scaling/count.rs"]
mod count;
#[path = "scaling/figure.rs"]
mod figure;
#[path = "scaling/formula.rs"]
mod formula;
#[path = "scaling/line.rs"]
mod line;
#[path = "scaling/load.rs"]
mod load;
#[path = "scaling/moves.rs"]
mod moves;
#[path = "scaling/post.rs"]
mod post;
#[path = "scaling/sizes.rs"]
mod sizes;
#[path = "scaling/sizing.rs"]
mod sizing;
#[path = "scaling/talk.rs"]
mod talk;
#[path = "scaling/world.rs"]
mod world;

use chance::Chance;
use count::Count;
use figure::Figure;
use formula::Formula;
use load::{KINDS, SAYS_PER_S};
use moves::Row;
use sizing::short;
use talk::Talk;
use world::{Places, World};

/// Nodes of each cluster that is played.
const NODES: [usize; 7] = [1, 3, 10, 30, 100, 300, 1_000];
/// How far a count may be from its formula.
const TOLERANCE: f64 = 0.05;

/// Reads a number from the environment.
#[allow(
    clippy::disallowed_methods,
    reason = "a bench has no settings but its environment"
)]
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {text}"))
    })
}

fn main() {
    let sessions = setting("PARLOR_BENCH_SESSIONS", 100_000) as usize;
    let seconds = setting("PARLOR_BENCH_SECONDS", 20);
    let seed = setting("PARLOR_BENCH_SEED", 1);
    let sizes = sizes::measure();
    println!("{sizes:?}");
    let mut chance = Chance::new(seed);
    let world = World::new(sessions, &mut chance);
    let talk = Talk::new(&world, seconds, &mut chance);
    println!(
        "\nplayed: {sessions} sessions, {} rooms, {} messages and {} receipts in {seconds} s, seed {seed}",
        world.rooms.len(),
        talk.messages.len(),
        talk.receipts.len()
    );
    print_kinds(sessions);
    let mut far = Vec::new();
    for nodes in NODES {
        let places = Places::new(&world, nodes, &mut chance);
        let count = Count {
            world: &world,
            talk: &talk,
            places: &places,
            sizes: &sizes,
        };
        let rows = rows(&count, &mut chance);
        println!("\n| {nodes} nodes | counted | formula | ratio |\n| --- | --- | --- | --- |");
        for (Row(name, counted, computed), chances) in rows {
            let ratio = match computed {
                0.0 => 1.0,
                _ => counted / computed,
            };
            let (shown, said) = (short(counted), short(computed));
            println!("| {name} | {shown} | {said} | {ratio:.3} |");
            let within = TOLERANCE.max(4.0 / chances.sqrt());
            if (counted - computed).abs() > computed * within {
                far.push(format!("{nodes} nodes: {name}: {counted}, not {computed}"));
            }
        }
    }
    assert!(far.is_empty(), "SC-2:\n{}", far.join("\n"));
    sizing::check(&sizes);
    println!("\nall counts as near to their formulas as SC-2 says");
}

/// Counts and computes everything for one size of cluster, each row with the number of chances that it comes from.
fn rows(count: &Count<'_>, chance: &mut Chance) -> Vec<(Row, f64)> {
    let nodes = count.places.nodes.len();
    let formula = Formula {
        nodes,
        sessions: count.world.sessions,
        kinds: &KINDS,
        sizes: count.sizes,
    };
    let (counted, computed) = (count.run(chance), formula.figures());
    let row = |figure: Figure| {
        let row = Row(figure.name(), counted[figure], computed[figure]);
        let chances = match figure {
            // A session does the same as the next but for whom it watches, which is about a third of it.
            Figure::PresenceEnvelopes => 9.0 * count.talk.begun.len() as f64,
            _ => computed[figure] * count.talk.seconds as f64,
        };
        (row, chances)
    };
    let mut rows: Vec<(Row, f64)> = Figure::ALL.into_iter().map(row).collect();
    if nodes > 2 {
        let moves = moves::rows(count.world, count.places, &formula, chance);
        rows.extend(moves.into_iter().map(|row| {
            let chances = row.2;
            (row, chances)
        }));
    }
    rows
}

fn print_kinds(sessions: usize) {
    println!("\n| kind | members | rooms | of messages | busiest room, messages/s |");
    println!("| --- | --- | --- | --- | --- |");
    for kind in &KINDS {
        let rooms = kind.rooms(sessions);
        let busiest = sessions as f64 * SAYS_PER_S * kind.share * kind.weights(rooms)[0];
        let (name, members) = (kind.name, kind.members_of(sessions));
        println!(
            "| {name} | {members} | {rooms} | {} | {} |",
            kind.share,
            short(busiest)
        );
    }
}
