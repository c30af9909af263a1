//! Tables: sorted bytes to bytes, the same for reading and for writing: the recent rows laid over a snapshot of the database.
//!
//! Owns the names of the tables. Deliberately absent: what the bytes mean (`row`, `key`), how rows come into the database (`database`).

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    fmt::Write as _,
    ops::{Bound, ControlFlow},
    sync::Arc,
};

use redb::{ReadOnlyTable, ReadTransaction, TableDefinition};

use super::{
    error::Fault,
    group::Group,
    key::{self, KeyRange},
    layer::Slot,
    recent::Recent,
};

pub(super) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// What a scan does with a row.
pub(super) type Each<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, Fault>;

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Smallest key first.
    Rising,
    /// Largest key first.
    Falling,
}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// The tables; their names are stored, and in the log their places in this list (G-3).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Table { $($(#[$doc])* $name,)* }

        impl Table {
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the stored name.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

tables! {
    /// Room, seq → event.
    Timeline = "timeline";
    /// Room → its fields and the position applied.
    Rooms = "rooms";
    /// Room, user → member.
    Members = "members";
    /// User, room → nothing.
    RoomsOfUser = "rooms_of_user";
    /// Room → nothing.
    PublicRooms = "public_rooms";
    /// Room, user → receipt.
    Receipts = "receipts";
    /// User, msg id → claim.
    Claims = "claims";
    /// User → account.
    Users = "users";
    /// Login → login.
    Logins = "logins";
    /// User, login → nothing.
    LoginsOfUser = "logins_of_user";
    /// User, device → device.
    Devices = "devices";
    /// The number of the last commit, and the log.
    Meta = "meta";
}

impl Table {
    /// Returns what redb opens it by.
    pub(super) const fn definition(self) -> Definition {
        TableDefinition::new(self.name())
    }

    /// Names a row for an error.
    pub(super) fn describe(self, key: &[u8]) -> String {
        let mut text = format!("table {}", self.name());
        if let (Self::Timeline, Some(seq), Some(room)) = (
            self,
            key::seq_of(key),
            key.first_chunk::<{ key::UUID_BYTES }>(),
        ) {
            let room = parlor_schema::RoomId::from(*room);
            let _ = write!(text, " room {room} seq {seq}");
        } else {
            let _ = write!(text, " row {}", key.escape_ascii());
        }
        text
    }
}

/// Rows that can be read.
pub(super) trait Rows {
    /// Reads a row.
    fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// Calls `each` for the rows of a range until it breaks.
    fn scan(
        &mut self,
        table: Table,
        range: KeyRange,
        order: Order,
        each: Each<'_>,
    ) -> Result<(), Fault>;
}

type Snapshot = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// The tables as they are after one commit.
pub(super) struct ReadTables {
    txn: Arc<ReadTransaction>,
    open: BTreeMap<Table, Snapshot>,
    recent: Recent,
    /// The commit.
    number: u64,
}

impl ReadTables {
    /// Makes a view of commit `number`; `txn` holds nothing later than that.
    pub(super) fn new(txn: Arc<ReadTransaction>, recent: Recent, number: u64) -> Self {
        Self {
            txn,
            open: BTreeMap::new(),
            recent,
            number,
        }
    }

    fn table(&mut self, table: Table) -> Result<&Snapshot, Fault> {
        Ok(match self.open.entry(table) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(self.txn.open_table(table.definition())?)
            }
        })
    }
}

impl Rows for ReadTables {
    fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        if let Some(slot) = self.recent.get(table, key, self.number) {
            return Ok(slot.map(|row| row.to_vec()));
        }
        let row = self.table(table)?.get(key)?;
        Ok(row.map(|row| row.value().to_vec()))
    }

    fn scan(
        &mut self,
        table: Table,
        range: KeyRange,
        order: Order,
        each: Each<'_>,
    ) -> Result<(), Fault> {
        if is_crossed(&range) {
            return Ok(());
        }
        let mut over = Over {
            recent: self.recent.clone(),
            number: self.number,
            table,
            left: range.clone(),
            order,
        };
        let bounds = (
            range.0.as_ref().map(Vec::as_slice),
            range.1.as_ref().map(Vec::as_slice),
        );
        let mut rows = self.table(table)?.range::<&[u8]>(bounds)?;
        let mut below = || match order {
            Order::Rising => rows.next(),
            Order::Falling => rows.next_back(),
        };
        let (mut upper, mut lower) = (over.next(), below().transpose()?);
        loop {
            let first = match (&upper, &lower) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((key, _)), Some((below, _))) => match order {
                    Order::Rising => key.as_slice().cmp(below.value()),
                    Order::Falling => below.value().cmp(key.as_slice()),
                },
            };
            let end = match (first, &upper, &lower) {
                (Ordering::Greater, _, Some((key, row))) => each(key.value(), row.value())?,
                (_, Some((key, Some(row))), _) => each(key, row)?,
                _ => ControlFlow::Continue(()),
            };
            if end.is_break() {
                return Ok(());
            }
            if first.is_ge() {
                lower = below().transpose()?;
            }
            if first.is_le() {
                upper = over.next();
            }
        }
    }
}

/// A walk over the recent rows of a range; it holds no lock between two rows.
struct Over {
    recent: Recent,
    number: u64,
    table: Table,
    left: KeyRange,
    order: Order,
}

