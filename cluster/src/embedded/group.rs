//! The form of a group: what one group commit changed, as it lies in the log.
//!
//! Invariants:
//! - G-1: a group begins at a sector and fills whole sectors, so that writing it touches no sector of another.
//! - G-2: its checksum covers the log's id, its number and its rows: neither half a group nor one of an earlier log is read as a group.
//! - G-3: a table stands for its place in [`Table::ALL`]; a new table goes to the end of that list.

use xxhash_rust::xxh3::Xxh3;

use super::table::Table;

/// The unit in which a disk writes: whole, or not at all.
pub(super) const SECTOR: usize = 512;
/// Bytes of a log's id.
pub(super) const ID_BYTES: usize = 16;

const MAGIC: [u8; 4] = *b"plg1";
/// Magic, bytes of rows, number, checksum.
const HEADER_BYTES: usize = 4 + 4 + 8 + 8;
const REMOVED: u32 = u32::MAX;

/// The changes of one group commit, in order.
pub(super) struct Group {
    bytes: Vec<u8>,
    /// Where the last row ends; what is behind fills the last sector.
    end: usize,
}

/// A group read from a log.
pub(super) struct Found<'a> {
    /// Which commit it is.
    pub(super) number: u64,
    /// Its changes: [`each`] reads them.
    pub(super) rows: &'a [u8],
    /// Bytes it fills in the log.
    pub(super) length: usize,
}

impl Group {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; HEADER_BYTES],
            end: HEADER_BYTES,
        }
    }

    /// Adds a row that was written, or, without one, a row that was removed.
    pub(super) fn push(&mut self, table: Table, key: &[u8], row: Option<&[u8]>) {
        let length = |bytes: &[u8]| {
            u32::try_from(bytes.len())
                .ok()
                .filter(|length| *length < REMOVED)
                .expect("invariant: a frame is far smaller than 4 GiB, and so is a row")
        };
        self.bytes.push(table as u8);
        self.bytes.extend_from_slice(&length(key).to_le_bytes());
        let row_length = row.map_or(REMOVED, length);
        self.bytes.extend_from_slice(&row_length.to_le_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(row.unwrap_or_default());
        self.end = self.bytes.len();
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.end == HEADER_BYTES
    }

    /// Bytes it fills in a log.
    pub(super) const fn length(&self) -> usize {
        self.end.next_multiple_of(SECTOR)
    }

    /// Its changes.
    pub(super) fn rows(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..self.end]
    }

    /// Writes the header, fills the last sector and returns all; nothing is pushed after that.
    pub(super) fn seal(&mut self, id: &[u8; ID_BYTES], number: u64) -> &[u8] {
        let sum = checksum(id, number, self.rows());
        let rows = u32::try_from(self.end - HEADER_BYTES)
            .expect("invariant: what does not fit the log is not sealed");
        self.bytes[..4].copy_from_slice(&MAGIC);
        self.bytes[4..8].copy_from_slice(&rows.to_le_bytes());
        self.bytes[8..16].copy_from_slice(&number.to_le_bytes());
        self.bytes[16..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
        self.bytes.resize(self.length(), 0);
        &self.bytes
    }
}

/// Reads the group at the beginning of `bytes`; none when there is no whole group of this log.
pub(super) fn find<'a>(id: &[u8; ID_BYTES], bytes: &'a [u8]) -> Option<Found<'a>> {
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
    if header[..4] != MAGIC {
        return None;
    }
    let length = u32::from_le_bytes(header[4..8].try_into().ok()?);
    let number = u64::from_le_bytes(header[8..16].try_into().ok()?);
    let sum = u64::from_le_bytes(header[16..].try_into().ok()?);
    let rows = rest.get(..usize::try_from(length).ok()?)?;
    (checksum(id, number, rows) == sum).then(|| Found {
        number,
        rows,
        length: (HEADER_BYTES + rows.len()).next_multiple_of(SECTOR),
    })
}

/// Calls `change` for each change in `rows`, in order; answers what is wrong with them.
pub(super) fn each(
    mut rows: &[u8],
    mut change: impl FnMut(Table, &[u8], Option<&[u8]>),
) -> Result<(), &'static str> {
    while !rows.is_empty() {
        let (table, key, row);
        (table, key, row, rows) = first(rows).ok_or("a row of it is not whole")?;
        let table = Table::ALL
            .get(usize::from(table))
            .ok_or("a table of it is not known")?;
        change(*table, key, row);
    }
    Ok(())
}

type First<'a> = (u8, &'a [u8], Option<&'a [u8]>, &'a [u8]);

fn first(rows: &[u8]) -> Option<First<'_>> {
    let (table, rows) = rows.split_first()?;
    let (key_length, rows) = rows.split_first_chunk()?;
    let (row_length, rows) = rows.split_first_chunk()?;
    let key_length = usize::try_from(u32::from_le_bytes(*key_length)).ok()?;
    let (key, rows) = rows.split_at_checked(key_length)?;
    let (row, rows) = match u32::from_le_bytes(*row_length) {
        REMOVED => (None, rows),
        length => {
            let (row, rows) = rows.split_at_checked(usize::try_from(length).ok()?)?;
            (Some(row), rows)
        }
    };
    Some((*table, key, row, rows))
}

fn checksum(id: &[u8; ID_BYTES], number: u64, rows: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(id);
    hash.update(&number.to_le_bytes());
    hash.update(rows);
    hash.digest()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const ID: [u8; ID_BYTES] = [7; ID_BYTES];

    fn sealed(number: u64) -> Vec<u8> {
        let mut group = Group::new();
        group.push(Table::Timeline, b"key", Some(&[5; 600]));
        group.push(Table::Rooms, b"", Some(b""));
        group.push(Table::Members, b"gone", None);
        group.seal(&ID, number).to_vec()
    }

    #[test]
    fn a_group_comes_back_as_it_was() {
        let bytes = sealed(9);
        let found = find(&ID, &bytes).unwrap();
        assert_eq!((found.number, found.length), (9, 2 * SECTOR));
        let mut changes = Vec::new();
        each(found.rows, |table, key, row| {
            changes.push((table, key.to_vec(), row.map(<[u8]>::to_vec)));
        })
        .unwrap();
        let wanted = [
            (Table::Timeline, b"key".to_vec(), Some(vec![5; 600])),
            (Table::Rooms, Vec::new(), Some(Vec::new())),
            (Table::Members, b"gone".to_vec(), None),
        ];
        assert_eq!(changes, wanted);
    }

    #[test]
    fn a_sector_that_is_not_there_and_another_log_are_noticed() {
        let bytes = sealed(9);
        assert!(find(&[8; ID_BYTES], &bytes).is_none());
        for sector in 0..2 {
            let mut torn = bytes.clone();
            torn[sector * SECTOR..(sector + 1) * SECTOR].fill(0);
            assert!(find(&ID, &torn).is_none());
        }
        for len in 0..bytes.len() - SECTOR {
            assert!(find(&ID, &bytes[..len]).is_none());
        }
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let bytes = sealed(9);
        let filled = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        for byte in 0..filled {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[byte] ^= 1 << bit;
                assert!(find(&ID, &bad).is_none(), "byte {byte}");
            }
        }
    }

    #[test]
    fn rows_cut_short_are_an_error() {
        let bytes = sealed(9);
        let rows = find(&ID, &bytes).unwrap().rows;
        assert!(each(&rows[..rows.len() - 1], |_, _, _| ()).is_err());
        assert!(each(&[99, 0, 0, 0, 0, 0, 0, 0, 0], |_, _, _| ()).is_err());
    }
}
