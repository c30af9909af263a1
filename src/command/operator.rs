//! `parlor token` and `parlor user`: what operators do beside a stopped server, on its store.
//!
//! The embedded store is held by one process, so a running server refuses these by name; with a shared store they work beside it.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use parlor_config::Settings;
use parlor_schema::{UserId, frame::Refusal};

use crate::{
    auth::{RegisterRequest, Secret},
    wiring::Base,
};

/// Makes an access token.
#[derive(Debug, Args)]
pub(super) struct TokenCommand {
    /// Whose token.
    user: UserId,
    /// How long it holds, in milliseconds.
    #[arg(long, default_value_t = 3_600_000)]
    ttl_ms: u64,
}

/// Manages accounts.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Make an account; the password is read from standard input.
    Add {
        /// The id.
        user: UserId,
        /// The name shown.
        #[arg(long)]
        name: Option<String>,
    },
    /// Set a password; it is read from standard input.
    Password {
        /// Whose.
        user: UserId,
    },
    /// Close an account: its logins end.
    Disable {
        /// Whose.
        user: UserId,
    },
    /// Open an account again.
    Enable {
        /// Whose.
        user: UserId,
    },
    /// End all logins of a user.
    Revoke {
        /// Whose.
        user: UserId,
    },
    /// List accounts.
    List,
}

fn said(refusal: &Refusal) -> anyhow::Error {
    anyhow::anyhow!("{refusal}")
}

fn password() -> anyhow::Result<Secret> {
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .context("reading the password from standard input")?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("the password is read from standard input, and nothing came");
    }
    Ok(Secret::from(password.to_owned()))
}

fn with_base<F>(settings: &Settings, work: F) -> anyhow::Result<()>
where
    F: AsyncFnOnce(&Base) -> anyhow::Result<()>,
{
    actix_rt::System::new().block_on(async {
        let base = Base::open(settings).await?;
        let done = work(&base).await;
        base.store.close();
        done
    })
}

impl TokenCommand {
    /// Prints the token.
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<()> {
        with_base(settings, async |base| {
            let issued = base
                .auth
                .issue(&self.user, self.ttl_ms)
                .await
                .map_err(|refusal| said(&refusal))?;
            println!("{}", issued.token.expose());
            Ok(())
        })
    }
}

impl UserCommand {
    /// Does it, and says so.
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<()> {
        with_base(settings, async |base| {
            let auth = &base.auth;
            let done = match self {
                Self::Add { user, name } => {
                    let request = RegisterRequest {
                        user_id: user.to_string(),
                        password: password()?,
                        name,
                    };
                    auth.add_user(request)
                        .await
                        .map(|user| format!("{user} added"))
                }
                Self::Password { user } => auth
                    .set_password(&user, password()?)
                    .await
                    .map(|()| format!("password of {user} set")),
                Self::Disable { user } => auth
                    .disable(&user)
                    .await
                    .map(|()| format!("{user} disabled")),
                Self::Enable { user } => {
                    auth.enable(&user).await.map(|()| format!("{user} enabled"))
                }
                Self::Revoke { user } => auth
                    .revoke(&user)
                    .await
                    .map(|()| format!("logins of {user} ended")),
                Self::List => return list(base).await,
            };
            println!("{}", done.map_err(|refusal| said(&refusal))?);
            Ok(())
        })
    }
}

async fn list(base: &Base) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let users = base
            .auth
            .users(after, 500)
            .await
            .map_err(|refusal| said(&refusal))?;
        let Some(last) = users.last() else {
            return Ok(());
        };
        after = Some(last.user_id.clone());
        for user in users {
            let closed = if user.disabled_at.is_some() {
                " (disabled)"
            } else {
                ""
            };
            println!("{}{closed}", user.user_id);
        }
    }
}
