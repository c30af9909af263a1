//! Every statement of the store, prepared once, each with its way of being run.

use std::{sync::Arc, time::Duration};

use parlor_config::{Cql, SerialScope};
use scylla::{
    client::{
        execution_profile::{ExecutionProfile, ExecutionProfileHandle},
        session::Session,
    },
    errors::PrepareError,
    policies::{
        load_balancing::DefaultPolicy,
        retry::{DefaultRetryPolicy, FallthroughRetryPolicy},
    },
    statement::{
        Consistency, SerialConsistency, Statement,
        batch::{Batch, BatchType},
        prepared::PreparedStatement,
    },
};

/// How a statement is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Under a condition: never repeated by the driver, and of one partition always by the same node, because nodes that take
    /// turns get in each other's way.
    Condition,
    /// A read that finishes or ends what conditional writes left half done. May be repeated.
    Serial,
    /// Any other read or write. May be repeated.
    Plain,
}

/// The ways, as the driver knows them.
pub(super) struct Ways {
    condition: ExecutionProfileHandle,
    serial: ExecutionProfileHandle,
    plain: ExecutionProfileHandle,
}

impl Ways {
    /// Chooses consistencies: within one datacenter where the setting says that one decides, else over all.
    pub(super) fn new(settings: &Cql) -> Self {
        let (consistency, serial, serial_read) = match settings.serial {
            SerialScope::Local => (
                Consistency::LocalQuorum,
                SerialConsistency::LocalSerial,
                Consistency::LocalSerial,
            ),
            SerialScope::Global => (
                Consistency::Quorum,
                SerialConsistency::Serial,
                Consistency::Serial,
            ),
        };
        // Another datacenter's node would ask its own datacenter.
        let elsewhere = settings.serial == SerialScope::Global;
        let policy = |shuffle| {
            DefaultPolicy::builder()
                .enable_shuffling_replicas(shuffle)
                .permit_dc_failover(elsewhere)
                .build()
        };
        let steady = policy(false);
        let profile = || {
            ExecutionProfile::builder()
                .request_timeout(Some(Duration::from_millis(settings.request_timeout_ms)))
                .serial_consistency(Some(serial))
                .speculative_execution_policy(None)
        };
        Self {
            condition: profile()
                .consistency(consistency)
                .load_balancing_policy(Arc::clone(&steady))
                .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
                .build()
                .into_handle(),
            serial: profile()
                .consistency(serial_read)
                .load_balancing_policy(steady)
                .retry_policy(Arc::new(DefaultRetryPolicy::new()))
                .build()
                .into_handle(),
            plain: profile()
                .consistency(consistency)
                .load_balancing_policy(policy(true))
                .retry_policy(Arc::new(DefaultRetryPolicy::new()))
                .build()
                .into_handle(),
        }
    }

    /// Returns the way of statements that are no more than themselves, for the session's own.
    pub(super) fn plain(&self) -> ExecutionProfileHandle {
        self.plain.clone()
    }

    async fn prepare(
        &self,
        session: &Session,
        way: Way,
        text: &str,
    ) -> Result<PreparedStatement, PrepareError> {
        let mut statement = Statement::new(text);
        statement.set_execution_profile_handle(Some(match way {
            Way::Condition => self.condition.clone(),
            Way::Serial => self.serial.clone(),
            Way::Plain => self.plain.clone(),
        }));
        statement.set_is_idempotent(way != Way::Condition);
        session.prepare(statement).await
    }
}

macro_rules! statements {
    ($($name:ident: $way:ident $text:literal;)*) => {
        /// The prepared statements.
        pub(super) struct Statements {
            condition: ExecutionProfileHandle,
            plain: ExecutionProfileHandle,
            $(pub(super) $name: PreparedStatement,)*
        }

        impl Statements {
            pub(super) async fn prepare(session: &Session, ways: &Ways) -> Result<Self, PrepareError> {
                Ok(Self {
                    condition: ways.condition.clone(),
                    plain: ways.plain.clone(),
                    $($name: ways.prepare(session, Way::$way, $text).await?,)*
                })
            }
        }
    };
}

