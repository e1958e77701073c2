//! Conversations in Redis: shared by replicas, and there after a restart. One round trip to recall and one to record, each a command or a
//! script, so that turns which end at once on several replicas add up. Every wait is bounded: where Redis cannot be reached the gateway
//! goes on, and the policy says what that means for its drift rules.
//!
//! All keys begin with `{steadfast}`, so that a cluster keeps them in one slot: a hash for each state, one for the names, and two sorted
//! sets that say which conversations there are and which drift most. All of them expire.

mod wire;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use self::wire::{Address, Connection, Reply, WireError};
use super::{Conversation, Place, Record, SessionError, SessionKey, Sessions, State};
use crate::infer::BoxFuture;
use crate::policy::Measures;

/// How long an answer waits for Redis, in all.
const PATIENCE: Duration = Duration::from_millis(250);

/// Connections kept open while nobody uses them.
const IDLE: usize = 16;

/// How long nobody asks after Redis could not be reached: an outage must not cost every request its patience.
const REST: Duration = Duration::from_millis(500);

/// Where the script for a turn finds things: KEYS are the states to write, ARGV as `record` gives them.
const RECORD: &str = r"
local measured, residual, flagged = ARGV[1] == '1', tonumber(ARGV[2]), tonumber(ARGV[3])
local allowance, most, weight = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local now, ttl, name, route = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9], ARGV[10]
local asked, held = tonumber(ARGV[12]), tonumber(ARGV[13])
local d, m, t, f, c, a = 0, 0, 0, 0, 0, 0
if ARGV[11] == 'at' then
  local known = redis.call('HMGET', KEYS[1], 'd', 'm', 't', 'f', 'c', 'n', 'a')
  if known[3] then
    d, m, t, f, c = tonumber(known[1]), tonumber(known[2]), tonumber(known[3]), tonumber(known[4]), tonumber(known[5])
    name, a = known[6], tonumber(known[7]) or 0
  end
elseif ARGV[11] == 'after' then
  d, m, t, f, c = tonumber(ARGV[14]), tonumber(ARGV[15]), tonumber(ARGV[16]), tonumber(ARGV[17]), tonumber(ARGV[18])
  a = tonumber(ARGV[19])
end
if measured then
  d = math.max(0, d + math.max(-most, math.min(most, residual)) - allowance)
  m = m + weight * (residual - m)
end
t = t + 1
f = f + flagged
if d <= 0 then
  c, a = t, asked
else
  a = bit.bor(a, asked, held)
end
local exact = function(x) return string.format('%.17g', x) end
for i = 1, #KEYS - 3 do
  redis.call('HSET', KEYS[i], 'd', exact(d), 'm', exact(m), 't', t, 'f', f, 'c', c, 'a', a, 'n', name, 'r', route, 'u', now)
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
return {exact(d), exact(m), t, f, c, a, name, redis.call('ZCARD', seen)}
";

