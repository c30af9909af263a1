//! Simulations of pure states: seeded, many schedules, each to be run again alone.
//!
//! `PARLOR_SEED` and `PARLOR_SCHEDULES` choose which; a failure names both.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../integration/checker.rs"]
mod checker;
#[path = "../integration/dice.rs"]
mod dice;
mod node;
mod place;
mod room;
