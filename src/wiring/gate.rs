//! Joins the gate of the actors to authentication.

use std::sync::Arc;

use parlor_actors::ports::{Gate, Pass};
use parlor_schema::{LoginId, UserId, frame::Refusal, port::PortFuture};

use crate::auth::Auth;

/// Authentication as the actors see it.
pub(super) struct AuthGate(pub(super) Arc<Auth>);

impl Gate for AuthGate {
    fn verify(&self, token: String) -> PortFuture<'static, Result<Pass, Refusal>> {
        let auth = self.0.clone();
        Box::pin(async move {
            let identity = auth.verify(&token).await?;
            Ok(Pass {
                user_id: identity.user_id,
                login_id: identity.login_id,
                expires_at: identity.expires_at,
            })
        })
    }

    fn login_ended(&self, login: LoginId) {
        self.0.login_ended(login);
    }

    fn user_revoked(&self, user: &UserId) {
        self.0.user_revoked(user);
    }
}
