//! The room directory of the embedded store.

use std::ops::ControlFlow;

use parlor_schema::{
    MsgId, RoomId, Seq, UserId,
    port::{PortFuture, RoomDirectory, StoreError, directory::RoomPage},
    record::{CreateClaim, MemberRecord, ReceiptRecord, RoomDelta, RoomRecord, RoomSnapshot},
};
use serde::{Deserialize, Serialize};

use super::{
    EmbeddedStore,
    error::Fault,
    key::{self, KeyRange},
    row,
    table::{Order, ReadTables, Rows as _, Table, WriteTables},
};

/// What a small write weighs in the queue, about.
const SMALL: usize = 256;

/// A room's own row.
#[derive(Serialize, Deserialize)]
struct RoomRow {
    room: RoomRecord,
    applied: Seq,
}

impl RoomDirectory for EmbeddedStore {
    fn claim_create(
        &self,
        user: &UserId,
        msg_id: MsgId,
        claim: CreateClaim,
    ) -> PortFuture<'_, Result<Option<CreateClaim>, StoreError>> {
        let key = key::name_then(user.as_str(), &msg_id.bytes());
        self.write(SMALL, move |tables| {
            let there = row::load(tables, Table::Claims, &key)?;
            if there.is_none() {
                row::store(tables, Table::Claims, &key, &claim);
            }
            Ok(there)
        })
    }

    fn replace_claim(
        &self,
        user: &UserId,
        msg_id: MsgId,
        stale: CreateClaim,
        claim: CreateClaim,
    ) -> PortFuture<'_, Result<(), StoreError>> {
        let key = key::name_then(user.as_str(), &msg_id.bytes());
        self.write(SMALL, move |tables| {
            if row::load(tables, Table::Claims, &key)? == Some(stale) {
                row::store(tables, Table::Claims, &key, &claim);
            }
            Ok(())
        })
    }

    fn snapshot(&self, room: RoomId) -> PortFuture<'_, Result<Option<RoomSnapshot>, StoreError>> {
        self.read(move |tables| {
            let key = room.bytes();
            let Some(RoomRow { room, applied }) = row::load(tables, Table::Rooms, &key)? else {
                return Ok(None);
            };
            let mut members = Vec::new();
            let all = key::beginning(key.to_vec());
            tables.scan(Table::Members, all, Order::Rising, &mut |key, bytes| {
                members.push(row::unseal::<MemberRecord>(Table::Members, key, bytes)?);
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(Some(RoomSnapshot {
                room,
                applied,
                members,
            }))
        })
    }

    /// A first delta without the room's fields changes nothing: there is no projection it could be a step of.
    fn apply(&self, room: RoomId, delta: RoomDelta) -> PortFuture<'_, Result<(), StoreError>> {
        let bytes = SMALL * (1 + delta.changed.len() + delta.removed.len());
        self.write(bytes, move |tables| apply(tables, room, delta))
    }

    fn rooms_of(
        &self,
        user: &UserId,
        after: Option<RoomId>,
        limit: usize,
    ) -> PortFuture<'_, Result<RoomPage, StoreError>> {
        let user = user.clone();
        self.read(move |tables| {
            let all = key::beginning(key::name_then(user.as_str(), &[]));
            let last = after.map(|room| key::name_then(user.as_str(), &room.bytes()));
            page(tables, Table::RoomsOfUser, key::after(all, last), limit)
        })
    }

    fn index(
        &self,
        room: RoomId,
        users: Vec<UserId>,
        seq: Seq,
    ) -> PortFuture<'_, Result<(), StoreError>> {
        self.write(SMALL * users.len(), move |tables| {
            for user in &users {
                let key = key::name_then(user.as_str(), &room.bytes());
                // Repeated often, for nothing: only what is new costs a commit.
                if indexed_at(tables, &key)?.is_none_or(|at| at < seq) {
                    row::store(tables, Table::RoomsOfUser, &key, &seq);
                }
            }
            Ok(())
        })
    }

    fn unindex(
        &self,
        room: RoomId,
        users: Vec<UserId>,
        seq: Seq,
    ) -> PortFuture<'_, Result<(), StoreError>> {
        self.write(SMALL * users.len(), move |tables| {
            for user in &users {
                let key = key::name_then(user.as_str(), &room.bytes());
                if indexed_at(tables, &key)?.is_some_and(|at| at <= seq) {
                    tables.remove(Table::RoomsOfUser, &key)?;
                }
            }
            Ok(())
        })
    }

    fn public_rooms(
        &self,
        after: Option<RoomId>,
        limit: usize,
    ) -> PortFuture<'_, Result<RoomPage, StoreError>> {
        self.read(move |tables| {
            let all = key::beginning(Vec::new());
            let last = after.map(|room| room.bytes().to_vec());
            page(tables, Table::PublicRooms, key::after(all, last), limit)
        })
    }

    fn receipts(&self, room: RoomId) -> PortFuture<'_, Result<Vec<ReceiptRecord>, StoreError>> {
        self.read(move |tables| {
            let mut receipts = Vec::new();
            let all = key::beginning(room.bytes().to_vec());
            tables.scan(Table::Receipts, all, Order::Rising, &mut |key, bytes| {
                receipts.push(row::unseal::<ReceiptRecord>(Table::Receipts, key, bytes)?);
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(receipts)
        })
    }

    fn put_receipts(&self, receipts: Vec<ReceiptRecord>) -> PortFuture<'_, Result<(), StoreError>> {
        self.write(SMALL * receipts.len(), move |tables| {
            // All are read before one is written, so that a damaged row leaves all as they are.
            let mut merged = std::collections::BTreeMap::new();
            for receipt in receipts {
                let key = key::room_user(receipt.room_id, &receipt.user_id);
                let there = match merged.remove(&key) {
                    Some(there) => Some(there),
                    None => row::load::<ReceiptRecord>(tables, Table::Receipts, &key)?,
                };
                let risen = match there {
                    Some(there) => ReceiptRecord {
                        delivered: there.delivered.max(receipt.delivered),
                        read: there.read.max(receipt.read),
                        ..receipt
                    },
                    None => receipt,
                };
                merged.insert(key, risen);
            }
            for (key, receipt) in &merged {
                row::store(tables, Table::Receipts, key, receipt);
            }
            Ok(())
        })
    }
}

