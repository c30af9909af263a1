//! The model: which steps can come next, and what each does.
//!
//! Nothing is fair and nothing is timed: every step that can happen may happen next or never, so a crash, a pause or a lost hint at each point
//! of every run is among what is looked at. A pause is a node none of whose steps come.

use stateright::{Model, Property};

use super::{
    property,
    room::Step,
    rules::{Asks, Frame, Off},
    world::{Answer, FRAMES, Id, Late, NODES, Phase, Projection, Room, Seq, World, bit},
};

/// Which faults the store has beside its delays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreFaults {
    /// Outcomes that nobody learns.
    Unknown,
    /// Those, appends that it refuses and tails that it cannot give.
    UnknownAndRefused,
}

/// Which properties are checked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Checks {
    /// Every one of the protocol, and that every kind of run is met.
    All,
    /// Every one of the protocol.
    Promises,
    /// The one of that name.
    Only(&'static str),
}

/// The model of one room.
#[derive(Debug, Clone)]
pub(crate) struct Protocol {
    /// Frames that clients send.
    pub(crate) frames: Vec<Frame>,
    /// Which rule is off.
    pub(crate) off: Off,
    /// What can go wrong in the store.
    pub(crate) faults: StoreFaults,
    /// What must hold; with all that must, what must be met is asked for too.
    pub(crate) checks: Checks,
}

/// A step. `node` is an index into [`World::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// A client sends a frame, for the first time or again; a room that does not run there is started (takeover).
    Send { frame: Id, node: usize },
    /// `load::load` is answered, with the head there is.
    Load { node: usize, head: Seq },
    /// `load::window` is answered.
    Look { node: usize },
    /// The store decides an append: `Timeline::append`.
    Decide { node: usize },
    /// The store moves the head and loses the events of an append of unknown outcome; only without [`Off::OneBatch`].
    Tear { node: usize },
    /// The store refuses an append and stores nothing.
    Refuse { node: usize },
    /// The store cannot give the tail.
    Fail { node: usize },
    /// The node learns what the store decided.
    Answer { node: usize },
    /// The node gives an append up: `Append::Unknown`. What the store has not decided by then it may decide later.
    GiveUp { node: usize },
    /// An append that was given up, or whose node is gone, is decided after all.
    DecideLate { index: usize },
    /// `load::tail` is answered.
    Recover { node: usize },
    /// A hint arrives, in any order, again or never: `RoomState::hear`.
    Hear { node: usize, head: Seq },
    /// `load::tail_to` is answered.
    Follow { node: usize },
    /// `RoomDirectory::apply`: the room writes its projection.
    Project { node: usize },
    /// The node ends, or its room does (`Effect::Fail`, passivation): all of the room that is not in the store is gone.
    Crash { node: usize },
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut sends = [0; FRAMES];
        for (left, frame) in sends.iter_mut().zip(&self.frames) {
            *left = frame.sends;
        }
        vec![World {
            rows: Vec::new(),
            late: Vec::new(),
            projection: Projection {
                applied: 0,
                has_bob: true,
            },
            named: 0,
            acked: [0; FRAMES],
            refused: 0,
            sends,
            nodes: [const { None }; NODES],
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (node, room) in world.nodes.iter().enumerate() {
            for frame in (0..).zip(&world.sends).filter(|(_, left)| **left > 0) {
                actions.push(Action::Send {
                    frame: frame.0,
                    node,
                });
            }
            if let Some(room) = room {
                self.answers(world, room, node, actions);
                self.events(world, room, node, actions);
            }
        }
        actions.extend((0..world.late.len()).map(|index| Action::DecideLate { index }));
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        self.step(&mut world, action);
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        match self.checks {
            Checks::All => property::all(),
            Checks::Promises => property::promises(),
            Checks::Only(name) => vec![property::named(name)],
        }
    }
}

impl Protocol {
    /// What the room waits for can be answered.
    pub(crate) fn answers(
        &self,
        world: &World,
        room: &Room,
        node: usize,
        actions: &mut Vec<Action>,
    ) {
        match room.phase {
            Phase::Loading => {
                let oldest = if self.off == Off::NewestHead {
                    0
                } else {
                    world.head()
                };
                actions.extend((oldest..=world.head()).map(|head| Action::Load { node, head }));
            }
            Phase::Looking => actions.push(Action::Look { node }),
            Phase::Appending {
                answer: Answer::None,
            } => actions.push(Action::Decide { node }),
            Phase::Appending { .. } => actions.push(Action::Answer { node }),
            Phase::Recovering { .. } => actions.push(Action::Recover { node }),
            Phase::Following => actions.push(Action::Follow { node }),
            Phase::Idle => {}
        }
    }

