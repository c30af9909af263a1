//! Clients that mean harm, each with what it gets: a row of the table in `docs/SECURITY.md` each, under "Against too much".
//!
//! While an attack runs, two people talk ([`pair::Pair`]), and each thing said arrives. Where memory is the matter the server is a process
//! of its own ([`child::Child`]), so that nothing else is counted.
//!
//! Elsewhere: the deadlines of a connection are tested on a clock of the test's own (`actors/src/line.rs`), what counts as silence in
//! `limits.rs`, what bystanders notice in `benches/hostile.rs`, sizes and close codes one by one in `closing.rs`, the decoder on any split of bytes in
//! `src/websocket/decode/tests.rs`.

mod admission;
mod child;
mod deflate;
mod descriptors;
mod floods;
mod frames;
mod json;
mod overload;
mod pair;
mod slow;
mod stalled;
mod tls;

use child::Child;
use pair::Pair;

use crate::support::raw::Raw;

/// Starts a server of its own process, and two people who talk there.
async fn besieged(settings: &[(&'static str, &str)]) -> (Child, Pair) {
    let server = Child::start(settings).await;
    let tokens = ["pia", "pat"].map(|user| server.token(user));
    let pair = Pair::meet(server.addr, tokens).await;
    (server, pair)
}

/// Connects somebody who is welcome.
async fn eve(server: &Child) -> Raw {
    eve_with(server, &[]).await
}

/// The same with more headers.
async fn eve_with(server: &Child, headers: &[&str]) -> Raw {
    let mut eve = Raw::connect(server.addr, headers).await;
    eve.hello(&server.token("eve")).await;
    eve
}
