//! Tables: sorted bytes to bytes, the same for reading and for writing transactions.
//!
//! Owns the names of the tables. Deliberately absent: what the bytes mean (`row`, `key`).

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    ops::{Bound, ControlFlow},
};

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::{
    error::Fault,
    key::{self, KeyRange},
};

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

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
        /// The tables; their names are stored.
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
    /// The number of the last commit.
    Meta = "meta";
}

impl Table {
    const fn definition(self) -> Definition {
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

/// The tables as one reading transaction sees them.
pub(super) struct ReadTables {
    txn: ReadTransaction,
    open: BTreeMap<Table, ReadOnlyTable<&'static [u8], &'static [u8]>>,
}

impl ReadTables {
    pub(super) fn new(txn: ReadTransaction) -> Self {
        Self {
            txn,
            open: BTreeMap::new(),
        }
    }

    fn table(
        &mut self,
        table: Table,
    ) -> Result<&ReadOnlyTable<&'static [u8], &'static [u8]>, Fault> {
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
        get(self.table(table)?, key)
    }

    fn scan(
        &mut self,
        table: Table,
        range: KeyRange,
        order: Order,
        each: Each<'_>,
    ) -> Result<(), Fault> {
        scan(self.table(table)?, &range, order, each)
    }
}

/// The tables inside the one writing transaction.
pub(super) struct WriteTables<'t> {
    txn: &'t WriteTransaction,
    open: BTreeMap<Table, redb::Table<'t, &'static [u8], &'static [u8]>>,
    touched: bool,
}

impl<'t> WriteTables<'t> {
    pub(super) fn new(txn: &'t WriteTransaction) -> Self {
        Self {
            txn,
            open: BTreeMap::new(),
            touched: false,
        }
    }

    /// Tells whether anything was written.
    pub(super) const fn touched(&self) -> bool {
        self.touched
    }

    /// Writes a row.
    pub(super) fn put(&mut self, table: Table, key: &[u8], row: &[u8]) -> Result<(), Fault> {
        self.touched = true;
        self.table(table)?.insert(key, row)?;
        Ok(())
    }

    /// Deletes a row, if it is there.
    pub(super) fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), Fault> {
        let removed = self.table(table)?.remove(key)?.is_some();
        self.touched |= removed;
        Ok(())
    }

    /// Makes every table that is not there.
    pub(super) fn create_all(&mut self) -> Result<(), Fault> {
        for table in Table::ALL {
            self.table(*table)?;
        }
        Ok(())
    }

    fn table(
        &mut self,
        table: Table,
    ) -> Result<&mut redb::Table<'t, &'static [u8], &'static [u8]>, Fault> {
        Ok(match self.open.entry(table) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(self.txn.open_table(table.definition())?)
            }
        })
    }
}

impl Rows for WriteTables<'_> {
    fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        get(self.table(table)?, key)
    }

    fn scan(
        &mut self,
        table: Table,
        range: KeyRange,
        order: Order,
        each: Each<'_>,
    ) -> Result<(), Fault> {
        scan(self.table(table)?, &range, order, each)
    }
}

fn get(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &[u8],
) -> Result<Option<Vec<u8>>, Fault> {
    Ok(table.get(key)?.map(|row| row.value().to_vec()))
}

fn scan(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    range: &KeyRange,
    order: Order,
    each: Each<'_>,
) -> Result<(), Fault> {
    // redb panics on a range whose ends are crossed.
    if let (
        Bound::Included(from) | Bound::Excluded(from),
        Bound::Included(to) | Bound::Excluded(to),
    ) = range
        && from >= to
        && !matches!(range, (Bound::Included(a), Bound::Included(b)) if a == b)
    {
        return Ok(());
    }
    let bounds = (
        range.0.as_ref().map(Vec::as_slice),
        range.1.as_ref().map(Vec::as_slice),
    );
    let mut rows = table.range::<&[u8]>(bounds)?;
    loop {
        let next = match order {
            Order::Rising => rows.next(),
            Order::Falling => rows.next_back(),
        };
        let Some(row) = next else { return Ok(()) };
        let (key, value) = row?;
        if each(key.value(), value.value())?.is_break() {
            return Ok(());
        }
    }
}
