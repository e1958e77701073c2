//! Conversations in Redis: shared by replicas, and there after a restart. One round trip to recall and one to record, each a command or a
//! script, so that turns which end at once on several replicas add up. Every wait is bounded: where Redis cannot be reached the gateway
//! goes on, and the policy says what that means for its drift rules.
//!
//! All keys begin with `{steadfast}`, so that a cluster keeps them in one slot: a hash for each state, one for the names, and two sorted
//! sets that say which conversations there are and which drift most. All of them expire.

mod link;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use redis::{FromRedisValue, RedisError, RedisResult, Script, Value};

use self::link::Link;
use super::{Conversation, Place, Record, SessionError, SessionKey, Sessions, State};
use crate::drift::Sums;
use crate::infer::BoxFuture;
use crate::policy::Measures;

/// How long an answer waits for Redis, in all.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long nobody asks after Redis could not be reached: an outage must not cost every request its patience.
const REST: Duration = Duration::from_millis(500);

/// Where the script for a turn finds things: KEYS are the states to write, ARGV as `record` gives them.
static RECORD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local allowance, most, weight = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now, ttl, name, route = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7]
local mode, asked, held, flagged = ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
-- Not a number where it was not measured.
local pooled, residuals = tonumber(ARGV[12]), {tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])}
local sums, m, t, f, c, a = {0, 0, 0}, 0, 0, 0, 0, 0
if mode == 'at' then
  local known = redis.call('HMGET', KEYS[1], 'm', 't', 'f', 'c', 'a', 'n', 's1', 's2', 's3')
  if known[2] then
    m, t, f, c = tonumber(known[1]), tonumber(known[2]), tonumber(known[3]), tonumber(known[4])
    a, name = tonumber(known[5]) or 0, known[6]
    for i = 1, 3 do sums[i] = tonumber(known[6 + i]) or 0 end
  end
elseif mode == 'after' then
  m, t, f, c = tonumber(ARGV[16]), tonumber(ARGV[17]), tonumber(ARGV[18]), tonumber(ARGV[19])
  a = tonumber(ARGV[20])
  for i = 1, 3 do sums[i] = tonumber(ARGV[20 + i]) end
end
for i = 1, 3 do
  local residual = residuals[i]
  if residual then sums[i] = math.max(0, sums[i] + math.max(-most, math.min(most, residual)) - allowance) end
end
if pooled then m = m + weight * (pooled - m) end
local d = math.max(sums[1], sums[2], sums[3])
t = t + 1
f = f + flagged
if d <= 0 then
  c, a = t, asked
else
  a = bit.bor(a, asked, held)
end
local exact = function(x) return string.format('%.17g', x) end
for i = 1, #KEYS - 3 do
  redis.call('HSET', KEYS[i], 's1', exact(sums[1]), 's2', exact(sums[2]), 's3', exact(sums[3]), 'm', exact(m), 't', t, 'f', f, 'c', c,
    'a', a, 'n', name, 'r', route, 'u', now)
  redis.call('PEXPIRE', KEYS[i], ttl)
end
local seen, drift, names = KEYS[#KEYS - 2], KEYS[#KEYS - 1], KEYS[#KEYS]
if #KEYS > 3 then
  redis.call('ZADD', seen, now * 1000 + ttl, name)
  redis.call('ZADD', drift, exact(d), name)
  redis.call('HSET', names, name, KEYS[1])
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', '(' .. now * 1000, 'LIMIT', 0, 100)) do
  redis.call('ZREM', seen, gone)
  redis.call('ZREM', drift, gone)
  redis.call('HDEL', names, gone)
end
for _, key in ipairs({seen, drift, names}) do redis.call('PEXPIRE', key, ttl + 60000) end
return {exact(sums[1]), exact(sums[2]), exact(sums[3]), exact(m), t, f, c, a, name, redis.call('ZCARD', seen)}
",
    )
});

/// The conversations with the highest drift. KEYS: seen, drift, names. ARGV: how many.
static LIST: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local found = {redis.call('ZCARD', KEYS[1])}
for _, name in ipairs(redis.call('ZREVRANGE', KEYS[2], 0, ARGV[1] - 1)) do
  local key = redis.call('HGET', KEYS[3], name)
  local state = key and redis.call('HMGET', key, 's1', 's2', 's3', 'm', 't', 'f', 'c', 'a', 'n', 'r', 'u')
  if state and state[1] then found[#found + 1] = state end
end
return found
",
    )
});

