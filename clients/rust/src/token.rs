//! Where access tokens come from.

use futures_util::future::BoxFuture;

/// Why a token is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenNeed {
    /// A connection is about to be opened; a token kept from before will do.
    Connect,
    /// The server refused the last token; only a fresh one helps.
    Rejected,
    /// The token of the live connection ends soon; only a fresh one helps.
    Expiring,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not now; the client asks again after its back-off.
    #[error("{0}")]
    Temporary(String),
    /// Never again.
    #[error("{0}")]
    Final(String),
}

/// Gives access tokens to a client.
///
/// Ordering: asked again only after it has answered.
/// Cancellation: dropped in the middle only when the client itself ends, so that a spent refresh token is not lost; it bounds its own time.
pub trait TokenSource: Send + 'static {
    /// Gives a token.
    ///
    /// # Errors
    /// [`TokenError`] says whether to ask again.
    fn token(&mut self, need: TokenNeed) -> BoxFuture<'_, Result<String, TokenError>>;
}

/// A token that never changes; when the server refuses it, the client stops.
#[derive(Debug, Clone)]
pub struct StaticToken(String);

impl StaticToken {
    /// Wraps a token.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }
}

impl TokenSource for StaticToken {
    fn token(&mut self, need: TokenNeed) -> BoxFuture<'_, Result<String, TokenError>> {
        let answer = match need {
            TokenNeed::Connect => Ok(self.0.clone()),
            TokenNeed::Rejected | TokenNeed::Expiring => {
                Err(TokenError::Final("the token cannot be renewed".into()))
            }
        };
        Box::pin(std::future::ready(answer))
    }
}
