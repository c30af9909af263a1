//! Who may connect: how many connections the node and each address have, how fast new ones come, and whether the node has memory for more.
//!
//! Owns the counts. What is refused here costs a parsed request and no more; connections of one user are the session's matter.
//!
//! Invariants:
//! - AD-1: a connection is counted from its admission to its end, however it ends.
//! - AD-2: addresses are remembered while they have connections, and for their rate up to [`ADDRESSES_MAX`].

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use parlor_actors::{
    bucket::{Buckets, Rate, RetryAfterMs, TokenBucket},
    ledger::Budget,
};
use parlor_schema::frame::Refusal;

/// Addresses whose rate is remembered at once.
const ADDRESSES_MAX: usize = 1 << 16;
/// When one should try again that found the node or its address full.
const FULL_RETRY_MS: u64 = 5_000;

/// The limits, each off where it is 0 or none.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdmissionLimits {
    /// Connections of the node.
    pub connections: usize,
    /// Connections of one address.
    pub connections_per_ip: usize,
    /// New connections of the node.
    pub handshakes: Option<Rate>,
    /// New connections of one address.
    pub handshakes_per_ip: Option<Rate>,
}

/// Admits connections.
#[derive(Debug)]
pub struct Admission {
    limits: AdmissionLimits,
    budget: Arc<Budget>,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
    rate: TokenBucket,
    rates: Buckets<IpAddr>,
}

/// An admitted connection; dropping it counts it off (AD-1).
#[derive(Debug)]
pub struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    /// Admits within `limits`, while the node's `budget` is not used up.
    #[must_use]
    pub fn new(limits: AdmissionLimits, budget: Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            budget,
            counts: Mutex::new(Counts {
                all: 0,
                by_address: HashMap::new(),
                rate: TokenBucket::new(limits.handshakes, 0),
                rates: Buckets::new(limits.handshakes_per_ip, ADDRESSES_MAX),
            }),
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a connection from `peer`.
    ///
    /// # Errors
    /// `rate_limited` for the address, `unavailable` for the node, both with the time after which to try again.
    pub fn enter(self: &Arc<Self>, peer: IpAddr, now_ms: u64) -> Result<Admitted, Refusal> {
        let address = household(peer);
        let mut counts = self.counts();
        // The address first: one that asks too often takes nothing from the node's rate.
        let own = counts.by_address.get(&address).copied().unwrap_or(0);
        if is_full(own, self.limits.connections_per_ip) {
            return Err(of_address("too many connections", FULL_RETRY_MS));
        }
        if let Err(RetryAfterMs(wait)) = counts.rates.take(&address, now_ms) {
            return Err(of_address("too many new connections", wait));
        }
        if is_full(counts.all, self.limits.connections) {
            return Err(of_node(
                "the node has all the connections it may",
                FULL_RETRY_MS,
            ));
        }
        if self.budget.is_over() {
            return Err(of_node("the node has no memory to spare", FULL_RETRY_MS));
        }
        if let Err(RetryAfterMs(wait)) = counts.rate.take(now_ms) {
            return Err(of_node("too many new connections", wait));
        }
        counts.all += 1;
        *counts.by_address.entry(address).or_insert(0) += 1;
        Ok(Admitted {
            admission: self.clone(),
            address,
        })
    }
}

const fn is_full(count: usize, limit: usize) -> bool {
    limit > 0 && count >= limit
}

fn of_address(why: &str, retry_after_ms: u64) -> Refusal {
    Refusal {
        message: format!("{why} from this address"),
        ..Refusal::rate_limited(retry_after_ms)
    }
}

fn of_node(why: &str, retry_after_ms: u64) -> Refusal {
    Refusal {
        retry_after_ms: Some(retry_after_ms),
        ..Refusal::unavailable(why)
    }
}

/// Returns what counts as one address: of IPv6 the first 64 bits, of which a household has all.
fn household(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(peer) => match peer.to_ipv4_mapped() {
            Some(mapped) => mapped.into(),
            None => {
                let bits = u128::from(peer) & (u128::MAX << 64);
                Ipv6Addr::from(bits).into()
            }
        },
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.all -= 1;
        if let Some(count) = counts.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use parlor_actors::ledger::Ledger;
    use parlor_schema::ErrorCode;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn code(answer: Result<Admitted, Refusal>) -> (ErrorCode, Option<u64>) {
        let refusal = answer.unwrap_err();
        (refusal.code, refusal.retry_after_ms)
    }

    #[test]
    fn counts_by_address_and_in_all_and_counts_off() {
        let limits = AdmissionLimits {
            connections: 3,
            connections_per_ip: 2,
            ..AdmissionLimits::default()
        };
        let admission = Admission::new(limits, Budget::new(0));
        let one = admission.enter(ip("2001:db8::1"), 0).unwrap();
        let _two = admission.enter(ip("2001:db8::2"), 0).unwrap();
        let full = Some(FULL_RETRY_MS);
        assert_eq!(
            code(admission.enter(ip("2001:db8::3"), 0)),
            (ErrorCode::RateLimited, full),
            "one household"
        );
        let _three = admission.enter(ip("192.0.2.1"), 0).unwrap();
        assert_eq!(
            code(admission.enter(ip("192.0.2.2"), 0)),
            (ErrorCode::Unavailable, full)
        );
        drop(one);
        assert!(admission.enter(ip("::ffff:192.0.2.1"), 0).is_ok());
        assert!(admission.counts().by_address.len() <= 2);
    }

    #[test]
    fn a_hasty_address_takes_nothing_from_the_others() {
        let limits = AdmissionLimits {
            handshakes: Rate::per_minute(3),
            handshakes_per_ip: Rate::per_minute(2),
            ..AdmissionLimits::default()
        };
        let admission = Admission::new(limits, Budget::new(0));
        for _ in 0..2 {
            assert!(admission.enter(ip("192.0.2.1"), 0).is_ok());
        }
        assert_eq!(
            code(admission.enter(ip("192.0.2.1"), 0)),
            (ErrorCode::RateLimited, Some(30_000))
        );
        assert!(admission.enter(ip("192.0.2.2"), 0).is_ok());
        assert_eq!(
            code(admission.enter(ip("192.0.2.3"), 0)),
            (ErrorCode::Unavailable, Some(20_000))
        );
        assert!(admission.enter(ip("192.0.2.3"), 20_000).is_ok());
    }

    #[test]
    fn nobody_comes_in_while_memory_is_used_up() {
        let budget = Budget::new(10);
        let admission = Admission::new(AdmissionLimits::default(), budget.clone());
        let ledger = Ledger::new(budget);
        ledger.add(11);
        ledger.tell();
        assert_eq!(
            code(admission.enter(ip("192.0.2.1"), 0)).0,
            ErrorCode::Unavailable
        );
        ledger.sub(11);
        ledger.tell();
        assert!(admission.enter(ip("192.0.2.1"), 0).is_ok());
    }
}
