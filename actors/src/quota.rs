//! Limits that all nodes share: asked before what is rare and dear, settled afterwards for what is frequent.
//!
//! Invariants:
//! - nothing is refused because the other nodes cannot be asked (promise P-5): the limit of this node alone then holds.
//! - no send waits for another node. What this node granted is told behind the send, several at once; who has spent more on all
//!   nodes together than the rate allows is refused here until the debt is paid.
//! - at most `USERS_MAX` users are kept account of; beyond, sends are limited by this node alone.
//!
//! Deliberately absent: limits of connections (the session registry), limits per node.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use parlor_schema::{
    UserId,
    port::{Clock, Quota, QuotaRate, Taken},
};

use crate::{
    bucket::{Rate, RetryAfterMs},
    metrics::{Metrics, SharedAnswer, SharedLimit},
};

/// How long the other nodes are waited for.
pub const WAIT: Duration = Duration::from_millis(250);
/// How often what was spent is told.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// Users told of at once; the rest waits for the next turn.
const TOLD_MAX: usize = 512;
/// Users that are kept account of.
const USERS_MAX: usize = 1 << 17;

/// The shared limits as one node asks for them.
#[derive(Clone)]
pub struct SharedQuota {
    /// None on a node that is alone: its own limits are the whole.
    quota: Option<Arc<dyn Quota>>,
    metrics: Arc<Metrics>,
}

impl SharedQuota {
    /// Asks `quota`, where there are other nodes.
    #[must_use]
    pub fn new(quota: Option<Arc<dyn Quota>>, metrics: Arc<Metrics>) -> Self {
        Self { quota, metrics }
    }

    /// Takes a token of `key`, waiting at most [`WAIT`]. The limit of this node comes before, and is the caller's.
    ///
    /// # Errors
    /// All nodes together have none left.
    pub async fn take(
        &self,
        limit: SharedLimit,
        key: &str,
        rate: Option<Rate>,
    ) -> Result<(), RetryAfterMs> {
        let (Some(quota), Some(rate)) = (&self.quota, rate) else {
            return Ok(());
        };
        let key = format!("{}:{key}", limit.as_str());
        let taken = tokio::time::timeout(WAIT, quota.take(&key, rate.shared(0))).await;
        let (answer, result) = match taken {
            Ok(Ok(Taken::Granted)) => (SharedAnswer::Granted, Ok(())),
            Ok(Ok(Taken::Refused { retry_after_ms })) => {
                (SharedAnswer::Refused, Err(RetryAfterMs(retry_after_ms)))
            }
            Ok(Err(_)) | Err(_) => (SharedAnswer::Away, Ok(())),
        };
        self.metrics.shared_limit(limit, answer);
        result
    }

    /// Begins to keep account of sends, on this thread; none where nothing is shared.
    #[must_use]
    pub fn sends(&self, rate: Option<Rate>, clock: Arc<dyn Clock>) -> Option<Arc<SharedSends>> {
        let sends = Arc::new(SharedSends {
            quota: self.quota.clone()?,
            metrics: self.metrics.clone(),
            clock,
            accounts: Mutex::new(Accounts::new(rate?)),
        });
        let told = Arc::downgrade(&sends);
        actix_rt::spawn(async move {
            loop {
                tokio::time::sleep(TELL_EVERY).await;
                let Some(sends) = told.upgrade() else { return };
                sends.tell().await;
            }
        });
        Some(sends)
    }
}

/// Keeps account of what users of this node send, for all nodes.
pub struct SharedSends {
    quota: Arc<dyn Quota>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    accounts: Mutex<Accounts>,
}

impl SharedSends {
    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes one send that this node would grant. Never waits.
    ///
    /// # Errors
    /// The user has spent more on all nodes than the rate allows.
    pub fn take(&self, user: &UserId, now_ms: u64) -> Result<(), RetryAfterMs> {
        self.accounts().take(user, now_ms)
    }

