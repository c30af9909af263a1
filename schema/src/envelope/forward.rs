//! Frames that one node hands to another, which owns their room, and what that answers.

use serde::{Deserialize, Serialize};

use crate::{
    BootId, DeviceId, EventId, MsgId, NodeId, RoomId, Seq, Timestamp, UserId,
    frame::{
        Ack, ClientFrame, Refusal,
        ack::{Duplicate, SentAck, SeqAck},
        client::Caller,
    },
};

/// Frames that append, of sessions of one node, in order, all about one room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Whose sessions they are of.
    pub by: NodeId,
    /// The run of the owner that is to take them; no other may.
    pub to: BootId,
    /// The room.
    pub room_id: RoomId,
    /// Names the answer's question among those of the room.
    pub id: u64,
    /// After this they are not to be taken any more.
    pub until: Timestamp,
    /// The frames.
    pub frames: Vec<ForwardedFrame>,
}

/// One frame of a [`Forward`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardedFrame {
    user_id: UserId,
    device_id: DeviceId,
    msg_id: MsgId,
    kind: String,
    payload: String,
}

/// What an owner answers to a [`Forward`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarded {
    /// The room.
    pub room_id: RoomId,
    /// Which forward.
    pub id: u64,
    /// What became of each frame, in order; none: they were not taken, and never will be.
    pub outcomes: Option<Vec<Outcome>>,
}

/// What became of a frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A message is in the timeline.
    Sent {
        /// Its position.
        seq: Seq,
        /// Its id.
        id: EventId,
        /// When it was taken.
        sent_at: Timestamp,
        /// Whether it was there before.
        duplicate: bool,
    },
    /// Another event is in the timeline, or nothing was to be done.
    Seq {
        /// Its position, or the head.
        seq: Seq,
        /// Whether it was there before.
        duplicate: bool,
    },
    /// It was refused.
    Refused(Refusal),
}

impl ForwardedFrame {
    /// Copies a frame.
    #[must_use]
    pub fn of(caller: &Caller, msg_id: MsgId, frame: &ClientFrame) -> Self {
        let mut payload = Vec::new();
        frame.write_payload(&mut payload);
        Self {
            user_id: caller.user_id.clone(),
            device_id: caller.device_id.clone(),
            msg_id,
            kind: frame.kind().to_owned(),
            payload: String::from_utf8(payload).expect("invariant: JSON is UTF-8"),
        }
    }

    /// Returns about the bytes it takes in an envelope.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.payload.len() + 200
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is of a type that this node does not know, or not as that type says.
    pub fn read(self) -> Result<(Caller, MsgId, ClientFrame), Refusal> {
        let frame = ClientFrame::read(&self.kind, &self.payload)?;
        let caller = Caller {
            user_id: self.user_id,
            device_id: self.device_id,
        };
        Ok((caller, self.msg_id, frame))
    }
}

impl Outcome {
    /// Copies what a room answered; none for an answer to what appends nothing.
    #[must_use]
    pub fn of(answer: Result<Ack, Refusal>) -> Option<Self> {
        Some(match answer {
            Ok(Ack::Sent(ack)) => Self::Sent {
                seq: ack.seq,
                id: ack.id,
                sent_at: ack.sent_at,
                duplicate: ack.duplicate.into(),
            },
            Ok(Ack::Seq(ack)) => Self::Seq {
                seq: ack.seq,
                duplicate: ack.duplicate.into(),
            },
            Ok(_) => return None,
            Err(refusal) => Self::Refused(refusal),
        })
    }

    /// Returns it as the room's own answer.
    ///
    /// # Errors
    /// The refusal.
    pub fn answer(self, room_id: RoomId) -> Result<Ack, Refusal> {
        match self {
            Self::Sent {
                seq,
                id,
                sent_at,
                duplicate,
            } => Ok(Ack::Sent(SentAck {
                room_id,
                seq,
                id,
                sent_at,
                duplicate: Duplicate::from(duplicate),
            })),
            Self::Seq { seq, duplicate } => Ok(Ack::Seq(SeqAck {
                seq,
                duplicate: Duplicate::from(duplicate),
            })),
            Self::Refused(refusal) => Err(refusal),
        }
    }

    /// Returns the position that whoever is acknowledged may ask for at once.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        match self {
            Self::Sent { seq, .. } | Self::Seq { seq, .. } => *seq,
            Self::Refused(_) => Seq::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{
        ErrorCode,
        envelope::Envelope,
        frame::{fingerprint, read},
    };

    const ROOM: &str = "0191f0c2-0000-7000-8000-0000000000cd";

    fn frame(kind: &str, payload: &str) -> ClientFrame {
        let text = format!(
            r#"{{"type":"{kind}","msg_id":"0191f0c2-0000-7000-8000-0000000000ab","payload":{{"room_id":"{ROOM}",{payload}}}}}"#
        );
        read(&text).unwrap().frame
    }

    #[test]
    fn a_frame_arrives_as_it_was_and_counts_as_the_same() {
        let caller = Caller {
            user_id: "ana".parse().unwrap(),
            device_id: "d1".parse().unwrap(),
        };
        for (kind, payload) in [
            (
                "message.send",
                r#""body":{"text":"\"\u0007é", "data": {"b": 1, "a":[1.50,null]}, "x":1},"mentions":["bo"],"reply_to":3"#,
            ),
            ("message.send", r#""body":{"ciphertext":"AA=="}"#),
            ("room.update", r#""name":null,"retention_ms":3600000"#),
            (
                "room.ban",
                r#""user_id":"bo","until":"2030-01-01T00:00:00.000Z""#,
            ),
            ("room.invite", r#""user_ids":["bo","cy"]"#),
        ] {
            let sent = frame(kind, payload);
            let msg_id = MsgId::from([4; 16]);
            let forward = Envelope::Forward(Forward {
                by: "n1".parse().unwrap(),
                to: BootId::from([1; 16]),
                room_id: ROOM.parse().unwrap(),
                id: u64::MAX,
                until: Timestamp::from_millis(5),
                frames: vec![ForwardedFrame::of(&caller, msg_id, &sent)],
            });
            let text = serde_json::to_string(&forward).unwrap();
            let Envelope::Forward(got) = serde_json::from_str(&text).unwrap() else {
                panic!("{text}");
            };
            assert_eq!(Envelope::Forward(got.clone()), forward);
            let read = got.frames.into_iter().next().unwrap().read().unwrap();
            assert_eq!(fingerprint(&read.2), fingerprint(&sent), "{kind} {payload}");
            assert_eq!((read.0, read.1), (caller.clone(), msg_id));
        }
    }

    #[test]
    fn an_answer_arrives_as_it_was() {
        let refusal = Refusal::new(ErrorCode::Muted, "you are muted")
            .until(Some(Timestamp::from_millis(1_700_000_000_000)));
        let outcomes = vec![
            Outcome::of(Err(refusal)).unwrap(),
            Outcome::of(Ok(Ack::seq(Seq::new(4)))).unwrap(),
        ];
        let answer = Envelope::Forwarded(Forwarded {
            room_id: ROOM.parse().unwrap(),
            id: 7,
            outcomes: Some(outcomes),
        });
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<Envelope>(&text).unwrap(), answer);
        assert!(Outcome::of(Ok(Ack::empty())).is_none());
    }
}
