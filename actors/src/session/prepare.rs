//! Preparing a session: where the client is, which rooms it gets, and from where.

use std::{
    collections::{BTreeMap, HashSet},
    rc::Rc,
};

use parlor_schema::{
    CloseCode, ErrorCode, RoomId, Seq,
    frame::{
        Refusal,
        client::Caller,
        hello::{Device, Hello, RoomsWanted, RoomsWord},
    },
    limits::{SUBSCRIPTIONS_MAX, WELCOME_ROOMS_MAX},
    record::DeviceRecord,
    room::Room,
};

use super::{SessionEnv, greeting::Turned, live::Live, subscribe::Start};
use crate::{
    fanout::Fanout,
    front::list::{self, Which},
    line::Line,
    room::ask::Seen,
    subscription::{Standing, Subscription},
};

/// Tells whether rooms to come are wanted too.
pub(super) const fn wants_all(hello: &Hello) -> bool {
    matches!(hello.rooms, None | Some(RoomsWanted::Word(RoomsWord::All)))
}

/// Where the client is, and which of that it says by a cursor.
pub(super) struct Positions {
    rooms: BTreeMap<RoomId, Seq>,
    by_cursor: Vec<(RoomId, Seq)>,
}

pub(super) fn positions(
    env: &SessionEnv,
    caller: &Caller,
    hello: &Hello,
) -> Result<Positions, Box<Turned>> {
    let mut rooms = BTreeMap::new();
    let mut by_cursor = Vec::new();
    if let Some(resume) = &hello.resume {
        if let Some(cursor) = &resume.cursor {
            by_cursor = env
                .cursors
                .read(&caller.user_id, cursor)
                .map_err(|refusal| {
                    let code =
                        (refusal.code == ErrorCode::Forbidden).then_some(CloseCode::Unauthorized);
                    Box::new(Turned(
                        Refusal {
                            field: Some("resume.cursor".into()),
                            ..refusal
                        },
                        code,
                    ))
                })?;
            rooms.extend(by_cursor.iter().copied());
        }
        rooms.extend(
            resume
                .rooms
                .iter()
                .flatten()
                .map(|(room, seq)| (*room, *seq)),
        );
        if rooms.len() > SUBSCRIPTIONS_MAX {
            let refusal =
                Refusal::bad_field("resume.rooms", format!("at most {SUBSCRIPTIONS_MAX} rooms"));
            return Err(Box::new(Turned(refusal, None)));
        }
    }
    Ok(Positions { rooms, by_cursor })
}

/// What `welcome` says, and what is to be delivered after it.
pub(super) struct Prepared {
    pub(super) rooms: Vec<Room>,
    pub(super) next: Option<String>,
    pub(super) starts: Vec<(Rc<Subscription>, Start)>,
    /// Resumed rooms that the user may not see.
    pub(super) unseen: Vec<RoomId>,
    /// Positions whose delivery a cursor acknowledges.
    pub(super) delivered: Vec<(RoomId, Seq)>,
}

/// Finds the user's rooms and subscribes to those wanted: first the subscription, then the look, so that nothing falls between (FO-1).
pub(super) async fn prepare(
    env: &SessionEnv,
    line: &Rc<Line>,
    fanout: &Rc<Fanout>,
    live: &mut Live,
    hello: &Hello,
    positions: Positions,
) -> Result<Prepared, Refusal> {
    let user = live.caller.user_id.clone();
    let (mut rooms, mut next) = env
        .front
        .page(&user, Which::Own, None, SUBSCRIPTIONS_MAX)
        .await?;
    let mut prepared = Prepared {
        rooms: Vec::new(),
        next: None,
        starts: Vec::new(),
        unseen: Vec::new(),
        delivered: positions.by_cursor,
    };
    let looks: Vec<_> = wanted(hello, &positions.rooms, &rooms)
        .into_iter()
        .map(|room| {
            (
                room,
                live.subscribe(room, fanout, line),
                env.front.look(room, &user),
            )
        })
        .collect();
    let mut failed = None;
    for (room, subscription, look) in looks {
        let after = positions.rooms.get(&room).copied();
        match look.await {
            Ok(Seen { room: seen, first }) => {
                subscription.standing.set(if seen.own.is_some() {
                    Standing::Member
                } else {
                    Standing::Guest
                });
                let start = Start {
                    head: seen.head,
                    first,
                    after,
                    owes_live: after.is_some(),
                };
                prepared.starts.push((subscription, start));
                if let Ok(at) = rooms.binary_search_by_key(&room, |listed| listed.room_id) {
                    rooms[at] = seen;
                }
            }
            Err(refusal) if matches!(refusal.code, ErrorCode::NotFound | ErrorCode::Banned) => {
                live.unsubscribe(room, fanout);
                prepared.unseen.extend(after.map(|_| room));
            }
            // The rest is looked at all the same, so that every subscription is accounted for.
            Err(refusal) => failed = Some(refusal),
        }
    }
    if let Some(refusal) = failed {
        return Err(refusal);
    }
    list::cut(&mut rooms, &mut next, WELCOME_ROOMS_MAX);
    for room in &mut rooms {
        live.put_mode(room);
    }
    live.greeted = rooms.iter().map(|room| (room.room_id, room.head)).collect();
    prepared.rooms = rooms;
    prepared.next = next.map(|room| room.to_string());
    Ok(prepared)
}

/// The rooms to deliver: those asked for, and those with a position, which come first where there are too many.
fn wanted(hello: &Hello, positions: &BTreeMap<RoomId, Seq>, own: &[Room]) -> Vec<RoomId> {
    let mut wanted: Vec<RoomId> = positions.keys().copied().collect();
    let mut known: HashSet<RoomId> = wanted.iter().copied().collect();
    let mut add = |room: RoomId| {
        if known.insert(room) {
            wanted.push(room);
        }
    };
    match &hello.rooms {
        Some(RoomsWanted::List(list)) => list.iter().copied().for_each(&mut add),
        Some(RoomsWanted::Word(RoomsWord::None)) => {}
        None | Some(RoomsWanted::Word(RoomsWord::All)) => {
            own.iter().map(|room| room.room_id).for_each(&mut add)
        }
    }
    wanted.truncate(SUBSCRIPTIONS_MAX);
    wanted
}

/// Writes the device down, when it says something new.
pub(super) async fn remember_device(env: &SessionEnv, caller: &Caller, device: Device) {
    if device.name.is_none() && device.platform.is_none() {
        // There is nothing to know about it.
        return;
    }
    let ports = &env.front.ports;
    let known = ports
        .directory
        .device(&caller.user_id, &caller.device_id)
        .await;
    let record = DeviceRecord {
        user_id: caller.user_id.clone(),
        device_id: caller.device_id.clone(),
        name: device.name,
        platform: device.platform,
        last_seen: ports.clock.now(),
    };
    // Written when it says something new; a connection as such costs no write.
    let same =
        |known: &DeviceRecord| known.name == record.name && known.platform == record.platform;
    if !matches!(&known, Ok(Some(known)) if same(known))
        && let Err(error) = ports.directory.put_device(record).await
    {
        tracing::warn!(%error, "device not written");
    }
}