    async fn tell(&self) {
        let (due, rate) = {
            let mut accounts = self.accounts();
            (accounts.due(self.clock.monotonic_ms()), accounts.shared)
        };
        let told = due.into_iter().map(async |(user, spent)| {
            let key = format!("{}:{user}", SharedLimit::Sends.as_str());
            let spend = tokio::time::timeout(WAIT, self.quota.spend(&key, spent, rate));
            let answer = match spend.await {
                Ok(Ok(0)) => SharedAnswer::Granted,
                Ok(Ok(wait_ms)) => {
                    let until = self.clock.monotonic_ms() + wait_ms;
                    self.accounts().hold(&user, until);
                    SharedAnswer::Refused
                }
                // What was spent meanwhile is forgotten: the limit of this node held.
                Ok(Err(_)) | Err(_) => SharedAnswer::Away,
            };
            self.metrics.shared_limit(SharedLimit::Sends, answer);
        });
        join_all(told).await;
    }
}

/// What users have sent here and nobody was told of yet.
struct Accounts {
    shared: QuotaRate,
    /// Sends that are told of together.
    batch: u32,
    /// Who has not sent for so long has a full bucket on all nodes.
    forget_ms: u64,
    by_user: HashMap<UserId, Account>,
    /// Users with a whole batch.
    due: Vec<UserId>,
}

#[derive(Default)]
struct Account {
    spent: u32,
    at_ms: u64,
    held_until_ms: u64,
}

impl Accounts {
    fn new(rate: Rate) -> Self {
        let batch = (rate.burst() / 8).max(1);
        // What one node grants must never look like too much from behind: a batch is told late, by up to a second on a bad day,
        // and a full bucket gains nothing meanwhile.
        let second = rate.shared(0);
        let second = second.tokens.get().saturating_mul(1_000) / second.period_ms.get();
        Self {
            shared: rate.shared(batch.saturating_add(second)),
            batch,
            forget_ms: rate.fills_in_ms(),
            by_user: HashMap::new(),
            due: Vec::new(),
        }
    }

    fn take(&mut self, user: &UserId, now_ms: u64) -> Result<(), RetryAfterMs> {
        if !self.by_user.contains_key(user) {
            if self.by_user.len() >= USERS_MAX {
                self.forget(now_ms);
            }
            if self.by_user.len() >= USERS_MAX {
                return Ok(());
            }
            self.by_user.insert(user.clone(), Account::default());
        }
        let Some(account) = self.by_user.get_mut(user) else {
            return Ok(());
        };
        if account.held_until_ms > now_ms {
            return Err(RetryAfterMs(account.held_until_ms - now_ms));
        }
        if account.at_ms + self.forget_ms <= now_ms {
            account.spent = 0;
        }
        account.at_ms = now_ms;
        account.spent += 1;
        if account.spent == self.batch {
            self.due.push(user.clone());
        }
        Ok(())
    }

    /// Hands out what is to be told, and forgets who has not sent for a while.
    fn due(&mut self, now_ms: u64) -> Vec<(UserId, u32)> {
        // The map keeps its size while it is used, and gives it back now and then.
        if self.by_user.len() >= USERS_MAX / 2 {
            self.forget(now_ms);
        }
        let rest = self.due.split_off(self.due.len().min(TOLD_MAX));
        let due = std::mem::replace(&mut self.due, rest);
        due.into_iter()
            .filter_map(|user| {
                let spent = std::mem::take(&mut self.by_user.get_mut(&user)?.spent);
                (spent > 0).then_some((user, spent))
            })
            .collect()
    }

    fn forget(&mut self, now_ms: u64) {
        let forget_ms = self.forget_ms;
        self.by_user.retain(|_, account| {
            account.at_ms + forget_ms > now_ms || account.held_until_ms > now_ms
        });
    }

    fn hold(&mut self, user: &UserId, until_ms: u64) {
        if let Some(account) = self.by_user.get_mut(user) {
            account.held_until_ms = account.held_until_ms.max(until_ms);
        }
    }
}

#[cfg(test)]
mod tests;
