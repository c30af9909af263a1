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
///
/// # Example
/// Tokens that something else writes into a file, and renews there:
/// ```
/// use futures_util::{FutureExt, future::BoxFuture};
/// use parlor_client::{TokenError, TokenNeed, TokenSource};
///
/// struct TokenFile(std::path::PathBuf);
///
/// impl TokenSource for TokenFile {
///     fn token(&mut self, _: TokenNeed) -> BoxFuture<'_, Result<String, TokenError>> {
///         let read = std::fs::read_to_string(&self.0);
///         // Not there yet: asked again after the back-off.
///         let token = read.map_err(|error| TokenError::Temporary(error.to_string()));
///         Box::pin(std::future::ready(token.map(|text| text.trim().to_owned())))
///     }
/// }
///
/// let mut source = TokenFile("no/such/file".into());
/// let answer = source.token(TokenNeed::Connect).now_or_never();
/// assert!(matches!(answer, Some(Err(TokenError::Temporary(_)))));
/// ```
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
