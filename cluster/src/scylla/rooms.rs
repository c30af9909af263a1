//! The room directory port of the CQL store: claims, indexes and receipts; projections are in `projection`.
//!
//! Claims are conditional. Receipts are written with their value as the write time, so that the higher wins whoever writes last. So
//! are the rooms of a user, with the position of the event.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parlor_schema::{
    MsgId, RoomId, Seq, UserId,
    port::{PortFuture, RoomDirectory, StoreError, directory::RoomPage},
    record::{CreateClaim, ReceiptRecord, RoomDelta, RoomSnapshot},
};
use scylla::{statement::prepared::PreparedStatement, value::CqlValue};

use super::{
    CqlStore, Inner,
    error::Fault,
    row::{self, Outcome, SHARDS},
};

/// Requests of one call under way at one time.
pub(super) const SPREAD: usize = 32;
/// Rows of one page of members or receipts.
const PAGE_ROWS: usize = 2000;
/// Receipts in one batch.
const BATCH_RECEIPTS: usize = 50;

impl RoomDirectory for CqlStore {
    fn claim_create(
        &self,
        user: &UserId,
        msg_id: MsgId,
        claim: CreateClaim,
    ) -> PortFuture<'_, Result<Option<CreateClaim>, StoreError>> {
        let user = user.clone();
        self.run(async move |inner| {
            let fingerprint = claim.fingerprint.to_be_bytes();
            let values = (
                user.as_str(),
                msg_id.uuid(),
                claim.room_id.uuid(),
                fingerprint,
            );
            let put = &inner.statements.claim_put;
            let outcome = inner.condition(put, values).await?;
            match outcome.is_applied {
                true => Ok(None),
                false => Ok(Some(claim_there(&outcome)?)),
            }
        })
    }

    fn replace_claim(
        &self,
        user: &UserId,
        msg_id: MsgId,
        stale: CreateClaim,
        claim: CreateClaim,
    ) -> PortFuture<'_, Result<(), StoreError>> {
        let user = user.clone();
        self.run(async move |inner| {
            let values = (
                claim.room_id.uuid(),
                claim.fingerprint.to_be_bytes(),
                user.as_str(),
                msg_id.uuid(),
                stale.room_id.uuid(),
                stale.fingerprint.to_be_bytes(),
            );
            let replace = &inner.statements.claim_replace;
            inner.condition(replace, values).await?;
            Ok(())
        })
    }

    fn snapshot(&self, room: RoomId) -> PortFuture<'_, Result<Option<RoomSnapshot>, StoreError>> {
        self.run(async move |inner| Ok(inner.snapshot(room).await?))
    }

    /// A first delta without the room's fields changes nothing: there is no projection it could be a step of.
    fn apply(&self, room: RoomId, delta: RoomDelta) -> PortFuture<'_, Result<(), StoreError>> {
        self.run(async move |inner| Ok(inner.apply(room, &delta).await?))
    }

    fn rooms_of(
        &self,
        user: &UserId,
        after: Option<RoomId>,
        limit: usize,
    ) -> PortFuture<'_, Result<RoomPage, StoreError>> {
        let user = user.clone();
        self.run(async move |inner| {
            // One more tells whether there is a next page.
            let one_more = row::limit(limit.saturating_add(1));
            let values = (user.as_str(), behind(after), one_more);
            let get = &inner.statements.index_get;
            let result = inner.session.execute_unpaged(get, values).await;
            let mut rooms = room_ids(result.map_err(Fault::from)?)?;
            let more = rooms.len() > limit;
            rooms.truncate(limit);
            let next = rooms.last().copied().filter(|_| more);
            Ok(RoomPage { rooms, next })
        })
    }

    fn index(
        &self,
        room: RoomId,
        users: Vec<UserId>,
        seq: Seq,
    ) -> PortFuture<'_, Result<(), StoreError>> {
        self.run(async move |inner| Ok(inner.index(room, &users, seq).await?))
    }

    fn unindex(
        &self,
        room: RoomId,
        users: Vec<UserId>,
        seq: Seq,
    ) -> PortFuture<'_, Result<(), StoreError>> {
        self.run(async move |inner| Ok(inner.unindex(room, &users, seq).await?))
    }

    fn public_rooms(
        &self,
        after: Option<RoomId>,
        limit: usize,
    ) -> PortFuture<'_, Result<RoomPage, StoreError>> {
        self.run(async move |inner| Ok(inner.public_rooms(after, limit).await?))
    }

    fn receipts(&self, room: RoomId) -> PortFuture<'_, Result<Vec<ReceiptRecord>, StoreError>> {
        self.run(async move |inner| Ok(inner.receipts(room).await?))
    }

    /// What is written of a call that failed stays written.
    fn put_receipts(&self, receipts: Vec<ReceiptRecord>) -> PortFuture<'_, Result<(), StoreError>> {
        self.run(async move |inner| Ok(inner.put_receipts(receipts).await?))
    }
}

