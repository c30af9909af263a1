//! The room directory of the memory store.

use std::{collections::BTreeMap, ops::Bound};

use parlor_schema::{
    MsgId, RoomId, Seq, UserId,
    port::{PortFuture, RoomDirectory, StoreError, directory::RoomPage},
    record::{CreateClaim, ReceiptRecord, RoomDelta, RoomSnapshot},
};

use super::store::{MemoryStore, RoomState, ready};

impl RoomDirectory for MemoryStore {
    fn claim_create(
        &self,
        user: &UserId,
        msg_id: MsgId,
        claim: CreateClaim,
    ) -> PortFuture<'_, Result<Option<CreateClaim>, StoreError>> {
        let mut state = self.state();
        let key = (user.clone(), msg_id);
        let there = state.claims.get(&key).copied();
        state.claims.entry(key).or_insert(claim);
        ready(there)
    }

    fn replace_claim(
        &self,
        user: &UserId,
        msg_id: MsgId,
        stale: CreateClaim,
        claim: CreateClaim,
    ) -> PortFuture<'_, Result<(), StoreError>> {
        if let Some(there) = self.state().claims.get_mut(&(user.clone(), msg_id))
            && *there == stale
        {
            *there = claim;
        }
        ready(())
    }

    fn snapshot(&self, room: RoomId) -> PortFuture<'_, Result<Option<RoomSnapshot>, StoreError>> {
        ready(self.state().rooms.get(&room).map(|there| RoomSnapshot {
            room: there.room.clone(),
            applied: there.applied,
            members: there.members.values().cloned().collect(),
        }))
    }

    /// A first delta without the room's fields changes nothing: there is no projection it could be a step of.
    fn apply(&self, room: RoomId, delta: RoomDelta) -> PortFuture<'_, Result<(), StoreError>> {
        let mut state = self.state();
        if let Some(there) = state.rooms.get_mut(&room) {
            if delta.applied <= there.applied {
                return ready(());
            }
            there.applied = delta.applied;
            if let Some(record) = delta.room {
                there.room = record;
            }
        } else if let Some(record) = delta.room {
            let fresh = RoomState {
                room: record,
                applied: delta.applied,
                members: BTreeMap::new(),
            };
            state.rooms.insert(room, fresh);
        }
        if let Some(there) = state.rooms.get_mut(&room) {
            for user in &delta.removed {
                there.members.remove(user);
            }
            for member in delta.changed {
                there.members.insert(member.user_id.clone(), member);
            }
        }
        ready(())
    }

    fn rooms_of(
        &self,
        user: &UserId,
        after: Option<RoomId>,
        limit: usize,
    ) -> PortFuture<'_, Result<RoomPage, StoreError>> {
        let state = self.state();
        let rooms = state.rooms_of.get(user).into_iter();
        ready(page(
            rooms.flat_map(|rooms| {
                let behind = rooms.range((start(after), Bound::Unbounded));
                behind.map(|(room, _)| *room)
            }),
            limit,
        ))
    }

    fn index(
        &self,
        room: RoomId,
        users: Vec<UserId>,
        seq: Seq,
    ) -> PortFuture<'_, Result<(), StoreError>> {
        let mut state = self.state();
        for user in users {
            let rooms = state.rooms_of.entry(user).or_default();
            let at = rooms.entry(room).or_insert(seq);
            *at = seq.max(*at);
        }
        ready(())
    }

    fn unindex(
        &self,
        room: RoomId,
        users: Vec<UserId>,
        seq: Seq,
    ) -> PortFuture<'_, Result<(), StoreError>> {
        let mut state = self.state();
        for user in users {
            if let Some(rooms) = state.rooms_of.get_mut(&user)
                && rooms.get(&room).is_some_and(|at| *at <= seq)
            {
                rooms.remove(&room);
            }
        }
        ready(())
    }

    fn public_rooms(
        &self,
        after: Option<RoomId>,
        limit: usize,
    ) -> PortFuture<'_, Result<RoomPage, StoreError>> {
        let state = self.state();
        let rooms = state.rooms.range((start(after), Bound::Unbounded));
        ready(page(
            rooms
                .filter(|(_, there)| there.room.public)
                .map(|(room, _)| *room),
            limit,
        ))
    }

    fn receipts(&self, room: RoomId) -> PortFuture<'_, Result<Vec<ReceiptRecord>, StoreError>> {
        let state = self.state();
        let receipts = state.receipts.get(&room).into_iter();
        ready(receipts.flat_map(BTreeMap::values).cloned().collect())
    }

    fn put_receipts(&self, receipts: Vec<ReceiptRecord>) -> PortFuture<'_, Result<(), StoreError>> {
        let mut state = self.state();
        for receipt in receipts {
            let room = state.receipts.entry(receipt.room_id).or_default();
            let there = room
                .entry(receipt.user_id.clone())
                .or_insert_with(|| receipt.clone());
            there.delivered = there.delivered.max(receipt.delivered);
            there.read = there.read.max(receipt.read);
        }
        ready(())
    }
}

fn start(after: Option<RoomId>) -> Bound<RoomId> {
    after.map_or(Bound::Unbounded, Bound::Excluded)
}

fn page(mut from: impl Iterator<Item = RoomId>, limit: usize) -> RoomPage {
    let rooms: Vec<RoomId> = from.by_ref().take(limit).collect();
    let next = rooms.last().copied().filter(|_| from.next().is_some());
    RoomPage { rooms, next }
}