const FIELDS: [&str; 11] = ["s1", "s2", "s3", "m", "t", "f", "c", "a", "n", "r", "u"];
const INDEX: [&str; 3] = ["{steadfast}:seen", "{steadfast}:drift", "{steadfast}:names"];

/// The store. Clones share its connections.
#[derive(Clone)]
pub struct RedisSessions(Arc<Shared>);

struct Shared {
    link: Link,
    ttl: Duration,
    /// Conversations, by the last reply.
    count: AtomicU64,
    began: Instant,
    /// Milliseconds after `began` until which nobody asks.
    rest_until: AtomicU64,
}

impl RedisSessions {
    /// A store at a `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]` URL (`rediss://`: over TLS) that forgets a conversation so long after its
    /// last turn. `ca`: the authorities that may have signed the server's certificate, PEM; without it the system's. Nothing is connected
    /// yet.
    ///
    /// # Errors
    /// The URL or the authorities make no sense. The message does not quote them, for the URL may hold a password.
    pub fn new(url: &str, ca: Option<Vec<u8>>, ttl: Duration) -> Result<Self, SessionError> {
        Ok(RedisSessions(Arc::new(Shared {
            link: Link::new(url, ca).map_err(|fault| SessionError(fault.to_owned()))?,
            // Longer than a hundred years is for ever, and overflows in Redis.
            ttl: ttl.clamp(Duration::from_millis(1), Duration::from_secs(3_000_000_000)),
            count: AtomicU64::new(0),
            began: Instant::now(),
            rest_until: AtomicU64::new(0),
        })))
    }

    /// Conversations remembered, as far as was seen in the last reply.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::try_from(self.0.count.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }
}

impl Shared {
    /// Asks within [`PATIENCE`], or not at all shortly after a failure.
    async fn ask<T>(&self, asking: impl Future<Output = RedisResult<T>>) -> Result<T, SessionError> {
        let now = || u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now() < self.rest_until.load(Ordering::Relaxed) {
            return Err(SessionError("it could not be reached a moment ago".to_owned()));
        }
        let failed = match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(error)) => SessionError(told(&error)),
            Err(_) => {
                // What does not answer may be at the end of a dead connection.
                self.link.forget().await;
                SessionError(format!("no answer within {} ms", PATIENCE.as_millis()))
            }
        };
        self.rest_until.store(now() + u64::try_from(REST.as_millis()).unwrap_or(0), Ordering::Relaxed);
        Err(failed)
    }

    /// Runs a script. Redis knows it by its hash after the first time.
    async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: impl IntoIterator<Item = String>,
        arguments: &[String],
    ) -> Result<T, SessionError> {
        let mut invocation = script.prepare_invoke();
        for key in keys {
            invocation.key(key);
        }
        for argument in arguments {
            invocation.arg(argument);
        }
        let invocation = &invocation;
        self.ask(self.link.ask(|mut connection| async move { invocation.invoke_async(&mut connection).await })).await
    }

    async fn recall(&self, keys: Vec<SessionKey>) -> Result<Option<Conversation>, SessionError> {
        let mut questions = redis::pipe();
        for key in keys {
            questions.cmd("HMGET").arg(state(key)).arg(&FIELDS);
        }
        let questions = &questions;
        let replies: Vec<Value> =
            self.ask(self.link.ask(|mut connection| async move { questions.query_async(&mut connection).await })).await?;
        Ok(replies.into_iter().find_map(conversation))
    }

    async fn record(&self, record: Record) -> Result<Conversation, SessionError> {
        let Record { place, turn, charts, name, route, now } = record;
        let (keys, mode, before) = match place {
            Place::At(key) => (vec![key], "at", None),
            Place::After { before, keys } => (keys, if before.is_some() { "after" } else { "new" }, before),
        };
        let name = before.as_ref().map_or(&*name, |before| &*before.name);
        let keys = keys.into_iter().map(state).chain(INDEX.map(str::to_owned));
        let mut arguments = vec![
            charts.cusum.allowance.to_string(),
            charts.cusum.most.to_string(),
            charts.ewma.weight.to_string(),
            now.to_string(),
            self.ttl.as_millis().to_string(),
            name.to_owned(),
            route.to_string(),
            mode.to_owned(),
            turn.asked.bits().to_string(),
            turn.held.bits().to_string(),
            u8::from(turn.flagged).to_string(),
        ];
        // Lua would take "NaN" for a number.
        let number = |value: f64| if value.is_nan() { "-".to_owned() } else { value.to_string() };
        arguments.push(number(turn.residuals.pooled()));
        arguments.extend(turn.residuals.0.map(number));
        if let Some(Conversation { state, .. }) = &before {
            arguments.push(state.mean.to_string());
            arguments.extend([state.turns, state.flags, state.calm].map(|count| count.to_string()));
            arguments.push(state.measures.bits().to_string());
            arguments.extend(state.sums.0.map(|sum| sum.to_string()));
        }
        type Reply = (f64, f64, f64, f64, u64, u64, u64, u8, String, u64);
        let (one, two, three, mean, turns, flags, calm, measures, name, count): Reply =
            self.run(&RECORD, keys, &arguments).await?;
        self.count.store(count, Ordering::Relaxed);
        let sums = Sums([one, two, three]);
        let state = State { sums, mean, turns, flags, calm, measures: Measures::from_bits(measures) };
        Ok(Conversation { name: name.into(), route, state, updated: now })
    }

    async fn list(&self, most: usize) -> Result<(Vec<Conversation>, u64), SessionError> {
        let mut found: Vec<Value> = self.run(&LIST, INDEX.map(str::to_owned), &[most.to_string()]).await?;
        let listed = found.split_off(1.min(found.len()));
        let count = found.pop().and_then(|count| u64::from_redis_value(count).ok()).unwrap_or(0);
        self.count.store(count, Ordering::Relaxed);
        let mut listed: Vec<Conversation> = listed.into_iter().filter_map(conversation).collect();
        super::worst_first(&mut listed, most);
        Ok((listed, count))
    }
}

