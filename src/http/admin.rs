//! `/admin/v1/*`: what operators ask of the nodes, with the key of the settings and never with a user's token.
//!
//! Invariants:
//! - AH-1: nothing is done, and nothing told, before the key was compared, in constant time; without a key in the settings there is
//!   no admin API, and every path of it answers 404.
//! - AH-2: whatever changes something leaves a line in the log under the target `audit`, done or refused, and is counted.
//! - AH-3: from one address no more wrong keys are written down than `limits.logins_per_minute` allows. The right one always opens: a stranger behind the
//!   same proxy does not keep operators out, and a key of 32 bytes is not guessed, however often somebody tries.
//!
//! Deliberately absent: rooms, announcements, audits of rooms, traces of messages; they answer 404 as unknown paths.

mod answers;
mod rows;

use std::{
    future::{Ready, ready},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, web};
use aws_lc_rs::{constant_time, digest};
use parlor_actors::{
    bucket::{Buckets, Rate, RetryAfterMs},
    metrics::AdminAction,
};
use parlor_schema::{
    ErrorCode, SessionId, UserId,
    frame::Refusal,
    port::{Clock, PortFuture},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    HttpState,
    access::{bearer, path_id, peer},
    json::{self, Body, state_of},
    problem::Problem,
    query::{self, Kind},
};
use crate::auth::{RegisterRequest, Secret};

use answers::Added;
pub use answers::{
    ClusterAnswer, Disconnected, Draining, IssuedAnswer, LinkAnswer, NodeAnswer, RedisAnswer,
    SessionAnswer, SessionsAnswer, StoreAnswer, TalkAnswer, UserAnswer, UsersAnswer,
};
pub(super) use rows::rows;

type Answer = Result<HttpResponse, Problem>;

/// Users of a page, unless told otherwise, and at most.
const USERS_LIMIT: usize = 100;
const USERS_LIMIT_MAX: usize = 1_000;
/// How long an access token holds, unless told otherwise.
const TOKEN_TTL_MS: u64 = 3_600_000;

/// What the admin API asks of the node. The wiring implements it, tests over a table.
pub trait Admin: Send + Sync {
    /// Describes this node and the others as this one sees them.
    fn cluster(&self) -> ClusterAnswer;

    /// Lists accounts in id order, at most `limit` after `after`.
    ///
    /// # Errors
    /// `unavailable`.
    fn users(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> PortFuture<'_, Result<UsersAnswer, Refusal>>;

    /// Makes an account, without a login.
    ///
    /// # Errors
    /// `bad_frame` with the field, `conflict` when the id is taken, `not_found` with an outside issuer, `unavailable`.
    fn add_user(&self, request: RegisterRequest) -> PortFuture<'_, Result<UserId, Refusal>>;

    /// Lists a user's sessions on all nodes.
    fn sessions<'a>(&'a self, user: &'a UserId) -> PortFuture<'a, SessionsAnswer>;

    /// Closes one socket of a user or all, on whichever nodes they are; the clients may come back.
    ///
    /// # Errors
    /// `not_found` for a session that certainly is nowhere.
    fn disconnect<'a>(
        &'a self,
        user: &'a UserId,
        session: Option<SessionId>,
    ) -> PortFuture<'a, Result<Disconnected, Refusal>>;

    /// Changes an account.
    ///
    /// # Errors
    /// `not_found` for an unknown user, `bad_frame` for the form of a password, `unavailable`.
    fn change<'a>(
        &'a self,
        user: &'a UserId,
        change: AccountChange,
    ) -> PortFuture<'a, Result<(), Refusal>>;

    /// Makes a login and an access token of it.
    ///
    /// # Errors
    /// `not_found` for an unknown user and with an outside issuer, `conflict` when the account is closed, `unavailable`.
    fn issue<'a>(
        &'a self,
        user: &'a UserId,
        ttl_ms: u64,
    ) -> PortFuture<'a, Result<IssuedAnswer, Refusal>>;

    /// Has this node leave as SIGTERM does; the process then ends.
    fn drain(&self) -> Draining;
}

/// What an operator does to an account.
#[derive(Debug)]
pub enum AccountChange {
    /// Ends every login.
    Revoke,
    /// Closes it, and ends every login.
    Disable,
    /// Opens it again.
    Enable,
    /// Sets its password, and ends every login.
    Password(Secret),
}

