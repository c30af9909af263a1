//! The packets of a link as bytes: one line of JSON each.
//!
//! Shape: `{"v":1,"from":"n1","boot":"…","number":7,"envelopes":[…]}`, the same with `"heads":[["…",12],…]`, or the
//! heartbeat `{"v":1,"from":"n1","boot":"…","last":7}`. Fields that are not known are passed over; so is an envelope that
//! is not known, which a node of a later version may send.

use std::io::Write as _;

use bytes::Bytes;
use parlor_schema::{BootId, NodeId, RoomId, Seq, envelope::Envelope, port::Inbound};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

const VERSION: u32 = 1;

/// What a numbered packet carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// Encoded envelopes, in order.
    Envelopes(Vec<Bytes>),
    /// Heads of rooms.
    Heads(Vec<(RoomId, Seq)>),
}

/// What was read from the bytes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Who sent it.
    pub from: NodeId,
    /// In which run.
    pub boot: BootId,
    /// Its number; nothing for a heartbeat.
    pub number: Option<u64>,
    /// The last number used when it was sent.
    pub last: u64,
    /// What it carries.
    pub inbound: Vec<Inbound>,
    /// Envelopes that this node does not know.
    pub unknown: usize,
}

/// Says why bytes are no packet.
#[derive(Debug, thiserror::Error)]
pub enum PacketError {
    /// Not JSON of the shape above.
    #[error("not a packet: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Of a version that this node does not read.
    #[error("packet of version {0}")]
    Version(u32),
    /// Neither numbered nor a heartbeat, or a number that cannot be.
    #[error("packet without a number")]
    Unnumbered,
}

/// Writes a numbered packet.
#[must_use]
pub fn pack_contents(from: &NodeId, boot: BootId, number: u64, contents: &Contents) -> Vec<u8> {
    let bytes = match contents {
        Contents::Envelopes(envelopes) => envelopes.iter().map(|one| one.len() + 1).sum(),
        Contents::Heads(heads) => heads.len() * 60,
    };
    let mut out = begin(from, boot, bytes);
    // Writing into memory does not fail.
    let _ = write!(out, ",\"number\":{number},");
    match contents {
        Contents::Envelopes(envelopes) => {
            out.extend_from_slice(b"\"envelopes\":[");
            for (at, envelope) in envelopes.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(envelope);
            }
            out.push(b']');
        }
        Contents::Heads(heads) => {
            out.extend_from_slice(b"\"heads\":");
            let _ = serde_json::to_writer(&mut out, heads);
        }
    }
    out.push(b'}');
    out
}

/// Writes a heartbeat.
#[must_use]
pub fn pack_heartbeat(from: &NodeId, boot: BootId, last: u64) -> Vec<u8> {
    let mut out = begin(from, boot, 0);
    let _ = write!(out, ",\"last\":{last}}}");
    out
}

fn begin(from: &NodeId, boot: BootId, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 256);
    // A node id has no character that JSON escapes.
    let _ = write!(
        out,
        "{{\"v\":{VERSION},\"from\":\"{from}\",\"boot\":\"{boot}\""
    );
    out
}

#[derive(Deserialize)]
struct Raw<'a> {
    v: u32,
    from: NodeId,
    boot: BootId,
    number: Option<u64>,
    last: Option<u64>,
    #[serde(borrow, default)]
    envelopes: Vec<&'a RawValue>,
    #[serde(default)]
    heads: Vec<(RoomId, Seq)>,
}

/// Reads a packet.
///
/// # Errors
/// The bytes are none. Envelopes inside that cannot be read are counted instead.
pub fn read_packet(bytes: &[u8]) -> Result<Packet, PacketError> {
    let raw: Raw<'_> = serde_json::from_slice(bytes)?;
    if raw.v != VERSION {
        return Err(PacketError::Version(raw.v));
    }
    let last = match (raw.number, raw.last) {
        (Some(number), None) if number > 0 => number,
        (None, Some(last)) => last,
        _ => return Err(PacketError::Unnumbered),
    };
    // A position this far on is no count of packets; it would end the link's numbers.
    if last > Seq::MAX.get() {
        return Err(PacketError::Unnumbered);
    }
    let count = raw.envelopes.len();
    let mut inbound: Vec<Inbound> = raw
        .envelopes
        .iter()
        .filter_map(|one| serde_json::from_str::<Envelope>(one.get()).ok())
        .map(Inbound::Envelope)
        .collect();
    let unknown = count - inbound.len();
    if !raw.heads.is_empty() {
        inbound.push(Inbound::Heads(raw.heads));
    }
    Ok(Packet {
        from: raw.from,
        boot: raw.boot,
        number: raw.number,
        last,
        inbound,
        unknown,
    })
}

/// Encodes an envelope once, for all the packets that carry it.
///
/// # Errors
/// It holds something that JSON cannot.
pub(crate) fn encode(envelope: &impl Serialize) -> Result<Bytes, serde_json::Error> {
    serde_json::to_vec(envelope).map(Bytes::from)
}
