//! Rates and counts that all nodes share, as Lua scripts: one round trip, one key, the time of the server.

use std::sync::Arc;

use parlor_schema::port::{PortFuture, Quota, QuotaError, QuotaRate, Taken};
use redis::{RedisError, Value};

use super::{commands::Commands, names::Names, script::Lua};

/// Arguments: burst, tokens per second. Answers milliseconds to wait; 0 when the token was there.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local burst, per_s = tonumber(ARGV[1]), tonumber(ARGV[2])
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(held[1]) or burst, tonumber(held[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) * per_s / 1000)
local wait = 0
if tokens >= 1 then tokens = tokens - 1 else wait = math.ceil((1 - tokens) * 1000 / per_s) end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil(burst * 1000 / per_s) + 1000)
return wait
";

/// Arguments: count, milliseconds that a new counter lives. Answers the new value.
const ADD: &str = r"
local value = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return value
";

/// Token buckets and counters in Redis.
pub struct RedisQuota {
    commands: Arc<Commands>,
    names: Names,
    take: Lua,
    add: Lua,
}

impl RedisQuota {
    pub(super) fn new(commands: Arc<Commands>, names: Names) -> Self {
        Self {
            commands,
            names,
            take: Lua::new(TAKE),
            add: Lua::new(ADD),
        }
    }
}

impl Quota for RedisQuota {
    fn take<'a>(
        &'a self,
        key: &'a str,
        rate: QuotaRate,
    ) -> PortFuture<'a, Result<Taken, QuotaError>> {
        Box::pin(async move {
            let key = self.names.bucket(key);
            let args = [rate.burst.get(), rate.per_s.get()];
            let wait = number(self.take.run(&self.commands, &key, &args).await)?;
            Ok(match wait {
                0 => Taken::Granted,
                retry_after_ms => Taken::Refused { retry_after_ms },
            })
        })
    }

    fn add<'a>(
        &'a self,
        key: &'a str,
        count: u32,
        window_ms: u64,
    ) -> PortFuture<'a, Result<u64, QuotaError>> {
        Box::pin(async move {
            let key = self.names.count(key);
            // A counter without an end would stay for ever.
            let args = [u64::from(count), window_ms.max(1)];
            number(self.add.run(&self.commands, &key, &args).await)
        })
    }
}

fn number(answer: Result<Value, RedisError>) -> Result<u64, QuotaError> {
    match answer {
        Ok(Value::Int(number)) => Ok(u64::try_from(number).unwrap_or(0)),
        Ok(_) => Err(QuotaError("redis answered with no number".into())),
        Err(error) => Err(QuotaError(error.to_string())),
    }
}
