//! Accounts over HTTP: sign up, log in, renew.
//!
//! Source: PROTOCOL section 7, `POST /v1/auth/*`.

use std::time::Duration;

use futures_util::future::BoxFuture;
use parlor_schema::{ErrorCode, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::token::{TokenError, TokenNeed, TokenSource};

/// Time for one call: a server may take its time over passwords.
const CALL_WITHIN: Duration = Duration::from_secs(30);

/// Why an account call failed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The server refused.
    #[error("refused with status {status}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The code of the problem document, where there is one this version knows.
        code: Option<ErrorCode>,
        /// What it says for people.
        detail: String,
        /// When to try again, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The server was not reached, or its answer is not one.
    #[error("the server cannot be reached: {0}")]
    Http(#[from] reqwest::Error),
}

impl AccountError {
    /// Tells whether the same call may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..=599),
            Self::Http(_) => true,
        }
    }
}

/// What register, login and refresh give.
#[derive(Clone, Serialize, Deserialize)]
pub struct Login {
    /// Who.
    pub user_id: UserId,
    /// The access token.
    pub token: String,
    /// What the next access token is asked with, once.
    pub refresh_token: String,
    /// When the access token ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Login {
    /// Leaves the secrets out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("user_id", &self.user_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The accounts of one server.
///
/// # Example
/// A program that makes its account when it is first started:
/// ```no_run
/// use parlor_client::{AccountError, AccountTokens, Accounts};
///
/// # async fn example() -> Result<AccountTokens, Box<dyn std::error::Error>> {
/// let accounts = Accounts::new("http://127.0.0.1:8080")?;
/// let me = "tea-bot".parse()?;
/// let login = match accounts.register(&me, "correct horse").await {
///     Err(AccountError::Refused { status: 409, .. }) => accounts.login(&me, "correct horse").await,
///     other => other,
/// }?;
/// Ok(accounts.tokens(login))
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Accounts {
    http: reqwest::Client,
    base: String,
}

#[derive(Serialize)]
struct Credentials<'a> {
    user_id: &'a UserId,
    password: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct Refresh<'a> {
    refresh_token: &'a str,
}

#[derive(Deserialize, Default)]
struct Problem {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    retry_after_ms: Option<u64>,
}

impl Accounts {
    /// Speaks to the server at `base`: `http://host:port`.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(base: impl Into<String>) -> Result<Self, AccountError> {
        // No proxy: the socket goes straight to the server, and so does this.
        let http = reqwest::Client::builder()
            .timeout(CALL_WITHIN)
            .no_proxy()
            .build()?;
        let base: String = base.into();
        Ok(Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
        })
    }

    /// Makes an account and logs in.
    ///
    /// # Errors
    /// [`AccountError::Refused`] with 409 when the id is taken, 400 when the password is too short.
    pub async fn register(&self, user: &UserId, password: &str) -> Result<Login, AccountError> {
        self.register_named(user, password, None).await
    }

    /// Does the same with a name to be shown.
    ///
    /// # Errors
    /// As [`Accounts::register`].
    pub async fn register_named(
        &self,
        user_id: &UserId,
        password: &str,
        name: Option<&str>,
    ) -> Result<Login, AccountError> {
        let credentials = Credentials {
            user_id,
            password,
            name,
        };
        self.post("register", &credentials).await
    }

    /// Logs in.
    ///
    /// # Errors
    /// [`AccountError::Refused`] with 401 when user or password is wrong.
    pub async fn login(&self, user_id: &UserId, password: &str) -> Result<Login, AccountError> {
        let credentials = Credentials {
            user_id,
            password,
            name: None,
        };
        self.post("login", &credentials).await
    }

    /// Spends a refresh token for new ones.
    ///
    /// # Errors
    /// [`AccountError::Refused`] with 401 when it is spent or the login has ended.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Login, AccountError> {
        self.post("refresh", &Refresh { refresh_token }).await
    }

    /// Ends the login of an access token.
    ///
    /// # Errors
    /// [`AccountError::Refused`] with 401 when the token does not hold.
    pub async fn logout(&self, token: &str) -> Result<(), AccountError> {
        let request = self.http.post(self.url("logout")).bearer_auth(token);
        let response = request.send().await?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(refused(response).await)
    }

    /// Makes a token source that begins with `login` and renews it.
    #[must_use]
    pub fn tokens(&self, login: Login) -> AccountTokens {
        AccountTokens {
            accounts: self.clone(),
            login,
        }
    }

    fn url(&self, call: &str) -> String {
        format!("{}/v1/auth/{call}", self.base)
    }

    async fn post(&self, call: &str, body: &impl Serialize) -> Result<Login, AccountError> {
        let request = self.http.post(self.url(call)).json(body);
        let response = request.send().await?;
        if response.status().is_success() {
            return Ok(response.json().await?);
        }
        Err(refused(response).await)
    }
}

async fn refused(response: reqwest::Response) -> AccountError {
    let status = response.status().as_u16();
    // A proxy in between may answer anything; the status alone says enough then.
    let problem: Problem = response.json().await.unwrap_or_default();
    let code = problem.code.and_then(|text| {
        let known = ErrorCode::ALL.iter().copied();
        known.into_iter().find(|code| code.as_str() == text)
    });
    AccountError::Refused {
        status,
        code,
        detail: problem.detail.or(problem.title).unwrap_or_default(),
        retry_after_ms: problem.retry_after_ms,
    }
}

/// Tokens of a login, renewed by its refresh token.
#[derive(Debug)]
pub struct AccountTokens {
    accounts: Accounts,
    login: Login,
}

impl TokenSource for AccountTokens {
    fn token(&mut self, need: TokenNeed) -> BoxFuture<'_, Result<String, TokenError>> {
        Box::pin(async move {
            if need != TokenNeed::Connect {
                let renewed = self.accounts.refresh(&self.login.refresh_token).await;
                self.login = renewed.map_err(|error| {
                    if error.is_temporary() {
                        TokenError::Temporary(error.to_string())
                    } else {
                        TokenError::Final(error.to_string())
                    }
                })?;
            }
            Ok(self.login.token.clone())
        })
    }
}
