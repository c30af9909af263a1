//! The user directory of the embedded store.

use std::ops::{Bound, ControlFlow};

use parlor_schema::{
    DeviceId, LoginId, Timestamp, UserId,
    port::{
        PortFuture, StoreError, UserDirectory,
        directory::{CreateUser, RotateLogin},
    },
    record::{DeviceRecord, LoginRecord, ProfileChange, UserRecord},
};

use super::{
    EmbeddedStore,
    error::Fault,
    key, row,
    table::{Order, Rows as _, Table, WriteTables},
};
use crate::account::fresh_user;

/// What a small write weighs in the queue, about.
const SMALL: usize = 512;

impl UserDirectory for EmbeddedStore {
    fn create_user(&self, user: UserRecord) -> PortFuture<'_, Result<CreateUser, StoreError>> {
        self.write(SMALL, move |tables| {
            let key = user.user_id.as_str().as_bytes();
            if row::load::<UserRecord>(tables, Table::Users, key)?.is_some() {
                return Ok(CreateUser::Taken);
            }
            row::store(tables, Table::Users, key, &user);
            Ok(CreateUser::Created)
        })
    }

    fn user(&self, user: &UserId) -> PortFuture<'_, Result<Option<UserRecord>, StoreError>> {
        let user = user.clone();
        self.read(move |tables| row::load(tables, Table::Users, user.as_str().as_bytes()))
    }

    fn missing_users(&self, users: Vec<UserId>) -> PortFuture<'_, Result<Vec<UserId>, StoreError>> {
        self.read(move |tables| {
            let mut missing = Vec::new();
            for user in &users {
                if tables
                    .get(Table::Users, user.as_str().as_bytes())?
                    .is_none()
                {
                    missing.push(user.clone());
                }
            }
            Ok(missing)
        })
    }

    fn update_profile(
        &self,
        user: &UserId,
        change: ProfileChange,
        now: Timestamp,
    ) -> PortFuture<'_, Result<UserRecord, StoreError>> {
        let user = user.clone();
        self.write(SMALL, move |tables| {
            let mut record = user_or_fresh(tables, &user, now)?;
            if let Some(name) = change.name {
                record.name = name;
            }
            if let Some(avatar) = change.avatar {
                record.avatar = avatar;
            }
            row::store(tables, Table::Users, user.as_str().as_bytes(), &record);
            Ok(record)
        })
    }

    fn set_password(
        &self,
        user: &UserId,
        hash: String,
    ) -> PortFuture<'_, Result<bool, StoreError>> {
        self.change_user(user, move |record| record.password_hash = Some(hash))
    }

    fn set_disabled(
        &self,
        user: &UserId,
        at: Option<Timestamp>,
    ) -> PortFuture<'_, Result<bool, StoreError>> {
        self.change_user(user, move |record| record.disabled_at = at)
    }

    fn set_last_seen(
        &self,
        user: &UserId,
        at: Timestamp,
    ) -> PortFuture<'_, Result<(), StoreError>> {
        let user = user.clone();
        self.write(SMALL, move |tables| {
            let mut record = user_or_fresh(tables, &user, at)?;
            record.last_seen = record.last_seen.max(Some(at));
            row::store(tables, Table::Users, user.as_str().as_bytes(), &record);
            Ok(())
        })
    }

    fn users(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> PortFuture<'_, Result<Vec<UserRecord>, StoreError>> {
        self.read(move |tables| {
            let from = match &after {
                Some(user) => Bound::Excluded(user.as_str().as_bytes().to_vec()),
                None => Bound::Unbounded,
            };
            let mut users = Vec::new();
            let range = (from, Bound::Unbounded);
            tables.scan(Table::Users, range, Order::Rising, &mut |key, bytes| {
                if users.len() >= limit {
                    return Ok(ControlFlow::Break(()));
                }
                users.push(row::unseal::<UserRecord>(Table::Users, key, bytes)?);
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(users)
        })
    }

    fn put_login(&self, login: LoginRecord) -> PortFuture<'_, Result<(), StoreError>> {
        self.write(SMALL, move |tables| {
            let id = login.login_id.bytes();
            let there = row::load::<LoginRecord>(tables, Table::Logins, &id)?;
            if let Some(there) = there.filter(|there| there.user_id != login.user_id) {
                tables.remove(Table::LoginsOfUser, &of_user(&there))?;
            }
            row::store(tables, Table::Logins, &id, &login);
            row::store(tables, Table::LoginsOfUser, &of_user(&login), &());
            Ok(())
        })
    }

    fn login(&self, login: LoginId) -> PortFuture<'_, Result<Option<LoginRecord>, StoreError>> {
        self.read(move |tables| row::load(tables, Table::Logins, &login.bytes()))
    }

    fn logins_of(&self, user: &UserId) -> PortFuture<'_, Result<Vec<LoginRecord>, StoreError>> {
        let user = user.clone();
        self.read(move |tables| {
            let mut ids = Vec::new();
            let all = key::beginning(key::name_then(user.as_str(), &[]));
            tables.scan(Table::LoginsOfUser, all, Order::Rising, &mut |key, _| {
                ids.extend(key::tail_uuid(key));
                Ok(ControlFlow::Continue(()))
            })?;
            let mut logins = Vec::new();
            for id in ids {
                logins.extend(row::load::<LoginRecord>(tables, Table::Logins, &id)?);
            }
            Ok(logins)
        })
    }

    fn rotate_login(
        &self,
        login: LoginId,
        spent: [u8; 32],
        fresh: [u8; 32],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> PortFuture<'_, Result<RotateLogin, StoreError>> {
        self.write(SMALL, move |tables| {
            let id = login.bytes();
            let record = row::load::<LoginRecord>(tables, Table::Logins, &id)?;
            let Some(record) = record.filter(|record| now < record.expires_at) else {
                return Ok(RotateLogin::Gone);
            };
            if record.refresh_hash != spent {
                tables.remove(Table::Logins, &id)?;
                tables.remove(Table::LoginsOfUser, &of_user(&record))?;
                return Ok(RotateLogin::Reused(record));
            }
            let rotated = LoginRecord {
                refresh_hash: fresh,
                expires_at,
                ..record
            };
            row::store(tables, Table::Logins, &id, &rotated);
            Ok(RotateLogin::Rotated(rotated))
        })
    }

    fn remove_login(&self, login: LoginId) -> PortFuture<'_, Result<Option<UserId>, StoreError>> {
        self.write(SMALL, move |tables| {
            let id = login.bytes();
            let Some(record) = row::load::<LoginRecord>(tables, Table::Logins, &id)? else {
                return Ok(None);
            };
            tables.remove(Table::Logins, &id)?;
            tables.remove(Table::LoginsOfUser, &of_user(&record))?;
            Ok(Some(record.user_id))
        })
    }

    fn put_device(&self, device: DeviceRecord) -> PortFuture<'_, Result<(), StoreError>> {
        self.write(SMALL, move |tables| {
            let key = key::name_then(
                device.user_id.as_str(),
                device.device_id.as_str().as_bytes(),
            );
            row::store(tables, Table::Devices, &key, &device);
            Ok(())
        })
    }

    fn device(
        &self,
        user: &UserId,
        device: &DeviceId,
    ) -> PortFuture<'_, Result<Option<DeviceRecord>, StoreError>> {
        let key = key::name_then(user.as_str(), device.as_str().as_bytes());
        self.read(move |tables| row::load(tables, Table::Devices, &key))
    }
}

impl EmbeddedStore {
    /// Changes an account that is there; `false` when it is not.
    fn change_user(
        &self,
        user: &UserId,
        change: impl FnOnce(&mut UserRecord) + Send + 'static,
    ) -> PortFuture<'static, Result<bool, StoreError>> {
        let user = user.clone();
        self.write(SMALL, move |tables| {
            let key = user.as_str().as_bytes();
            let Some(mut record) = row::load::<UserRecord>(tables, Table::Users, key)? else {
                return Ok(false);
            };
            change(&mut record);
            row::store(tables, Table::Users, key, &record);
            Ok(true)
        })
    }
}

fn user_or_fresh(
    tables: &mut WriteTables<'_>,
    user: &UserId,
    now: Timestamp,
) -> Result<UserRecord, Fault> {
    let there = row::load(tables, Table::Users, user.as_str().as_bytes())?;
    Ok(there.unwrap_or_else(|| fresh_user(user, now)))
}

fn of_user(login: &LoginRecord) -> Vec<u8> {
    key::name_then(login.user_id.as_str(), &login.login_id.bytes())
}
