//! The `Session` actor: one per connection, from the handshake to the last frame.
//!
//! Owns the protocol state of a connection: [`Greeting`] until `hello` is served, then `live::Live`; they are different types, so that nothing
//! but `hello` can be served before it. The transport owns the socket: it is a stream of the actor's own, which is asked for frames when the
//! actor has its turn, so that between decoder and room there is one mailbox, the room's. The back-pressure is that it is not asked while the
//! [`Hand`](crate::hand::Hand) is full. The session's mailbox holds [`MAILBOX`] messages; a notice that finds it full marks the session lost, and it closes 4501.
//!
//! Deliberately absent: sockets, WebSocket frames, tokens' insides.

mod greeting;
mod live;
mod prepare;
mod pull;
mod subscribe;
mod watch;

use std::{collections::VecDeque, net::IpAddr, rc::Rc, sync::Arc};

use actix::prelude::*;
use bytes::Bytes;
use bytestring::ByteString;
use futures_util::Stream;
use parlor_schema::{
    CloseCode, ErrorCode, NodeId,
    frame::{self, ClientFrame, Received, Refusal, ServerFrame, hello::WelcomeLimits},
    limits::{BAD_FRAMES_PER_MINUTE_MAX, WATCHES_MAX},
};
use tokio::sync::Semaphore;

pub use greeting::Greeting;

use crate::{
    answer::{Mailbox, Served},
    cursor::CursorKey,
    drain::Drain,
    fanout::Fanout,
    fetch::fetch,
    front::Front,
    hand::IN_FLIGHT_MAX,
    ledger::Budget,
    line::{Line, Wake},
    registry::{Notice, Sessions},
    scratch,
    session::live::Live,
};

/// Messages that may wait for a session: what it has under way, a change of presence of each user it watches, and notices beside them.
pub const MAILBOX: usize = 1024;
const _: () = assert!(2 * IN_FLIGHT_MAX + WATCHES_MAX <= MAILBOX);

/// What every session of a node shares.
pub struct SessionEnv {
    /// The front.
    pub front: Front,
    /// The sessions of this node.
    pub sessions: Arc<Sessions>,
    /// Signs cursors.
    pub cursors: Arc<CursorKey>,
    /// This node's name.
    pub node: NodeId,
    /// What `welcome` tells.
    pub limits: WelcomeLimits,
    /// Sessions a user may have; 0: any number.
    pub sessions_per_user: usize,
    /// Whether the node leaves.
    pub drain: Arc<Drain>,
    /// What the node may hold for its sockets.
    pub budget: Arc<Budget>,
    /// Turns of `hello`s being served ([`HELLOS_MAX`]).
    ///
    /// [`HELLOS_MAX`]: parlor_schema::limits::HELLOS_MAX
    pub hellos: Arc<Semaphore>,
}

impl SessionEnv {
    /// Returns the fan-out of this thread.
    #[must_use]
    pub fn fanout(&self) -> Rc<Fanout> {
        let front = &self.front;
        Fanout::local(
            &front.rooms,
            &front.ports,
            &front.metrics,
            &self.drain,
            &self.budget,
        )
    }
}

/// One frame as it came.
#[derive(Debug, Clone)]
pub enum Text {
    /// A text message.
    Json(ByteString),
    /// A binary message, which `parlor.v1` does not have.
    Binary(Bytes),
}

/// Frames that came, in order. A transport yields them, and ends when the socket is gone.
#[derive(Debug)]
pub struct Inbound(pub Vec<Text>);

/// The actor.
pub struct Session {
    env: Arc<SessionEnv>,
    line: Rc<Line>,
    fanout: Rc<Fanout>,
    phase: Phase,
    bad_frames: BadFrames,
    /// The mailbox, for answers of rooms.
    mailbox: Arc<Mailbox>,
}

enum Phase {
    Greeting(Greeting),
    /// `hello` is being served, and the actor takes no message meanwhile; with what came behind it.
    Between(Vec<Text>),
    Live(Box<Live>),
}

/// When the bad frames of the last minute came; a connection ends before there are many.
#[derive(Default)]
struct BadFrames(VecDeque<u64>);

impl BadFrames {
    /// Notes one; answers how many came within a minute.
    fn add(&mut self, now_ms: u64) -> usize {
        while self.0.front().is_some_and(|at| at + 60_000 <= now_ms) {
            self.0.pop_front();
        }
        self.0.push_back(now_ms);
        self.0.len()
    }
}

