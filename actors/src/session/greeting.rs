//! The handshake: from the first frame to `welcome`.

use std::{collections::BTreeMap, net::IpAddr, rc::Rc};

use actix::prelude::*;
use parlor_schema::{
    CloseCode, DeviceId, ErrorCode, RoomId, Seq,
    frame::{
        ClientFrame, Refusal, ServerFrame,
        client::{Caller, Receipt},
        hello::{Hello, RoomsWanted, RoomsWord, Welcome},
    },
    limits::{HEARTBEAT_MS, NAME_BYTES_MAX, SUBSCRIPTIONS_MAX, WELCOME_ROOMS_MAX},
    record::DeviceRecord,
    room::{Mode, Room},
};

use super::{Phase, Session, SessionEnv, live::Live, subscribe::Start};
use crate::{
    fanout::Fanout,
    front::list::Which,
    line::{Line, Person, Warned},
    ports::Pass,
    registry::Listed,
    room::ask::Seen,
    subscription::{Standing, Subscription},
};

/// The state before `hello`: all it can become is live, or closed.
#[derive(Debug)]
pub struct Greeting {
    /// Whoever the header's token named.
    pub pass: Option<Pass>,
    /// Where the connection comes from.
    pub peer: IpAddr,
}

/// A `hello` that was not served, and how the connection ends.
struct Turned(Refusal, CloseCode);

/// What a served `hello` makes.
struct Greeted {
    live: Live,
    welcome: Welcome,
    starts: Vec<(Rc<Subscription>, Start)>,
    unseen: Vec<RoomId>,
    delivered: Vec<(RoomId, Seq)>,
    hello: Hello,
}

impl Session {
    pub(super) fn greet(&mut self, hello: Hello, echo: Option<String>, ctx: &mut Context<Self>) {
        let Phase::Greeting(greeting) = std::mem::replace(&mut self.phase, Phase::Between) else {
            return;
        };
        let (env, line, fanout) = (self.env.clone(), self.line.clone(), self.fanout.clone());
        let notices = ctx.address().recipient();
        let work = async move { hear(env, line, fanout, greeting, hello, notices).await };
        // Nothing else is taken meanwhile: what comes behind `hello` waits its turn.
        ctx.wait(
            work.into_actor(self)
                .map(move |greeted, session, ctx| match greeted {
                    Ok(greeted) => session.greeted(greeted, echo.as_deref(), ctx),
                    Err(turned) => {
                        let Turned(refusal, code) = *turned;
                        session.env.front.metrics.refused(refusal.code);
                        session.send(&ServerFrame::Error(refusal), echo.as_deref());
                        session.close(code);
                    }
                }),
        );
    }

    fn greeted(&mut self, greeted: Greeted, echo: Option<&str>, ctx: &mut Context<Self>) {
        let Greeted {
            live,
            welcome,
            starts,
            unseen,
            delivered,
            hello,
        } = greeted;
        let caller = live.caller.clone();
        self.phase = Phase::Live(Box::new(live));
        self.env.front.metrics.sessions.inc();
        self.send(&ServerFrame::Welcome(Box::new(welcome)), echo);
        for room_id in unseen {
            self.send_removed(
                room_id,
                parlor_schema::frame::server::RemovedReason::NotMember,
            );
        }
        for (subscription, start) in starts {
            self.start(&subscription, start, ctx);
        }
        for (room_id, seq) in delivered {
            drop(self.env.front.ask(
                &caller,
                None,
                ClientFrame::ReceiptDelivered(Receipt { room_id, seq }),
            ));
        }
        // Sent here and now, so that no later `presence.set` overtakes it; a `hello` without presence keeps what the device said last.
        let attached = self.env.front.presences.attach(
            &caller.user_id,
            self.line.session,
            caller.device_id,
            hello.presence,
        );
        ctx.spawn(attached.into_actor(self));
    }
}

fn turned(code: ErrorCode, message: &str, close: CloseCode) -> Box<Turned> {
    Box::new(Turned(Refusal::new(code, message), close))
}

fn away(refusal: Refusal) -> Box<Turned> {
    Box::new(Turned(refusal, CloseCode::Internal))
}

