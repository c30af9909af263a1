//! Frames as this side of the wire sees them: reading what the server says, writing what the client asks.
//!
//! Owns [`EventFrame`] and [`Frame`], and telling replies, events and the rest apart.
//!
//! Invariants:
//! - FR-1: reading never panics; what cannot be read is an error, never a guess.
//! - FR-2: a type that is not known but has an event's fields is an event, so that a newer server leaves no hole.

use parlor_schema::{
    EventId, MsgId, RoomId, Seq, Timestamp, UserId,
    frame::{
        ClientFrame, Refusal,
        hello::Welcome,
        server::{
            AuthExpiring, Gap, Goaway, Head, Live, MessageHidden, PresenceEntry, ReceiptFrame,
            RoomAdded, RoomRemoved, Typing,
        },
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

/// Says that a text is no frame of the server.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not a server frame: {0}")]
pub struct FrameError(String);

/// A timeline event as delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct EventFrame {
    /// Its `type`: `message`, `member.joined`, ….
    pub kind: String,
    /// Its own id, made by the server.
    pub id: EventId,
    /// The room.
    pub room_id: RoomId,
    /// Its position.
    pub seq: Seq,
    /// Who did it.
    pub sender: UserId,
    /// When the server took it.
    pub sent_at: Timestamp,
    /// The `msg_id` of the frame behind it; only in the sender's own sessions.
    pub client_msg_id: Option<MsgId>,
    /// The whole payload, the fields above included.
    pub payload: Value,
}

impl EventFrame {
    /// Reads one event frame, as in `events` of a history answer.
    ///
    /// ```
    /// use parlor_client::EventFrame;
    ///
    /// let event = EventFrame::read(
    ///     r#"{"type":"message","msg_id":"0191f0c2-7b00-7000-8000-00000000002a","payload":{
    ///         "room_id":"0191f0c2-7a00-7000-8000-000000000001","seq":41,"sender":"ana",
    ///         "sent_at":"2026-03-01T12:00:00.000Z","body":{"text":"hello"}}}"#,
    /// )?;
    /// assert_eq!((event.seq.get(), event.text()), (41, Some("hello")));
    /// # Ok::<(), parlor_client::FrameError>(())
    /// ```
    ///
    /// # Errors
    /// The text is no frame, or a frame that is no event.
    pub fn read(text: &str) -> Result<Self, FrameError> {
        let envelope: Envelope<'_> = parse(text)?;
        Self::of(&envelope)
    }

    /// Returns the text of the body, where there is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.payload.get("body")?.get("text")?.as_str()
    }

    fn of(envelope: &Envelope<'_>) -> Result<Self, FrameError> {
        #[derive(Deserialize)]
        struct Common {
            room_id: RoomId,
            seq: Seq,
            sender: UserId,
            sent_at: Timestamp,
            #[serde(default)]
            client_msg_id: Option<MsgId>,
        }
        let common: Common = envelope.payload()?;
        let id = envelope.msg_id.as_deref().unwrap_or_default();
        Ok(Self {
            kind: envelope.kind.clone(),
            id: id
                .parse()
                .map_err(|_| FrameError("an event without an id".into()))?,
            room_id: common.room_id,
            seq: common.seq,
            sender: common.sender,
            sent_at: common.sent_at,
            client_msg_id: common.client_msg_id,
            payload: envelope.payload()?,
        })
    }
}

/// What the server says besides events, replies, `live` and `gap`.
#[derive(Debug, Clone)]
pub enum Frame {
    /// The user is in a room from now on.
    RoomAdded(Box<RoomAdded>),
    /// The user, or this session, is out of a room from now on.
    RoomRemoved(RoomRemoved),
    /// There is something new in a passive room.
    Head(Head),
    /// Somebody's receipts moved.
    Receipt(ReceiptFrame),
    /// Somebody types, or stopped.
    Typing(Typing),
    /// Somebody's presence changed.
    Presence(PresenceEntry),
    /// A message was deleted for this user only.
    MessageHidden(MessageHidden),
    /// The token ends soon; the client renews it by itself.
    AuthExpiring(AuthExpiring),
    /// The node is draining; the client moves by itself.
    Goaway(Goaway),
    /// An error that answers nothing this client waits for.
    Error(Refusal),
    /// A type this version does not know.
    Unknown {
        /// Its `type`.
        kind: String,
        /// Its payload.
        payload: Value,
    },
}

/// A reply to a frame with a `msg_id`.
#[derive(Debug)]
pub(crate) enum Reply {
    /// `ack` or `pong`, with its payload.
    Done(Box<RawValue>),
    /// `error`.
    Refused(Refusal),
}

/// A server frame, sorted by what the client does with it.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// The answer to `hello`.
    Welcome(Box<Welcome>),
    /// The answer to anything else.
    Reply(MsgId, Reply),
    /// A timeline event.
    Event(EventFrame),
    /// Positions that will not come.
    Gap(Gap),
    /// A room has caught up.
    Live(Live),
    /// All else.
    Other(Frame),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    msg_id: Option<String>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

