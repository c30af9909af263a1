//! What is told and when, and what a debt does.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{num::NonZeroU32, sync::atomic::AtomicU64};

use parlor_config::BucketRate;
use parlor_schema::port::{PortFuture, QuotaError};

use super::*;

fn rate(per_s: u32, burst: u32) -> Rate {
    Rate::from(BucketRate {
        per_s: NonZeroU32::new(per_s).unwrap(),
        burst: NonZeroU32::new(burst).unwrap(),
    })
}

fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

#[test]
fn a_batch_is_told_at_once_and_less_than_one_never() {
    let mut accounts = Accounts::new(rate(20, 40));
    let (ana, ben) = (user("ana"), user("ben"));
    for _ in 0..4 {
        accounts.take(&ana, 1_000).unwrap();
    }
    assert_eq!(accounts.due(1_000), []);
    accounts.take(&ben, 1_000).unwrap();
    accounts.take(&ana, 1_000).unwrap();
    accounts.take(&ana, 1_000).unwrap();
    assert_eq!(accounts.due(1_000), [(ana, 6)]);
    // One send in two seconds fills up again by itself, everywhere.
    for turn in 1..100 {
        accounts.take(&ben, 1_000 + turn * 2_000).unwrap();
    }
    assert_eq!(accounts.due(300_000), []);
}

#[test]
fn who_is_in_debt_is_refused_until_it_is_paid() {
    let mut accounts = Accounts::new(rate(20, 40));
    let ana = user("ana");
    accounts.take(&ana, 0).unwrap();
    accounts.hold(&ana, 700);
    assert_eq!(accounts.take(&ana, 100), Err(RetryAfterMs(600)));
    assert_eq!(accounts.take(&ana, 700), Ok(()));
    assert_eq!(accounts.take(&user("ben"), 100), Ok(()));
}

#[test]
fn those_who_do_not_send_are_forgotten() {
    let mut accounts = Accounts::new(rate(20, 40));
    for name in 0..USERS_MAX {
        accounts.take(&user(&format!("u{name}")), 0).unwrap();
    }
    accounts.take(&user("one-more"), 1_000).unwrap();
    assert_eq!(accounts.by_user.len(), USERS_MAX, "Q-3");
    accounts.take(&user("later"), 5_000).unwrap();
    assert_eq!(accounts.by_user.len(), 1);
}

/// Answers after `answers_in`, or never.
struct Slow(Option<Taken>, AtomicU64);

impl Quota for Slow {
    fn take<'a>(&'a self, _: &'a str, _: QuotaRate) -> PortFuture<'a, Result<Taken, QuotaError>> {
        let answer = self.0;
        self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Box::pin(async move {
            match answer {
                Some(taken) => Ok(taken),
                None => std::future::pending().await,
            }
        })
    }

    fn spend<'a>(
        &'a self,
        _: &'a str,
        _: u32,
        _: QuotaRate,
    ) -> PortFuture<'a, Result<u64, QuotaError>> {
        Box::pin(async { Err(QuotaError("away".to_owned())) })
    }

    fn add<'a>(&'a self, _: &'a str, _: u32, _: u64) -> PortFuture<'a, Result<u64, QuotaError>> {
        Box::pin(async { Err(QuotaError("away".to_owned())) })
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_refused_because_the_others_do_not_answer() {
    let ask = async |answer| {
        let quota = Arc::new(Slow(answer, AtomicU64::new(0)));
        let shared = SharedQuota::new(Some(quota), Metrics::new());
        let rate = Rate::per_minute(3);
        shared.take(SharedLimit::Logins, "192.0.2.1", rate).await
    };
    let retry_after_ms = 7;
    assert_eq!(ask(None).await, Ok(()), "Q-1");
    assert_eq!(ask(Some(Taken::Granted)).await, Ok(()));
    assert_eq!(
        ask(Some(Taken::Refused { retry_after_ms })).await,
        Err(RetryAfterMs(7))
    );
}