impl Statements {
    /// Makes an empty batch under a condition, all of it in one partition.
    pub(super) fn conditional_batch(&self) -> Batch {
        // Logged or not is the same to a conditional batch; this is the form that needs no words.
        let mut batch = Batch::new(BatchType::Logged);
        batch.set_execution_profile_handle(Some(self.condition.clone()));
        batch.set_is_idempotent(false);
        batch
    }

    /// Makes an empty batch of writes that may be repeated, all of them in one partition, which makes it one write.
    pub(super) fn plain_batch(&self) -> Batch {
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_execution_profile_handle(Some(self.plain.clone()));
        batch.set_is_idempotent(true);
        batch
    }
}

statements! {
    head_move: Condition "UPDATE timeline SET head = ? WHERE room_id = ? AND bucket = ? IF head = ?";
    event_put: Condition "INSERT INTO timeline (room_id, bucket, seq, event_id, kind, sender, sent_at, msg_id, fingerprint, content) \
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    head_get: Serial "SELECT head FROM timeline WHERE room_id = ? AND bucket = ? LIMIT 1";
    events_up: Plain "SELECT seq, event_id, kind, sender, sent_at, msg_id, fingerprint, content FROM timeline \
        WHERE room_id = ? AND bucket = ? AND seq >= ? AND seq <= ? ORDER BY seq ASC LIMIT ?";
    events_down: Plain "SELECT seq, event_id, kind, sender, sent_at, msg_id, fingerprint, content FROM timeline \
        WHERE room_id = ? AND bucket = ? AND seq >= ? AND seq <= ? ORDER BY seq DESC LIMIT ?";

    kept_get: Plain "SELECT first FROM kept WHERE room_id = ?";
    kept_put: Plain "INSERT INTO kept (room_id, first) VALUES (?, ?) USING TIMESTAMP ?";
    events_drop: Plain "DELETE FROM timeline WHERE room_id = ? AND bucket = ? AND seq <= ?";

    claim_put: Condition "INSERT INTO claims (user_id, msg_id, room_id, fingerprint) VALUES (?, ?, ?, ?) IF NOT EXISTS";
    claim_replace: Condition "UPDATE claims SET room_id = ?, fingerprint = ? WHERE user_id = ? AND msg_id = ? \
        IF room_id = ? AND fingerprint = ?";

    room_get: Plain "SELECT applied, kind, name, topic, public, retention_ms, created_at, \
        user_id, role, joined_at, joined_seq, muted, muted_until, banned, banned_until FROM rooms WHERE room_id = ? LIMIT ?";
    members_get: Plain "SELECT applied, kind, name, topic, public, retention_ms, created_at, \
        user_id, role, joined_at, joined_seq, muted, muted_until, banned, banned_until FROM rooms \
        WHERE room_id = ? AND user_id > ? LIMIT ?";
    applied_get: Plain "SELECT applied FROM rooms WHERE room_id = ? LIMIT 1";
    applied_serial: Serial "SELECT applied FROM rooms WHERE room_id = ? LIMIT 1";
    public_get: Plain "SELECT public FROM rooms WHERE room_id = ? LIMIT 1";
    room_open: Condition "UPDATE rooms SET applied = ?, kind = ?, name = ?, topic = ?, public = ?, retention_ms = ?, created_at = ? \
        WHERE room_id = ? IF applied = ?";
    room_move: Condition "UPDATE rooms SET applied = ?, kind = ?, name = ?, topic = ?, public = ?, retention_ms = ?, created_at = ? \
        WHERE room_id = ? IF applied < ?";
    applied_move: Condition "UPDATE rooms SET applied = ? WHERE room_id = ? IF applied < ?";
    member_put: Condition "INSERT INTO rooms (room_id, user_id, role, joined_at, joined_seq, muted, muted_until, banned, banned_until) \
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    member_remove: Condition "DELETE FROM rooms WHERE room_id = ? AND user_id = ?";

    index_put: Plain "INSERT INTO rooms_of_user (user_id, room_id) VALUES (?, ?) USING TIMESTAMP ?";
    index_remove: Plain "DELETE FROM rooms_of_user USING TIMESTAMP ? WHERE user_id = ? AND room_id = ?";
    index_get: Plain "SELECT room_id FROM rooms_of_user WHERE user_id = ? AND room_id > ? LIMIT ?";
    public_put: Plain "INSERT INTO public_rooms (shard, room_id) VALUES (?, ?) USING TIMESTAMP ?";
    public_remove: Plain "DELETE FROM public_rooms USING TIMESTAMP ? WHERE shard = ? AND room_id = ?";
    public_list: Plain "SELECT room_id FROM public_rooms WHERE shard = ? AND room_id > ? LIMIT ?";

    delivered_put: Plain "UPDATE receipts USING TIMESTAMP ? SET delivered_seq = ? WHERE room_id = ? AND user_id = ?";
    read_put: Plain "UPDATE receipts USING TIMESTAMP ? SET read_seq = ? WHERE room_id = ? AND user_id = ?";
    receipts_get: Plain "SELECT user_id, delivered_seq, read_seq FROM receipts WHERE room_id = ? AND user_id > ? LIMIT ?";

    user_put: Condition "INSERT INTO users (user_id, name, avatar, password_hash, created_at, disabled_at) \
        VALUES (?, ?, ?, ?, ?, ?) IF NOT EXISTS";
    user_get: Plain "SELECT name, avatar, password_hash, created_at, disabled_at FROM users WHERE user_id = ?";
    user_serial: Serial "SELECT name, avatar, password_hash, created_at, disabled_at FROM users WHERE user_id = ?";
    user_name: Condition "UPDATE users SET name = ? WHERE user_id = ? IF EXISTS";
    user_avatar: Condition "UPDATE users SET avatar = ? WHERE user_id = ? IF EXISTS";
    user_profile: Condition "UPDATE users SET name = ?, avatar = ? WHERE user_id = ? IF EXISTS";
    user_password: Condition "UPDATE users SET password_hash = ? WHERE user_id = ? IF EXISTS";
    user_disabled: Condition "UPDATE users SET disabled_at = ? WHERE user_id = ? IF EXISTS";
    seen_put: Plain "INSERT INTO users_seen (user_id, last_seen) VALUES (?, ?) USING TIMESTAMP ?";
    seen_get: Plain "SELECT last_seen FROM users_seen WHERE user_id = ?";
    user_id_put: Plain "INSERT INTO user_ids (shard, user_id) VALUES (?, ?)";
    user_id_list: Plain "SELECT user_id FROM user_ids WHERE shard = ? AND user_id > ? LIMIT ?";

    login_put: Condition "INSERT INTO logins (login_id, user_id, refresh_hash, created_at, expires_at) \
        VALUES (?, ?, ?, ?, ?) IF NOT EXISTS";
    login_again: Condition "UPDATE logins SET user_id = ?, refresh_hash = ?, created_at = ?, expires_at = ? \
        WHERE login_id = ? IF EXISTS";
    login_get: Plain "SELECT user_id, refresh_hash, created_at, expires_at FROM logins WHERE login_id = ?";
    login_serial: Serial "SELECT user_id, refresh_hash, created_at, expires_at FROM logins WHERE login_id = ?";
    login_rotate: Condition "UPDATE logins SET refresh_hash = ?, expires_at = ? WHERE login_id = ? IF refresh_hash = ?";
    login_remove: Condition "DELETE FROM logins WHERE login_id = ? IF EXISTS";
    login_id_put: Plain "INSERT INTO logins_of_user (user_id, login_id) VALUES (?, ?)";
    login_id_remove: Plain "DELETE FROM logins_of_user WHERE user_id = ? AND login_id = ?";
    login_ids: Plain "SELECT login_id FROM logins_of_user WHERE user_id = ?";

    device_put: Plain "UPDATE devices SET name = ?, platform = ? WHERE user_id = ? AND device_id = ?";
    device_seen: Plain "UPDATE devices USING TIMESTAMP ? SET last_seen = ? WHERE user_id = ? AND device_id = ?";
    device_get: Plain "SELECT name, platform, last_seen FROM devices WHERE user_id = ? AND device_id = ?";
}