/// Reads the claim that refused another.
fn claim_there(outcome: &Outcome) -> Result<CreateClaim, Fault> {
    match (outcome.value("room_id"), outcome.value("fingerprint")) {
        (Some(CqlValue::Uuid(room)), Some(CqlValue::Blob(fingerprint))) => Ok(CreateClaim {
            room_id: RoomId::new(*room),
            fingerprint: u128::from_be_bytes(row::bytes("fingerprint", fingerprint)?),
        }),
        other => Err(Fault::Shape(format!("a claim is {other:?}"))),
    }
}

/// Where a page begins, in the order of bytes.
fn behind(after: Option<RoomId>) -> Vec<u8> {
    after.map_or_else(Vec::new, |room| room.bytes().to_vec())
}

fn room_ids(result: scylla::response::query_result::QueryResult) -> Result<Vec<RoomId>, Fault> {
    let result = result.into_rows_result()?;
    let rows = result.rows::<(&[u8],)>()?;
    rows.map(|row| Ok(RoomId::from(row::bytes("room_id", row?.0)?)))
        .collect()
}

/// Waits for requests, a few at a time.
async fn all<T, E>(requests: Vec<impl Future<Output = Result<T, E>>>) -> Result<(), Fault>
where
    Fault: From<E>,
{
    let mut answers = stream::iter(requests).buffer_unordered(SPREAD);
    while answers.try_next().await?.is_some() {}
    Ok(())
}

impl Inner {
    /// Runs a statement under a condition.
    pub(super) async fn condition(
        &self,
        statement: &PreparedStatement,
        values: impl scylla::serialize::row::SerializeRow,
    ) -> Result<Outcome, Fault> {
        Outcome::read(self.session.execute_unpaged(statement, values).await?)
    }

    /// Puts the room into lists, each row written at the time `seq`: what is written at a lower one changes nothing then.
    async fn index(&self, room: RoomId, users: &[UserId], seq: Seq) -> Result<(), Fault> {
        let at = row::bigint(seq.get());
        let requests = users.iter().map(|user| {
            let values = (user.to_string(), room.bytes(), at);
            let put = &self.statements.index_put;
            self.session.execute_unpaged(put, values)
        });
        all(requests.collect()).await
    }

    /// Takes the room from lists, as far as `seq`.
    async fn unindex(&self, room: RoomId, users: &[UserId], seq: Seq) -> Result<(), Fault> {
        let at = row::bigint(seq.get());
        let requests = users.iter().map(|user| {
            let values = (at, user.to_string(), room.bytes());
            let remove = &self.statements.index_remove;
            self.session.execute_unpaged(remove, values)
        });
        all(requests.collect()).await
    }

    async fn public_rooms(&self, after: Option<RoomId>, limit: usize) -> Result<RoomPage, Fault> {
        let (mut rooms, mut after) = (Vec::new(), after);
        loop {
            let (listed, next) = self.listed_rooms(after, limit).await?;
            let checks: Vec<_> = listed.iter().map(|room| self.is_public(*room)).collect();
            let public: Vec<bool> = stream::iter(checks).buffered(SPREAD).try_collect().await?;
            let public = listed.into_iter().zip(public).filter(|(_, public)| *public);
            rooms.extend(public.map(|(room, _)| room));
            after = next;
            if rooms.len() >= limit || after.is_none() {
                let more = rooms.len() > limit || after.is_some();
                rooms.truncate(limit);
                let next = rooms.last().copied().filter(|_| more);
                return Ok(RoomPage { rooms, next });
            }
        }
    }

