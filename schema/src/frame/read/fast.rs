//! Reading a frame in one pass, as nearly every client writes it: right, each field once, `type` before `payload`.
//!
//! Invariant: what is read here is what [`super::slow`] reads. Deliberately absent: refusals; whatever is wrong or unusual is left to it.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor},
};

use super::{Received, slow::Key};
use crate::{MsgId, frame::ClientFrame};

/// Reads a frame; `None` says nothing about it.
pub(super) fn read(text: &str) -> Option<Received> {
    let mut json = serde_json::Deserializer::from_str(text);
    let received = json.deserialize_map(FrameVisitor).ok()?;
    json.end().ok()?;
    Some(received)
}

struct FrameVisitor;

impl<'de> Visitor<'de> for FrameVisitor {
    type Value = Received;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a usual frame")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Received, A::Error> {
        let unusual = || A::Error::custom("unusual");
        let (mut kind, mut id, mut frame) = (None::<&str>, None::<&str>, None);
        while let Some(key) = map.next_key()? {
            match (key, kind) {
                (Key::Type, None) => kind = Some(map.next_value()?),
                (Key::MsgId, _) if id.is_none() => id = Some(map.next_value()?),
                (Key::Payload, Some(kind)) if frame.is_none() => {
                    frame = Some(map.next_value_seed(PayloadOf(kind))?);
                }
                (Key::Unknown, _) => drop(map.next_value::<IgnoredAny>()?),
                _ => return Err(unusual()),
            }
        }
        let frame = match frame {
            Some(frame) => frame,
            None => ClientFrame::read(kind.ok_or_else(unusual)?, "{}").map_err(|_| unusual())?,
        };
        let msg_id = match id {
            Some(id) => Some(id.parse::<MsgId>().map_err(|_| unusual())?),
            None if frame.needs_msg_id() => return Err(unusual()),
            None => None,
        };
        Ok(Received {
            msg_id,
            echo: id.map(str::to_owned),
            frame,
        })
    }
}

struct PayloadOf<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for PayloadOf<'_> {
    type Value = ClientFrame;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ClientFrame, D::Error> {
        ClientFrame::deserialize(self.0, deserializer)
    }
}
