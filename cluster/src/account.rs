//! What an account is before anything is known of it.

use parlor_schema::{Timestamp, UserId, record::UserRecord};

/// Makes the record of a user whom an outside issuer vouched for.
pub(crate) fn fresh_user(user: &UserId, now: Timestamp) -> UserRecord {
    UserRecord {
        user_id: user.clone(),
        name: None,
        avatar: None,
        password_hash: None,
        created_at: now,
        disabled_at: None,
        last_seen: None,
    }
}
