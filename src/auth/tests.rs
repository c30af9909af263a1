//! Tests of authentication as a whole, by what it promises.
#![allow(clippy::unwrap_used, reason = "tests")]

mod accounts;
mod attacks;
mod forge;
mod issuer_url;
mod keys;
mod operator;
mod own_tokens;
mod store;
mod support;
