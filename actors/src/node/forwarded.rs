//! Frames that another node hands to this one, as the owner of their room.
//!
//! Deliberately absent: authorising a session. The node that it is of did; the room authorises the frame as any other.

use parlor_schema::{
    RoomId,
    envelope::{Envelope, Forward, Forwarded, Outcome},
    frame::{Ack, Refusal},
};
use tokio::sync::oneshot;

use super::{Inner, On};
use crate::{
    answer::Answer,
    room::{
        ask::{Ask, Via},
        frames::room_of,
        reply,
    },
};

/// An answer on its way from the room.
type Awaited = oneshot::Receiver<Result<Ack, Refusal>>;

impl Inner {
    /// Has the room decide frames, and answers what became of them.
    pub(super) fn hear_forward(&self, forward: Forward, on: On) {
        if forward.to != self.ports.membership.own().boot_id {
            // Whether that run took them, this one does not know.
            return;
        }
        let (by, room_id, id) = (forward.by.clone(), forward.room_id, forward.id);
        self.places.hear_interest(&by, &[room_id]);
        let asks = match on == On::Node && self.places.takes(&forward) {
            true => asks(forward),
            false => None,
        };
        let peers = self.ports.peers();
        let answer = move |outcomes| {
            let answer = Forwarded {
                room_id,
                id,
                outcomes,
            };
            peers.tell(&by, Envelope::Forwarded(answer));
        };
        let Some((asks, answers)) = asks else {
            return answer(None);
        };
        self.metrics.forwards_heard.inc();
        for ask in asks {
            // When full: refused, as a frame of a session here is.
            if let Err(ask) = self.rooms.tell(room_id, ask) {
                let refusal = Refusal::unavailable("the room is too busy");
                ask.reply.give(Err(refusal));
            }
        }
        actix_rt::spawn(async move { answer(Some(outcomes(answers).await)) });
    }
}

/// Reads the frames; none where one of them cannot be decided here, so that none is.
fn asks(forward: Forward) -> Option<(Vec<Ask>, Vec<Awaited>)> {
    let room: RoomId = forward.room_id;
    let mut asks = Vec::with_capacity(forward.frames.len());
    let mut answers = Vec::with_capacity(forward.frames.len());
    for frame in forward.frames {
        let (caller, msg_id, frame) = frame.read().ok()?;
        if room_of(&frame) != Some(room) || !frame.needs_msg_id() {
            return None;
        }
        let (to, from) = oneshot::channel();
        asks.push(Ask {
            caller,
            msg_id: Some(msg_id),
            frame,
            via: Via::Node,
            reply: Answer::Once(to),
        });
        answers.push(from);
    }
    Some((asks, answers))
}

async fn outcomes(answers: Vec<Awaited>) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(answers.len());
    for answer in answers {
        // A room that ended cannot say whether the frame took effect.
        let answer = answer
            .await
            .unwrap_or_else(|_| Err(reply::unknown_outcome()));
        let outcome = Outcome::of(answer);
        outcomes.push(outcome.unwrap_or_else(|| Outcome::Refused(reply::unknown_outcome())));
    }
    outcomes
}