impl Envelope<'_> {
    fn raw(&self) -> &str {
        self.payload.map_or("{}", RawValue::get)
    }

    fn payload<T: DeserializeOwned>(&self) -> Result<T, FrameError> {
        parse(self.raw())
    }

    fn answers(&self) -> Option<MsgId> {
        self.msg_id.as_deref()?.parse().ok()
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, FrameError> {
    serde_json::from_str(text).map_err(|error| FrameError(error.to_string()))
}

/// Reads a server frame.
pub(crate) fn read(text: &str) -> Result<Incoming, FrameError> {
    let envelope: Envelope<'_> = parse(text)?;
    let other = match envelope.kind.as_str() {
        "welcome" => return Ok(Incoming::Welcome(envelope.payload()?)),
        "ack" | "pong" => return done(&envelope),
        "error" => return refused(&envelope),
        "live" => return Ok(Incoming::Live(envelope.payload()?)),
        "gap" => return Ok(Incoming::Gap(envelope.payload()?)),
        "room.added" => Frame::RoomAdded(envelope.payload()?),
        "room.removed" => Frame::RoomRemoved(envelope.payload()?),
        "head" => Frame::Head(envelope.payload()?),
        "receipt" => Frame::Receipt(envelope.payload()?),
        "typing" => Frame::Typing(envelope.payload()?),
        "presence" => Frame::Presence(envelope.payload()?),
        "message.hidden" => Frame::MessageHidden(envelope.payload()?),
        "auth.expiring" => Frame::AuthExpiring(envelope.payload()?),
        "goaway" => Frame::Goaway(envelope.payload()?),
        _ => match EventFrame::of(&envelope) {
            Ok(event) => return Ok(Incoming::Event(event)),
            Err(error) if is_event(&envelope.kind) => return Err(error),
            Err(_) => Frame::Unknown {
                kind: envelope.kind.clone(),
                payload: envelope.payload()?,
            },
        },
    };
    Ok(Incoming::Other(other))
}

fn is_event(kind: &str) -> bool {
    parlor_schema::EventKind::ALL
        .iter()
        .any(|known| known.as_str() == kind)
}

fn done(envelope: &Envelope<'_>) -> Result<Incoming, FrameError> {
    let Some(msg_id) = envelope.answers() else {
        return Ok(Incoming::Other(Frame::Unknown {
            kind: envelope.kind.clone(),
            payload: envelope.payload()?,
        }));
    };
    let payload = parse::<Box<RawValue>>(envelope.raw())?;
    Ok(Incoming::Reply(msg_id, Reply::Done(payload)))
}

fn refused(envelope: &Envelope<'_>) -> Result<Incoming, FrameError> {
    let refusal: Refusal = envelope.payload()?;
    Ok(match envelope.answers() {
        Some(msg_id) => Incoming::Reply(msg_id, Reply::Refused(refusal)),
        None => Incoming::Other(Frame::Error(refusal)),
    })
}

/// Writes a client frame.
pub(crate) fn write(frame: &ClientFrame, msg_id: Option<MsgId>) -> String {
    let mut payload = Vec::with_capacity(256);
    frame.write_payload(&mut payload);
    let payload = String::from_utf8(payload).expect("invariant: serde_json writes utf-8");
    let kind = frame.kind();
    match msg_id {
        Some(id) => format!(r#"{{"type":"{kind}","msg_id":"{id}","payload":{payload}}}"#),
        None => format!(r#"{{"type":"{kind}","payload":{payload}}}"#),
    }
}

/// Returns the room a written frame names in its payload.
pub(crate) fn room_of(frame: &str) -> Option<RoomId> {
    #[derive(Deserialize)]
    struct Named {
        payload: Payload,
    }
    #[derive(Deserialize)]
    struct Payload {
        #[serde(default)]
        room_id: Option<RoomId>,
    }
    parse::<Named>(frame).ok()?.payload.room_id
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const ID: &str = "0191f0c2-0000-7000-8000-000000000001";

    #[test]
    fn frames_are_sorted_by_what_they_mean() {
        let ack = format!(r#"{{"type":"ack","msg_id":"{ID}","payload":{{"seq":7}}}}"#);
        assert!(matches!(read(&ack), Ok(Incoming::Reply(_, Reply::Done(_)))));
        let bare = format!(r#"{{"type":"ack","msg_id":"{ID}"}}"#);
        assert!(matches!(read(&bare), Ok(Incoming::Reply(_, Reply::Done(p))) if p.get() == "{}"));
        let error = r#"{"type":"error","payload":{"code":"unavailable","message":"later"}}"#;
        assert!(matches!(read(error), Ok(Incoming::Other(Frame::Error(_)))));
        assert!(matches!(
            read(r#"{"type":"new.thing","payload":{"a":1}}"#),
            Ok(Incoming::Other(Frame::Unknown { .. }))
        ));
        assert!(read("[]").is_err() && read("{").is_err());
    }

    #[test]
    fn an_event_of_an_unknown_kind_is_still_an_event() {
        let text = format!(
            r#"{{"type":"message.starred","msg_id":"{ID}","payload":{{"room_id":"{ID}","seq":3,"sender":"ana","sent_at":"2026-01-01T00:00:00.000Z","target":2}}}}"#
        );
        let Ok(Incoming::Event(event)) = read(&text) else {
            panic!("not an event")
        };
        assert_eq!(
            (event.kind.as_str(), event.seq.get()),
            ("message.starred", 3)
        );
        assert_eq!(event.payload["target"], 2);
        let broken = text
            .replace("message.starred", "message")
            .replace(r#""seq":3,"#, "");
        assert!(read(&broken).is_err());
    }

    #[test]
    fn a_written_frame_names_its_room() {
        let text = format!(r#"{{"room_id":"{ID}"}}"#);
        let frame = ClientFrame::read("room.join", &text).unwrap();
        let written = write(&frame, Some(ID.parse().unwrap()));
        assert_eq!(room_of(&written), Some(ID.parse().unwrap()));
        assert_eq!(
            room_of(&write(&ClientFrame::read("ping", "{}").unwrap(), None)),
            None
        );
    }
}
