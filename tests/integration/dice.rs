//! Seeded chance, so that a failure can be run again: `PARLOR_SEED` sets the seed.
#![allow(dead_code, reason = "each binary uses a part")]

use std::net::{SocketAddr, TcpListener};

/// A small generator (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    /// Begins with a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Rolls 64 bits.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Rolls a number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// Rolls a number from `from` up to, without, `to`.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from)
    }

    /// Comes true once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Picks one.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(from.len() as u64)).expect("invariant: below a length");
        &from[at]
    }

    /// Finds a port below those the system gives to outgoing connections: one that is asked for while nobody listens could else connect
    /// to itself, and a server that is away must find it free again.
    pub(crate) fn free_address(&mut self) -> SocketAddr {
        let free = (0..1000).find_map(|_| {
            let port = u16::try_from(self.between(12_000, 30_000)).expect("invariant: a port");
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            TcpListener::bind(address).ok().map(|_| address)
        });
        free.expect("a free port")
    }

    /// Begins another generator.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.roll())
    }
}

/// Returns the number in the environment variable `name`.
#[allow(
    clippy::disallowed_methods,
    reason = "a test's own knob, no setting of the server"
)]
pub(crate) fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
    )
}

/// Returns the seed asked for, or one of the moment.
pub(crate) fn seed() -> u64 {
    number("PARLOR_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0)
}

/// Says what a run found, also where the runner keeps the output of tests that pass: counts and seeds are for whoever reads CI.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}
