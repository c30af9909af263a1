//! What moves when a node joins or dies, and when the sessions of one that died come back all at once.

use std::collections::HashSet;

use crate::{
    chance::Chance,
    formula::Formula,
    load::CHECK_READS,
    world::{Places, World, nodes, owner},
};

/// Rooms that are looked at where all would take too long.
const SAMPLE: usize = 5_000;
/// The node that dies.
const DEAD: u16 = 0;

/// A row: its name, what was counted, and what the formula says.
pub(crate) struct Row(pub(crate) &'static str, pub(crate) f64, pub(crate) f64);

/// Has a node die and another join, at least 3 being there.
pub(crate) fn rows(
    world: &World,
    places: &Places,
    formula: &Formula<'_>,
    chance: &mut Chance,
) -> Vec<Row> {
    let count = places.nodes.len();
    let (n, all) = (count as f64, world.rooms.len() as f64);
    let orphans = orphans(world, places);
    let (joined, looked) = joined(world, places);
    let home = back(world, places, chance);
    let starts = starts(world, places, &home);
    let left: usize = (0..world.rooms.len())
        .map(|room| {
            let there = places.there(room).iter();
            there.filter(|node| **node != DEAD).count()
        })
        .sum();
    let running = formula.running() * (n - 1.0) / n;
    let of_dead = home.iter().filter(|(was, _)| *was == DEAD).count() as f64;
    vec![
        Row("rooms that lose their owner", orphans as f64, all / n),
        Row(
            "rooms of a sample that one who joins takes",
            joined as f64,
            looked as f64 / (n + 1.0),
        ),
        Row(
            "sessions that come back",
            of_dead,
            world.sessions as f64 / n,
        ),
        Row(
            "rooms that start on nodes for them",
            starts as f64,
            formula.starts(),
        ),
        Row(
            "requests of all that ask the timeline once",
            left as f64 * CHECK_READS,
            running * CHECK_READS,
        ),
    ]
}

/// Counts the rooms of the node that dies, and asserts that no other room moves (PL-2).
fn orphans(world: &World, places: &Places) -> usize {
    let rest = &places.nodes[usize::from(DEAD) + 1..];
    let (mut orphans, mut looked) = (0, 0);
    for (at, room) in world.rooms.iter().enumerate() {
        if places.owners[at] == DEAD {
            orphans += 1;
            assert_ne!(owner(room, rest), DEAD);
        } else if looked < SAMPLE {
            looked += 1;
            assert_eq!(
                owner(room, rest),
                places.owners[at],
                "only its own rooms move"
            );
        }
    }
    orphans
}

/// Counts the rooms of a sample that go to one more node, and asserts that they go nowhere else (PL-2).
fn joined(world: &World, places: &Places) -> (usize, usize) {
    let more = nodes(places.nodes.len() + 1);
    let newest = u16::try_from(places.nodes.len()).unwrap();
    let every = (world.rooms.len() / (10 * SAMPLE)).max(1);
    let (mut moved, mut looked) = (0, 0);
    for (at, room) in world.rooms.iter().enumerate().step_by(every) {
        let to = owner(room, &more);
        assert!(
            to == newest || to == places.owners[at],
            "only to the new one"
        );
        looked += 1;
        moved += usize::from(to == newest);
    }
    (moved, looked)
}

/// Places those of the dead node on the others, always on one of those that have least; answers where each was and is.
fn back(world: &World, places: &Places, chance: &mut Chance) -> Vec<(u16, u16)> {
    let others = places.nodes.len() - 1;
    let mut dead: Vec<usize> = (0..world.sessions)
        .filter(|session| places.of[*session] == DEAD)
        .collect();
    let count = dead.len();
    chance.shuffle(&mut dead, count);
    let mut home: Vec<(u16, u16)> = places.of.iter().map(|node| (*node, *node)).collect();
    for (turn, session) in dead.into_iter().enumerate() {
        home[session].1 = u16::try_from(1 + turn % others).unwrap();
    }
    home
}

fn starts(world: &World, places: &Places, home: &[(u16, u16)]) -> usize {
    let mut starts = 0;
    let mut there: HashSet<u16> = HashSet::new();
    for (at, room) in world.rooms.iter().enumerate() {
        if !places.there(at).contains(&DEAD) {
            continue;
        }
        there.clear();
        there.extend(places.there(at));
        for member in world.members(room) {
            let (was, is) = home[*member as usize];
            if was == DEAD && there.insert(is) {
                starts += 1;
            }
        }
    }
    starts
}
