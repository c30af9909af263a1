//! Who may come in: tokens, accounts, logins, and their end.
//!
//! Owns the check of every token, whether this server issued it or somebody outside; the accounts of PROTOCOL section 7; and the
//! secret the server signs with.
//!
//! Invariants:
//! - I-1: a token is accepted only when its signature, its claims, its login and its account hold, in that order.
//! - I-2: an ended login or a closed account is refused at once where it was ended, and within a second everywhere (P-6).
//! - I-3: clients learn that they are refused, the log learns why; neither learns a token or a password.
//! - I-4: when the store is away nobody comes in.
//!
//! Deliberately absent: HTTP, closing sockets (the node does, on the envelopes published here), roles in rooms.

mod accounts;
mod claims;
mod error;
mod issuer;
mod jwks;
mod keys;
mod live;
mod operator;
mod password;
mod request;
mod secret;
#[cfg(test)]
mod tests;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use parlor_actors::{
    bucket::{Buckets, Rate},
    metrics::SharedLimit,
    quota::SharedQuota,
};
use parlor_config::AuthMode;
use parlor_schema::{
    ErrorCode, LoginId, Timestamp, UserId,
    envelope::{Destination, Envelope},
    frame::Refusal,
    port::{Bus, Clock, Directory, Ids, StoreError},
};

pub use error::{AuthStartError, FetchError, KeyError, SecretError};
pub use request::{Issued, LoginRequest, RefreshRequest, RegisterRequest, Secret, TokenAnswer};
pub use secret::{KeyUse, derive, load_or_make_secret, load_shared_secret};

use self::{
    claims::{Claims, Fault},
    issuer::{Issuer, Signer},
    live::{Live, Who},
    password::{Passwords, Salt},
};

/// Addresses counted at the same time, for logins and registrations each.
const ADDRESSES_MAX: usize = 65_536;

/// Who a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user_id: UserId,
    /// The login the token stands on; none with an outside issuer.
    pub login_id: Option<LoginId>,
    /// When the token ends.
    pub expires_at: Timestamp,
}

/// What authentication needs of the outside.
#[derive(Clone)]
pub struct AuthPorts {
    /// Accounts and logins.
    pub directory: Arc<dyn Directory>,
    /// To tell the other nodes of logins that ended.
    pub bus: Arc<dyn Bus>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and secrets.
    pub ids: Arc<dyn Ids>,
    /// Rates that all nodes share.
    pub quota: SharedQuota,
}

/// A rate by address, on this node and on all.
struct Gate {
    limit: SharedLimit,
    rate: Option<Rate>,
    own: Mutex<Buckets<IpAddr>>,
}

/// What there is only where this server keeps the accounts.
struct Own {
    signer: Signer,
    passwords: Passwords,
    access_ttl_ms: u64,
    refresh_ttl_ms: u64,
    logins: Gate,
    registers: Gate,
}

/// Lets people in, and puts them out. One per process, shared.
pub struct Auth {
    ports: AuthPorts,
    issuer: Issuer,
    own: Option<Own>,
    live: Mutex<Live>,
}

impl Auth {
    /// Sets authentication up as the settings say. To be called on the runtime that lives as long as the process: keys behind a
    /// URL are fetched here, and refreshed from a task of this runtime.
    ///
    /// # Errors
    /// A key cannot be read or fetched; names the setting, and the file or address.
    pub async fn start(
        settings: &parlor_config::Auth,
        limits: &parlor_config::Limits,
        ports: AuthPorts,
        secret: &[u8; 32],
    ) -> Result<Arc<Self>, AuthStartError> {
        Self::start_with(settings, limits, ports, secret, jwks::REFRESH_EVERY).await
    }

    async fn start_with(
        settings: &parlor_config::Auth,
        limits: &parlor_config::Limits,
        ports: AuthPorts,
        secret: &[u8; 32],
        refresh_every: Duration,
    ) -> Result<Arc<Self>, AuthStartError> {
        let (issuer, own) = match settings.mode {
            AuthMode::Builtin => {
                let key = derive(secret, KeyUse::AccessTokens);
                let own = Own::new(settings, limits, &key);
                (Issuer::own(&key), Some(own))
            }
            AuthMode::Jwt => {
                let clock = Arc::clone(&ports.clock);
                let issuer = Issuer::outside(&settings.jwt, clock, refresh_every).await?;
                (issuer, None)
            }
        };
        Ok(Arc::new(Self {
            ports,
            issuer,
            own,
            live: Mutex::default(),
        }))
    }