async fn hear(
    env: SessionEnv,
    line: Rc<Line>,
    fanout: Rc<Fanout>,
    greeting: Greeting,
    hello: Hello,
    notices: Recipient<crate::registry::Notice>,
) -> Result<Greeted, Box<Turned>> {
    let pass = admit(&env, greeting, hello.token.clone()).await?;
    let device = hello.device.clone().unwrap_or_default();
    let made_up = || {
        format!(
            "d-{}",
            env.front.ports.ids.uuid(env.front.ports.clock.now())
        )
    };
    let device_id: DeviceId = device
        .id
        .clone()
        .unwrap_or_else(|| made_up().parse().expect("hex and hyphens are a name"));
    let caller = Caller {
        user_id: pass.user_id.clone(),
        device_id: device_id.clone(),
    };
    for (field, text) in [
        ("device.name", &device.name),
        ("device.platform", &device.platform),
    ] {
        if text
            .as_ref()
            .is_some_and(|text| text.len() > NAME_BYTES_MAX)
        {
            let refusal = Refusal::bad_field(field, format!("at most {NAME_BYTES_MAX} bytes"));
            return Err(Box::new(Turned(refusal, CloseCode::BadFrames)));
        }
    }
    let positions = positions(&env, &caller, &hello)?;
    let listed = Listed {
        session: line.session,
        to: notices,
        lost: line.lost.clone(),
    };
    if env
        .sessions
        .enter(&caller.user_id, listed, env.sessions_per_user)
        .is_err()
    {
        return Err(turned(
            ErrorCode::RateLimited,
            "too many connections of this user",
            CloseCode::ConnectionLimit,
        )
        .after(60_000));
    }
    *line.person.borrow_mut() = Some(Person {
        user: pass.user_id.clone(),
        expires_at: pass.expires_at,
        warned: Warned::No,
    });
    let mut live = Live::new(caller, pass, wants_all(&hello));
    let prepared = prepare(&env, &line, &fanout, &mut live, &hello, positions).await;
    match prepared {
        Ok(prepared) => {
            remember_device(&env, &live.caller, device).await;
            let welcome = welcome(&env, &line, &live, &prepared);
            let Prepared {
                starts,
                unseen,
                delivered,
                ..
            } = prepared;
            Ok(Greeted {
                live,
                welcome,
                starts,
                unseen,
                delivered,
                hello,
            })
        }
        Err(refusal) => {
            live.end(&env, &fanout, &line);
            *line.person.borrow_mut() = None;
            Err(away(refusal))
        }
    }
}

impl Turned {
    fn after(mut self: Box<Self>, retry_after_ms: u64) -> Box<Self> {
        self.0.retry_after_ms = Some(retry_after_ms);
        self
    }
}

async fn admit(
    env: &SessionEnv,
    greeting: Greeting,
    token: Option<String>,
) -> Result<Pass, Box<Turned>> {
    let in_frame = match token {
        None => None,
        Some(token) => Some(
            env.front
                .ports
                .gate
                .verify(token)
                .await
                .map_err(|refusal| {
                    let code = if refusal.code == ErrorCode::Unauthorized {
                        CloseCode::Unauthorized
                    } else {
                        CloseCode::Internal
                    };
                    Box::new(Turned(refusal, code))
                })?,
        ),
    };
    match (greeting.pass, in_frame) {
        (Some(header), Some(frame)) if header.user_id != frame.user_id => Err(turned(
            ErrorCode::Unauthorized,
            "two tokens of different users",
            CloseCode::Unauthorized,
        )),
        (_, Some(pass)) | (Some(pass), None) => Ok(pass),
        (None, None) => Err(turned(
            ErrorCode::Unauthorized,
            "a token is needed",
            CloseCode::Unauthorized,
        )),
    }
}

const fn wants_all(hello: &Hello) -> bool {
    matches!(hello.rooms, None | Some(RoomsWanted::Word(RoomsWord::All)))
}

/// Where the client is, and which of that it says by a cursor.
struct Positions {
    rooms: BTreeMap<RoomId, Seq>,
    by_cursor: Vec<(RoomId, Seq)>,
}