impl AccountChange {
    const fn action(&self) -> AdminAction {
        match self {
            Self::Revoke => AdminAction::Revoke,
            Self::Disable => AdminAction::Disable,
            Self::Enable => AdminAction::Enable,
            Self::Password(_) => AdminAction::Password,
        }
    }
}

/// Addresses whose wrong keys are counted.
const ADDRESSES_MAX: usize = 1 << 14;

/// The key of the admin API, as its SHA-256.
#[derive(Clone)]
pub struct AdminKey([u8; 32]);

impl AdminKey {
    /// Keeps the SHA-256 of a key.
    #[must_use]
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    fn opens(&self, presented: &str) -> bool {
        let presented = digest::digest(&digest::SHA256, presented.as_bytes());
        constant_time::verify_slices_are_equal(presented.as_ref(), &self.0).is_ok()
    }
}

/// The admin API of a node that has one.
pub struct AdminDoor {
    key: AdminKey,
    admin: Arc<dyn Admin>,
    clock: Arc<dyn Clock>,
    wrong: Mutex<Buckets<IpAddr>>,
}

impl AdminDoor {
    /// Makes the door to `admin`, at which one address may be wrong so often.
    #[must_use]
    pub fn new(
        key: AdminKey,
        admin: Arc<dyn Admin>,
        clock: Arc<dyn Clock>,
        wrong: Option<Rate>,
    ) -> Self {
        Self {
            key,
            admin,
            clock,
            wrong: Mutex::new(Buckets::new(wrong, ADDRESSES_MAX)),
        }
    }

    /// Tells whether a key opens it (AH-3).
    ///
    /// # Errors
    /// `rate_limited`: it does not, and this address was wrong too often.
    fn try_key(&self, peer: IpAddr, presented: &str) -> Result<bool, Refusal> {
        if self.key.opens(presented) {
            return Ok(true);
        }
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong
            .take(&peer, self.clock.monotonic_ms())
            .map_err(|RetryAfterMs(wait)| Refusal::rate_limited(wait))?;
        Ok(false)
    }
}

/// A request with the key (AH-1).
pub(super) struct Operator {
    state: web::Data<HttpState>,
    peer: IpAddr,
}

impl FromRequest for Operator {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(admit(request).map_err(Problem::from))
    }
}

fn admit(request: &HttpRequest) -> Result<Operator, Refusal> {
    let state = state_of(request).clone();
    let peer = peer(request);
    let Some(door) = &state.admin else {
        return Err(Refusal::not_found("path"));
    };
    if door.try_key(peer, bearer(request)?)? {
        return Ok(Operator { state, peer });
    }
    tracing::warn!(target: "audit", %peer, path = request.path(), "a wrong admin key");
    let message = "this is not the admin key";
    Err(Refusal::new(ErrorCode::Unauthorized, message))
}

impl Operator {
    fn admin(&self) -> &dyn Admin {
        let door = self.state.admin.as_ref();
        &*door
            .expect("invariant: an operator came through the door")
            .admin
    }

    /// Writes down what was done (AH-2), and passes its result on.
    fn did<T>(
        &self,
        action: AdminAction,
        on: &dyn std::fmt::Display,
        result: Result<T, Refusal>,
    ) -> Result<T, Problem> {
        let (peer, what) = (self.peer, action.as_str());
        match &result {
            Ok(_) => {
                self.state.metrics.admin_action(action);
                tracing::info!(target: "audit", action = what, %on, %peer, "done");
            }
            Err(refusal) => {
                tracing::info!(target: "audit", action = what, %on, %peer, %refusal, "refused");
            }
        }
        Ok(result?)
    }
}

fn user_of(request: &HttpRequest) -> Result<UserId, Refusal> {
    path_id(request, "user_id")
}

/// `GET /admin/v1/cluster`
async fn cluster(operator: Operator) -> HttpResponse {
    HttpResponse::Ok().json(operator.admin().cluster())
}

/// The query of `GET /admin/v1/users`.
#[derive(Deserialize, JsonSchema)]
struct UsersQuery {
    /// Starts behind this user.
    after: Option<UserId>,
    /// At most so many; 100 unless said, 1,000 at most.
    limit: Option<usize>,
}

