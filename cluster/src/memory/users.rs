//! The user directory of the memory store.

use std::ops::Bound;

use parlor_schema::{
    DeviceId, LoginId, Timestamp, UserId,
    port::{
        PortFuture, StoreError, UserDirectory,
        directory::{CreateUser, RotateLogin},
    },
    record::{DeviceRecord, LoginRecord, ProfileChange, UserRecord},
};

use super::store::{MemoryStore, ready};
use crate::account::fresh_user;

impl UserDirectory for MemoryStore {
    fn create_user(&self, user: UserRecord) -> PortFuture<'_, Result<CreateUser, StoreError>> {
        let mut state = self.state();
        if state.users.contains_key(&user.user_id) {
            return ready(CreateUser::Taken);
        }
        state.users.insert(user.user_id.clone(), user);
        ready(CreateUser::Created)
    }

    fn user(&self, user: &UserId) -> PortFuture<'_, Result<Option<UserRecord>, StoreError>> {
        ready(self.state().users.get(user).cloned())
    }

    fn missing_users(&self, users: Vec<UserId>) -> PortFuture<'_, Result<Vec<UserId>, StoreError>> {
        let state = self.state();
        let missing = users
            .into_iter()
            .filter(|user| !state.users.contains_key(user));
        ready(missing.collect())
    }

    fn update_profile(
        &self,
        user: &UserId,
        change: ProfileChange,
        now: Timestamp,
    ) -> PortFuture<'_, Result<UserRecord, StoreError>> {
        let mut state = self.state();
        let record = state
            .users
            .entry(user.clone())
            .or_insert_with(|| fresh_user(user, now));
        if let Some(name) = change.name {
            record.name = name;
        }
        if let Some(avatar) = change.avatar {
            record.avatar = avatar;
        }
        ready(record.clone())
    }

    fn set_password(
        &self,
        user: &UserId,
        hash: String,
    ) -> PortFuture<'_, Result<bool, StoreError>> {
        let mut state = self.state();
        let record = state.users.get_mut(user);
        ready(
            record
                .map(|record| record.password_hash = Some(hash))
                .is_some(),
        )
    }

    fn set_disabled(
        &self,
        user: &UserId,
        at: Option<Timestamp>,
    ) -> PortFuture<'_, Result<bool, StoreError>> {
        let mut state = self.state();
        let record = state.users.get_mut(user);
        ready(record.map(|record| record.disabled_at = at).is_some())
    }

    fn set_last_seen(
        &self,
        user: &UserId,
        at: Timestamp,
    ) -> PortFuture<'_, Result<(), StoreError>> {
        let mut state = self.state();
        let record = state
            .users
            .entry(user.clone())
            .or_insert_with(|| fresh_user(user, at));
        record.last_seen = record.last_seen.max(Some(at));
        ready(())
    }

    fn users(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> PortFuture<'_, Result<Vec<UserRecord>, StoreError>> {
        let state = self.state();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let users = state.users.range((from, Bound::Unbounded)).take(limit);
        ready(users.map(|(_, record)| record.clone()).collect())
    }

    fn put_login(&self, login: LoginRecord) -> PortFuture<'_, Result<(), StoreError>> {
        self.state().logins.insert(login.login_id, login);
        ready(())
    }

    fn login(&self, login: LoginId) -> PortFuture<'_, Result<Option<LoginRecord>, StoreError>> {
        ready(self.state().logins.get(&login).cloned())
    }

    fn logins_of(&self, user: &UserId) -> PortFuture<'_, Result<Vec<LoginRecord>, StoreError>> {
        let state = self.state();
        let logins = state.logins.values().filter(|login| login.user_id == *user);
        ready(logins.cloned().collect())
    }

    fn rotate_login(
        &self,
        login: LoginId,
        spent: [u8; 32],
        fresh: [u8; 32],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> PortFuture<'_, Result<RotateLogin, StoreError>> {
        let mut state = self.state();
        let Some(record) = state.logins.get_mut(&login) else {
            return ready(RotateLogin::Gone);
        };
        if record.expires_at <= now {
            return ready(RotateLogin::Gone);
        }
        if record.refresh_hash != spent {
            let record = record.clone();
            state.logins.remove(&login);
            return ready(RotateLogin::Reused(record));
        }
        record.refresh_hash = fresh;
        record.expires_at = expires_at;
        ready(RotateLogin::Rotated(record.clone()))
    }

    fn remove_login(&self, login: LoginId) -> PortFuture<'_, Result<Option<UserId>, StoreError>> {
        let removed = self.state().logins.remove(&login);
        ready(removed.map(|login| login.user_id))
    }

    fn put_device(&self, device: DeviceRecord) -> PortFuture<'_, Result<(), StoreError>> {
        let key = (device.user_id.clone(), device.device_id.clone());
        self.state().devices.insert(key, device);
        ready(())
    }

    fn device(
        &self,
        user: &UserId,
        device: &DeviceId,
    ) -> PortFuture<'_, Result<Option<DeviceRecord>, StoreError>> {
        let key = (user.clone(), device.clone());
        ready(self.state().devices.get(&key).cloned())
    }
}
