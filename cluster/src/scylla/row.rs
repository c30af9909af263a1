//! Between rows and records: what a conditional write answers, and the forms of values.
//!
//! Servers answer a conditional write in different shapes: Cassandra says `[applied]` alone when it was, and rows in clustering
//! order when it was not; ScyllaDB always one row per statement. So columns are found by name, in whatever row has them.

use parlor_schema::{Role, RoomKind, Seq, Timestamp, UserId};
use scylla::{
    response::query_result::QueryResult,
    value::{CqlTimestamp, CqlValue, Row},
};

use super::error::Fault;

/// The answer to a conditional write.
pub(super) struct Outcome {
    /// Whether the conditions held and all was written.
    pub(super) is_applied: bool,
    names: Vec<String>,
    rows: Vec<Row>,
}

impl Outcome {
    pub(super) fn read(result: QueryResult) -> Result<Self, Fault> {
        let result = result.into_rows_result()?;
        let names: Vec<String> = result
            .column_specs()
            .iter()
            .map(|spec| spec.name().to_owned())
            .collect();
        let rows = result.rows::<Row>()?.collect::<Result<Vec<Row>, _>>()?;
        let mut outcome = Self {
            is_applied: false,
            names,
            rows,
        };
        match outcome.value("[applied]") {
            Some(CqlValue::Boolean(applied)) => outcome.is_applied = *applied,
            other => return Err(Fault::Shape(format!("[applied] is {other:?}"))),
        }
        Ok(outcome)
    }

    /// Returns what the row that refused the write has in a column; none when it has nothing there.
    pub(super) fn value(&self, name: &str) -> Option<&CqlValue> {
        let place = self.names.iter().position(|other| other == name)?;
        self.rows
            .iter()
            .find_map(|row| row.columns.get(place)?.as_ref())
    }

    /// Returns a position that refused the write.
    pub(super) fn seq(&self, name: &str) -> Result<Option<Seq>, Fault> {
        match self.value(name) {
            None => Ok(None),
            Some(CqlValue::BigInt(number)) => seq(name, *number).map(Some),
            Some(other) => Err(Fault::Shape(format!("{name} is {other:?}"))),
        }
    }
}

/// Writes a number that is at most 2^53 by its type, or a length.
pub(super) fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn limit(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

pub(super) fn seq(name: &str, number: i64) -> Result<Seq, Fault> {
    u64::try_from(number)
        .ok()
        .filter(|number| *number <= Seq::MAX.get())
        .map(Seq::new)
        .ok_or_else(|| Fault::Shape(format!("{name} is {number}")))
}

pub(super) fn time(at: Timestamp) -> CqlTimestamp {
    CqlTimestamp(at.millis())
}

pub(super) fn timestamp(time: CqlTimestamp) -> Timestamp {
    Timestamp::from_millis(time.0)
}

pub(super) fn user(text: &str) -> Result<UserId, Fault> {
    text.parse()
        .map_err(|error| Fault::Shape(format!("user_id {text:?}: {error}")))
}

/// Reads bytes of a fixed length.
pub(super) fn bytes<const N: usize>(name: &str, bytes: &[u8]) -> Result<[u8; N], Fault> {
    bytes
        .try_into()
        .map_err(|_| Fault::Shape(format!("{name} has {} bytes", bytes.len())))
}

/// Picks one of a few partitions by a name, so that an index is not one partition for all.
pub(super) fn shard(name: &[u8]) -> i8 {
    let shard = xxhash_rust::xxh3::xxh3_64(name) % SHARDS.len() as u64;
    SHARDS[usize::try_from(shard).unwrap_or(0)]
}

/// The partitions of the indexes that list everything.
pub(super) const SHARDS: [i8; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

macro_rules! stored_words {
    ($write:ident, $read:ident, $type:ty, $($variant:path = $word:literal),*) => {
        pub(super) fn $write(value: $type) -> &'static str {
            match value { $($variant => $word,)* }
        }

        pub(super) fn $read(word: &str) -> Result<$type, Fault> {
            match word {
                $($word => Ok($variant),)*
                _ => Err(Fault::Shape(format!("{word:?} is no {}", stringify!($type)))),
            }
        }
    };
}

stored_words!(
    role_word,
    role,
    Role,
    Role::Reader = "reader",
    Role::Member = "member",
    Role::Moderator = "moderator",
    Role::Admin = "admin",
    Role::Owner = "owner"
);
stored_words!(
    kind_word,
    kind,
    RoomKind,
    RoomKind::Direct = "direct",
    RoomKind::Group = "group",
    RoomKind::Channel = "channel"
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn outcome(names: &[&str], rows: Vec<Vec<Option<CqlValue>>>) -> Outcome {
        Outcome {
            is_applied: false,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            rows: rows.into_iter().map(|columns| Row { columns }).collect(),
        }
    }

    #[test]
    fn a_head_is_found_in_any_row_that_has_it() {
        let no = || Some(CqlValue::Boolean(false));
        let bare = outcome(&["[applied]"], vec![vec![no()]]);
        assert_eq!(bare.seq("head").unwrap(), None);
        let names = ["[applied]", "head", "seq"];
        let empty = outcome(&names, vec![vec![no(), None, None]]);
        assert_eq!(empty.seq("head").unwrap(), None);
        let head = Some(CqlValue::BigInt(7));
        let second = outcome(&names, vec![vec![no(), None, None], vec![no(), head, None]]);
        assert_eq!(second.seq("head").unwrap(), Some(Seq::new(7)));
        let odd = outcome(&names, vec![vec![no(), Some(CqlValue::BigInt(-1)), None]]);
        assert!(odd.seq("head").is_err());
    }

    #[test]
    fn words_come_back() {
        for value in [
            Role::Reader,
            Role::Member,
            Role::Moderator,
            Role::Admin,
            Role::Owner,
        ] {
            assert_eq!(role(role_word(value)).unwrap(), value);
        }
        for value in [RoomKind::Direct, RoomKind::Group, RoomKind::Channel] {
            assert_eq!(kind(kind_word(value)).unwrap(), value);
        }
        assert!(role("king").is_err() && kind("").is_err());
    }

    #[test]
    fn shards_are_all_used() {
        let used: std::collections::BTreeSet<i8> =
            (0..200_u8).map(|number| shard(&[number])).collect();
        assert_eq!(used.len(), SHARDS.len());
    }
}