impl Session {
    /// Starts a session on this thread for a connection from `peer` that `transport` reads; `token` is the header's, where there was one.
    pub fn open(
        env: Arc<SessionEnv>,
        line: Rc<Line>,
        peer: IpAddr,
        token: Option<String>,
        transport: impl Stream<Item = Inbound> + 'static,
    ) {
        let fanout = env.fanout();
        fanout.enter(&line);
        let greeting = Greeting { token, peer };
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            Self::add_stream(transport, ctx);
            let mailbox = Mailbox {
                to: ctx.address().recipient(),
                lost: line.lost.clone(),
            };
            Self {
                env,
                line,
                fanout,
                phase: Phase::Greeting(greeting),
                bad_frames: BadFrames::default(),
                mailbox: Arc::new(mailbox),
            }
        });
    }

    fn send(&self, frame: &ServerFrame, echo: Option<&str>) {
        let wire = &self.env.front.ports.wire;
        let packed = scratch::text(|text| {
            frame.write_into(echo, text);
            wire.coded(text, self.line.coding)
        });
        self.line.outlet.push(packed);
    }

    fn refuse(&mut self, refusal: Refusal, echo: Option<&str>) {
        self.env.front.metrics.refused(refusal.code);
        let bad = refusal.code == ErrorCode::BadFrame;
        self.send(&ServerFrame::Error(refusal), echo);
        if bad
            && self
                .bad_frames
                .add(self.env.front.ports.clock.monotonic_ms())
                >= BAD_FRAMES_PER_MINUTE_MAX
        {
            self.close(CloseCode::BadFrames);
        }
    }

    fn close(&self, code: CloseCode) {
        self.line.outlet.close(code, code.reason());
    }

    fn take(&mut self, text: &Text, ctx: &mut Context<Self>) {
        if let Phase::Live(live) = &self.phase {
            // What goes to a room with a frame, while the frame is read.
            live.fetch();
            fetch(&*self.mailbox);
        }
        self.env.front.metrics.frames_in.inc();
        let read = match text {
            Text::Json(text) => frame::read(text),
            Text::Binary(_) => Err(frame::ReadError {
                echo: None,
                meant: frame::Meant::Other,
                refusal: Refusal::new(ErrorCode::BadFrame, "parlor.v1 has no binary messages"),
            }),
        };
        match (&mut self.phase, read) {
            (
                Phase::Greeting(_),
                Ok(Received {
                    frame: ClientFrame::Hello(hello),
                    echo,
                    ..
                }),
            ) => {
                self.greet(hello, echo, ctx);
            }
            // One that was meant as `hello` may be said again.
            (Phase::Greeting(_), Err(error)) if error.meant == frame::Meant::Hello => {
                self.refuse(error.refusal, error.echo.as_deref());
            }
            (Phase::Greeting(_), read) => {
                let echo = match read {
                    Ok(received) => received.echo,
                    Err(error) => error.echo,
                };
                self.refuse(
                    Refusal::new(ErrorCode::BadFrame, "the first frame must be hello"),
                    echo.as_deref(),
                );
                self.close(CloseCode::BadFrames);
            }
            (Phase::Live(_), Ok(received)) => self.serve(received, ctx),
            (_, Err(error)) => self.refuse(error.refusal, error.echo.as_deref()),
            (Phase::Between(_), Ok(_)) => {}
        }
    }

    /// Takes frames in order; what comes behind `hello` waits until that is served.
    fn take_all(&mut self, texts: Vec<Text>, ctx: &mut Context<Self>) {
        for text in texts {
            if self.line.outlet.is_closing() {
                return;
            }
            match &mut self.phase {
                Phase::Between(behind) => behind.push(text),
                Phase::Greeting(_) | Phase::Live(_) => self.take(&text, ctx),
            }
        }
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.line.attach(ctx.address().recipient());
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.line.detach();
        self.fanout.leave(&self.line);
        if let Phase::Live(live) = &self.phase {
            self.env.front.metrics.sessions.dec();
            live.end(&self.env, &self.fanout, &self.line);
        }
    }
}

impl StreamHandler<Inbound> for Session {
    fn handle(&mut self, Inbound(texts): Inbound, ctx: &mut Self::Context) {
        self.take_all(texts, ctx);
    }

    /// The socket is gone.
    fn finished(&mut self, ctx: &mut Self::Context) {
        self.close(CloseCode::Normal);
        // Behind what the last frames began, so that they have begun.
        let end = std::future::ready(()).into_actor(self);
        ctx.spawn(end.map(|(), _, ctx| ctx.stop()));
    }
}

impl Handler<Served> for Session {
    type Result = ();

    fn handle(&mut self, served: Served, _: &mut Self::Context) {
        if served.is_detour {
            self.line.hand.arrived();
        }
        self.line.hand.served();
        self.reply(served.said, served.echo.as_deref());
    }
}

impl Drop for Session {
    /// A session that is gone, by a panic too, takes nothing more.
    fn drop(&mut self) {
        self.close(CloseCode::Internal);
    }
}

impl Handler<Wake> for Session {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.line.looked();
        if self.line.outlet.is_closing() {
            return;
        }
        self.put_out();
        self.read_on(ctx);
        self.tell_heads(ctx);
        if self.line.recheck.take() {
            self.recheck_watches(ctx);
        }
    }
}

impl Handler<Notice> for Session {
    type Result = ();

    fn handle(&mut self, notice: Notice, ctx: &mut Self::Context) {
        if self.line.outlet.is_closing() {
            return;
        }
        match notice {
            Notice::RoomAdded(room) => self.added(&room, ctx),
            Notice::RoomRemoved {
                room_id,
                reason,
                was,
            } => self.removed(room_id, reason, was, ctx),
            Notice::LoginEnded(login) => {
                if matches!(&self.phase, Phase::Live(live) if live.pass.login_id == Some(login)) {
                    self.close(CloseCode::Revoked);
                }
            }
            Notice::Revoked => self.close(CloseCode::Revoked),
            Notice::Disconnected => {
                let reason = "disconnected by an operator";
                self.line.outlet.close(CloseCode::Draining, reason);
            }
        }
    }
}
