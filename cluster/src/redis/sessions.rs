//! The session registry: one hash for each user, from session to where it is.

use std::sync::Arc;

use parlor_schema::{
    BootId, NodeId, SessionId, Timestamp, UserId,
    port::{ENTRY_HOLDS_MS, Membership, PortFuture, RegistryError, SessionEntry, SessionRegistry},
};
use redis::{RedisError, Value, cmd};
use serde::{Deserialize, Serialize};

use super::{
    commands::Commands, membership::RedisMembership, names::Names, script::Lua, topology::text,
};

/// Entries of one user.
const ENTRIES_MAX: usize = 256;

/// Arguments: session, entry, lifetime, most entries. The time of the server is put into the entry, since those of the nodes may be
/// apart. Above the most, the one put longest ago leaves. Answers how many there are.
const PUT: &str = r"
local time = redis.call('TIME')
local put = cjson.decode(ARGV[2])
put.ping = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(put))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[4]) then
  local all, oldest, at = redis.call('HGETALL', KEYS[1]), nil, nil
  for i = 1, #all, 2 do
    local read, entry = pcall(cjson.decode, all[i + 1])
    local ping = read and tonumber(entry.ping) or 0
    if all[i] ~= ARGV[1] and (at == nil or ping < at) then oldest, at = all[i], ping end
  end
  redis.call('HDEL', KEYS[1], oldest)
end
return redis.call('HLEN', KEYS[1])
";

/// Argument: how long an entry holds. Those that were not put for so long leave. Answers sessions and entries in turns.
const LIST: &str = r"
local time = redis.call('TIME')
local since = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[1])
local all, held = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local read, entry = pcall(cjson.decode, all[i + 1])
  if read and (tonumber(entry.ping) or 0) >= since then
    held[#held + 1] = all[i]
    held[#held + 1] = all[i + 1]
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return held
";

/// An entry as it is kept; times in milliseconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    node: NodeId,
    boot: BootId,
    connected: i64,
    ping: i64,
}

/// The session registry in Redis.
pub struct RedisSessions {
    commands: Arc<Commands>,
    membership: Arc<RedisMembership>,
    names: Names,
    put: Lua,
    list: Lua,
}

impl RedisSessions {
    pub(super) fn new(
        commands: Arc<Commands>,
        membership: Arc<RedisMembership>,
        names: Names,
    ) -> Self {
        Self {
            commands,
            membership,
            names,
            put: Lua::new(PUT),
            list: Lua::new(LIST),
        }
    }

    async fn all(&self, key: &str) -> Result<Vec<SessionEntry>, RedisError> {
        let args = [ENTRY_HOLDS_MS];
        let Value::Array(fields) = self.list.run(&self.commands, key, &args).await? else {
            return Ok(Vec::new());
        };
        let mut entries: Vec<SessionEntry> = fields
            .chunks_exact(2)
            .filter_map(|pair| {
                let [session, entry] = pair else {
                    return None;
                };
                let stored: Stored = serde_json::from_str(text(entry)?).ok()?;
                Some(SessionEntry {
                    session_id: text(session)?.parse().ok()?,
                    node_id: stored.node,
                    boot_id: stored.boot,
                    connected_at: Timestamp::from_millis(stored.connected),
                    last_ping: Timestamp::from_millis(stored.ping),
                })
            })
            .collect();
        entries.sort_by_key(|entry| entry.session_id);
        Ok(entries)
    }
}

impl SessionRegistry for RedisSessions {
    fn put<'a>(
        &'a self,
        user: &'a UserId,
        entry: &'a SessionEntry,
    ) -> PortFuture<'a, Result<usize, RegistryError>> {
        Box::pin(async move {
            let stored = Stored {
                node: entry.node_id.clone(),
                boot: entry.boot_id,
                connected: entry.connected_at.millis(),
                ping: entry.last_ping.millis(),
            };
            let stored = serde_json::to_string(&stored).map_err(failed)?;
            let args = [
                entry.session_id.to_string(),
                stored,
                ENTRY_HOLDS_MS.to_string(),
                ENTRIES_MAX.to_string(),
            ];
            let key = self.names.sessions(user);
            let put = self.put.run(&self.commands, &key, &args).await;
            match put.map_err(failed)? {
                Value::Int(entries) => Ok(usize::try_from(entries).unwrap_or(0)),
                _ => Err(failed("redis answered with no number")),
            }
        })
    }

    fn remove<'a>(
        &'a self,
        user: &'a UserId,
        session: SessionId,
    ) -> PortFuture<'a, Result<(), RegistryError>> {
        Box::pin(async move {
            let key = self.names.sessions(user);
            let mut command = cmd("HDEL");
            command.arg(&key).arg(session.to_string());
            let removed = self.commands.ask(&key, &command).await;
            removed.map(drop).map_err(failed)
        })
    }

    fn epoch(&self) -> u64 {
        // Another connection may be one to another server, or to the same with an empty memory.
        self.commands.health.state().connects
    }

    fn sessions<'a>(
        &'a self,
        user: &'a UserId,
    ) -> PortFuture<'a, Result<Vec<SessionEntry>, RegistryError>> {
        Box::pin(async move {
            let key = self.names.sessions(user);
            let all = self.all(&key).await.map_err(failed)?;
            let view = self.membership.view();
            let (alive, void): (Vec<_>, Vec<_>) = all
                .into_iter()
                .partition(|entry| view.is_alive(&entry.node_id, entry.boot_id));
            // Only a run that another one replaced is over for certain: a node that is not in the view may have come a
            // moment ago, or be thought dead for a while.
            let mut command = cmd("HDEL");
            command.arg(&key);
            let mut over = 0;
            for entry in void
                .iter()
                .filter(|entry| view.node(&entry.node_id).is_some())
            {
                command.arg(entry.session_id.to_string());
                over += 1;
            }
            if over > 0
                && let Err(error) = self.commands.ask(&key, &command).await
            {
                tracing::debug!(%error, "entries of ended runs stay for now");
            }
            Ok(alive)
        })
    }
}

fn failed(error: impl std::fmt::Display) -> RegistryError {
    RegistryError(error.to_string())
}
