//! `parlor token` and `parlor user`: what operators do with accounts, over a running server's admin API, or else on the store.
//!
//! The embedded store is held by one process, so a running server without an admin key refuses these by name; with a shared store they
//! work beside it.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use parlor_config::Settings;
use parlor_schema::{UserId, frame::Refusal};
use reqwest::Method;
use serde_json::json;

use super::running::RunningServer;
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

/// Where accounts are reached.
enum Place {
    /// At a server that runs.
    Server(RunningServer),
    /// In a store that this process opened.
    Store(Box<Base>),
}

fn at_accounts<F>(settings: &Settings, work: F) -> anyhow::Result<()>
where
    F: AsyncFnOnce(&Place) -> anyhow::Result<()>,
{
    actix_rt::System::new().block_on(async {
        let place = match RunningServer::find(settings).await? {
            Some(server) => Place::Server(server),
            None => Place::Store(Box::new(Base::open(settings).await?)),
        };
        let done = work(&place).await;
        if let Place::Store(base) = &place {
            base.store.close();
        }
        done
    })
}

impl TokenCommand {
    /// Prints the token.
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<()> {
        at_accounts(settings, async |place| {
            let token = match place {
                Place::Server(server) => {
                    let path = format!("/users/{}/token", self.user);
                    let body = json!({ "ttl_ms": self.ttl_ms });
                    let issued = server.ask(Method::POST, &path, Some(body)).await?;
                    issued["token"].as_str().unwrap_or_default().into()
                }
                Place::Store(base) => {
                    let issued = base.auth.issue(&self.user, self.ttl_ms).await;
                    issued.map_err(|refusal| said(&refusal))?.token
                }
            };
            println!("{}", token.expose());
            Ok(())
        })
    }
}

impl UserCommand {
    /// Does it, and says so.
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<()> {
        at_accounts(settings, async |place| {
            if matches!(self, Self::List) {
                return list(place).await;
            }
            let done = self.done();
            match place {
                Place::Server(server) => self.ask(server).await?,
                Place::Store(base) => {
                    let did = self.act(base).await?;
                    did.map_err(|refusal| said(&refusal))?;
                }
            }
            println!("{done}");
            Ok(())
        })
    }

    /// Says what will have been done.
    fn done(&self) -> String {
        match self {
            Self::Add { user, .. } => format!("{user} added"),
            Self::Password { user } => format!("password of {user} set"),
            Self::Disable { user } => format!("{user} disabled"),
            Self::Enable { user } => format!("{user} enabled"),
            Self::Revoke { user } => format!("logins of {user} ended"),
            Self::List => String::new(),
        }
    }

    async fn ask(self, server: &RunningServer) -> anyhow::Result<()> {
        let (method, path, body) = match self {
            Self::Add { user, name } => {
                let password = password()?;
                let body = json!({ "user_id": user, "name": name, "password": password });
                (Method::POST, "/users".to_owned(), Some(body))
            }
            Self::Password { user } => {
                let body = json!({ "password": password()? });
                (Method::PUT, format!("/users/{user}/password"), Some(body))
            }
            Self::Disable { user } => (Method::POST, format!("/users/{user}/disable"), None),
            Self::Enable { user } => (Method::POST, format!("/users/{user}/enable"), None),
            Self::Revoke { user } => (Method::POST, format!("/users/{user}/revoke"), None),
            Self::List => return Ok(()),
        };
        server.ask(method, &path, body).await.map(drop)
    }

    async fn act(self, base: &Base) -> anyhow::Result<Result<(), Refusal>> {
        let auth = &base.auth;
        Ok(match self {
            Self::Add { user, name } => {
                let request = RegisterRequest {
                    user_id: user.to_string(),
                    password: password()?,
                    name,
                };
                auth.add_user(request).await.map(drop)
            }
            Self::Password { user } => auth.set_password(&user, password()?).await,
            Self::Disable { user } => auth.disable(&user).await,
            Self::Enable { user } => auth.enable(&user).await,
            Self::Revoke { user } => auth.revoke(&user).await,
            Self::List => Ok(()),
        })
    }
}

async fn list(place: &Place) -> anyhow::Result<()> {
    let users = match place {
        Place::Server(server) => server.users().await?,
        Place::Store(base) => all(base).await.map_err(|refusal| said(&refusal))?,
    };
    for (user, is_closed) in users {
        println!("{user}{}", if is_closed { " (disabled)" } else { "" });
    }
    Ok(())
}

async fn all(base: &Base) -> Result<Vec<(String, bool)>, Refusal> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let users = base.auth.users(after, 500).await?;
        let Some(last) = users.last() else {
            return Ok(all);
        };
        after = Some(last.user_id.clone());
        let users = users.iter();
        all.extend(users.map(|user| (user.user_id.to_string(), user.disabled_at.is_some())));
    }
}
