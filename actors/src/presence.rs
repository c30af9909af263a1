//! The presence of one user, as an actor: a thin shell over [`state::State`].
//!
//! Owns the timers, the recipients of watchers, and the loading and storing of `last_seen`. [`Presences`] finds or starts it.
//!
//! Mailbox: [`MAILBOX`]. Beyond it senders wait; every sender waits for an answer to one message at a time, or has a last word to say
//! once (`Detach`, `Unwatch`), so what waits is bounded by sessions and requests.
//!
//! Invariants:
//! - PA-1: it stops only when nothing would be lost: no device, no watcher, nothing being stored.
//! - PA-2: it waits for the store no longer than [`LOAD_WAIT_MS`] before it answers; what the store tells later is announced.
//!
//! Deliberately absent: who may watch whom, other nodes, and any restart: after a panic the registry starts an empty one.

mod elsewhere;
mod others;
pub mod presences;
pub mod state;
mod watchers;

use std::{sync::Arc, time::Duration};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, MessageResult,
    Recipient, SpawnHandle, WrapFuture,
};
use parlor_schema::{
    DeviceId, SessionId, Timestamp, UserId,
    envelope::Part,
    frame::{
        Refusal,
        hello::PresenceSetting,
        server::{PresenceEntry, PresenceStatus},
    },
    port::{Clock, Directory, StoreError},
    record::UserRecord,
};

use elsewhere::Asked;
use others::Others;
use presences::Place;
pub use presences::Presences;
use state::{Effect, Input, Now, Shown, State};
use watchers::Watchers;

use crate::ports::Peers;

/// Messages that wait before senders do.
pub const MAILBOX: usize = 256;
/// How long the first messages wait for `last_seen` to be loaded.
pub const LOAD_WAIT_MS: u64 = 250;

/// Says that a session began on a device.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Attach {
    /// The session.
    pub session: SessionId,
    /// Its device.
    pub device: DeviceId,
    /// What `hello` says; none leaves a known device as it is, and a new one online.
    pub status: Option<PresenceSetting>,
}

/// Says that a session ended.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Detach {
    /// The session.
    pub session: SessionId,
}

/// Says how a device is; answers how others see the user then.
#[derive(Debug, Clone, Message)]
#[rtype(result = "PresenceEntry")]
pub struct Set {
    /// The device.
    pub device: DeviceId,
    /// How it is.
    pub status: PresenceSetting,
    /// A few words beside it.
    pub text: Option<String>,
}

/// Asks to be told of changes; answers how others see the user now. The same session again replaces its recipient.
#[derive(Message)]
#[rtype(result = "Result<PresenceEntry, Refusal>")]
pub struct Watch {
    /// Who asks.
    pub session: SessionId,
    /// Where changes go. When full: dropped, and the last value is sent as soon as there is room.
    pub to: Recipient<PresenceChanged>,
}

/// Ends a watch.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Unwatch {
    /// Who asked.
    pub session: SessionId,
}

/// Asks how others see the user.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "PresenceEntry")]
pub struct Look;

/// Tells a watcher how others see a user now.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct PresenceChanged {
    /// The user, as others see them.
    pub entry: PresenceEntry,
}

/// How often an actor looks after itself.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Between two attempts to give watchers what they are owed.
    owed: Duration,
    /// Between two looks at whether watchers are gone and it may stop; so also how long it lives at least.
    rest: Duration,
    /// How long a node that is asked again has to answer: longer than an answer takes that is on its way.
    doubt: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            owed: Duration::from_millis(100),
            rest: Duration::from_secs(30),
            doubt: Duration::from_secs(2),
        }
    }
}

/// Whether an actor is going to look after itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resting {
    No,
    Yes,
}

/// What an actor needs from outside.
struct Outside {
    clock: Arc<dyn Clock>,
    directory: Arc<dyn Directory>,
    peers: Peers,
    pace: Pace,
}

/// One user's presence.
pub struct Presence {
    user: UserId,
    state: State,
    others: Others,
    /// What the other nodes were told last.
    told: Part,
    /// What the watchers were told last.
    announced: Shown,
    asked: Asked,
    watchers: Watchers,
    outside: Arc<Outside>,
    wake: Option<(u64, SpawnHandle)>,
    paying: Option<SpawnHandle>,
    resting: Resting,
    saves: usize,
    _place: Place,
}

impl Actor for Presence {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.load(ctx);
        self.rest_later(ctx);
    }
}

impl Presence {
    fn new(user: UserId, offline_after_ms: u64, outside: Arc<Outside>, place: Place) -> Self {
        Self {
            user,
            state: State::new(offline_after_ms),
            others: Others::default(),
            told: others::part(
                &Shown::default(),
                others::sight(PresenceStatus::Offline, false),
            ),
            announced: Shown::default(),
            // The first who wants to know has others asked.
            asked: Asked::Now,
            watchers: Watchers::default(),
            outside,
            wake: None,
            paying: None,
            resting: Resting::No,
            saves: 0,
            _place: place,
        }
    }

    fn entry(&self) -> PresenceEntry {
        self.merged().entry(self.user.clone())
    }

    fn now_ms(&self) -> u64 {
        self.outside.clock.monotonic_ms()
    }

    fn take(&mut self, input: Input, ctx: &mut Context<Self>) {
        let now = Now {
            ms: self.now_ms(),
            at: self.outside.clock.now(),
        };
        let effects = self.state.take(input, now);
        self.state.check_invariants();
        for effect in effects {
            match effect {
                Effect::Announce(_) => self.announce(ctx),
                Effect::SaveLastSeen(at) => self.save(at, ctx),
                Effect::WakeAt(ms) => self.wake_at(ms, now.ms, ctx),
            }
        }
        self.tell_part();
        self.rest_later(ctx);
    }

