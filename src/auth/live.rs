//! Logins and users known to be good a moment ago, so that not every request asks the store.
//!
//! Invariants:
//! - L-1: an entry is believed for [`BELIEVED_MS`] at most: a revocation whose envelope is lost still holds within a second (P-6).
//! - L-2: what was read before a revocation is not kept after it.
//! - L-3: at most [`ENTRIES_MAX`] entries; when full, all are forgotten and asked for anew.

use std::collections::HashMap;

use parlor_schema::{LoginId, UserId};

/// How long an answer of the store is believed.
pub(super) const BELIEVED_MS: u64 = 1_000;
/// Entries kept: some ten megabytes.
const ENTRIES_MAX: usize = 65_536;

/// What is known to be good: a login of a user, or a user of an outside issuer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Who {
    pub(super) user_id: UserId,
    pub(super) login_id: Option<LoginId>,
}

/// Counts revocations; what was read under an older count is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Epoch(u64);

/// The bounded memory of good logins.
#[derive(Debug, Default)]
pub(super) struct Live {
    good_until_ms: HashMap<Who, u64>,
    epoch: u64,
}

impl Live {
    /// Tells whether `who` was good a moment ago.
    pub(super) fn knows(&self, who: &Who, now_ms: u64) -> bool {
        self.good_until_ms
            .get(who)
            .is_some_and(|until| now_ms < *until)
    }

    /// To be asked for before the store is.
    pub(super) const fn epoch(&self) -> Epoch {
        Epoch(self.epoch)
    }

    /// Remembers that the store, asked at `asked_ms` in `epoch`, said that `who` is good.
    pub(super) fn remember(&mut self, who: Who, asked_ms: u64, epoch: Epoch) {
        if epoch != self.epoch() {
            return;
        }
        if self.good_until_ms.len() >= ENTRIES_MAX {
            self.good_until_ms.clear();
        }
        self.good_until_ms
            .insert(who, asked_ms.saturating_add(BELIEVED_MS));
    }

    /// Forgets a login.
    pub(super) fn forget_login(&mut self, login_id: LoginId) {
        self.epoch += 1;
        self.good_until_ms
            .retain(|who, _| who.login_id != Some(login_id));
    }

    /// Forgets everything of a user.
    pub(super) fn forget_user(&mut self, user_id: &UserId) {
        self.epoch += 1;
        self.good_until_ms.retain(|who, _| who.user_id != *user_id);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn who(user: &str, login: u8) -> Who {
        Who {
            user_id: user.parse().unwrap(),
            login_id: Some(LoginId::from([login; 16])),
        }
    }

    #[test]
    fn an_answer_is_believed_for_a_second() {
        let mut live = Live::default();
        let ana = who("ana", 1);
        assert!(!live.knows(&ana, 0));
        live.remember(ana.clone(), 500, live.epoch());
        assert!(live.knows(&ana, 500 + BELIEVED_MS - 1));
        assert!(!live.knows(&ana, 500 + BELIEVED_MS), "L-1");
        assert!(!live.knows(&who("ben", 1), 500), "another's login");
    }

    #[test]
    fn revocation_wins_over_what_was_read_before_it() {
        let mut live = Live::default();
        let (ana, ben) = (who("ana", 1), who("ben", 2));
        live.remember(ana.clone(), 0, live.epoch());
        live.remember(ben.clone(), 0, live.epoch());
        let before = live.epoch();
        live.forget_login(LoginId::from([1; 16]));
        assert!(!live.knows(&ana, 0) && live.knows(&ben, 0));
        live.remember(ana.clone(), 0, before);
        assert!(!live.knows(&ana, 0), "L-2");
        live.forget_user(&ben.user_id);
        assert!(!live.knows(&ben, 0));
    }

    #[test]
    fn it_never_outgrows_its_limit() {
        let mut live = Live::default();
        for n in 0..=ENTRIES_MAX {
            let user_id = format!("u{n}").parse().unwrap();
            let login_id = None;
            live.remember(Who { user_id, login_id }, 0, live.epoch());
        }
        assert_eq!(live.good_until_ms.len(), 1, "L-3");
    }
}
