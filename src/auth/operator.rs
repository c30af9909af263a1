//! What operators do with accounts: `parlor token`, `parlor user`, and the admin API.
//!
//! Invariant O-1: what closes an account or changes its password ends every login of it, on every node.

use parlor_schema::{
    ErrorCode, LoginId, UserId,
    envelope::Envelope,
    frame::Refusal,
    port::directory::CreateUser,
    record::{LoginRecord, ProfileChange, UserRecord},
};

use super::{
    Auth,
    accounts::{check_name, check_password, check_user_id, taken},
    request::{Issued, RegisterRequest, Secret},
    store_refused,
};

impl Auth {
    /// Makes an account, without a login.
    ///
    /// # Errors
    /// `bad_frame` for the form of `user_id`, `password` or `name`; `conflict` when the id is taken; `not_found` with an outside
    /// issuer; `unavailable`.
    pub async fn add_user(&self, request: RegisterRequest) -> Result<UserId, Refusal> {
        let own = self.own()?;
        let user_id = check_user_id(&request.user_id)?;
        check_password(&request.password)?;
        check_name(request.name.as_deref())?;
        let user = self.new_user(own, user_id.clone(), request).await?;
        let created = self.ports.directory.create_user(user).await;
        match created.map_err(store_refused)? {
            CreateUser::Created => Ok(user_id),
            CreateUser::Taken => Err(taken()),
        }
    }

    /// Makes a login of an account and an access token that holds for `ttl_ms`; there is no refresh token.
    ///
    /// # Errors
    /// `not_found` for an unknown user and with an outside issuer; `conflict` when the account is closed; `unavailable`.
    pub async fn issue(&self, user_id: &UserId, ttl_ms: u64) -> Result<Issued, Refusal> {
        let own = self.own()?;
        let user = self.read_user(user_id).await?.ok_or_else(no_user)?;
        if user.disabled_at.is_some() {
            return Err(Refusal::new(ErrorCode::Conflict, "the account is closed"));
        }
        let now = self.ports.clock.now();
        let login_id = LoginId::new(self.ports.ids.uuid(now));
        let (token, expires_at) = own.signer.sign(user_id, login_id, now, ttl_ms);
        let login = LoginRecord {
            login_id,
            user_id: user_id.clone(),
            // Nobody knows what this would be the hash of.
            refresh_hash: self.ports.ids.secret(),
            created_at: now,
            expires_at,
        };
        let put = self.ports.directory.put_login(login).await;
        put.map_err(store_refused)?;
        Ok(Issued {
            token,
            login_id,
            expires_at,
        })
    }

    /// Sets a password and ends every login of the account.
    ///
    /// # Errors
    /// `bad_frame` for the form of the password; `not_found` for an unknown user and with an outside issuer; `unavailable`.
    pub async fn set_password(&self, user_id: &UserId, password: Secret) -> Result<(), Refusal> {
        let own = self.own()?;
        check_password(&password)?;
        let hash = own.passwords.hash(password, self.salt()).await?;
        let set = self.ports.directory.set_password(user_id, hash).await;
        if !set.map_err(store_refused)? {
            return Err(no_user());
        }
        self.revoke(user_id).await
    }

    /// Closes an account and ends every login of it. A user of an outside issuer may be closed before ever being seen.
    ///
    /// # Errors
    /// `not_found` for an unknown user of this server; `unavailable`.
    pub async fn disable(&self, user_id: &UserId) -> Result<(), Refusal> {
        let now = self.ports.clock.now();
        if self.own.is_none() {
            let nothing = ProfileChange::default();
            let made = self.ports.directory.update_profile(user_id, nothing, now);
            made.await.map_err(store_refused)?;
        }
        let set = self.ports.directory.set_disabled(user_id, Some(now)).await;
        if !set.map_err(store_refused)? {
            return Err(no_user());
        }
        self.revoke(user_id).await
    }

    /// Opens a closed account again.
    ///
    /// # Errors
    /// `not_found` for an unknown user; `unavailable`.
    pub async fn enable(&self, user_id: &UserId) -> Result<(), Refusal> {
        let set = self.ports.directory.set_disabled(user_id, None).await;
        if set.map_err(store_refused)? {
            Ok(())
        } else {
            Err(no_user())
        }
    }

    /// Ends every login of a user and closes the user's sockets, on every node.
    ///
    /// # Errors
    /// `unavailable`; some logins may have ended.
    pub async fn revoke(&self, user_id: &UserId) -> Result<(), Refusal> {
        let logins = self.ports.directory.logins_of(user_id).await;
        for login in logins.map_err(store_refused)? {
            let removed = self.ports.directory.remove_login(login.login_id).await;
            removed.map_err(store_refused)?;
        }
        self.user_revoked(user_id);
        let user_id = user_id.clone();
        self.publish(Envelope::UserRevoked { user_id }).await;
        Ok(())
    }

    /// Lists accounts in id order, at most `limit` after `after`.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn users(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserRecord>, Refusal> {
        let users = self.ports.directory.users(after, limit).await;
        users.map_err(store_refused)
    }
}

fn no_user() -> Refusal {
    Refusal::not_found("user")
}