/// The conversations with the highest drift. KEYS: seen, drift, names. ARGV: how many.
const LIST: &str = r"
local found = {redis.call('ZCARD', KEYS[1])}
for _, name in ipairs(redis.call('ZREVRANGE', KEYS[2], 0, ARGV[1] - 1)) do
  local key = redis.call('HGET', KEYS[3], name)
  local state = key and redis.call('HMGET', key, 'd', 'm', 't', 'f', 'c', 'n', 'r', 'u', 'a')
  if state and state[1] then found[#found + 1] = state end
end
return found
";

const FIELDS: [&str; 9] = ["d", "m", "t", "f", "c", "n", "r", "u", "a"];
const INDEX: [&str; 3] = ["{steadfast}:seen", "{steadfast}:drift", "{steadfast}:names"];

/// The store. Clones share its connections.
#[derive(Clone)]
pub struct RedisSessions(Arc<Shared>);

struct Shared {
    address: Address,
    ttl: Duration,
    /// Connections that nobody uses now.
    idle: Mutex<Vec<Connection>>,
    /// Conversations, by the last reply.
    count: AtomicU64,
    began: Instant,
    /// Milliseconds after `began` until which nobody asks.
    rest_until: AtomicU64,
}

impl RedisSessions {
    /// A store at a `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]` URL that forgets a conversation so long after its last turn. Nothing is
    /// connected yet.
    ///
    /// # Errors
    /// The URL makes no sense. The message does not quote it, for it may hold a password.
    pub fn new(url: &str, ttl: Duration) -> Result<Self, SessionError> {
        Ok(RedisSessions(Arc::new(Shared {
            address: Address::parse(url).map_err(|fault| SessionError(fault.to_owned()))?,
            // Longer than a hundred years is for ever, and overflows in Redis.
            ttl: ttl.clamp(Duration::from_millis(1), Duration::from_secs(3_000_000_000)),
            idle: Mutex::new(Vec::new()),
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
    async fn ask(&self, commands: &[Vec<Vec<u8>>]) -> Result<Vec<Reply>, SessionError> {
        let now = || u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now() < self.rest_until.load(Ordering::Relaxed) {
            return Err(SessionError("it could not be reached a moment ago".to_owned()));
        }
        let failed = match tokio::time::timeout(PATIENCE, self.exchange(commands)).await {
            Ok(Ok(replies)) => return Ok(replies),
            Ok(Err(error)) => SessionError(error.to_string()),
            Err(_) => SessionError(format!("no answer within {} ms", PATIENCE.as_millis())),
        };
        self.rest_until.store(now() + u64::try_from(REST.as_millis()).unwrap_or(0), Ordering::Relaxed);
        Err(failed)
    }

    /// Sends commands together and reads their replies. A connection is put back only when all replies have come, so none is ever read
    /// that belongs to somebody else's question.
    async fn exchange(&self, commands: &[Vec<Vec<u8>>]) -> Result<Vec<Reply>, WireError> {
        // One that was idle may have been closed meanwhile: a fresh one tells.
        let idle = self.idle().pop();
        if let Some(mut connection) = idle {
            match connection.exchange(commands).await {
                Ok(replies) => return self.done(connection, replies),
                Err(WireError::Closed(_)) => self.idle().clear(),
                Err(error) => return Err(error),
            }
        }
        let mut connection = Connection::open(&self.address).await?;
        let replies = connection.exchange(commands).await?;
        self.done(connection, replies)
    }

    fn done(&self, connection: Connection, replies: Vec<Reply>) -> Result<Vec<Reply>, WireError> {
        let mut idle = self.idle();
        if idle.len() < IDLE {
            idle.push(connection);
        }
        drop(idle);
        match replies.iter().find_map(Reply::error) {
            Some(error) => Err(WireError::Refused(error.to_owned())),
            None => Ok(replies),
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn recall(&self, keys: Vec<SessionKey>) -> Result<Option<Conversation>, SessionError> {
        let ask = |key: &SessionKey| {
            let mut command = vec![b"HMGET".to_vec(), state(*key).into_bytes()];
            command.extend(FIELDS.map(|field| field.as_bytes().to_vec()));
            command
        };
        let replies = self.ask(&keys.iter().map(ask).collect::<Vec<_>>()).await?;
        Ok(replies.iter().find_map(conversation))
    }

    async fn record(&self, record: Record) -> Result<Conversation, SessionError> {
        let Record { place, turn, charts, name, route, now } = record;
        let (keys, mode, before) = match place {
            Place::At(key) => (vec![key], "at", None),
            Place::After { before, keys } => (keys, if before.is_some() { "after" } else { "new" }, before),
        };
        let name = before.as_ref().map_or(&*name, |before| &*before.name);
        let measured = !turn.residual.is_nan();
        let keys = keys.into_iter().map(state).chain(INDEX.map(str::to_owned));
        let mut arguments = vec![
            u8::from(measured).to_string(),
            if measured { turn.residual } else { 0.0 }.to_string(),
            u8::from(turn.flagged).to_string(),
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
        ];
        if let Some(Conversation { state, .. }) = &before {
            arguments.extend([state.drift.to_string(), state.mean.to_string()]);
            arguments.extend([state.turns, state.flags, state.calm].map(|count| count.to_string()));
            arguments.push(state.measures.bits().to_string());
        }
        let replies = self.ask(&[script(RECORD, keys, arguments)]).await?;
        let fields = replies.first().and_then(Reply::list).unwrap_or_default();
        let [drift, mean, turns, flags, calm, measures, name, count] = fields else { return Err(odd()) };
        let state = State {
            drift: drift.number().ok_or_else(odd)?,
            mean: mean.number().ok_or_else(odd)?,
            turns: turns.number().ok_or_else(odd)?,
            flags: flags.number().ok_or_else(odd)?,
            calm: calm.number().ok_or_else(odd)?,
            measures: Measures::from_bits(measures.number().ok_or_else(odd)?),
        };
        self.count.store(count.number().unwrap_or(0), Ordering::Relaxed);
        Ok(Conversation { name: name.text().ok_or_else(odd)?.into(), route, state, updated: now })
    }

    async fn list(&self, most: usize) -> Result<(Vec<Conversation>, u64), SessionError> {
        let replies = self.ask(&[script(LIST, INDEX.map(str::to_owned), [most.to_string()])]).await?;
        let [count, found @ ..] = replies.first().and_then(Reply::list).unwrap_or_default() else { return Err(odd()) };
        let count = count.number().unwrap_or(0);
        self.count.store(count, Ordering::Relaxed);
        let mut listed: Vec<Conversation> = found.iter().filter_map(conversation).collect();
        super::worst_first(&mut listed, most);
        Ok((listed, count))
    }
}

/// `EVAL script …`. Redis knows a script by its text after the first time.
fn script(text: &str, keys: impl IntoIterator<Item = String>, arguments: impl IntoIterator<Item = String>) -> Vec<Vec<u8>> {
    let keys: Vec<String> = keys.into_iter().collect();
    let mut command = vec![b"EVAL".to_vec(), text.as_bytes().to_vec(), keys.len().to_string().into_bytes()];
    command.extend(keys.into_iter().chain(arguments).map(String::into_bytes));
    command
}

fn odd() -> SessionError {
    SessionError("its answer makes no sense".to_owned())
}

fn state(key: SessionKey) -> String {
    format!("{{steadfast}}:state:{key}")
}

/// A state's hash; `None` where it is not there.
fn conversation(reply: &Reply) -> Option<Conversation> {
    let [drift, mean, turns, flags, calm, name, route, updated, measures] = reply.list()? else { return None };
    let state = State {
        drift: drift.number()?,
        mean: mean.number()?,
        turns: turns.number()?,
        flags: flags.number()?,
        calm: calm.number()?,
        // Not there where a replica of before there were any wrote the state.
        measures: Measures::from_bits(measures.number().unwrap_or(0)),
    };
    Some(Conversation { name: name.text()?.into(), route: route.text()?.into(), state, updated: updated.number()? })
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
        let error = RedisSessions::new("redis://user:hunter2@host:port/0", Duration::from_secs(1)).err().unwrap();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(RedisSessions::new("redis://user:hunter2@127.0.0.1:1/0", Duration::from_secs(1)).is_ok());
    }

    #[tokio::test]
    async fn an_outage_is_told_at_once_and_costs_little() {
        // Nobody listens on port 1.
        let store = RedisSessions::new("redis://127.0.0.1:1/0", Duration::from_secs(60)).unwrap();
        let begun = Instant::now();
        for _ in 0..200 {
            assert!(store.list(1).await.is_err());
        }
        assert!(begun.elapsed() < 3 * PATIENCE, "{:?}", begun.elapsed());
    }
}