fn apply(tables: &mut WriteTables<'_>, room: RoomId, delta: RoomDelta) -> Result<(), Fault> {
    let key = room.bytes();
    let there = row::load::<RoomRow>(tables, Table::Rooms, &key)?;
    if there
        .as_ref()
        .is_some_and(|there| delta.applied <= there.applied)
    {
        return Ok(());
    }
    let Some(record) = delta.room.or_else(|| there.map(|there| there.room)) else {
        return Ok(());
    };
    if record.public {
        row::store(tables, Table::PublicRooms, &key, &());
    } else {
        tables.remove(Table::PublicRooms, &key)?;
    }
    let moved = RoomRow {
        room: record,
        applied: delta.applied,
    };
    row::store(tables, Table::Rooms, &key, &moved);
    for user in &delta.removed {
        tables.remove(Table::Members, &key::room_user(room, user))?;
    }
    for member in &delta.changed {
        let key = key::room_user(room, &member.user_id);
        row::store(tables, Table::Members, &key, member);
    }
    Ok(())
}

/// Returns the position at which a room came into a user's list. Rows without one are of an earlier version, and below all.
fn indexed_at(tables: &mut WriteTables<'_>, key: &[u8]) -> Result<Option<Seq>, Fault> {
    let Some(row) = tables.get(Table::RoomsOfUser, key)? else {
        return Ok(None);
    };
    if row.len() == row::seal(key, &()).len() {
        row::unseal::<()>(Table::RoomsOfUser, key, &row)?;
        return Ok(Some(Seq::ZERO));
    }
    row::unseal(Table::RoomsOfUser, key, &row).map(Some)
}

fn page(
    tables: &mut ReadTables,
    table: Table,
    range: KeyRange,
    limit: usize,
) -> Result<RoomPage, Fault> {
    let mut rooms = Vec::new();
    let mut more = false;
    tables.scan(table, range, Order::Rising, &mut |key, bytes| {
        if rooms.len() >= limit {
            more = true;
            return Ok(ControlFlow::Break(()));
        }
        row::unseal::<()>(table, key, bytes)?;
        let room = key::tail_uuid(key)
            .ok_or_else(|| Fault::Row(format!("{}: no room in it", table.describe(key))))?;
        rooms.push(RoomId::from(room));
        Ok(ControlFlow::Continue(()))
    })?;
    let next = rooms.last().copied().filter(|_| more);
    Ok(RoomPage { rooms, next })
}
