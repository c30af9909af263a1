//! Requests: frames that ask and append nothing; they live and die with one connection.
//!
//! Invariants:
//! - RQ-1: each request is answered once: by a reply, or by the loss of the connection.
//! - RQ-2: no more than `bound` wait for answers. When full: the frame is handed back.

use std::collections::{HashMap, VecDeque};

use parlor_schema::{MsgId, RoomId, Seq, frame::ClientFrame, room::Mode};

use super::outbox::NotTaken;

/// What a reply means to the client itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing; the application asked.
    Asked,
    /// The application subscribes.
    Subscribe {
        /// To what.
        room: RoomId,
        /// From where.
        after: Option<Seq>,
        /// How.
        mode: Mode,
    },
    /// The application unsubscribes.
    Unsubscribe(RoomId),
    /// The client resumes a room that `hello` had no place for.
    CatchUp(RoomId, Seq),
    /// The client renews its token.
    Refresh,
}

impl Purpose {
    /// Returns what the reply to `frame` means.
    #[must_use]
    pub fn of(frame: &ClientFrame) -> Self {
        match frame {
            ClientFrame::RoomSubscribe(subscribe) => Self::Subscribe {
                room: subscribe.room_id,
                after: subscribe.after,
                mode: subscribe.mode.unwrap_or(Mode::Active),
            },
            ClientFrame::RoomUnsubscribe(unsubscribe) => Self::Unsubscribe(unsubscribe.room_id),
            _ => Self::Asked,
        }
    }

    /// Tells whether the application waits for the reply.
    #[must_use]
    pub fn is_the_applications(self) -> bool {
        !matches!(self, Self::CatchUp(..) | Self::Refresh)
    }
}

/// The requests of one connection.
#[derive(Debug)]
pub struct Requests {
    bound: usize,
    waiting: VecDeque<String>,
    open: HashMap<MsgId, Purpose>,
}

impl Requests {
    /// Makes an empty set.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self {
            bound,
            waiting: VecDeque::new(),
            open: HashMap::new(),
        }
    }

    /// Takes a request that waits to be sent.
    ///
    /// # Errors
    /// [`NotTaken`]: nothing has changed.
    pub fn push(&mut self, msg_id: MsgId, text: String, purpose: Purpose) -> Result<(), NotTaken> {
        if self.open.contains_key(&msg_id) {
            return Err(NotTaken::InUse);
        }
        if self.open.len() >= self.bound && purpose.is_the_applications() {
            return Err(NotTaken::Full);
        }
        self.open.insert(msg_id, purpose);
        self.waiting.push_back(text);
        Ok(())
    }

    /// Tells whether a request has this `msg_id`.
    #[must_use]
    pub fn contains(&self, msg_id: MsgId) -> bool {
        self.open.contains_key(&msg_id)
    }

    /// Takes what waits to be sent.
    pub fn take_waiting(&mut self) -> VecDeque<String> {
        std::mem::take(&mut self.waiting)
    }

    /// Settles one, and returns what its reply means.
    pub fn settle(&mut self, msg_id: MsgId) -> Option<Purpose> {
        self.open.remove(&msg_id)
    }

    /// Forgets all; returns those the application waits for.
    pub fn fail(&mut self) -> Vec<MsgId> {
        self.waiting.clear();
        let open = self.open.drain();
        open.filter(|(_, purpose)| purpose.is_the_applications())
            .map(|(msg_id, _)| msg_id)
            .collect()
    }
}
