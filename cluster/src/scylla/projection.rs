//! A room's projection: its fields and members in one partition, moved on by conditional batches.

use parlor_schema::{
    RoomId, Seq,
    record::{MemberRecord, Restriction, RoomDelta, RoomRecord, RoomSnapshot},
};
use scylla::{
    errors::SerializationError,
    response::query_result::QueryResult,
    serialize::{
        row::{RowSerializationContext, SerializeRow},
        writers::RowWriter,
    },
    value::CqlTimestamp,
};
use uuid::Uuid;

use super::{
    Inner,
    error::Fault,
    row::{self, Outcome},
};

/// Members of one page.
const PAGE_MEMBERS: usize = 2000;
/// How often a step or a snapshot is tried again because another writer came between.
const TRIES: u32 = 8;

/// A room's own fields, as stored.
type Fields<'a> = (
    &'a str,
    Option<&'a str>,
    Option<&'a str>,
    bool,
    Option<i64>,
    CqlTimestamp,
);

/// A row as selected: the room's fields, and a member's where there is one.
#[derive(scylla::DeserializeRow)]
struct RoomRow<'a> {
    applied: Option<i64>,
    kind: Option<&'a str>,
    name: Option<&'a str>,
    topic: Option<&'a str>,
    public: Option<bool>,
    retention_ms: Option<i64>,
    created_at: Option<CqlTimestamp>,
    user_id: Option<&'a str>,
    role: Option<&'a str>,
    joined_at: Option<CqlTimestamp>,
    joined_seq: Option<i64>,
    muted: Option<bool>,
    muted_until: Option<CqlTimestamp>,
    banned: Option<bool>,
    banned_until: Option<CqlTimestamp>,
}

