//! Cursors: where a user is in every room, signed, as one opaque text for any transport.
//!
//! Shape: base64url of `version ‖ user length ‖ user ‖ (room id, seq as varint)* ‖ HMAC-SHA-256`.
//! A cursor holds at most [`ROOMS_MAX`] rooms, so that it fits a client frame; rooms beyond start live.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parlor_schema::{ErrorCode, RoomId, Seq, UserId, frame::Refusal};

/// Rooms one cursor can hold.
pub const ROOMS_MAX: usize = 1_500;
const VERSION: u8 = 1;
const TAG_BYTES: usize = 32;

/// Signs and reads cursors.
pub struct CursorKey(hmac::Key);

impl CursorKey {
    /// Makes a key from a secret.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Writes a cursor.
    #[must_use]
    pub fn write(&self, user: &UserId, rooms: impl IntoIterator<Item = (RoomId, Seq)>) -> String {
        let name = user.as_str().as_bytes();
        let mut bytes = vec![VERSION, u8::try_from(name.len()).unwrap_or(u8::MAX)];
        bytes.extend_from_slice(name);
        for (room, seq) in rooms.into_iter().take(ROOMS_MAX) {
            bytes.extend_from_slice(&room.bytes());
            write_varint(seq.get(), &mut bytes);
        }
        let tag = hmac::sign(&self.0, &bytes);
        bytes.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor of `user`.
    ///
    /// # Errors
    /// `bad_frame` with field `cursor`; `forbidden` for the cursor of somebody else.
    pub fn read(&self, user: &UserId, cursor: &str) -> Result<Vec<(RoomId, Seq)>, Refusal> {
        let bad = || Refusal::bad_field("cursor", "not a cursor of this server");
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
        let (signed, tag) = bytes
            .split_at_checked(bytes.len().saturating_sub(TAG_BYTES))
            .ok_or_else(bad)?;
        hmac::verify(&self.0, signed, tag).map_err(|_| bad())?;
        let [VERSION, length, rest @ ..] = signed else {
            return Err(bad());
        };
        let (name, mut rest) = rest
            .split_at_checked(usize::from(*length))
            .ok_or_else(bad)?;
        if name != user.as_str().as_bytes() {
            return Err(Refusal {
                field: Some("cursor".into()),
                ..Refusal::new(ErrorCode::Forbidden, "somebody else's cursor")
            });
        }
        let mut rooms = Vec::new();
        while !rest.is_empty() {
            let (id, after) = rest.split_first_chunk::<16>().ok_or_else(bad)?;
            let (seq, after) = read_varint(after).ok_or_else(bad)?;
            rooms.push((RoomId::from(*id), Seq::new(seq)));
            rest = after;
        }
        Ok(rooms)
    }
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(u32::try_from(at).ok()? * 7)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn reads_what_it_wrote_and_nothing_else() {
        let key = CursorKey::new(&[7; 32]);
        let (ana, ben): (UserId, UserId) = ("ana".parse().unwrap(), "ben".parse().unwrap());
        let rooms = vec![
            (RoomId::from([1; 16]), Seq::new(0)),
            (RoomId::from([2; 16]), Seq::MAX),
        ];
        let cursor = key.write(&ana, rooms.clone());
        assert_eq!(key.read(&ana, &cursor).unwrap(), rooms);
        assert_eq!(
            key.read(&ben, &cursor).unwrap_err().code,
            ErrorCode::Forbidden
        );
        assert_eq!(
            CursorKey::new(&[8; 32])
                .read(&ana, &cursor)
                .unwrap_err()
                .code,
            ErrorCode::BadFrame
        );
        for bad in ["", "x", "AAAA", &cursor[1..]] {
            assert_eq!(
                key.read(&ana, bad).unwrap_err().code,
                ErrorCode::BadFrame,
                "{bad}"
            );
        }
    }
}