    /// What else can happen to the room.
    fn events(&self, world: &World, room: &Room, node: usize, actions: &mut Vec<Action>) {
        if let Phase::Appending { answer } = room.phase {
            actions.push(Action::GiveUp { node });
            if answer == Answer::None && self.faults == StoreFaults::UnknownAndRefused {
                actions.push(Action::Refuse { node });
            }
            if answer == Answer::None && self.off == Off::OneBatch && room.head == world.head() {
                actions.push(Action::Tear { node });
            }
        }
        let is_recovering = matches!(room.phase, Phase::Recovering { .. });
        if is_recovering && self.faults == StoreFaults::UnknownAndRefused {
            actions.push(Action::Fail { node });
        }
        let heads = (room.heard + 1..=world.head()).filter(|head| world.named & bit(*head) != 0);
        if room.phase != Phase::Loading {
            actions.extend(heads.map(|head| Action::Hear { node, head }));
        }
        let has_projection = self.frames.iter().any(|f| f.asks == Asks::PutsBobOut);
        if has_projection && room.head > world.projection.applied {
            actions.push(Action::Project { node });
        }
        actions.push(Action::Crash { node });
    }

    /// Takes a step.
    pub(crate) fn step(&self, world: &mut World, action: Action) {
        match action {
            Action::Send { frame, node } => {
                world.sends[usize::from(frame)] -= 1;
                world.nodes[node].get_or_insert_with(Room::start);
                self.room(world, node, |room| room.submit(frame));
            }
            Action::Load { node, head } => self.room(world, node, |room| room.load(head)),
            Action::Look { node } => self.room(world, node, |room| room.look()),
            Action::Decide { node } => {
                if let Some(mut room) = world.nodes[node].take() {
                    let answer = self.append(world, room.head, &room.batch);
                    room.phase = Phase::Appending { answer };
                    world.nodes[node] = Some(room);
                }
            }
            Action::Tear { node } => {
                if let Some(room) = &world.nodes[node] {
                    world.rows.extend(room.batch.iter().map(|_| None));
                }
                self.room(world, node, |room| room.unknown());
            }
            Action::Refuse { node } => self.room(world, node, |room| room.refused()),
            Action::Fail { node } => {
                self.room(world, node, |room| room.failed());
                world.nodes[node] = None;
            }
            Action::Answer { node } => self.room(world, node, |room| {
                if let Phase::Appending { answer } = room.room.phase {
                    room.answered(answer);
                }
            }),
            Action::GiveUp { node } => {
                leave_behind(world, node);
                self.room(world, node, |room| room.unknown());
            }
            Action::DecideLate { index } => {
                let late = world.late.remove(index);
                self.append(world, late.expected, &late.batch);
            }
            Action::Recover { node } => self.room(world, node, |room| room.recovered()),
            Action::Hear { node, head } => self.room(world, node, |room| room.hear(head)),
            Action::Follow { node } => self.room(world, node, |room| room.followed()),
            Action::Project { node } => {
                if let Some(room) = &world.nodes[node] {
                    world.projection = Projection {
                        applied: room.head,
                        has_bob: room.has_bob,
                    };
                }
            }
            Action::Crash { node } => {
                leave_behind(world, node);
                world.nodes[node] = None;
            }
        }
        // Where nothing is refused, doubt decides nothing, and only makes more states.
        if self.faults == StoreFaults::Unknown {
            let rooms = world.nodes.iter_mut().flatten();
            rooms.for_each(|room| room.doubt = 0);
        }
        // The head only rises, so what expects a lower one will never be stored.
        if self.off != Off::ExpectedHead {
            let head = world.head();
            world.late.retain(|late| late.expected == head);
        }
    }

    /// `Timeline::append`: T-1 and T-2.
    fn append(&self, world: &mut World, expected: Seq, batch: &[Id]) -> Answer {
        let head = world.head();
        if expected != head && self.off != Off::ExpectedHead {
            return Answer::Conflict { head };
        }
        for (frame, at) in batch.iter().zip(usize::from(expected)..) {
            match world.rows.get_mut(at) {
                Some(row) => *row = Some(*frame),
                None => world.rows.push(Some(*frame)),
            }
        }
        Answer::Appended
    }

    fn room(&self, world: &mut World, node: usize, step: impl FnOnce(&mut Step<'_>)) {
        let Some(mut room) = world.nodes[node].take() else {
            return;
        };
        step(&mut Step {
            world,
            room: &mut room,
            frames: &self.frames,
            off: self.off,
        });
        world.nodes[node] = Some(room);
    }
}

/// An append that the store has not decided stays on its way when nobody waits for it any more.
fn leave_behind(world: &mut World, node: usize) {
    let Some(room) = &world.nodes[node] else {
        return;
    };
    if let Phase::Appending {
        answer: Answer::None,
    } = room.phase
    {
        let late = Late {
            expected: room.head,
            batch: room.batch.clone(),
        };
        // Of two that are the same at most one can be stored.
        if let Err(place) = world.late.binary_search(&late) {
            world.late.insert(place, late);
        }
    }
}

impl Protocol {
    /// The model of `frames` with every property, and every kind of run that must have been met.
    pub(crate) fn whole(frames: &[Frame]) -> Self {
        Self {
            frames: frames.to_vec(),
            off: Off::Nothing,
            faults: StoreFaults::Unknown,
            checks: Checks::All,
        }
    }

    /// The same with a store that refuses as well. Each frame is to be sent once: of another copy a refusal says nothing.
    pub(crate) fn refusing(frames: &[Frame]) -> Self {
        Self {
            faults: StoreFaults::UnknownAndRefused,
            checks: Checks::Only(property::NOTHING_STORED),
            ..Self::whole(frames)
        }
    }
}