/// What is bound to a statement of a step.
enum StepRow<'a> {
    Applied((i64, Uuid, i64)),
    Moved(i64, Fields<'a>, Uuid, Option<i64>),
    Member(Uuid, &'a MemberRecord),
    Removed((Uuid, &'a str)),
}

impl SerializeRow for StepRow<'_> {
    fn serialize(
        &self,
        context: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        match self {
            Self::Applied(values) => values.serialize(context, writer),
            Self::Moved(applied, fields, room, expected) => {
                let (kind, name, topic, public, retention, created) = *fields;
                (
                    *applied, kind, name, topic, public, retention, created, *room, *expected,
                )
                    .serialize(context, writer)
            }
            Self::Member(room, member) => {
                let until = |restriction: &Option<Restriction>| {
                    restriction.and_then(|restriction| restriction.until.map(row::time))
                };
                (
                    *room,
                    member.user_id.as_str(),
                    member.role.map(row::role_word),
                    row::time(member.joined_at),
                    row::bigint(member.joined_seq.get()),
                    member.muted.is_some(),
                    until(&member.muted),
                    member.banned.is_some(),
                    until(&member.banned),
                )
                    .serialize(context, writer)
            }
            Self::Removed(values) => values.serialize(context, writer),
        }
    }

    fn is_empty(&self) -> bool {
        false
    }
}

fn fields(room: &RoomRecord) -> Fields<'_> {
    (
        row::kind_word(room.kind),
        room.name.as_deref(),
        room.topic.as_deref(),
        room.public,
        room.retention_ms.map(row::bigint),
        row::time(room.created_at),
    )
}

impl Inner {
    /// Moves a projection on; the list of public rooms holds the room before it is public, and lets it go after it is not.
    pub(super) async fn apply(&self, room: RoomId, delta: &RoomDelta) -> Result<(), Fault> {
        let public = delta.room.as_ref().map(|record| record.public);
        let mut applied = self.applied(&self.statements.applied_get, room).await?;
        for _ in 0..TRIES {
            match applied {
                Some(applied) if delta.applied <= applied => return Ok(()),
                None if delta.room.is_none() => return Ok(()),
                _ => {}
            }
            if public == Some(true) {
                self.list(room, delta.applied).await?;
            }
            if self.step(room, applied, delta).await?.is_applied {
                return match public {
                    Some(false) => self.unlist(room, delta.applied).await,
                    _ => Ok(()),
                };
            }
            applied = self.applied(&self.statements.applied_serial, room).await?;
        }
        Err(Fault::Shape(format!(
            "room {room}: its projection moves all the time"
        )))
    }

    async fn step(
        &self,
        room: RoomId,
        applied: Option<Seq>,
        delta: &RoomDelta,
    ) -> Result<Outcome, Fault> {
        let statements = &self.statements;
        let mut batch = statements.conditional_batch();
        let (uuid, reached) = (room.uuid(), row::bigint(delta.applied.get()));
        let mut rows = Vec::with_capacity(1 + delta.changed.len() + delta.removed.len());
        match (&delta.room, applied) {
            (None, _) => {
                batch.append_statement(statements.applied_move.clone());
                rows.push(StepRow::Applied((reached, uuid, reached)));
            }
            (Some(record), None) => {
                batch.append_statement(statements.room_open.clone());
                rows.push(StepRow::Moved(reached, fields(record), uuid, None));
            }
            (Some(record), Some(_)) => {
                batch.append_statement(statements.room_move.clone());
                rows.push(StepRow::Moved(reached, fields(record), uuid, Some(reached)));
            }
        }
        for user in &delta.removed {
            // All statements of a batch write at one time, at which a removal would win.
            if delta.changed.iter().any(|member| member.user_id == *user) {
                continue;
            }
            batch.append_statement(statements.member_remove.clone());
            rows.push(StepRow::Removed((uuid, user.as_str())));
        }
        for member in &delta.changed {
            batch.append_statement(statements.member_put.clone());
            rows.push(StepRow::Member(uuid, member));
        }
        Outcome::read(self.session.batch(&batch, &rows).await?)
    }

    async fn applied(
        &self,
        get: &scylla::statement::prepared::PreparedStatement,
        room: RoomId,
    ) -> Result<Option<Seq>, Fault> {
        let result = self.session.execute_unpaged(get, (room.uuid(),)).await?;
        let result = result.into_rows_result()?;
        match result.rows::<(Option<i64>,)>()?.next().transpose()? {
            Some((Some(applied),)) => row::seq("applied", applied).map(Some),
            _ => Ok(None),
        }
    }

    async fn list(&self, room: RoomId, applied: Seq) -> Result<(), Fault> {
        let id = room.bytes();
        let values = (row::shard(&id), id, row::bigint(applied.get()));
        let put = &self.statements.public_put;
        self.session.execute_unpaged(put, values).await?;
        Ok(())
    }

    async fn unlist(&self, room: RoomId, applied: Seq) -> Result<(), Fault> {
        let id = room.bytes();
        let values = (row::bigint(applied.get()), row::shard(&id), id);
        let remove = &self.statements.public_remove;
        self.session.execute_unpaged(remove, values).await?;
        Ok(())
    }

    /// Tells whether a listed room is public: the list may hold others.
    pub(super) async fn is_public(&self, room: RoomId) -> Result<bool, Fault> {
        let get = &self.statements.public_get;
        let result = self.session.execute_unpaged(get, (room.uuid(),)).await?;
        let result = result.into_rows_result()?;
        let read = result.rows::<(Option<bool>,)>()?.next().transpose()?;
        Ok(read.and_then(|(public,)| public) == Some(true))
    }

    pub(super) async fn snapshot(&self, room: RoomId) -> Result<Option<RoomSnapshot>, Fault> {
        for _ in 0..TRIES {
            let (values, limit) = (room.uuid(), row::limit(PAGE_MEMBERS));
            let get = &self.statements.room_get;
            let first = self.session.execute_unpaged(get, (values, limit)).await?;
            let Some(mut snapshot) = read_page(room, first, None)? else {
                return Ok(None);
            };
            // Pages of different steps are no snapshot.
            let (mut count, mut same) = (snapshot.members.len(), true);
            while count == PAGE_MEMBERS && same {
                let last = snapshot.members.last().map(|member| member.user_id.clone());
                let after = last.as_ref().map_or("", |user| user.as_str());
                let get = &self.statements.members_get;
                let page = self.session.execute_unpaged(get, (values, after, limit));
                let Some(more) = read_page(room, page.await?, Some(&snapshot))? else {
                    break;
                };
                same = more.applied == snapshot.applied;
                count = more.members.len();
                snapshot.members.extend(more.members);
            }
            if same {
                return Ok(Some(snapshot));
            }
        }
        Err(Fault::Shape(format!(
            "room {room}: its projection moves all the time"
        )))
    }
}

/// Reads a page; none when it has no rows, or there is no projection. `first` is the page before, whose fields are kept.
fn read_page(
    room: RoomId,
    result: QueryResult,
    first: Option<&RoomSnapshot>,
) -> Result<Option<RoomSnapshot>, Fault> {
    let result = result.into_rows_result()?;
    let mut snapshot: Option<RoomSnapshot> = None;
    for read in result.rows::<RoomRow<'_>>()? {
        let read = read?;
        let Some(applied) = read.applied else {
            continue;
        };
        let snapshot = match &mut snapshot {
            Some(snapshot) => snapshot,
            None => snapshot.insert(RoomSnapshot {
                room: match first {
                    Some(first) => first.room.clone(),
                    None => record(room, &read)?,
                },
                applied: row::seq("applied", applied)?,
                members: Vec::with_capacity(result.rows_num()),
            }),
        };
        snapshot.members.extend(member(room, &read)?);
    }
    Ok(snapshot)
}

fn record(room: RoomId, row: &RoomRow<'_>) -> Result<RoomRecord, Fault> {
    let (Some(kind), Some(created_at)) = (row.kind, row.created_at) else {
        return Err(Fault::Shape(format!(
            "room {room}: kind or created_at is missing"
        )));
    };
    Ok(RoomRecord {
        kind: row::kind(kind)?,
        name: row.name.map(str::to_owned),
        topic: row.topic.map(str::to_owned),
        public: row.public == Some(true),
        retention_ms: row.retention_ms.and_then(|ms| u64::try_from(ms).ok()),
        created_at: row::timestamp(created_at),
    })
}

/// Reads the member of a row; none in the row of a room without any.
fn member(room: RoomId, row: &RoomRow<'_>) -> Result<Option<MemberRecord>, Fault> {
    let Some(user) = row.user_id else {
        return Ok(None);
    };
    let (Some(joined_at), Some(joined_seq)) = (row.joined_at, row.joined_seq) else {
        return Err(Fault::Shape(format!(
            "room {room}: member {user} is not whole"
        )));
    };
    let restriction = |holds: Option<bool>, until: Option<CqlTimestamp>| {
        (holds == Some(true)).then(|| Restriction {
            until: until.map(row::timestamp),
        })
    };
    Ok(Some(MemberRecord {
        user_id: row::user(user)?,
        role: row.role.map(row::role).transpose()?,
        joined_at: row::timestamp(joined_at),
        joined_seq: row::seq("joined_seq", joined_seq)?,
        muted: restriction(row.muted, row.muted_until),
        banned: restriction(row.banned, row.banned_until),
    }))
}
