//! The user directory port of the CQL store: accounts and devices; logins are in `logins`.
//!
//! Accounts are written under conditions alone. When a user was last seen is a row of its own, written with its value as the write time,
//! so that the later wins without a condition.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parlor_schema::{
    DeviceId, LoginId, Timestamp, UserId,
    port::{
        PortFuture, StoreError, UserDirectory,
        directory::{CreateUser, RotateLogin},
    },
    record::{DeviceRecord, LoginRecord, ProfileChange, UserRecord},
};
use scylla::{statement::prepared::PreparedStatement, value::CqlTimestamp};

use super::{
    CqlStore, Inner,
    error::Fault,
    rooms::SPREAD,
    row::{self, SHARDS},
};
use crate::account::fresh_user;

/// How often an account is made and changed again because another writer came between.
const TRIES: u32 = 4;

/// An account as selected, but for its id.
type UserRow<'a> = (
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    Option<CqlTimestamp>,
    Option<CqlTimestamp>,
);

impl UserDirectory for CqlStore {
    fn create_user(&self, user: UserRecord) -> PortFuture<'_, Result<CreateUser, StoreError>> {
        self.run(async move |inner| match inner.make_user(&user).await? {
            true => Ok(CreateUser::Created),
            false => Ok(CreateUser::Taken),
        })
    }

    fn user(&self, user: &UserId) -> PortFuture<'_, Result<Option<UserRecord>, StoreError>> {
        let user = user.clone();
        self.run(async move |inner| {
            let get = &inner.statements.user_get;
            Ok(inner.user(get, &user).await?)
        })
    }

    fn missing_users(&self, users: Vec<UserId>) -> PortFuture<'_, Result<Vec<UserId>, StoreError>> {
        self.run(async move |inner| {
            let get = &inner.statements.user_get;
            let asked: Vec<_> = users.iter().map(|user| inner.account(get, user)).collect();
            let found: Vec<_> = stream::iter(asked).buffered(SPREAD).try_collect().await?;
            let missing = users.iter().zip(found).filter(|(_, found)| found.is_none());
            Ok(missing.map(|(user, _)| user.clone()).collect())
        })
    }

    fn update_profile(
        &self,
        user: &UserId,
        change: ProfileChange,
        now: Timestamp,
    ) -> PortFuture<'_, Result<UserRecord, StoreError>> {
        let user = user.clone();
        self.run(async move |inner| Ok(inner.update_profile(&user, &change, now).await?))
    }

    fn set_password(
        &self,
        user: &UserId,
        hash: String,
    ) -> PortFuture<'_, Result<bool, StoreError>> {
        let user = user.clone();
        self.run(async move |inner| {
            let change = &inner.statements.user_password;
            let outcome = inner.condition(change, (hash, user.as_str())).await?;
            Ok(outcome.is_applied)
        })
    }

    fn set_disabled(
        &self,
        user: &UserId,
        at: Option<Timestamp>,
    ) -> PortFuture<'_, Result<bool, StoreError>> {
        let user = user.clone();
        self.run(async move |inner| {
            let change = &inner.statements.user_disabled;
            let values = (at.map(row::time), user.as_str());
            Ok(inner.condition(change, values).await?.is_applied)
        })
    }

    fn set_last_seen(
        &self,
        user: &UserId,
        at: Timestamp,
    ) -> PortFuture<'_, Result<(), StoreError>> {
        let user = user.clone();
        self.run(async move |inner| Ok(inner.set_last_seen(&user, at).await?))
    }

    fn users(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> PortFuture<'_, Result<Vec<UserRecord>, StoreError>> {
        self.run(async move |inner| Ok(inner.users(after, limit).await?))
    }

    fn put_login(&self, login: LoginRecord) -> PortFuture<'_, Result<(), StoreError>> {
        self.run(async move |inner| Ok(inner.put_login(&login).await?))
    }

    fn login(&self, login: LoginId) -> PortFuture<'_, Result<Option<LoginRecord>, StoreError>> {
        self.run(async move |inner| {
            let get = &inner.statements.login_get;
            Ok(inner.login(get, login).await?)
        })
    }

    fn logins_of(&self, user: &UserId) -> PortFuture<'_, Result<Vec<LoginRecord>, StoreError>> {
        let user = user.clone();
        self.run(async move |inner| Ok(inner.logins_of(&user).await?))
    }

    fn rotate_login(
        &self,
        login: LoginId,
        spent: [u8; 32],
        fresh: [u8; 32],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> PortFuture<'_, Result<RotateLogin, StoreError>> {
        self.run(async move |inner| {
            Ok(inner
                .rotate_login(login, spent, fresh, now, expires_at)
                .await?)
        })
    }

    fn remove_login(&self, login: LoginId) -> PortFuture<'_, Result<Option<UserId>, StoreError>> {
        self.run(async move |inner| Ok(inner.remove_login(login).await?))
    }

    fn put_device(&self, device: DeviceRecord) -> PortFuture<'_, Result<(), StoreError>> {
        self.run(async move |inner| Ok(inner.put_device(&device).await?))
    }

    fn device(
        &self,
        user: &UserId,
        device: &DeviceId,
    ) -> PortFuture<'_, Result<Option<DeviceRecord>, StoreError>> {
        let (user, device) = (user.clone(), device.clone());
        self.run(async move |inner| Ok(inner.device(user, device).await?))
    }
}

