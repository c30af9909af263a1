//! The Rust client and the command line against a server process: connections cut in the middle of frames, and a server that is away.
//!
//! `PARLOR_SEED` runs the same choices again (the machine's timing remains its own).
#![allow(clippy::unwrap_used, reason = "tests")]

mod checker;
mod cuts;
mod cutter;
mod dice;
mod person;
mod process;
mod seen;
mod tail;