    /// Looks after itself later, where there is something to look after: a user who is merely there needs no timer.
    fn rest_later(&mut self, ctx: &mut Context<Self>) {
        let needed = self.state.is_idle() || self.state.is_watched();
        if needed && self.resting == Resting::No {
            self.resting = Resting::Yes;
            ctx.run_later(self.outside.pace.rest, Self::rest);
        }
    }

    fn wake_at(&mut self, due_ms: u64, now_ms: u64, ctx: &mut Context<Self>) {
        match self.wake {
            Some((armed, _)) if armed == due_ms => return,
            Some((_, handle)) => ctx.cancel_future(handle),
            None => false,
        };
        // At least one, so that a clock that stands still is asked a thousand times a second and not in a loop.
        let wait = Duration::from_millis(due_ms.saturating_sub(now_ms).max(1));
        let handle = ctx.run_later(wait, |act, ctx| {
            act.wake = None;
            act.take(Input::Tick, ctx);
        });
        self.wake = Some((due_ms, handle));
    }

    fn pay_later(&mut self, ctx: &mut Context<Self>) {
        if self.paying.is_some() || !self.watchers.owes() {
            return;
        }
        self.paying = Some(ctx.run_later(self.outside.pace.owed, |act, ctx| {
            act.paying = None;
            let (entry, now_ms) = (act.entry(), act.now_ms());
            act.watchers.give_owed(&entry, now_ms);
            act.forget_gone(ctx);
            act.pay_later(ctx);
        }));
    }

    fn forget_gone(&mut self, ctx: &mut Context<Self>) {
        for session in self.watchers.take_gone() {
            self.take(Input::Unwatch { session }, ctx);
        }
    }

    fn rest(&mut self, ctx: &mut Context<Self>) {
        self.resting = Resting::No;
        self.forget_gone(ctx);
        if self.state.is_idle() && self.saves == 0 {
            ctx.stop();
        } else {
            self.rest_later(ctx);
        }
    }

    fn load(&mut self, ctx: &mut Context<Self>) {
        let (directory, user) = (self.outside.directory.clone(), self.user.clone());
        let mut load = Box::pin(async move { directory.user(&user).await });
        let wait = async move {
            match tokio::time::timeout(Duration::from_millis(LOAD_WAIT_MS), &mut load).await {
                Ok(answer) => Ok(answer),
                Err(_) => Err(load),
            }
        };
        ctx.wait(wait.into_actor(self).map(|waited, act, ctx| match waited {
            Ok(answer) => act.loaded(answer, ctx),
            Err(load) => {
                ctx.spawn(
                    load.into_actor(act)
                        .map(|answer, act, ctx| act.loaded(answer, ctx)),
                );
            }
        }));
    }

    fn loaded(&mut self, answer: Result<Option<UserRecord>, StoreError>, ctx: &mut Context<Self>) {
        match answer {
            Ok(record) => {
                let last_seen = record.and_then(|record| record.last_seen);
                self.take(Input::Loaded { last_seen }, ctx);
            }
            Err(error) => {
                tracing::warn!(user = %self.user, %error, "last_seen not loaded");
            }
        }
    }

    fn save(&mut self, at: Timestamp, ctx: &mut Context<Self>) {
        self.saves += 1;
        let (directory, user) = (self.outside.directory.clone(), self.user.clone());
        let save = async move { directory.set_last_seen(&user, at).await };
        ctx.spawn(save.into_actor(self).map(|saved, act, _| {
            act.saves -= 1;
            if let Err(error) = saved {
                tracing::warn!(user = %act.user, %error, "last_seen not stored");
            }
        }));
    }
}

impl Handler<Attach> for Presence {
    type Result = ();

    fn handle(&mut self, message: Attach, ctx: &mut Context<Self>) {
        let Attach {
            session,
            device,
            status,
        } = message;
        let input = Input::Attach {
            session,
            device,
            status,
        };
        self.take(input, ctx);
    }
}

impl Handler<Detach> for Presence {
    type Result = ();

    fn handle(&mut self, Detach { session }: Detach, ctx: &mut Context<Self>) {
        self.take(Input::Detach { session }, ctx);
    }
}

impl Handler<Set> for Presence {
    type Result = MessageResult<Set>;

    fn handle(&mut self, message: Set, ctx: &mut Context<Self>) -> Self::Result {
        let Set {
            device,
            status,
            text,
        } = message;
        let input = Input::Set {
            device,
            status,
            text,
        };
        self.take(input, ctx);
        MessageResult(self.entry())
    }
}

impl Handler<Watch> for Presence {
    type Result = Result<PresenceEntry, Refusal>;

    fn handle(&mut self, Watch { session, to }: Watch, ctx: &mut Context<Self>) -> Self::Result {
        if !self.state.admits_watcher(session) {
            return Err(Refusal::unavailable("too many watch this user"));
        }
        self.take(Input::Watch { session }, ctx);
        self.watchers.watch(session, to, self.now_ms());
        Ok(self.entry())
    }
}

impl Handler<Unwatch> for Presence {
    type Result = ();

    fn handle(&mut self, Unwatch { session }: Unwatch, ctx: &mut Context<Self>) {
        self.watchers.unwatch(session);
        self.take(Input::Unwatch { session }, ctx);
    }
}

impl Handler<Look> for Presence {
    type Result = MessageResult<Look>;

    fn handle(&mut self, _: Look, ctx: &mut Context<Self>) -> Self::Result {
        self.take(Input::Tick, ctx);
        MessageResult(self.entry())
    }
}

#[cfg(test)]
mod tests;
