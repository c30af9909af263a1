//! Tests of the routes over a fake behaviour and fake accounts.

#![allow(clippy::unwrap_used, reason = "tests")]

mod access;
mod admin;
mod calls;
mod frames;
mod pages;
mod support;
mod table;
