//! Rates and counts that all nodes share, as Lua scripts: one round trip, one key, the time of the server.

use std::sync::Arc;

use parlor_schema::port::{PortFuture, Quota, QuotaError, QuotaRate, Taken};
use redis::{RedisError, Value};

use super::{commands::Commands, names::Names, script::Lua};

/// Arguments: burst, tokens of a period, milliseconds of a period. Answers milliseconds to wait; 0 when the token was there.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local burst, per_ms = tonumber(ARGV[1]), tonumber(ARGV[2]) / tonumber(ARGV[3])
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(held[1]) or burst, tonumber(held[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) * per_ms)
local wait = 0
if tokens >= 1 then tokens = tokens - 1 else wait = math.ceil((1 - tokens) / per_ms) end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / per_ms) + 1000)
return wait
";

/// The same with a fourth argument: tokens that were spent already. Answers milliseconds until the debt is paid.
const SPEND: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local burst, per_ms = tonumber(ARGV[1]), tonumber(ARGV[2]) / tonumber(ARGV[3])
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(held[1]) or burst, tonumber(held[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) * per_ms)
tokens = math.max(-burst, tokens - tonumber(ARGV[4]))
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil(2 * burst / per_ms) + 1000)
if tokens >= 0 then return 0 end
return math.ceil(-tokens / per_ms)
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
    spend: Lua,
    add: Lua,
}

impl RedisQuota {
    pub(super) fn new(commands: Arc<Commands>, names: Names) -> Self {
        Self {
            commands,
            names,
            take: Lua::new(TAKE),
            spend: Lua::new(SPEND),
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
            let args = args(rate);
            let wait = number(self.take.run(&self.commands, &key, &args).await)?;
            Ok(match wait {
                0 => Taken::Granted,
                retry_after_ms => Taken::Refused { retry_after_ms },
            })
        })
    }

    fn spend<'a>(
        &'a self,
        key: &'a str,
        count: u32,
        rate: QuotaRate,
    ) -> PortFuture<'a, Result<u64, QuotaError>> {
        Box::pin(async move {
            let key = self.names.bucket(key);
            let [burst, tokens, period_ms] = args(rate);
            let args = [burst, tokens, period_ms, count];
            number(self.spend.run(&self.commands, &key, &args).await)
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

const fn args(rate: QuotaRate) -> [u32; 3] {
    [rate.burst.get(), rate.tokens.get(), rate.period_ms.get()]
}

fn number(answer: Result<Value, RedisError>) -> Result<u64, QuotaError> {
    match answer {
        Ok(Value::Int(number)) => Ok(u64::try_from(number).unwrap_or(0)),
        Ok(_) => Err(QuotaError("redis answered with no number".into())),
        Err(error) => Err(QuotaError(error.to_string())),
    }
}