/// What went wrong, without what Redis says of it, which may quote the command.
fn told(error: &RedisError) -> String {
    match error.code() {
        Some(code) => format!("it refused the command ({code})"),
        None if error.is_io_error() => error.to_string(),
        None => error.category().to_owned(),
    }
}

fn state(key: SessionKey) -> String {
    format!("{{steadfast}}:state:{key}")
}

/// A state's hash; `None` where it is not there.
fn conversation(reply: Value) -> Option<Conversation> {
    type Fields = (f64, f64, f64, f64, u64, u64, u64, u8, String, String, u64);
    let (one, two, three, mean, turns, flags, calm, measures, name, route, updated) = Fields::from_redis_value(reply).ok()?;
    let sums = Sums([one, two, three]);
    let state = State { sums, mean, turns, flags, calm, measures: Measures::from_bits(measures) };
    Some(Conversation { name: name.into(), route: route.into(), state, updated })
}

impl Sessions for RedisSessions {
    fn store(&self) -> &'static str {
        "redis"
    }

    fn recall(&self, keys: Vec<SessionKey>) -> BoxFuture<Result<Option<Conversation>, SessionError>> {
        let shared = self.0.clone();
        Box::pin(async move { shared.recall(keys).await })
    }

    fn record(&self, record: Record) -> BoxFuture<Result<Conversation, SessionError>> {
        let shared = self.0.clone();
        Box::pin(async move { shared.record(record).await })
    }

    fn list(&self, most: usize) -> BoxFuture<Result<(Vec<Conversation>, u64), SessionError>> {
        let shared = self.0.clone();
        Box::pin(async move { shared.list(most).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_url_is_refused_without_quoting_it() {
        let store = |url: &str, ca: Option<&[u8]>| RedisSessions::new(url, ca.map(<[u8]>::to_vec), Duration::from_secs(1));
        for url in [
            "http://me:hunter2@host",
            "redis://me:hunter2@host:port/0",
            "redis://me:hunter2@host/x",
            "redis://me:hunter2@",
            "rediss://me:hunter2@host/#insecure",
        ] {
            let error = store(url, None).err().unwrap_or_else(|| panic!("{url} was taken"));
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        for url in ["redis://me:hunter2@127.0.0.1:1/0", "redis://:p%40ss@[::1]:7/1", "rediss://host", "redis://host:7000/2"] {
            assert!(store(url, None).is_ok(), "{url}");
        }
        let error = store("rediss://host", Some(b"no certificate")).err().unwrap().to_string();
        assert!(error.contains("certificate"), "{error}");
    }

    #[tokio::test]
    async fn an_outage_is_told_at_once_and_costs_little() {
        // Nobody listens on port 1.
        let store = RedisSessions::new("redis://127.0.0.1:1/0", None, Duration::from_secs(60)).unwrap();
        let begun = Instant::now();
        for _ in 0..200 {
            assert!(store.list(1).await.is_err());
        }
        assert!(begun.elapsed() < 3 * PATIENCE, "{:?}", begun.elapsed());
    }
}
