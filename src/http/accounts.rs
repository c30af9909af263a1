//! What HTTP asks of authentication: a seam, so that the routes are tested without passwords and stores.

use std::net::IpAddr;

use parlor_schema::{frame::Refusal, port::PortFuture};

use crate::auth::{Auth, Identity, LoginRequest, RefreshRequest, RegisterRequest, TokenAnswer};

/// Answers for tokens and accounts.
pub trait Accounts: Send + Sync {
    /// Tells whom a token speaks for.
    ///
    /// # Errors
    /// `unauthorized`, or `unavailable` when it cannot be told now.
    fn verify<'a>(&'a self, token: &'a str) -> PortFuture<'a, Result<Identity, Refusal>>;

    /// Makes an account and its first login.
    ///
    /// # Errors
    /// `conflict` when the name is taken, `bad_frame` with the field, `rate_limited`.
    fn register(
        &self,
        request: RegisterRequest,
        peer: IpAddr,
    ) -> PortFuture<'_, Result<TokenAnswer, Refusal>>;

    /// Makes a login.
    ///
    /// # Errors
    /// `unauthorized`, `rate_limited`.
    fn login(
        &self,
        request: LoginRequest,
        peer: IpAddr,
    ) -> PortFuture<'_, Result<TokenAnswer, Refusal>>;

    /// Spends a refresh token for fresh ones.
    ///
    /// # Errors
    /// `unauthorized`.
    fn refresh(&self, request: RefreshRequest) -> PortFuture<'_, Result<TokenAnswer, Refusal>>;

    /// Ends a login.
    ///
    /// # Errors
    /// `not_found` for a token that stands on no login here, `unavailable`.
    fn logout<'a>(&'a self, identity: &'a Identity) -> PortFuture<'a, Result<(), Refusal>>;
}

impl Accounts for Auth {
    fn verify<'a>(&'a self, token: &'a str) -> PortFuture<'a, Result<Identity, Refusal>> {
        Box::pin(Self::verify(self, token))
    }

    fn register(
        &self,
        request: RegisterRequest,
        peer: IpAddr,
    ) -> PortFuture<'_, Result<TokenAnswer, Refusal>> {
        Box::pin(Self::register(self, request, peer))
    }

    fn login(
        &self,
        request: LoginRequest,
        peer: IpAddr,
    ) -> PortFuture<'_, Result<TokenAnswer, Refusal>> {
        Box::pin(Self::login(self, request, peer))
    }

    fn refresh(&self, request: RefreshRequest) -> PortFuture<'_, Result<TokenAnswer, Refusal>> {
        Box::pin(Self::refresh(self, request))
    }

    fn logout<'a>(&'a self, identity: &'a Identity) -> PortFuture<'a, Result<(), Refusal>> {
        Box::pin(Self::logout(self, identity))
    }
}