    /// Tells whom a token speaks for.
    ///
    /// # Errors
    /// `unauthorized` when the token does not hold; `unavailable` when the store is away.
    pub async fn verify(&self, token: &str) -> Result<Identity, Refusal> {
        let checked = self.issuer.check(token, self.ports.clock.now()).await;
        let claims = checked.map_err(refuse_token)?;
        self.check_live(&claims).await?;
        Ok(Identity {
            user_id: claims.user_id,
            login_id: claims.login_id,
            expires_at: claims.expires_at,
        })
    }

    /// Tells whether this server keeps the accounts; if not, every well-formed user id is a known user.
    #[must_use]
    pub const fn keeps_accounts(&self) -> bool {
        self.own.is_some()
    }

    /// Forgets a login that ended; for the node's inbox. The store knows already.
    ///
    /// # Panics
    /// Never: nothing panics while the lock is held.
    pub fn login_ended(&self, login_id: LoginId) {
        let mut live = self.live.lock().expect("invariant: no panic while held");
        live.forget_login(login_id);
    }

    /// Forgets every login of a user; for the node's inbox. The store knows already.
    ///
    /// # Panics
    /// Never: nothing panics while the lock is held.
    pub fn user_revoked(&self, user_id: &UserId) {
        let mut live = self.live.lock().expect("invariant: no panic while held");
        live.forget_user(user_id);
    }

    /// Checks that the login is there and the account open.
    async fn check_live(&self, claims: &Claims) -> Result<(), Refusal> {
        let who = Who {
            user_id: claims.user_id.clone(),
            login_id: claims.login_id,
        };
        let asked_ms = self.ports.clock.monotonic_ms();
        let epoch = {
            let live = self.live.lock().expect("invariant: no panic while held");
            if live.knows(&who, asked_ms) {
                return Ok(());
            }
            live.epoch()
        };
        if let Some(login_id) = who.login_id {
            let login = self.ports.directory.login(login_id).await;
            let login = login.map_err(store_refused)?;
            if login.is_none_or(|login| login.user_id != who.user_id) {
                return Err(refuse_token(Fault::Ended));
            }
        }
        let is_open = match self.read_user(&who.user_id).await? {
            Some(user) => user.disabled_at.is_none(),
            None => self.own.is_none(),
        };
        if !is_open {
            return Err(refuse_token(Fault::Ended));
        }
        let mut live = self.live.lock().expect("invariant: no panic while held");
        live.remember(who, asked_ms, epoch);
        Ok(())
    }

    /// Tells all nodes. An envelope is a hint: the store is the truth, and is asked again within a second.
    async fn publish(&self, envelope: Envelope) {
        if let Err(error) = self.ports.bus.publish(Destination::All, envelope).await {
            tracing::warn!(%error, "the end of a login could not be announced");
        }
    }
}

impl Own {
    fn new(settings: &parlor_config::Auth, limits: &parlor_config::Limits, key: &[u8; 32]) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let gate = |limit, per_minute| {
            let rate = Rate::per_minute(per_minute);
            let own = Mutex::new(Buckets::new(rate, ADDRESSES_MAX));
            Gate { limit, rate, own }
        };
        Self {
            signer: Signer::new(key),
            passwords: Passwords::new(cores, &Salt([0; 16])),
            access_ttl_ms: settings.access_ttl_ms,
            refresh_ttl_ms: settings.refresh_ttl_ms,
            logins: gate(SharedLimit::Logins, limits.logins_per_minute),
            registers: gate(SharedLimit::Registers, limits.registers_per_minute),
        }
    }
}

fn unauthorized(message: &str) -> Refusal {
    Refusal::new(ErrorCode::Unauthorized, message)
}

fn refuse_token(fault: Fault) -> Refusal {
    tracing::debug!(%fault, "token refused");
    unauthorized("the token does not hold")
}

fn store_refused(error: StoreError) -> Refusal {
    tracing::warn!(%error, "accounts cannot be read or written");
    error.into()
}
