//! Cursor: no text makes reading panic, a written cursor reads back, and one that was changed is refused.
//!
//! Input: a text to be read as it is; the same bytes signed with the right key; and, by sixteen bytes of id and eight of position, the rooms
//! of a cursor.
#![no_main]

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use parlor_actors::cursor::{CursorKey, ROOMS_MAX};
use parlor_schema::{ErrorCode, RoomId, Seq, UserId};

const SECRET: [u8; 32] = [7; 32];
/// Bytes of a client frame, as shipped; a cursor must fit into one.
const FRAME_BYTES: usize = 64 * 1024;

fuzz_target!(|input: &[u8]| {
    let key = CursorKey::new(&SECRET);
    let user = user(input);
    let text = String::from_utf8_lossy(input);
    assert!(key.read(&user, &text).is_err(), "nobody signed this");
    signed(&key, input);
    let rooms: Vec<_> = input.as_chunks::<24>().0.iter().map(room).collect();
    let times = match input.first() {
        // More than a cursor holds, and seldom, because it takes long.
        Some(0xFF) => 255,
        first => usize::from(first.unwrap_or(&0) % 4),
    };
    written(&key, &user, &rooms.repeat(times), input);
});

/// Makes a user's name of what the input begins with.
fn user(input: &[u8]) -> UserId {
    const NAME_BYTES: usize = 128;
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._:@-".contains(byte);
    let name: Vec<u8> = input.iter().copied().filter(allowed).take(NAME_BYTES).collect();
    let name = String::from_utf8(name).unwrap_or_default();
    name.parse().unwrap_or_else(|_| other())
}

fn other() -> UserId {
    "somebody-else-whose-name-is-long-enough-not-to-be-found"
        .parse()
        .expect("a name")
}

fn room(bytes: &[u8; 24]) -> (RoomId, Seq) {
    let (mut id, mut seq) = ([0; 16], [0; 8]);
    id.copy_from_slice(&bytes[..16]);
    seq.copy_from_slice(&bytes[16..]);
    (RoomId::from(id), Seq::new(u64::from_le_bytes(seq)))
}

/// Behind the signature too, nothing panics, and what is read can be written.
fn signed(key: &CursorKey, bytes: &[u8]) {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), bytes);
    let cursor = URL_SAFE_NO_PAD.encode([bytes, tag.as_ref()].concat());
    let user = match bytes {
        [_, length, rest @ ..] => rest
            .get(..usize::from(*length))
            .and_then(|name| std::str::from_utf8(name).ok()?.parse().ok()),
        _ => None,
    };
    let user = user.unwrap_or_else(other);
    if let Ok(mut rooms) = key.read(&user, &cursor) {
        rooms.truncate(ROOMS_MAX);
        let again = key.write(&user, rooms.iter().copied());
        assert_eq!(key.read(&user, &again), Ok(rooms));
    }
}

/// What is written reads back for its user, for nobody else, and not when a letter of it is another.
fn written(key: &CursorKey, user: &UserId, rooms: &[(RoomId, Seq)], input: &[u8]) {
    let cursor = key.write(user, rooms.iter().copied());
    assert!(cursor.len() < FRAME_BYTES, "{} bytes", cursor.len());
    let kept = &rooms[..rooms.len().min(ROOMS_MAX)];
    assert_eq!(key.read(user, &cursor).as_deref(), Ok(kept));
    if *user != other() {
        let refusal = key.read(&other(), &cursor).map_err(|refusal| refusal.code);
        assert_eq!(refusal, Err(ErrorCode::Forbidden));
    }
    let number = input.iter().fold(0_usize, |all, byte| {
        all.wrapping_mul(31).wrapping_add(usize::from(*byte))
    });
    let at = number % cursor.len();
    let mut changed = cursor.clone().into_bytes();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).expect("letters");
    assert!(key.read(user, &changed).is_err(), "changed at {at}");
    assert!(key.read(user, &cursor[..at]).is_err(), "cut at {at}");
    assert!(key.read(user, &format!("{cursor}A")).is_err(), "longer");
}
