//! What must hold in every state, and what must have been met in some.

use stateright::Property;

use super::{
    protocol::{Action, Protocol},
    rules::Asks,
    world::{Answer, FRAMES, Id, Phase, Room, Seq, World, bit},
};

/// P-1, and that an `ack` tells the true position.
pub(crate) const ACKNOWLEDGED: &str =
    "what was acknowledged is in the timeline, where the ack said";
/// P-2.
pub(crate) const HOLES: &str = "positions have no holes";
/// P-3.
pub(crate) const ONCE: &str = "a msg_id takes effect once";
/// Rule C and P-2.
pub(crate) const PUBLISHED: &str = "what was published is in the timeline, at its position";
/// P-4.
pub(crate) const GAPS: &str = "sessions are shown every event up to the head";
/// Rule D and P-6.
pub(crate) const MEMBERS: &str = "nobody speaks after being put out";
/// Progress: in every state there is a way on that needs no fault to end and no client to try again.
pub(crate) const ANSWERED: &str = "a room that no fault meets any more answers every frame";
/// What `unavailable` says in docs/PROTOCOL.md.
pub(crate) const NOTHING_STORED: &str = "of a frame refused as unavailable nothing was stored";

/// Every property of the protocol.
pub(crate) fn promises() -> Vec<Property<Protocol>> {
    let names = [
        ACKNOWLEDGED,
        HOLES,
        ONCE,
        PUBLISHED,
        GAPS,
        MEMBERS,
        ANSWERED,
    ];
    names.map(named).into()
}

/// Every property of the protocol, and every kind of run that must be met.
pub(crate) fn all() -> Vec<Property<Protocol>> {
    promises().into_iter().chain(met()).collect()
}

/// The property of that name.
pub(crate) fn named(name: &'static str) -> Property<Protocol> {
    let holds: fn(&Protocol, &World) -> bool = match name {
        ACKNOWLEDGED => |_, world: &World| acknowledged(world),
        HOLES => |_, world: &World| world.rows.iter().all(Option::is_some),
        ONCE => |_, world: &World| once(world),
        PUBLISHED => |_, world: &World| rooms(world).all(|room| published(world, room)),
        GAPS => |_, world: &World| rooms(world).all(is_level),
        MEMBERS => members,
        ANSWERED => answered,
        NOTHING_STORED => |_, world: &World| nothing_stored(world),
        _ => |_, _| false,
    };
    Property::always(name, holds)
}

/// Kinds of runs; where one is not met the model has lost what it is there for.
fn met() -> [Property<Protocol>; 6] {
    [
        Property::sometimes(
            "every frame is acknowledged",
            |model: &Protocol, world: &World| {
                world.acked[..model.frames.len()].iter().all(|at| *at != 0)
            },
        ),
        Property::sometimes(
            "an append of unknown outcome was stored",
            |_, world: &World| {
                rooms(world).any(|room| recovers(room, false) && has_own(world, room))
            },
        ),
        Property::sometimes(
            "an append of unknown outcome was not stored",
            |_, world: &World| {
                rooms(world).any(|room| recovers(room, false) && room.head == world.head())
            },
        ),
        Property::sometimes("an append met its own late event", |_, world: &World| {
            rooms(world).any(|room| recovers(room, true) && has_own(world, room))
        }),
        Property::sometimes("two nodes append at one head", |_, world: &World| {
            let appends = |room: &&Room| {
                matches!(
                    room.phase,
                    Phase::Appending {
                        answer: Answer::None
                    }
                )
            };
            let heads: Vec<Seq> = rooms(world).filter(appends).map(|room| room.head).collect();
            heads.windows(2).any(|pair| pair[0] == pair[1])
        }),
        Property::sometimes(
            "all three nodes have the room, at one head",
            |_, world: &World| rooms(world).filter(|room| room.head == 2).count() == 3,
        ),
    ]
}

fn rooms(world: &World) -> impl Iterator<Item = &Room> {
    world.nodes.iter().flatten()
}

fn recovers(room: &Room, from_conflict: bool) -> bool {
    room.phase
        == Phase::Recovering {
            is_conflict: from_conflict,
        }
}

fn has_own(world: &World, room: &Room) -> bool {
    let mut tail = room.head + 1..=world.head();
    tail.any(|seq| world.event(seq).is_some_and(|id| room.batch.contains(&id)))
}

fn acknowledged(world: &World) -> bool {
    let is_there = |frame: usize, seq: Seq| world.event(seq).map(usize::from) == Some(frame);
    (0..FRAMES).all(|frame| {
        (0..8)
            .filter(|seq| world.acked[frame] & bit(*seq) != 0)
            .all(|seq| is_there(frame, seq))
    })
}

fn once(world: &World) -> bool {
    let mut seen = 0;
    world.rows.iter().flatten().all(|frame| {
        let is_new = seen & bit(*frame) == 0;
        seen |= bit(*frame);
        is_new
    })
}

fn published(world: &World, room: &Room) -> bool {
    let rows = world
        .rows
        .get(usize::from(room.since)..)
        .unwrap_or_default();
    let shown = |id: &Id| Some(*id);
    rows.len() >= room.published.len()
        && room
            .published
            .iter()
            .map(shown)
            .eq(rows[..room.published.len()].iter().copied())
}

fn is_level(room: &Room) -> bool {
    usize::from(room.since) + room.published.len() == usize::from(room.head)
}

fn members(model: &Protocol, world: &World) -> bool {
    let asks = |frame: &Id| model.frames[usize::from(*frame)].asks;
    let events = world.rows.iter().flatten().map(asks);
    !events
        .skip_while(|asks| *asks != Asks::PutsBobOut)
        .any(|asks| asks == Asks::BobsMessage)
}

/// Lets each room alone have its answers, one after the other.
fn answered(model: &Protocol, world: &World) -> bool {
    (0..world.nodes.len()).all(|node| {
        let mut next: Vec<Action> = Vec::new();
        let Some(room) = &world.nodes[node] else {
            return true;
        };
        if room.queue.is_empty() && room.batch.is_empty() {
            return true;
        }
        let mut ahead = world.clone();
        // Load, look, append, conflict, recover and append again, for each frame.
        for _ in 0..8 * FRAMES {
            if let Some(room) = &ahead.nodes[node] {
                model.answers(&ahead, room, node, &mut next);
            }
            match next.pop() {
                Some(action) => model.step(&mut ahead, action),
                None => break,
            }
        }
        ahead.nodes[node]
            .as_ref()
            .is_some_and(|room| room.phase == Phase::Idle && room.queue.is_empty())
    })
}

/// Holds for frames that are sent once: a copy may be stored after the first was refused.
fn nothing_stored(world: &World) -> bool {
    !world
        .rows
        .iter()
        .flatten()
        .any(|frame| world.refused & bit(*frame) != 0)
}
