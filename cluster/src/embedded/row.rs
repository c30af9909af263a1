//! The form of every stored row: one version byte, the record in postcard, a checksum over key and row.
//!
//! Invariants:
//! - W-1: a row whose bytes, or whose place, are not those that were written is a [`Fault::Row`], never another record.
//! - W-2: the order of fields and variants of a stored type is its form; a change needs a new version byte.

use std::sync::Arc;

use parlor_schema::{Event, EventId, EventKind, MsgId, Seq, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use xxhash_rust::xxh3::Xxh3;

use super::{
    error::Fault,
    table::{Rows, Table, WriteTables},
};

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

/// A timeline row: an event without its position, which is in the key.
#[derive(Serialize, Deserialize)]
struct EventRow<'a> {
    sender: &'a str,
    msg_id: MsgId,
    fingerprint: u128,
    kind: u8,
    id: EventId,
    sent_at: Timestamp,
    content: &'a str,
}

/// Writes a record in its stored form.
pub(super) fn seal<T: Serialize>(key: &[u8], record: &T) -> Vec<u8> {
    let mut row = postcard::to_extend(record, vec![VERSION])
        .expect("records have a known shape, so that writing them to memory cannot fail");
    let sum = checksum(key, &row);
    row.extend_from_slice(&sum);
    row
}

/// Reads a record from its stored form.
pub(super) fn unseal<'a, T: Deserialize<'a>>(
    table: Table,
    key: &[u8],
    row: &'a [u8],
) -> Result<T, Fault> {
    let damaged = |why: &str| Fault::Row(format!("{}: {why}", table.describe(key)));
    let Some(split) = row.len().checked_sub(CHECKSUM_BYTES) else {
        return Err(damaged("row too short"));
    };
    let (body, sum) = row.split_at(split);
    if checksum(key, body) != sum {
        return Err(damaged("checksum does not match"));
    }
    match body.split_first() {
        Some((&VERSION, record)) => {
            postcard::from_bytes(record).map_err(|error| damaged(&error.to_string()))
        }
        Some((version, _)) => Err(damaged(&format!("row version {version} is not known"))),
        None => Err(damaged("row is empty")),
    }
}

/// Reads the record under `key`.
pub(super) fn load<T: DeserializeOwned>(
    rows: &mut impl Rows,
    table: Table,
    key: &[u8],
) -> Result<Option<T>, Fault> {
    rows.get(table, key)?
        .map(|row| unseal(table, key, &row))
        .transpose()
}

/// Writes a record under `key`.
pub(super) fn store<T: Serialize>(
    tables: &mut WriteTables<'_>,
    table: Table,
    key: &[u8],
    record: &T,
) {
    tables.put(table, key, &seal(key, record));
}

/// Writes an event in its stored form.
pub(super) fn seal_event(key: &[u8], event: &Event) -> Vec<u8> {
    let row = EventRow {
        sender: event.sender.as_str(),
        msg_id: event.msg_id,
        fingerprint: event.fingerprint,
        kind: event.kind.number(),
        id: event.id,
        sent_at: event.sent_at,
        content: &event.content,
    };
    seal(key, &row)
}

/// Reads an event from its stored form.
pub(super) fn unseal_event(key: &[u8], seq: Seq, row: &[u8]) -> Result<Event, Fault> {
    let damaged = |why: &str| Fault::Row(format!("{}: {why}", Table::Timeline.describe(key)));
    let row: EventRow<'_> = unseal(Table::Timeline, key, row)?;
    Ok(Event {
        seq,
        id: row.id,
        kind: EventKind::from_number(row.kind).ok_or_else(|| damaged("kind is not known"))?,
        sender: row
            .sender
            .parse()
            .map_err(|_| damaged("sender is not a name"))?,
        sent_at: row.sent_at,
        msg_id: row.msg_id,
        fingerprint: row.fingerprint,
        content: Arc::from(row.content),
    })
}

fn checksum(key: &[u8], body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hash = Xxh3::new();
    hash.update(key);
    hash.update(body);
    hash.digest().to_le_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn event() -> Event {
        Event {
            seq: Seq::new(7),
            id: EventId::from([1; 16]),
            kind: EventKind::Message,
            sender: "ana".parse().unwrap(),
            sent_at: Timestamp::from_millis(-5),
            msg_id: MsgId::from([2; 16]),
            fingerprint: u128::MAX - 3,
            content: r#"{"body":{"text":"hi"}}"#.into(),
        }
    }

    #[test]
    fn an_event_comes_back_as_it_was() {
        let row = seal_event(b"key", &event());
        assert_eq!(unseal_event(b"key", Seq::new(7), &row).unwrap(), event());
    }

    #[test]
    fn any_flipped_bit_and_any_other_place_is_noticed() {
        let row = seal_event(b"key", &event());
        assert!(unseal_event(b"kez", Seq::new(7), &row).is_err());
        for byte in 0..row.len() {
            for bit in 0..8 {
                let mut bad = row.clone();
                bad[byte] ^= 1 << bit;
                assert!(unseal_event(b"key", Seq::new(7), &bad).is_err());
            }
        }
        for len in 0..row.len() {
            assert!(unseal_event(b"key", Seq::new(7), &row[..len]).is_err());
        }
    }
}
