//! Logins: rows written under conditions alone, and a set of ids per user that may hold too many.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parlor_schema::{
    LoginId, Timestamp, UserId, port::directory::RotateLogin, record::LoginRecord,
};
use scylla::{statement::prepared::PreparedStatement, value::CqlTimestamp};
use uuid::Uuid;

use super::{
    Inner,
    error::{Effect, Fault},
    rooms::SPREAD,
    row,
};

/// How often a write is tried again because another writer came between.
const TRIES: u32 = 8;

/// A login as selected, but for its id.
type LoginRow<'a> = (
    Option<&'a str>,
    Option<&'a [u8]>,
    Option<CqlTimestamp>,
    Option<CqlTimestamp>,
);

impl Inner {
    pub(super) async fn put_login(&self, login: &LoginRecord) -> Result<(), Fault> {
        let (id, user) = (login.login_id.uuid(), login.user_id.as_str());
        let index = &self.statements.login_id_put;
        self.session.execute_unpaged(index, (user, id)).await?;
        let made = row::time(login.created_at);
        let ends = row::time(login.expires_at);
        for _ in 0..TRIES {
            let put = &self.statements.login_put;
            let values = (id, user, login.refresh_hash, made, ends);
            if self.condition(put, values).await?.is_applied {
                return Ok(());
            }
            let again = &self.statements.login_again;
            let values = (user, login.refresh_hash, made, ends, id);
            if self.condition(again, values).await?.is_applied {
                return Ok(());
            }
        }
        Err(moving(login.login_id))
    }

    pub(super) async fn login(
        &self,
        get: &PreparedStatement,
        login: LoginId,
    ) -> Result<Option<LoginRecord>, Fault> {
        let result = self.session.execute_unpaged(get, (login.uuid(),)).await?;
        let result = result.into_rows_result()?;
        match result.rows::<LoginRow<'_>>()?.next().transpose()? {
            None => Ok(None),
            Some((Some(user), Some(hash), Some(made), Some(ends))) => Ok(Some(LoginRecord {
                login_id: login,
                user_id: row::user(user)?,
                refresh_hash: row::bytes("refresh_hash", hash)?,
                created_at: row::timestamp(made),
                expires_at: row::timestamp(ends),
            })),
            Some(_) => Err(Fault::Shape(format!("login {login} is not whole"))),
        }
    }

    pub(super) async fn logins_of(&self, user: &UserId) -> Result<Vec<LoginRecord>, Fault> {
        let ids = &self.statements.login_ids;
        let result = self.session.execute_unpaged(ids, (user.as_str(),)).await?;
        let result = result.into_rows_result()?;
        let ids: Vec<LoginId> = result
            .rows::<(Uuid,)>()?
            .map(|row| row.map(|(id,)| LoginId::new(id)))
            .collect::<Result<_, _>>()?;
        let get = &self.statements.login_get;
        let asked: Vec<_> = ids.into_iter().map(|id| self.login(get, id)).collect();
        let found: Vec<_> = stream::iter(asked).buffered(SPREAD).try_collect().await?;
        let found = found.into_iter().flatten();
        Ok(found.filter(|login| login.user_id == *user).collect())
    }

    pub(super) async fn rotate_login(
        &self,
        login: LoginId,
        spent: [u8; 32],
        fresh: [u8; 32],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<RotateLogin, Fault> {
        let serial = &self.statements.login_serial;
        for _ in 0..TRIES {
            let there = self.login(serial, login).await?;
            let Some(there) = there.filter(|there| now < there.expires_at) else {
                return Ok(RotateLogin::Gone);
            };
            if there.refresh_hash != spent {
                // Who ended it first has the record; for the others it is gone.
                return Ok(match self.end_login(&there).await? {
                    true => RotateLogin::Reused(there),
                    false => RotateLogin::Gone,
                });
            }
            let rotated = LoginRecord {
                refresh_hash: fresh,
                expires_at,
                ..there
            };
            let rotate = &self.statements.login_rotate;
            let values = (fresh, row::time(expires_at), login.uuid(), spent);
            match self.condition(rotate, values).await {
                Ok(outcome) if outcome.is_applied => return Ok(RotateLogin::Rotated(rotated)),
                Ok(_) => {}
                // Answered as failed, the caller would come back with the spent token and end the login.
                Err(fault) if fault.effect() == Effect::Unknown => {
                    let there = self.login(serial, login).await?;
                    return match there {
                        Some(there) if there.refresh_hash == fresh => {
                            Ok(RotateLogin::Rotated(there))
                        }
                        _ => Err(fault),
                    };
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(moving(login))
    }

    pub(super) async fn remove_login(&self, login: LoginId) -> Result<Option<UserId>, Fault> {
        let serial = &self.statements.login_serial;
        let Some(there) = self.login(serial, login).await? else {
            return Ok(None);
        };
        let ended = self.end_login(&there).await?;
        Ok(ended.then_some(there.user_id))
    }

    /// Ends a login; `false` when somebody else has.
    async fn end_login(&self, login: &LoginRecord) -> Result<bool, Fault> {
        let id = login.login_id.uuid();
        let remove = &self.statements.login_remove;
        let ended = self.condition(remove, (id,)).await?.is_applied;
        let index = &self.statements.login_id_remove;
        let values = (login.user_id.as_str(), id);
        self.session.execute_unpaged(index, values).await?;
        Ok(ended)
    }
}

fn moving(login: LoginId) -> Fault {
    Fault::Shape(format!("login {login} changes all the time"))
}
