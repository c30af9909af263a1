//! Accounts of this server: register, login, refresh, logout (PROTOCOL section 7).
//!
//! Invariants:
//! - a wrong password, an unknown user and a closed account get the same answer after the same work.
//! - what is refused for its form costs nothing; what costs a hash is counted per address first.
//! - a refresh token is good once; when a spent one comes back, the login ends for whoever holds the other.

use std::net::{IpAddr, Ipv6Addr};

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parlor_actors::bucket::RetryAfterMs;
use parlor_schema::{
    ErrorCode, LoginId, Timestamp, UserId,
    envelope::Envelope,
    frame::Refusal,
    limits::{NAME_BYTES_MAX, PASSWORD_BYTES},
    port::directory::{CreateUser, RotateLogin},
    record::{LoginRecord, UserRecord},
};

use super::{
    Auth, Gate, Identity, Own,
    password::Salt,
    request::{LoginRequest, RefreshRequest, RegisterRequest, Secret, TokenAnswer},
    store_refused, unauthorized,
};

/// A refresh token: the login's id and 32 bytes nobody can guess, of which the store keeps a hash.
struct RefreshToken {
    login_id: LoginId,
    bytes: [u8; 48],
}

impl RefreshToken {
    fn new(login_id: LoginId, secret: [u8; 32]) -> Self {
        let mut bytes = [0; 48];
        bytes[..16].copy_from_slice(&login_id.bytes());
        bytes[16..].copy_from_slice(&secret);
        Self { login_id, bytes }
    }

    fn read(text: &str) -> Option<Self> {
        let bytes: [u8; 48] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (id, _) = bytes.split_first_chunk::<16>()?;
        let login_id = LoginId::from(*id);
        Some(Self { login_id, bytes })
    }

    fn hash(&self) -> [u8; 32] {
        digest::digest(&digest::SHA256, &self.bytes)
            .as_ref()
            .try_into()
            .expect("invariant: sha-256 has 32 bytes")
    }

    fn text(&self) -> Secret {
        URL_SAFE_NO_PAD.encode(self.bytes).into()
    }
}

impl Auth {
    /// Makes an account and a first login.
    ///
    /// # Errors
    /// `bad_frame` for the form of `user_id`, `password` or `name`; `rate_limited`; `conflict` when the id is taken; `not_found`
    /// with an outside issuer; `unavailable`.
    pub async fn register(
        &self,
        request: RegisterRequest,
        peer: IpAddr,
    ) -> Result<TokenAnswer, Refusal> {
        let own = self.own()?;
        let user_id = check_user_id(&request.user_id)?;
        check_password(&request.password)?;
        check_name(request.name.as_deref())?;
        self.count(&own.registers, peer).await?;
        if self.read_user(&user_id).await?.is_some() {
            return Err(taken());
        }
        let user = self.new_user(own, user_id.clone(), request).await?;
        // The login first: should the account then not be made, nobody holds the token of the login that is left.
        let answer = self.new_login(own, &user_id).await?;
        match self.ports.directory.create_user(user).await {
            Ok(CreateUser::Created) => {
                tracing::info!(user = %user_id, %peer, "account made");
                Ok(answer.tokens)
            }
            Ok(CreateUser::Taken) => {
                let removed = self.ports.directory.remove_login(answer.login_id).await;
                removed.map_err(store_refused)?;
                Err(taken())
            }
            Err(error) => Err(store_refused(error)),
        }
    }

    /// Makes a login of an account.
    ///
    /// # Errors
    /// `bad_frame` for the form of `user_id` or `password`; `rate_limited`; `unauthorized` for a wrong password, an unknown user and a
    /// closed account; `not_found` with an outside issuer; `unavailable`.
    pub async fn login(&self, request: LoginRequest, peer: IpAddr) -> Result<TokenAnswer, Refusal> {
        let own = self.own()?;
        let user_id = check_user_id(&request.user_id)?;
        check_password(&request.password)?;
        self.count(&own.logins, peer).await?;
        let user = self.read_user(&user_id).await?;
        let is_open = user.as_ref().is_some_and(|user| user.disabled_at.is_none());
        let stored = user.and_then(|user| user.password_hash);
        let is_right = own.passwords.is_right(request.password, stored).await?;
        if !(is_right && is_open) {
            tracing::info!(user = %user_id, %peer, "login refused");
            return Err(unauthorized("wrong user id or password"));
        }
        Ok(self.new_login(own, &user_id).await?.tokens)
    }