impl Over {
    fn next(&mut self) -> Option<(Vec<u8>, Slot)> {
        let left = (
            self.left.0.as_ref().map(Vec::as_slice),
            self.left.1.as_ref().map(Vec::as_slice),
        );
        let found = self.recent.first(self.table, left, self.order, self.number);
        match (&found, self.order) {
            (Some((key, _)), Order::Rising) => self.left.0 = Bound::Excluded(key.clone()),
            (Some((key, _)), Order::Falling) => self.left.1 = Bound::Excluded(key.clone()),
            // Nothing is left: an empty range, not the same walk again.
            (None, _) => self.left = (Bound::Included(vec![0]), Bound::Excluded(vec![0])),
        }
        found
    }
}

/// The tables as the jobs of one commit see and change them.
pub(super) struct WriteTables<'g> {
    rows: ReadTables,
    group: &'g mut Group,
}

impl<'g> WriteTables<'g> {
    /// Writes into `rows`, whose commit nobody can see yet, and into `group`.
    pub(super) fn new(rows: ReadTables, group: &'g mut Group) -> Self {
        Self { rows, group }
    }

    /// Writes a row.
    pub(super) fn put(&mut self, table: Table, key: &[u8], row: &[u8]) {
        self.change(table, key, Some(row));
    }

    /// Deletes a row, if it is there.
    pub(super) fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), Fault> {
        if self.rows.get(table, key)?.is_some() {
            self.change(table, key, None);
        }
        Ok(())
    }

    fn change(&mut self, table: Table, key: &[u8], row: Option<&[u8]>) {
        self.group.push(table, key, row);
        let ReadTables { recent, number, .. } = &self.rows;
        recent.put(table, key, row, *number);
    }
}

impl Rows for WriteTables<'_> {
    fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.rows.get(table, key)
    }

    fn scan(
        &mut self,
        table: Table,
        range: KeyRange,
        order: Order,
        each: Each<'_>,
    ) -> Result<(), Fault> {
        self.rows.scan(table, range, order, each)
    }
}

/// Tells whether the ends of a range are crossed, over which redb and the recent rows would panic.
fn is_crossed(range: &KeyRange) -> bool {
    let (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) =
        range
    else {
        return false;
    };
    from >= to && !matches!(range, (Bound::Included(a), Bound::Included(b)) if a == b)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use redb::{Database, ReadableDatabase as _, backends::InMemoryBackend};

    use super::*;

    /// What the view sees, at most.
    const SEEN: u64 = 2;

    type Model = BTreeMap<Vec<u8>, Vec<u8>>;

    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: u8) -> u8 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 32) as u8 % bound
        }

        fn key(&mut self) -> Vec<u8> {
            (0..1 + self.below(2)).map(|_| self.below(5)).collect()
        }

        fn bound(&mut self) -> Bound<Vec<u8>> {
            match self.below(3) {
                0 => Bound::Unbounded,
                1 => Bound::Included(self.key()),
                _ => Bound::Excluded(self.key()),
            }
        }
    }

    /// Puts some rows into a database and some changes over them; the model holds what a view of [`SEEN`] sees.
    fn made(dice: &mut Dice) -> (Database, Recent, Model) {
        let database = Database::builder()
            .create_with_backend(InMemoryBackend::new())
            .unwrap();
        let (mut recent, mut model) = (Recent::new(0), Model::new());
        let txn = database.begin_write().unwrap();
        {
            let mut rows = txn.open_table(Table::Users.definition()).unwrap();
            for n in 0..dice.below(12) {
                let (key, row) = (dice.key(), vec![n]);
                rows.insert(key.as_slice(), row.as_slice()).unwrap();
                model.insert(key, row);
            }
        }
        txn.commit().unwrap();
        // One layer, or two with a commit in each.
        let layers = 1 + dice.below(2);
        for layer in 1..=layers {
            let number = u64::from(layer);
            for n in 0..dice.below(12) {
                let (key, row) = (dice.key(), vec![100 * layer + n]);
                match dice.below(4) {
                    0 => {
                        recent.put(Table::Users, &key, None, number);
                        model.remove(&key);
                    }
                    1 if layer == layers => recent.put(Table::Users, &key, Some(&row), SEEN + 1),
                    _ => {
                        recent.put(Table::Users, &key, Some(&row), number);
                        model.insert(key, row);
                    }
                }
            }
            recent.publish(number);
            if layer < layers {
                recent = recent.frozen();
            }
        }
        (database, recent, model)
    }

    #[test]
    fn recent_rows_lie_over_the_database_in_order() {
        for seed in 1..600 {
            let mut dice = Dice(seed);
            let (database, recent, model) = made(&mut dice);
            let txn = Arc::new(database.begin_read().unwrap());
            let mut tables = ReadTables::new(txn, recent, SEEN);
            for (order, range) in [Order::Rising, Order::Falling]
                .into_iter()
                .flat_map(|order| [(); 8].map(|()| (order, (dice.bound(), dice.bound()))))
            {
                let mut wanted: Vec<_> = model
                    .iter()
                    .filter(|(key, _)| std::ops::RangeBounds::contains(&range, *key))
                    .map(|(key, row)| (key.clone(), row.clone()))
                    .collect();
                if order == Order::Falling {
                    wanted.reverse();
                }
                let mut found = Vec::new();
                let mut each = |key: &[u8], row: &[u8]| {
                    found.push((key.to_vec(), row.to_vec()));
                    Ok(ControlFlow::Continue(()))
                };
                let text = format!("seed {seed}: {order:?} {range:?}");
                tables.scan(Table::Users, range, order, &mut each).unwrap();
                assert_eq!(found, wanted, "{text}");
            }
            for key in (0..20).map(|_| dice.key()) {
                let found = tables.get(Table::Users, &key).unwrap();
                assert_eq!(found.as_ref(), model.get(&key), "seed {seed}: {key:?}");
            }
        }
    }
}
