//! The handshake: from the first frame to `welcome`.

use std::{net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use actix::prelude::*;
use parlor_schema::{
    CloseCode, DeviceId, ErrorCode, RoomId, Seq,
    frame::{
        ClientFrame, Refusal, ServerFrame,
        client::{Caller, Receipt},
        hello::{Device, Hello, Welcome},
    },
    limits::{HEARTBEAT_MS, HELLO_TURN_MS, NAME_BYTES_MAX},
    room::Mode,
};
use tokio::sync::SemaphorePermit;

use super::{
    Phase, Session, SessionEnv,
    live::Live,
    prepare::{Prepared, positions, prepare, remember_device, wants_all},
    subscribe::Start,
};
use crate::{
    fanout::Fanout,
    line::{Line, Person, Warned},
    pace,
    ports::Pass,
    registry::{Listed, Seated, everywhere::Place},
    room::packet::Marks,
    subscription::Subscription,
};

/// The state before `hello`: all it can become is live, or closed.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// The token of the header; it was good when the connection was upgraded.
    pub token: Option<String>,
    /// Where the connection comes from.
    pub peer: IpAddr,
}

/// When a user with too many connections should try again.
const FULL_RETRY_MS: u64 = 60_000;
/// When a client of a node that has too much to do should try again: between this and twice this.
const OVERLOADED_RETRY_MS: u64 = 2_000;

/// A `hello` that was not served, and how the connection ends; none: it goes on, and `hello` may be said again.
pub(super) struct Turned(pub(super) Refusal, pub(super) Option<CloseCode>);

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
        let between = Phase::Between(Vec::new());
        let Phase::Greeting(greeting) = std::mem::replace(&mut self.phase, between) else {
            return;
        };
        self.line.greeting.set(true);
        let (env, line, fanout) = (self.env.clone(), self.line.clone(), self.fanout.clone());
        let notices = ctx.address().recipient();
        let again = greeting.clone();
        let work = async move { hear(env, line, fanout, greeting, hello, notices).await };
        // Nothing else is taken meanwhile: what comes behind `hello` waits its turn.
        ctx.wait(work.into_actor(self).map(move |greeted, session, ctx| {
            session.line.greeting.set(false);
            let between = std::mem::replace(&mut session.phase, Phase::Greeting(again));
            match greeted {
                Ok(greeted) => session.greeted(greeted, echo.as_deref(), ctx),
                Err(turned) => session.turn_away(*turned, echo.as_deref()),
            }
            if let Phase::Between(behind) = between {
                session.take_all(behind, ctx);
            }
        }));
    }

    fn turn_away(&mut self, Turned(refusal, code): Turned, echo: Option<&str>) {
        let wait = refusal.retry_after_ms;
        self.refuse(refusal, echo);
        match (code, wait) {
            (Some(CloseCode::Overloaded), Some(wait)) => {
                let reason = format!("retry_after_ms={wait}");
                self.line.outlet.close(CloseCode::Overloaded, &reason);
            }
            (Some(code), _) => self.close(code),
            (None, _) => {}
        }
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

fn away(refusal: Refusal) -> Box<Turned> {
    Box::new(Turned(refusal, Some(CloseCode::Internal)))
}

/// Waits until this `hello` may be served: few at a time, so that a storm of them delays nobody who is here.
async fn turn(env: &SessionEnv) -> Result<SemaphorePermit<'_>, Box<Turned>> {
    let waited = tokio::time::timeout(Duration::from_millis(HELLO_TURN_MS), env.hellos.acquire());
    match waited.await {
        Ok(Ok(turn)) if !env.budget.is_over() => Ok(turn),
        _ => {
            let retry_after_ms =
                OVERLOADED_RETRY_MS + env.front.ports.ids.below(OVERLOADED_RETRY_MS);
            let refusal = Refusal {
                retry_after_ms: Some(retry_after_ms),
                ..Refusal::unavailable("the node has too much to do")
            };
            Err(Box::new(Turned(refusal, Some(CloseCode::Overloaded))))
        }
    }
}

