//! What a frame is answered that appends nothing: only on a state that holds whatever was appended before the frame came.
//!
//! An append is refused by the store where the state is behind. An answer without one is not: a node that has not heard yet that somebody left would say that
//! they are in already, and who was told so would be refused the next moment. So the timeline is asked first, where others append to it.

use parlor_schema::{
    ErrorCode, Seq,
    frame::{Ack, Refusal},
};

use super::{Lookup, Moment, Pending, RoomState, Verdict, decide};
use crate::room::step::Knowledge;

impl RoomState {
    /// Decides a frame, or has the timeline asked before it is answered.
    pub(super) fn decide(&self, pending: &Pending, at: &Moment<'_>) -> Verdict {
        let (members, head) = (&self.members, self.head);
        let verdict = decide::decide(members, head, self.rules, pending, at.now);
        match (&verdict, pending.facts.knowledge) {
            (Verdict::Reply(reply), knowledge) if depends(reply) => match knowledge {
                Knowledge::Wanting => Verdict::Needs(Lookup::Head),
                // What lies before it could not be read.
                Knowledge::UpTo(head) if self.head < head => {
                    let refusal = Refusal::unavailable("the timeline cannot be read");
                    Verdict::reply(Err(self.told(pending, &refusal)))
                }
                Knowledge::Enough | Knowledge::UpTo(_) => verdict,
            },
            _ => verdict,
        }
    }

    /// Takes the head that the timeline has after the first frame of the queue came.
    pub(super) fn found_head(&mut self, head: Seq) {
        self.heard = self.heard.max(head);
        if let Some(front) = self.queue.front_mut() {
            front.facts.knowledge = Knowledge::UpTo(head);
        }
    }
}

/// Tells whether an answer depends on what is in the room.
fn depends(reply: &Result<Ack, Refusal>) -> bool {
    !reply
        .as_ref()
        .is_err_and(|refusal| matches!(refusal.code, ErrorCode::BadFrame | ErrorCode::TooLarge))
}
