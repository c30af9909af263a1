//! The recent rows: what the log holds and the database does not yet, a layer for each half of the log that is in use.
//!
//! Owns which layer commits write into, and what a reader sees of two. Its bound is the log's size.
//!
//! Invariants:
//! - N-3: commits write into the newer layer. The older one never changes: the database takes it over meanwhile, and contends with nobody.
//! - N-4: commits of the older layer come before those of the newer one, so that a slot of the newer hides the older's.

use std::{cmp::Ordering, ops::Bound, sync::Arc};

use super::{
    group::Group,
    layer::{Layer, Slot},
    table::{Order, Table},
};

/// Rows that are not in the database yet; a clone is another handle of the same.
#[derive(Clone)]
pub(super) struct Recent {
    newer: Arc<Layer>,
    /// What the database is taking over.
    older: Option<Arc<Layer>>,
}

impl Recent {
    /// Begins without rows, after commit `last`.
    pub(super) fn new(last: u64) -> Self {
        Self {
            newer: Arc::new(Layer::new(last)),
            older: None,
        }
    }

    /// Freezes what is there as the older layer, and begins a newer one over it.
    pub(super) fn frozen(self) -> Self {
        debug_assert!(self.older.is_none(), "V-4");
        Self {
            newer: Arc::new(Layer::new(self.last())),
            older: Some(self.newer),
        }
    }

    /// Returns the layer that the database is to take over.
    pub(super) const fn older(&self) -> Option<&Arc<Layer>> {
        self.older.as_ref()
    }

    /// Lets the older layer go, after the database has taken it over; whoever drops the answer frees it.
    pub(super) const fn take_older(&mut self) -> Option<Arc<Layer>> {
        self.older.take()
    }

    /// Returns the layers in the order of their commits.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.older.iter().chain([&self.newer]).map(|layer| &**layer)
    }

    /// Returns the last commit that readers may see.
    pub(super) fn last(&self) -> u64 {
        self.newer.last()
    }

    /// Shows commit `number` to readers.
    pub(super) fn publish(&self, number: u64) {
        self.newer.publish(number);
    }

    /// Writes a slot as part of commit `number`.
    pub(super) fn put(&self, table: Table, key: &[u8], row: Option<&[u8]>, number: u64) {
        self.newer.put(table, key, row, number);
    }

    /// Writes all that a group changed, as part of commit `number`.
    pub(super) fn put_all(&self, rows: &[u8], number: u64) -> Result<(), &'static str> {
        self.newer.put_all(rows, number)
    }

    /// Forgets what a group changed as part of commit `number`, which nobody has seen.
    pub(super) fn forget(&self, group: &Group, number: u64) {
        self.newer.forget(group, number);
    }

    /// Reads what a view of `number` sees under a key; none when the database is to be asked.
    pub(super) fn get(&self, table: Table, key: &[u8], number: u64) -> Option<Slot> {
        let newer = self.newer.get(table, key, number);
        newer.or_else(|| self.older.as_ref()?.get(table, key, number))
    }

    /// Finds the first slot of a range that a view of `number` sees.
    pub(super) fn first(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        order: Order,
        number: u64,
    ) -> Option<(Vec<u8>, Slot)> {
        let newer = self.newer.first(table, range, order, number);
        let Some(older) = &self.older else {
            return newer;
        };
        match (newer, older.first(table, range, order, number)) {
            (Some(newer), Some(older)) => {
                let which = match order {
                    Order::Rising => older.0.cmp(&newer.0),
                    Order::Falling => newer.0.cmp(&older.0),
                };
                // Under one key, the newer.
                Some(if which == Ordering::Less {
                    older
                } else {
                    newer
                })
            }
            (newer, older) => newer.or(older),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    type Ends<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);
    const ALL: Ends<'_> = (Bound::Unbounded, Bound::Unbounded);

    /// Rows `a` and `b` in the older layer; `a` gone, `b` another and `c` there in the newer.
    fn two() -> Recent {
        let recent = Recent::new(4);
        recent.put(Table::Users, b"a", Some(b"1"), 5);
        recent.put(Table::Users, b"b", Some(b"2"), 5);
        recent.publish(5);
        let recent = recent.frozen();
        assert_eq!(recent.last(), 5);
        recent.put(Table::Users, b"a", None, 6);
        recent.put(Table::Users, b"b", Some(b"3"), 6);
        recent.put(Table::Users, b"c", Some(b"4"), 6);
        recent
    }

    #[test]
    fn a_slot_of_the_newer_layer_hides_the_older() {
        let recent = two();
        let get = |key: &[u8], number| recent.get(Table::Users, key, number);
        let row = |row: &[u8]| Some(Some(Arc::from(row)));
        assert_eq!([get(b"a", 5), get(b"b", 5)], [row(b"1"), row(b"2")], "N-1");
        assert_eq!(get(b"c", 5), None);
        assert_eq!(get(b"a", 6), Some(None), "N-2");
        assert_eq!([get(b"b", 6), get(b"c", 6)], [row(b"3"), row(b"4")], "N-4");
        let first = |order, number| recent.first(Table::Users, ALL, order, number).unwrap();
        assert_eq!(first(Order::Rising, 6), (b"a".to_vec(), None));
        assert_eq!(
            first(Order::Falling, 5),
            (b"b".to_vec(), Some(Arc::from(&b"2"[..])))
        );
    }

    #[test]
    fn what_was_frozen_does_not_change() {
        let mut recent = two();
        let mut group = Group::new();
        for key in [&b"a"[..], b"b", b"c"] {
            group.push(Table::Users, key, Some(b"9"));
        }
        recent.forget(&group, 6);
        let a = recent.get(Table::Users, b"a", 6);
        assert_eq!(a, Some(Some(Arc::from(&b"1"[..]))), "N-3");
        assert_eq!(recent.get(Table::Users, b"c", 6), None);
        let lasts: Vec<u64> = recent.layers().map(Layer::last).collect();
        assert_eq!(lasts, [5, 5]);
        drop(recent.take_older());
        assert_eq!(recent.first(Table::Users, ALL, Order::Rising, 6), None);
    }
}