async fn hear(
    env: Arc<SessionEnv>,
    line: Rc<Line>,
    fanout: Rc<Fanout>,
    greeting: Greeting,
    hello: Hello,
    notices: Recipient<crate::registry::Notice>,
) -> Result<Greeted, Box<Turned>> {
    let held = turn(&env).await?;
    pace::step().await;
    let tokens = Tokens {
        header: greeting.token,
        frame: hello.token.clone(),
    };
    let pass = tokens.verify(&env).await?;
    let device = check_device(hello.device.clone().unwrap_or_default())?;
    let device_id = device.id.clone().unwrap_or_else(|| make_device(&env));
    let caller = Caller {
        user_id: pass.user_id.clone(),
        device_id,
    };
    let positions = positions(&env, &caller, &hello)?;
    let seated = enter(&env, &line, &caller, notices)?;
    let mut live = Live::new(caller, pass, wants_all(&hello));
    let _turn = match seat(&env, &live.caller, seated, held).await {
        Ok(turn) => turn,
        Err(turned) => {
            live.end(&env, &fanout, &line);
            return Err(turned);
        }
    };
    pace::step().await;
    // Once more, now that notices come: a login that ended in between would not have been told to this session.
    let prepared = match tokens.verify(&env).await {
        Ok(pass) => {
            let person = Person {
                marks: Marks::of(&pass.user_id),
                user: pass.user_id.clone(),
                expires_at: pass.expires_at,
                warned: Warned::No,
            };
            *line.person.borrow_mut() = Some(person);
            prepare(&env, &line, &fanout, &mut live, &hello, positions)
                .await
                .map_err(away)
        }
        Err(turned) => Err(turned),
    };
    pace::step().await;
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
        Err(turned) => {
            live.end(&env, &fanout, &line);
            *line.person.borrow_mut() = None;
            Err(turned)
        }
    }
}

fn check_device(device: Device) -> Result<Device, Box<Turned>> {
    for (field, text) in [
        ("device.name", &device.name),
        ("device.platform", &device.platform),
    ] {
        if text
            .as_ref()
            .is_some_and(|text| text.len() > NAME_BYTES_MAX)
        {
            let refusal = Refusal::bad_field(field, format!("at most {NAME_BYTES_MAX} bytes"));
            return Err(Box::new(Turned(refusal, None)));
        }
    }
    Ok(device)
}

fn make_device(env: &SessionEnv) -> DeviceId {
    let ports = &env.front.ports;
    let name = format!("d-{}", ports.ids.uuid(ports.clock.now()));
    name.parse().expect("hex and hyphens are a name")
}

/// Lists the session among the user's, so that notices come from now on.
fn enter(
    env: &SessionEnv,
    line: &Line,
    caller: &Caller,
    notices: Recipient<crate::registry::Notice>,
) -> Result<Seated, Box<Turned>> {
    let since = env.front.ports.clock.now();
    let listed = Listed {
        session: line.session,
        to: notices,
        lost: line.lost.clone(),
        since,
    };
    let session = line.session;
    env.sessions
        .enter(&caller.user_id, listed, env.sessions_per_user)
        .map(|()| Seated { session, since })
        .map_err(|_| too_many())
}

fn too_many() -> Box<Turned> {
    let refusal = Refusal {
        message: "too many connections of this user".to_owned(),
        ..Refusal::rate_limited(FULL_RETRY_MS)
    };
    Box::new(Turned(refusal, Some(CloseCode::ConnectionLimit)))
}

/// Tells the other nodes of the session. One too many waits whether another ends, and holds no turn meanwhile.
async fn seat<'a>(
    env: &'a SessionEnv,
    caller: &Caller,
    seated: Seated,
    held: SemaphorePermit<'a>,
) -> Result<SemaphorePermit<'a>, Box<Turned>> {
    let (user, limit) = (&caller.user_id, env.sessions_per_user);
    if env.sessions.enter_everywhere(user, seated, limit).await == Place::Free {
        return Ok(held);
    }
    drop(held);
    match env.sessions.wait_everywhere(user, seated, limit).await {
        Place::Free => turn(env).await,
        Place::Taken => Err(too_many()),
    }
}

/// The tokens of a connection: in the header of the upgrade, in `hello`, or both.
struct Tokens {
    header: Option<String>,
    frame: Option<String>,
}

impl Tokens {
    async fn verify(&self, env: &SessionEnv) -> Result<Pass, Box<Turned>> {
        let mut passes = Vec::with_capacity(2);
        for token in [&self.header, &self.frame].into_iter().flatten() {
            passes.push(
                env.front
                    .ports
                    .gate
                    .verify(token.clone())
                    .await
                    .map_err(unverified)?,
            );
        }
        if passes.len() == 2 && passes[0].user_id != passes[1].user_id {
            return Err(unauthorized("two tokens of different users"));
        }
        passes
            .pop()
            .ok_or_else(|| unauthorized("a token is needed"))
    }
}

fn unauthorized(message: &str) -> Box<Turned> {
    Box::new(Turned(
        Refusal::new(ErrorCode::Unauthorized, message),
        Some(CloseCode::Unauthorized),
    ))
}

fn unverified(refusal: Refusal) -> Box<Turned> {
    let code = match refusal.code {
        ErrorCode::Unauthorized => CloseCode::Unauthorized,
        _ => CloseCode::Internal,
    };
    Box::new(Turned(refusal, Some(code)))
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