    /// Spends a refresh token for fresh tokens of the same login. A token that was spent before ends the login, on every node.
    ///
    /// # Errors
    /// `unauthorized` when the token is not good, or the account closed; `not_found` with an outside issuer; `unavailable`.
    pub async fn refresh(&self, request: RefreshRequest) -> Result<TokenAnswer, Refusal> {
        let own = self.own()?;
        let refused = || unauthorized("the refresh token does not hold");
        let spent = RefreshToken::read(request.refresh_token.expose()).ok_or_else(refused)?;
        let fresh = RefreshToken::new(spent.login_id, self.ports.ids.secret());
        let now = self.ports.clock.now();
        let expires_at = now.plus_millis(own.refresh_ttl_ms);
        let rotated = self
            .ports
            .directory
            .rotate_login(spent.login_id, spent.hash(), fresh.hash(), now, expires_at)
            .await
            .map_err(store_refused)?;
        let login = match rotated {
            RotateLogin::Rotated(login) => login,
            RotateLogin::Reused(login) => {
                tracing::warn!(user = %login.user_id, login = %login.login_id, "a spent refresh token came back, the login is ended");
                self.announce_end(login.user_id, login.login_id).await;
                return Err(refused());
            }
            RotateLogin::Gone => return Err(refused()),
        };
        let user = self.read_user(&login.user_id).await?;
        if user.is_none_or(|user| user.disabled_at.is_some()) {
            self.end_login(login.login_id).await?;
            return Err(refused());
        }
        Ok(tokens(own, &login.user_id, &fresh, now))
    }

    /// Ends the login of an identity, on every node; done before is done.
    ///
    /// # Errors
    /// `not_found` with an outside issuer; `unavailable`.
    pub async fn logout(&self, identity: &Identity) -> Result<(), Refusal> {
        self.own()?;
        match identity.login_id {
            Some(login_id) => self.end_login(login_id).await,
            None => Err(no_accounts()),
        }
    }

    /// Makes the record of a new account; hashes its password.
    pub(super) async fn new_user(
        &self,
        own: &Own,
        user_id: UserId,
        request: RegisterRequest,
    ) -> Result<UserRecord, Refusal> {
        let hash = own.passwords.hash(request.password, self.salt()).await?;
        Ok(UserRecord {
            user_id,
            // What a form with an empty field sends.
            name: request.name.filter(|name| !name.is_empty()),
            avatar: None,
            password_hash: Some(hash),
            created_at: self.ports.clock.now(),
            disabled_at: None,
            last_seen: None,
        })
    }

    pub(super) fn salt(&self) -> Salt {
        let secret = self.ports.ids.secret();
        let (salt, _) = secret
            .split_first_chunk::<16>()
            .expect("invariant: 32 bytes hold 16");
        Salt(*salt)
    }

    pub(super) fn own(&self) -> Result<&Own, Refusal> {
        self.own.as_ref().ok_or_else(no_accounts)
    }

    pub(super) async fn read_user(&self, user_id: &UserId) -> Result<Option<UserRecord>, Refusal> {
        let read = self.ports.directory.user(user_id).await;
        read.map_err(store_refused)
    }

    async fn new_login(&self, own: &Own, user_id: &UserId) -> Result<NewLogin, Refusal> {
        let now = self.ports.clock.now();
        let login_id = LoginId::new(self.ports.ids.uuid(now));
        let refresh = RefreshToken::new(login_id, self.ports.ids.secret());
        let login = LoginRecord {
            login_id,
            user_id: user_id.clone(),
            refresh_hash: refresh.hash(),
            created_at: now,
            expires_at: now.plus_millis(own.refresh_ttl_ms),
        };
        let put = self.ports.directory.put_login(login).await;
        put.map_err(store_refused)?;
        let tokens = tokens(own, user_id, &refresh, now);
        Ok(NewLogin { login_id, tokens })
    }

