//! What people send to come in, and what they get for it.
//!
//! Owns the JSON of `/v1/auth/*`, and [`Secret`], which never shows itself. Deliberately absent: HTTP.

use std::fmt;

use parlor_schema::{LoginId, Timestamp, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A text that must not be shown: a password or a token. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Returns the text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Asks for an account.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RegisterRequest {
    /// The id of the new account.
    pub user_id: String,
    /// Its password, 8 to 1024 bytes.
    pub password: Secret,
    /// The name shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Asks for a login of an account.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LoginRequest {
    /// The account.
    pub user_id: String,
    /// Its password.
    pub password: Secret,
}

/// Asks for fresh tokens.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RefreshRequest {
    /// The refresh token of the last answer; it is spent by this.
    pub refresh_token: Secret,
}

/// Answers register, login and refresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenAnswer {
    /// Who came in.
    pub user_id: UserId,
    /// The access token.
    pub token: Secret,
    /// Good for one refresh.
    pub refresh_token: Secret,
    /// When the access token ends.
    pub expires_at: Timestamp,
}

/// An access token of an operator's making, without a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The access token.
    pub token: Secret,
    /// The login it stands on.
    pub login_id: LoginId,
    /// When it ends.
    pub expires_at: Timestamp,
}
