//! The command line.

mod client;
mod operator;
mod running;
mod serve;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand};
use parlor_config::Settings;

/// A clustered chat messaging server.
#[derive(Debug, Parser)]
#[command(name = "parlor", version, about)]
pub struct Command {
    /// The settings file (TOML); the environment (`PARLOR__SECTION__KEY`) wins over it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run the server (the default).
    Serve,
    /// Look at the settings.
    #[command(subcommand)]
    Config(ConfigAction),
    /// Make an access token for a user: over the admin API of a running server, or while it is stopped.
    Token(operator::TokenCommand),
    /// Manage accounts: over the admin API of a running server, or while it is stopped.
    #[command(subcommand)]
    User(operator::UserCommand),
    /// Send a message to a room.
    Send(client::SendCommand),
    /// Follow a room.
    Tail(client::TailCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Check the settings, and print them as they are in effect.
    Check,
}

impl Command {
    /// Runs the command to its end.
    ///
    /// # Errors
    /// What went wrong, in words for whoever typed it.
    pub fn run(self) -> anyhow::Result<()> {
        match self.action {
            None | Some(Action::Serve) => serve::run(load(self.config)?),
            Some(Action::Config(ConfigAction::Check)) => {
                print!("{}", load(self.config)?.effective());
                Ok(())
            }
            Some(Action::Token(token)) => token.run(&load(self.config)?),
            Some(Action::User(user)) => user.run(&load(self.config)?),
            Some(Action::Send(send)) => send.run(),
            Some(Action::Tail(tail)) => tail.run(),
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn load(file: Option<PathBuf>) -> anyhow::Result<Settings> {
    let variables = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    Settings::load(file.as_deref(), variables).context("settings")
}
