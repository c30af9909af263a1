//! The `parlor` binary: reads the command line and runs it.

use std::process::ExitCode;

use clap::Parser;
use parlor::command::Command;

fn main() -> ExitCode {
    match Command::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("parlor: {error:#}");
            ExitCode::FAILURE
        }
    }
}