    /// Lists at most `limit` rooms that may be public, from all shards, and the last of them when there may be more.
    async fn listed_rooms(
        &self,
        after: Option<RoomId>,
        limit: usize,
    ) -> Result<(Vec<RoomId>, Option<RoomId>), Fault> {
        let one_more = row::limit(limit.saturating_add(1));
        let list = &self.statements.public_list;
        let requests = SHARDS.map(|shard| {
            let values = (shard, behind(after), one_more);
            self.session.execute_unpaged(list, values)
        });
        let mut rooms = Vec::new();
        let mut answers = stream::iter(requests).buffer_unordered(SHARDS.len());
        while let Some(result) = answers.try_next().await? {
            rooms.extend(room_ids(result)?);
        }
        rooms.sort_unstable();
        let more = rooms.len() > limit;
        rooms.truncate(limit);
        let next = rooms.last().copied().filter(|_| more);
        Ok((rooms, next))
    }

    async fn receipts(&self, room: RoomId) -> Result<Vec<ReceiptRecord>, Fault> {
        let mut receipts: Vec<ReceiptRecord> = Vec::new();
        loop {
            let after = receipts.last().map_or("", |last| last.user_id.as_str());
            let values = (room.uuid(), after, row::limit(PAGE_ROWS));
            let get = &self.statements.receipts_get;
            let result = self.session.execute_unpaged(get, values).await?;
            let result = result.into_rows_result()?;
            for read in result.rows::<(&str, Option<i64>, Option<i64>)>()? {
                let (user, delivered, read) = read?;
                receipts.push(ReceiptRecord {
                    room_id: room,
                    user_id: row::user(user)?,
                    delivered: row::seq("delivered_seq", delivered.unwrap_or(0))?,
                    read: row::seq("read_seq", read.unwrap_or(0))?,
                });
            }
            if result.rows_num() < PAGE_ROWS {
                return Ok(receipts);
            }
        }
    }

    async fn put_receipts(&self, receipts: Vec<ReceiptRecord>) -> Result<(), Fault> {
        // The higher of each, because two writes of one cell in a batch are one too many.
        let mut merged: BTreeMap<(RoomId, UserId), (Seq, Seq)> = BTreeMap::new();
        for receipt in receipts {
            let key = (receipt.room_id, receipt.user_id);
            let there = merged.entry(key).or_default();
            there.0 = there.0.max(receipt.delivered);
            there.1 = there.1.max(receipt.read);
        }
        let mut by_room: BTreeMap<RoomId, Vec<(UserId, Seq, Seq)>> = BTreeMap::new();
        for ((room, user), (delivered, read)) in merged {
            by_room
                .entry(room)
                .or_default()
                .push((user, delivered, read));
        }
        let mut requests = Vec::new();
        for (room, receipts) in &by_room {
            for chunk in receipts.chunks(BATCH_RECEIPTS) {
                requests.push(self.put_receipts_of(*room, chunk));
            }
        }
        let mut answers = stream::iter(requests).buffer_unordered(SPREAD);
        while answers.try_next().await?.is_some() {}
        Ok(())
    }

    async fn put_receipts_of(
        &self,
        room: RoomId,
        receipts: &[(UserId, Seq, Seq)],
    ) -> Result<(), Fault> {
        let mut batch = self.statements.plain_batch();
        let mut rows = Vec::with_capacity(2 * receipts.len());
        for (user, delivered, read) in receipts {
            let puts = [
                (&self.statements.delivered_put, delivered),
                (&self.statements.read_put, read),
            ];
            for (put, seq) in puts {
                let seq = row::bigint(seq.get());
                batch.append_statement(put.clone());
                rows.push((seq, seq, room.uuid(), user.as_str()));
            }
        }
        self.session.batch(&batch, &rows).await?;
        Ok(())
    }
}
