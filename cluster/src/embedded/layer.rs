//! A layer of recent rows: what one half of the log holds, in memory.
//!
//! Owns the rows under the number of the commit that wrote them. Its bound is the size of the half.
//!
//! Invariants:
//! - N-1: a view of a number sees what commits up to it wrote, and nothing later; rows of a commit that is not durable have a number
//!   that no reader has.
//! - N-2: where there is a row, or the mark of one that was removed, it stands before what is below: an older layer, and the database.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    group::{self, Group},
    table::{Order, Table},
};

/// A row, or that there is none any more.
pub(super) type Slot = Option<Arc<[u8]>>;

/// The slots of a key, by rising number of the commit.
type Slots = Vec<(u64, Slot)>;
type Tables = [BTreeMap<Vec<u8>, Slots>; Table::ALL.len()];

/// Rows of commits that follow each other.
pub(super) struct Layer {
    /// The last commit that readers may see.
    last: AtomicU64,
    tables: RwLock<Tables>,
}

impl Layer {
    /// Begins without rows, after commit `last`.
    pub(super) fn new(last: u64) -> Self {
        Self {
            last: AtomicU64::new(last),
            tables: RwLock::new(Tables::default()),
        }
    }

    /// Returns the last commit that readers may see.
    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// Shows commit `number` to readers.
    pub(super) fn publish(&self, number: u64) {
        self.last.store(number, Ordering::Release);
    }

    /// Writes a slot as part of commit `number`.
    pub(super) fn put(&self, table: Table, key: &[u8], row: Option<&[u8]>, number: u64) {
        let slot = row.map(Arc::from);
        let mut tables = self.write();
        let rows = &mut tables[table as usize];
        let Some(slots) = rows.get_mut(key) else {
            rows.insert(key.to_vec(), vec![(number, slot)]);
            return;
        };
        match slots.last_mut() {
            Some(last) if last.0 == number => last.1 = slot,
            _ => slots.push((number, slot)),
        }
    }

    /// Writes all that a group changed, as part of commit `number`.
    pub(super) fn put_all(&self, rows: &[u8], number: u64) -> Result<(), &'static str> {
        group::each(rows, |table, key, row| self.put(table, key, row, number))
    }

    /// Forgets what a group changed as part of commit `number`, which nobody has seen.
    pub(super) fn forget(&self, group: &Group, number: u64) {
        let mut tables = self.write();
        let forgotten = group::each(group.rows(), |table, key, _| {
            let rows = &mut tables[table as usize];
            if let Some(slots) = rows.get_mut(key) {
                slots.retain(|slot| slot.0 != number);
                if slots.is_empty() {
                    rows.remove(key);
                }
            }
        });
        debug_assert!(forgotten.is_ok(), "a group reads what it wrote");
    }

    /// Reads what a view of `number` sees under a key; none when what is below is to be asked.
    pub(super) fn get(&self, table: Table, key: &[u8], number: u64) -> Option<Slot> {
        seen(self.read()[table as usize].get(key)?, number)
    }

    /// Finds the first slot of a range that a view of `number` sees.
    pub(super) fn first(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        order: Order,
        number: u64,
    ) -> Option<(Vec<u8>, Slot)> {
        let tables = self.read();
        let mut rows = tables[table as usize].range::<[u8], _>(range);
        loop {
            let (key, slots) = match order {
                Order::Rising => rows.next(),
                Order::Falling => rows.next_back(),
            }?;
            if let Some(slot) = seen(slots, number) {
                return Some((key.clone(), slot));
            }
        }
    }

    /// Calls `each` for every slot that a view of `number` sees in a table, keys rising, until it fails.
    pub(super) fn each<E>(
        &self,
        table: Table,
        number: u64,
        mut each: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.read()[table as usize]
            .iter()
            .filter_map(|(key, slots)| Some((key, seen(slots, number)?)))
            .try_for_each(|(key, slot)| each(key, slot.as_deref()))
    }

    /// Tells whether a table holds nothing.
    pub(super) fn is_empty(&self, table: Table) -> bool {
        self.read()[table as usize].is_empty()
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seen(slots: &Slots, number: u64) -> Option<Slot> {
    let slot = slots.iter().rev().find(|slot| slot.0 <= number)?;
    Some(slot.1.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Unbounded, Bound::Unbounded);

    fn key(layer: &Layer, order: Order, number: u64) -> Option<(Vec<u8>, Slot)> {
        layer.first(Table::Users, ALL, order, number)
    }

    #[test]
    fn a_view_sees_its_number_and_nothing_later() {
        let layer = Layer::new(4);
        layer.put(Table::Users, b"a", Some(b"1"), 5);
        layer.put(Table::Users, b"a", Some(b"2"), 6);
        layer.put(Table::Users, b"b", Some(b"3"), 6);
        layer.put(Table::Users, b"a", None, 7);
        let get = |number| layer.get(Table::Users, b"a", number);
        assert_eq!(get(4), None);
        assert_eq!(get(5), Some(Some(b"1"[..].into())));
        assert_eq!(get(6), Some(Some(b"2"[..].into())));
        assert_eq!(get(7), Some(None));
        assert_eq!(key(&layer, Order::Rising, 4), None);
        let first = key(&layer, Order::Falling, 5).map(|found| found.0);
        assert_eq!(first, Some(b"a".to_vec()));
        assert_eq!(layer.last(), 4);
    }

    #[test]
    fn a_commit_that_failed_leaves_nothing() {
        let layer = Layer::new(4);
        layer.put(Table::Users, b"a", Some(b"1"), 5);
        let mut group = Group::new();
        for key in [&b"a"[..], b"b"] {
            layer.put(Table::Users, key, Some(b"2"), 6);
            group.push(Table::Users, key, Some(b"2"));
        }
        layer.forget(&group, 6);
        let a = layer.get(Table::Users, b"a", 6);
        assert_eq!(a, Some(Some(b"1"[..].into())));
        assert_eq!(layer.get(Table::Users, b"b", 6), None);
        let last = key(&layer, Order::Falling, 6).map(|found| found.0);
        assert_eq!(last, Some(b"a".to_vec()));
    }
}
