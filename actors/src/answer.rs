//! The way back of an answer: from the room that gives it to whoever asked.
//!
//! A session of the room's own thread has an `ack` put into its lane by a call, unless an answer before it is still under way; a refusal, an `ack` that says how rooms are
//! delivered to the session, and whatever comes from another thread, goes by the session's mailbox.
//!
//! Invariants:
//! - AN-1: a session that goes on hears of each frame it handed over once: one that is dropped unanswered is answered by the drop.
//! - AN-2: answers of one room reach a session in the order given.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use actix::prelude::*;
use parlor_schema::{
    SessionId,
    frame::{Ack, Refusal},
};
use tokio::sync::oneshot;

use crate::{
    fanout::Fanout,
    front,
    room::{ask::WorkerId, reply},
};

/// What an answer says.
pub type Said = Result<Ack, Refusal>;

/// Where the answer to a frame goes.
pub enum Answer {
    /// To whoever waits at the other end; dropped where a room ends without answering.
    Once(oneshot::Sender<Said>),
    /// To a session.
    Session(ToSession),
}

impl Answer {
    /// Gives it; whoever no longer waits for it misses nothing.
    pub fn give(self, said: Said) {
        match self {
            Self::Once(to) => drop(to.send(said)),
            Self::Session(to) => to.give(said),
        }
    }
}

/// An answer that a session waits for.
pub struct ToSession(Option<Way>);

/// What becomes of a frame that is dropped unanswered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It may have taken effect.
    Unknown,
    /// It may be asked again.
    Again,
}

impl Dropped {
    /// Says so.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        match self {
            Self::Unknown => reply::unknown_outcome(),
            Self::Again => front::room_ended(),
        }
    }
}

/// The way to a session.
pub(crate) struct Way {
    /// Its thread.
    pub(crate) worker: WorkerId,
    /// Its line's place on the wheel of that thread.
    pub(crate) slot: usize,
    /// Its id: the place may be another's by then.
    pub(crate) session: SessionId,
    /// The `msg_id` that the answer repeats; none: no answer is wanted.
    pub(crate) echo: Option<String>,
    /// What it is told where nobody answers.
    pub(crate) dropped: Dropped,
    /// Its mailbox.
    pub(crate) mailbox: Arc<Mailbox>,
}

/// The mailbox of a session, for answers. When full: the session is marked lost, as by a notice, and its client asks again after it is back.
pub(crate) struct Mailbox {
    /// Where answers go.
    pub(crate) to: Recipient<Served>,
    /// The mark.
    pub(crate) lost: Arc<AtomicBool>,
}

/// An answer that came by a session's mailbox.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Served {
    pub(crate) echo: Option<String>,
    pub(crate) said: Said,
    /// Whether later answers wait for it ([`Hand`](crate::hand::Hand)).
    pub(crate) is_detour: bool,
}

impl ToSession {
    pub(crate) const fn new(way: Way) -> Self {
        Self(Some(way))
    }

    fn give(mut self, said: Said) {
        if let Some(way) = self.0.take() {
            way.give(said);
        }
    }
}

impl Drop for ToSession {
    fn drop(&mut self) {
        if let Some(way) = self.0.take() {
            let refusal = way.dropped.refusal();
            way.give(Err(refusal));
        }
    }
}

impl Way {
    fn give(self, mut said: Said) {
        let mut is_detour = false;
        if let Some(fanout) = Fanout::here(self.worker)
            && let Some(line) = fanout.line(self.slot)
            && line.session == self.session
        {
            match (said, self.echo.as_deref()) {
                (Ok(_), None) => return line.hand.served(),
                // All others say the same to whichever session they go.
                (Ok(ack), Some(echo)) if !is_of_session(&ack) && line.hand.is_straight() => {
                    fanout.acknowledge(&line, ack, echo);
                    return line.hand.served();
                }
                (other, _) => {
                    said = other;
                    line.hand.detour();
                    is_detour = true;
                }
            }
        }
        let served = Served {
            echo: self.echo,
            said,
            is_detour,
        };
        if let Err(SendError::Full(_)) = self.mailbox.to.try_send(served) {
            self.mailbox.lost.store(true, Ordering::Relaxed);
        }
    }
}

/// Tells whether an answer says how rooms are delivered to the session, which only that knows.
const fn is_of_session(ack: &Ack) -> bool {
    matches!(ack, Ack::Room(_) | Ack::Rooms(_) | Ack::Created(_))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use parlor_schema::ErrorCode;
    use tokio::sync::mpsc;

    use super::*;

    /// Far longer than an answer takes.
    const WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

    /// Hands on what it hears.
    struct Hears(mpsc::UnboundedSender<Served>);

    impl Actor for Hears {
        type Context = Context<Self>;
    }

    impl Handler<Served> for Hears {
        type Result = ();

        fn handle(&mut self, served: Served, _: &mut Self::Context) {
            let _ = self.0.send(served);
        }
    }

    fn way(mailbox: &Arc<Mailbox>, dropped: Dropped) -> Answer {
        Answer::Session(ToSession::new(Way {
            worker: WorkerId(0),
            slot: 0,
            session: SessionId::new(uuid::Uuid::nil()),
            echo: Some("7".to_owned()),
            dropped,
            mailbox: mailbox.clone(),
        }))
    }

    #[actix::test]
    async fn an_answer_arrives_once_and_one_that_is_dropped_says_so() {
        let (heard, mut hear) = mpsc::unbounded_channel();
        let mailbox = Arc::new(Mailbox {
            to: Hears(heard).start().recipient(),
            lost: Arc::default(),
        });
        way(&mailbox, Dropped::Unknown).give(Ok(Ack::empty()));
        drop(way(&mailbox, Dropped::Unknown));
        drop(way(&mailbox, Dropped::Again));
        let mut codes = Vec::new();
        for _ in 0..3 {
            let served = tokio::time::timeout(WITHIN, hear.recv()).await;
            let served = served.expect("AN-1: an answer comes").unwrap();
            assert_eq!(served.echo.as_deref(), Some("7"));
            codes.push(served.said.err().map(|refusal| refusal.code));
        }
        let wanted = [ErrorCode::UnknownOutcome, ErrorCode::Unavailable];
        assert_eq!(codes, [None, Some(wanted[0]), Some(wanted[1])]);
        drop(mailbox);
        assert!(hear.recv().await.is_none(), "each of them once");
    }

    #[actix::test]
    async fn a_full_mailbox_marks_the_session_lost() {
        let (heard, _hear) = mpsc::unbounded_channel();
        let mailbox = Arc::new(Mailbox {
            to: Hears::create(|ctx| {
                ctx.set_mailbox_capacity(1);
                Hears(heard)
            })
            .recipient(),
            lost: Arc::default(),
        });
        let is_lost = || mailbox.lost.load(Ordering::Relaxed);
        for _ in 0..100 {
            way(&mailbox, Dropped::Again).give(Ok(Ack::empty()));
        }
        assert!(is_lost());
    }
}