fn positions(env: &SessionEnv, caller: &Caller, hello: &Hello) -> Result<Positions, Box<Turned>> {
    let mut rooms = BTreeMap::new();
    let mut by_cursor = Vec::new();
    if let Some(resume) = &hello.resume {
        if let Some(cursor) = &resume.cursor {
            by_cursor = env
                .cursors
                .read(&caller.user_id, cursor)
                .map_err(|refusal| {
                    let code = if refusal.code == ErrorCode::Forbidden {
                        CloseCode::Unauthorized
                    } else {
                        CloseCode::BadFrames
                    };
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
            return Err(Box::new(Turned(refusal, CloseCode::BadFrames)));
        }
    }
    Ok(Positions { rooms, by_cursor })
}

struct Prepared {
    rooms: Vec<Room>,
    next: Option<String>,
    starts: Vec<(Rc<Subscription>, Start)>,
    unseen: Vec<RoomId>,
    delivered: Vec<(RoomId, Seq)>,
}

/// Finds the user's rooms and subscribes to those wanted: first the subscription, then the look, so that nothing falls between (FO-1).
async fn prepare(
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
    let mut wanted: Vec<RoomId> = positions.rooms.keys().copied().collect();
    match &hello.rooms {
        Some(RoomsWanted::List(list)) => wanted.extend(list),
        Some(RoomsWanted::Word(RoomsWord::None)) => {}
        None | Some(RoomsWanted::Word(RoomsWord::All)) => {
            wanted.extend(rooms.iter().map(|room| room.room_id))
        }
    }
    wanted.sort_unstable();
    wanted.dedup();
    wanted.truncate(SUBSCRIPTIONS_MAX);
    let mut looks = Vec::with_capacity(wanted.len());
    for room in wanted {
        let subscription = live.subscribe(room, fanout, line);
        looks.push((room, subscription, env.front.look(room, &user)));
    }
    let (mut starts, mut unseen, mut failed) = (Vec::new(), Vec::new(), None);
    for (room, subscription, look) in looks {
        let position = positions.rooms.get(&room).copied();
        match look.await {
            Ok(Seen { room: seen, first }) => {
                subscription.standing.set(if seen.own.is_some() {
                    Standing::Member
                } else {
                    Standing::Guest
                });
                starts.push((
                    subscription,
                    Start {
                        head: seen.head,
                        first,
                        after: position,
                        owes_live: position.is_some(),
                    },
                ));
                if let Some(listed) = rooms.iter_mut().find(|listed| listed.room_id == room) {
                    *listed = seen;
                }
            }
            Err(refusal) if matches!(refusal.code, ErrorCode::NotFound | ErrorCode::Banned) => {
                live.unsubscribe(room, fanout);
                if position.is_some() {
                    unseen.push(room);
                }
            }
            Err(refusal) => failed = Some(refusal),
        }
    }
    if let Some(refusal) = failed {
        return Err(refusal);
    }
    if rooms.len() > WELCOME_ROOMS_MAX {
        rooms.truncate(WELCOME_ROOMS_MAX);
        next = rooms.last().map(|room| room.room_id);
    }
    for room in &mut rooms {
        live.put_mode(room);
        live.greeted.insert(room.room_id, room.head);
    }
    Ok(Prepared {
        rooms,
        next: next.map(|room| room.to_string()),
        starts,
        unseen,
        delivered: positions.by_cursor,
    })
}

async fn remember_device(
    env: &SessionEnv,
    caller: &Caller,
    device: parlor_schema::frame::hello::Device,
) {
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

fn welcome(env: &SessionEnv, line: &Line, live: &Live, prepared: &Prepared) -> Welcome {
    let ports = &env.front.ports;
    let at = prepared
        .starts
        .iter()
        .map(|(subscription, start)| (subscription.room, start.after.unwrap_or(start.head)));
    Welcome {
        session_id: line.session,
        user_id: live.caller.user_id.clone(),
        device_id: live.caller.device_id.clone(),
        node: env.node.clone(),
        server_time: ports.clock.now(),
        heartbeat_ms: HEARTBEAT_MS,
        expires_at: live.pass.expires_at,
        cursor: env.cursors.write(&live.caller.user_id, at),
        limits: env.limits,
        rooms: prepared.rooms.clone(),
        next: prepared.next.clone(),
    }
}

/// How a room is delivered to a session that asked for everything.
pub(super) const fn default_mode(wants_all: bool) -> Mode {
    if wants_all { Mode::Active } else { Mode::None }
}