/// `GET /admin/v1/users`
async fn users(operator: Operator, request: HttpRequest) -> Answer {
    let known = [("after", Kind::Text), ("limit", Kind::Number)];
    let fields = query::fields(&request, &known)?;
    let text = serde_json::Value::from(fields).to_string();
    let query: UsersQuery = json::parse(text.as_bytes())?;
    let limit = query.limit.unwrap_or(USERS_LIMIT);
    if limit == 0 {
        return Err(Refusal::bad_field("limit", "at least 1").into());
    }
    let limit = limit.min(USERS_LIMIT_MAX);
    let users = operator.admin().users(query.after, limit).await?;
    Ok(HttpResponse::Ok().json(users))
}

/// `POST /admin/v1/users`
async fn add_user(operator: Operator, body: Body) -> Answer {
    let request: RegisterRequest = json::parse(&body.0)?;
    let on = request.user_id.clone();
    let added = operator.admin().add_user(request).await;
    let user_id = operator.did(AdminAction::Add, &on, added)?;
    Ok(HttpResponse::Created().json(Added { user_id }))
}

/// `GET /admin/v1/users/{user_id}/sessions`
async fn sessions(operator: Operator, request: HttpRequest) -> Answer {
    let user = user_of(&request)?;
    Ok(HttpResponse::Ok().json(operator.admin().sessions(&user).await))
}

/// `DELETE /admin/v1/users/{user_id}/sessions`
async fn disconnect(operator: Operator, request: HttpRequest) -> Answer {
    let user = user_of(&request)?;
    let done = operator.admin().disconnect(&user, None).await;
    let done = operator.did(AdminAction::Disconnect, &user, done)?;
    Ok(HttpResponse::Ok().json(done))
}

/// `DELETE /admin/v1/users/{user_id}/sessions/{session_id}`
async fn disconnect_one(operator: Operator, request: HttpRequest) -> Answer {
    let (user, session): (UserId, SessionId) =
        (user_of(&request)?, path_id(&request, "session_id")?);
    let done = operator.admin().disconnect(&user, Some(session)).await;
    let on = format!("{user} {session}");
    let done = operator.did(AdminAction::Disconnect, &on, done)?;
    Ok(HttpResponse::Ok().json(done))
}

async fn change(operator: &Operator, request: &HttpRequest, change: AccountChange) -> Answer {
    let user = user_of(request)?;
    let action = change.action();
    let done = operator.admin().change(&user, change).await;
    operator.did(action, &user, done)?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /admin/v1/users/{user_id}/revoke`
async fn revoke(operator: Operator, request: HttpRequest) -> Answer {
    change(&operator, &request, AccountChange::Revoke).await
}

/// `POST /admin/v1/users/{user_id}/disable`
async fn disable(operator: Operator, request: HttpRequest) -> Answer {
    change(&operator, &request, AccountChange::Disable).await
}

/// `POST /admin/v1/users/{user_id}/enable`
async fn enable(operator: Operator, request: HttpRequest) -> Answer {
    change(&operator, &request, AccountChange::Enable).await
}

/// The body of `PUT /admin/v1/users/{user_id}/password`.
#[derive(Deserialize, JsonSchema)]
struct PasswordPut {
    /// 8 to 1024 bytes.
    #[schemars(with = "String")]
    password: Secret,
}

/// `PUT /admin/v1/users/{user_id}/password`
async fn password(operator: Operator, request: HttpRequest, body: Body) -> Answer {
    let put: PasswordPut = json::parse(&body.0)?;
    change(&operator, &request, AccountChange::Password(put.password)).await
}

/// The body of `POST /admin/v1/users/{user_id}/token`.
#[derive(Deserialize, JsonSchema)]
struct TokenPost {
    /// How long the token holds; an hour unless said.
    ttl_ms: Option<u64>,
}

/// `POST /admin/v1/users/{user_id}/token`
async fn token(operator: Operator, request: HttpRequest, body: Body) -> Answer {
    let user = user_of(&request)?;
    let post: TokenPost = json::parse(&body.0)?;
    let ttl_ms = post.ttl_ms.unwrap_or(TOKEN_TTL_MS);
    let issued = operator.admin().issue(&user, ttl_ms).await;
    let issued = operator.did(AdminAction::Token, &user, issued)?;
    Ok(HttpResponse::Created().json(issued))
}

/// `POST /admin/v1/drain`
async fn drain(operator: Operator) -> Answer {
    let draining = operator.admin().drain();
    let draining = operator.did(AdminAction::Drain, &"this node", Ok(draining))?;
    Ok(HttpResponse::Accepted().json(draining))
}