    async fn end_login(&self, login_id: LoginId) -> Result<(), Refusal> {
        let removed = self.ports.directory.remove_login(login_id).await;
        if let Some(user_id) = removed.map_err(store_refused)? {
            self.announce_end(user_id, login_id).await;
        }
        Ok(())
    }

    async fn announce_end(&self, user_id: UserId, login_id: LoginId) {
        self.login_ended(login_id);
        self.publish(Envelope::LoginEnded { user_id, login_id })
            .await;
    }

    /// Counts what costs a hash: here first, so that who is refused here costs no other node anything.
    async fn count(&self, gate: &Gate, peer: IpAddr) -> Result<(), Refusal> {
        let (now_ms, network) = (self.ports.clock.monotonic_ms(), network(peer));
        let own = {
            let mut buckets = gate.own.lock().expect("invariant: no panic while held");
            buckets.take(&network, now_ms)
        };
        let refused = |retry: RetryAfterMs| Refusal::rate_limited(retry.0);
        own.map_err(refused)?;
        let key = network.to_string();
        let taken = self.ports.quota.take(gate.limit, &key, gate.rate).await;
        taken.map_err(refused)
    }
}

struct NewLogin {
    login_id: LoginId,
    tokens: TokenAnswer,
}

fn tokens(own: &Own, user_id: &UserId, refresh: &RefreshToken, now: Timestamp) -> TokenAnswer {
    let (token, expires_at) = own
        .signer
        .sign(user_id, refresh.login_id, now, own.access_ttl_ms);
    TokenAnswer {
        user_id: user_id.clone(),
        token,
        refresh_token: refresh.text(),
        expires_at,
    }
}

/// The part of an address that one party holds: all of IPv4, the first 64 bits of IPv6 (RFC 6177).
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => {
            let bits = u128::from(v6) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(bits))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

pub(super) fn check_user_id(text: &str) -> Result<UserId, Refusal> {
    text.parse().map_err(|error: parlor_schema::id::IdError| {
        Refusal::bad_field("user_id", error.to_string())
    })
}

pub(super) fn check_password(password: &Secret) -> Result<(), Refusal> {
    if PASSWORD_BYTES.contains(&password.expose().len()) {
        return Ok(());
    }
    let (least, most) = (PASSWORD_BYTES.start(), PASSWORD_BYTES.end());
    let message = format!("must be {least} to {most} bytes");
    Err(Refusal::bad_field("password", message))
}

pub(super) fn check_name(name: Option<&str>) -> Result<(), Refusal> {
    match name {
        Some(name) if name.len() > NAME_BYTES_MAX => {
            let message = format!("must be at most {NAME_BYTES_MAX} bytes");
            Err(Refusal::bad_field("name", message))
        }
        _ => Ok(()),
    }
}

pub(super) fn taken() -> Refusal {
    Refusal::new(ErrorCode::Conflict, "the user id is taken").at("user_id")
}

fn no_accounts() -> Refusal {
    let message = "accounts are kept by an outside issuer";
    Refusal::new(ErrorCode::NotFound, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_refresh_token_has_one_form() {
        let token = RefreshToken::new(LoginId::from([9; 16]), [7; 32]);
        let text = token.text();
        let read = RefreshToken::read(text.expose()).unwrap();
        assert_eq!(read.login_id, LoginId::from([9; 16]));
        assert_eq!(read.hash(), token.hash());
        let (short, long) = (&text.expose()[1..], format!("{}A", text.expose()));
        for bad in ["", "x", short, &long, &format!("{}=", text.expose())] {
            assert!(RefreshToken::read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_counted_as_their_holder_has_them() {
        let same = |a: &str, b: &str| network(a.parse().unwrap()) == network(b.parse().unwrap());
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
    }
}