impl Inner {
    /// Makes an account; `false` when its id is in use. The list of ids holds it before it is there.
    async fn make_user(&self, user: &UserRecord) -> Result<bool, Fault> {
        let id = user.user_id.as_str();
        let values = (row::shard(id.as_bytes()), id);
        let list = &self.statements.user_id_put;
        self.session.execute_unpaged(list, values).await?;
        let values = (
            id,
            user.name.as_deref(),
            user.avatar.as_deref(),
            user.password_hash.as_deref(),
            row::time(user.created_at),
            user.disabled_at.map(row::time),
        );
        let put = &self.statements.user_put;
        let made = self.condition(put, values).await?.is_applied;
        if let Some(at) = user.last_seen.filter(|_| made) {
            self.put_seen(&user.user_id, at).await?;
        }
        Ok(made)
    }

    /// Reads an account without when it was last seen.
    async fn account(
        &self,
        get: &PreparedStatement,
        user: &UserId,
    ) -> Result<Option<UserRecord>, Fault> {
        let result = self.session.execute_unpaged(get, (user.as_str(),)).await?;
        let result = result.into_rows_result()?;
        let Some(read) = result.rows::<UserRow<'_>>()?.next().transpose()? else {
            return Ok(None);
        };
        let (name, avatar, password_hash, created_at, disabled_at) = read;
        let created_at =
            created_at.ok_or_else(|| Fault::Shape(format!("account {user}: no created_at")))?;
        Ok(Some(UserRecord {
            user_id: user.clone(),
            name: name.map(str::to_owned),
            avatar: avatar.map(str::to_owned),
            password_hash: password_hash.map(str::to_owned),
            created_at: row::timestamp(created_at),
            disabled_at: disabled_at.map(row::timestamp),
            last_seen: None,
        }))
    }

    async fn user(
        &self,
        get: &PreparedStatement,
        user: &UserId,
    ) -> Result<Option<UserRecord>, Fault> {
        let (account, last_seen) =
            futures_util::try_join!(self.account(get, user), self.last_seen(user))?;
        Ok(account.map(|account| UserRecord {
            last_seen,
            ..account
        }))
    }

    async fn last_seen(&self, user: &UserId) -> Result<Option<Timestamp>, Fault> {
        let get = &self.statements.seen_get;
        let result = self.session.execute_unpaged(get, (user.as_str(),)).await?;
        let result = result.into_rows_result()?;
        let read = result
            .rows::<(Option<CqlTimestamp>,)>()?
            .next()
            .transpose()?;
        Ok(read.and_then(|(at,)| at).map(row::timestamp))
    }

    async fn put_seen(&self, user: &UserId, at: Timestamp) -> Result<(), Fault> {
        let values = (user.as_str(), row::time(at), at.millis());
        let put = &self.statements.seen_put;
        self.session.execute_unpaged(put, values).await?;
        Ok(())
    }

    async fn set_last_seen(&self, user: &UserId, at: Timestamp) -> Result<(), Fault> {
        let get = &self.statements.user_get;
        if self.account(get, user).await?.is_none() {
            // Somebody else may make it at the same time, which is as good.
            self.make_user(&fresh_user(user, at)).await?;
        }
        self.put_seen(user, at).await
    }

    async fn update_profile(
        &self,
        user: &UserId,
        change: &ProfileChange,
        now: Timestamp,
    ) -> Result<UserRecord, Fault> {
        let statements = &self.statements;
        for _ in 0..TRIES {
            let id = user.as_str();
            let changed = match (&change.name, &change.avatar) {
                (None, None) => None,
                (Some(name), None) => Some(
                    self.condition(&statements.user_name, (name.as_deref(), id))
                        .await?,
                ),
                (None, Some(avatar)) => Some(
                    self.condition(&statements.user_avatar, (avatar.as_deref(), id))
                        .await?,
                ),
                (Some(name), Some(avatar)) => {
                    let values = (name.as_deref(), avatar.as_deref(), id);
                    Some(self.condition(&statements.user_profile, values).await?)
                }
            };
            if changed.is_none_or(|outcome| outcome.is_applied)
                && let Some(record) = self.user(&statements.user_serial, user).await?
            {
                return Ok(record);
            }
            let made = UserRecord {
                name: change.name.clone().flatten(),
                avatar: change.avatar.clone().flatten(),
                ..fresh_user(user, now)
            };
            if self.make_user(&made).await? {
                return Ok(made);
            }
        }
        Err(Fault::Shape(format!("account {user}: there and not there")))
    }

    async fn users(&self, after: Option<UserId>, limit: usize) -> Result<Vec<UserRecord>, Fault> {
        let (mut users, mut after) = (Vec::new(), after);
        while users.len() < limit {
            let wanted = limit - users.len();
            let ids = self.listed_users(after.as_ref(), wanted).await?;
            let was_last = ids.len() < wanted;
            let get = &self.statements.user_get;
            let asked: Vec<_> = ids.iter().map(|user| self.user(get, user)).collect();
            let found: Vec<_> = stream::iter(asked).buffered(SPREAD).try_collect().await?;
            users.extend(found.into_iter().flatten());
            if was_last {
                break;
            }
            after = ids.into_iter().next_back();
        }
        Ok(users)
    }

    /// Lists at most `limit` ids that may have an account, from all shards.
    async fn listed_users(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, Fault> {
        let list = &self.statements.user_id_list;
        let requests = SHARDS.map(|shard| {
            let values = (shard, after.map_or("", UserId::as_str), row::limit(limit));
            self.session.execute_unpaged(list, values)
        });
        let mut users = Vec::new();
        let mut answers = stream::iter(requests).buffer_unordered(SHARDS.len());
        while let Some(result) = answers.try_next().await? {
            let result = result.into_rows_result()?;
            for read in result.rows::<(&str,)>()? {
                users.push(row::user(read?.0)?);
            }
        }
        users.sort_unstable();
        users.truncate(limit);
        Ok(users)
    }

    async fn put_device(&self, device: &DeviceRecord) -> Result<(), Fault> {
        let (user, id) = (device.user_id.as_str(), device.device_id.as_str());
        let mut batch = self.statements.plain_batch();
        batch.append_statement(self.statements.device_put.clone());
        batch.append_statement(self.statements.device_seen.clone());
        let own = (device.name.as_deref(), device.platform.as_deref(), user, id);
        let at = device.last_seen;
        let seen = (at.millis(), row::time(at), user, id);
        self.session.batch(&batch, (own, seen)).await?;
        Ok(())
    }

    async fn device(&self, user: UserId, device: DeviceId) -> Result<Option<DeviceRecord>, Fault> {
        let values = (user.as_str(), device.as_str());
        let get = &self.statements.device_get;
        let result = self.session.execute_unpaged(get, values).await?;
        let result = result.into_rows_result()?;
        let mut rows = result.rows::<(Option<&str>, Option<&str>, Option<CqlTimestamp>)>()?;
        let Some((name, platform, last_seen)) = rows.next().transpose()? else {
            return Ok(None);
        };
        let last_seen = last_seen.map(row::timestamp);
        Ok(last_seen.map(|last_seen| DeviceRecord {
            name: name.map(str::to_owned),
            platform: platform.map(str::to_owned),
            last_seen,
            user_id: user.clone(),
            device_id: device.clone(),
        }))
    }
}
