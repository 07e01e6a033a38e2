//! The scripts that Redis runs, each as one step that nothing comes between.
//!
//! All times are the server's own, so that instances need not agree about the clock.

use super::collection::MEMBERS;
use super::joint::{Held, Whole};
use super::shared::Charge;
use crate::engine::CollectionChange;
use crate::limits::CLOCK_SKEW;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script, ScriptInvocation};
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;
use std::time::Duration;

/// The scripts, with their digests.
pub(super) struct Scripts {
    charge: Script,
    score: Script,
    open: Script,
    change: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        let skew = CLOCK_SKEW.as_millis().to_string();
        let open = OPEN.replace("SKEW", &skew);
        let change = CHANGE.replace("MEMBERS", &MEMBERS.to_string()).replace("SKEW", &skew);
        Self {
            charge: Script::new(CHARGE),
            score: Script::new(SCORE),
            open: Script::new(&open),
            change: Script::new(&change),
        }
    }
}

impl Scripts {
    /// Tells a server all of them, so that a call of one is one step from the beginning.
    pub(super) async fn load(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        for script in [&self.charge, &self.score, &self.open, &self.change] {
            script.prepare_invoke().load_async(connection).await?;
        }
        Ok(())
    }

    /// See [`OPEN`].
    pub(super) fn open(&self, key: &str) -> ScriptInvocation<'_> {
        let mut call = self.open.prepare_invoke();
        call.key(key);
        call
    }

    /// See [`CHANGE`].
    pub(super) fn change(
        &self,
        key: &str,
        change: CollectionChange,
        timeout: Duration,
    ) -> ScriptInvocation<'_> {
        let mut call = self.change.prepare_invoke();
        call.key(key).arg(millis(timeout));
        match change {
            CollectionChange::Set(name, value) => call.arg("set").arg(name).arg(value),
            CollectionChange::Add(name, amount) => call.arg("add").arg(name).arg(amount),
            CollectionChange::Unset(name) => call.arg("unset").arg(name),
            CollectionChange::Expire(name, after) => call.arg("expire").arg(name).arg(millis(after)),
            CollectionChange::Deprecate(name, amount, period) => {
                call.arg("decay").arg(name).arg(amount).arg(millis(period))
            }
        };
        call
    }

    /// See [`CHANGE`].
    pub(super) fn seed(
        &self,
        key: &str,
        members: &BTreeMap<String, Vec<u8>>,
        timeout: Duration,
    ) -> ScriptInvocation<'_> {
        let mut call = self.change.prepare_invoke();
        call.key(key).arg(millis(timeout)).arg("seed");
        for (name, value) in members {
            call.arg(name).arg(value.as_slice());
        }
        call
    }

    /// See [`CHARGE`].
    pub(super) fn charge(&self, charges: &[Charge]) -> ScriptInvocation<'_> {
        let mut call = self.charge.prepare_invoke();
        for charge in charges {
            call.key(&charge.key);
            call.arg(charge.interval).arg(charge.tolerance).arg(charge.ahead).arg(u8::from(charge.stops));
        }
        call
    }

    /// See [`SCORE`].
    pub(super) fn score(
        &self,
        key: &str,
        points: u64,
        period: Duration,
        threshold: u64,
    ) -> ScriptInvocation<'_> {
        let mut call = self.score.prepare_invoke();
        call.key(key).arg(points).arg(millis(period)).arg(threshold);
        call
    }
}

fn millis(time: Duration) -> u64 {
    // Numbers of Lua are exact up to 2^53; this is a century.
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(CENTURY)
}

const CENTURY: u64 = 100 * 366 * 86_400 * 1_000;

/// What [`OPEN`] gives.
pub(super) fn whole(answer: Vec<Vec<u8>>) -> Whole {
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<u64>().ok());
    let mut parts = answer.into_iter();
    let left = parts.next().and_then(|bytes| number(&bytes)).unwrap_or(0);
    let mut members = Vec::new();
    while let (Some(name), Some(value), Some(left)) = (parts.next(), parts.next(), parts.next()) {
        let left = number(&left).map(Duration::from_millis);
        members.push(Held { name: String::from_utf8_lossy(&name).into_owned(), value, left });
    }
    Whole { members, left: Duration::from_millis(left) }
}

/// The SHA-1 of bytes, in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// GCRA. For each key: what a request is worth, how far ahead its meter may be, how far ahead the caller knows it to
/// be, and whether its refusal ends the list. Gives for each how long to wait, 0 when it was taken, and how far ahead
/// the meter is. A meter is the time at which it is at rest, and expires then. No request takes it further ahead than it may
/// be: where it is, the server's clock was set back or the limit was larger, and it would be as long until it is at rest.
/// Numbers of Lua are exact up to 2^53, which
/// is in the year 2255; only `%.0f` writes them so.
const CHARGE: &str = "\
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answers = {}
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 4
  local interval, tolerance = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local known = now + tonumber(ARGV[at + 3])
  local rest = math.max(tonumber(redis.call('GET', key) or 0), known)
  if rest - now > tolerance then
    rest = now + tolerance
    redis.call('SET', key, string.format('%.0f', rest), 'PX', string.format('%.0f', math.ceil(tolerance / 1000)))
  end
  local after = rest + interval
  if after - now > tolerance then
    answers[#answers + 1] = after - now - tolerance
    answers[#answers + 1] = rest - now
    if ARGV[at + 4] == '1' then break end
  else
    local life = math.ceil((after - now) / 1000)
    redis.call('SET', key, string.format('%.0f', after), 'PX', string.format('%.0f', life))
    answers[#answers + 1] = 0
    answers[#answers + 1] = after - now
  end
end
return answers
";

/// Points in a sliding window: those of this window, and of the one before as much as is still covered. 1 when the
/// threshold is reached, and then all is forgotten.
const SCORE: &str = "\
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local points, period, threshold = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local index = math.floor(now / period)
local passed = now - index * period
local old = redis.call('HMGET', KEYS[1], 'index', 'before', 'now')
local at, before, count = tonumber(old[1] or -2), tonumber(old[2] or 0), tonumber(old[3] or 0)
if at ~= index then
  if at + 1 == index then before = count else before = 0 end
  count = 0
end
count = count + points
if math.floor(before * (period - passed) / period) + count >= threshold then
  redis.call('DEL', KEYS[1])
  return 1
end
redis.call('HSET', KEYS[1], 'index', string.format('%.0f', index), 'before', string.format('%.0f', before),
  'now', string.format('%.0f', count))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', 2 * period))
return 0
";

/// A collection: how many milliseconds it lives, then the name, the value and the remaining milliseconds (-1 where there
/// is no such time) of each member that lives. A collection is a hash: `v` before a name is its value, `e` when it
/// expires, `d` up to when its decay has been applied; `t` is when it was changed last. One that was changed far ahead of
/// now is over: the server's clock was set back, and its members would live for as long as that was.
const OPEN: &str = "\
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if tonumber(redis.call('HGET', KEYS[1], 't') or 0) > now + SKEW then redis.call('DEL', KEYS[1]) end
local all = redis.call('HGETALL', KEYS[1])
local ends = {}
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 1) == 'e' then ends[string.sub(all[i], 2)] = tonumber(all[i + 1]) end
end
local out = {string.format('%.0f', math.max(redis.call('PTTL', KEYS[1]), 0))}
for i = 1, #all, 2 do
  local name = string.sub(all[i], 2)
  local left = ends[name] and ends[name] - now
  if string.sub(all[i], 1, 1) == 'v' and not (left and left <= 0) then
    out[#out + 1] = name
    out[#out + 1] = all[i + 1]
    out[#out + 1] = string.format('%.0f', left or -1)
  end
end
return out
";

/// One change of a collection, as `Collection::apply` makes it here; or `seed`, all members of one that is not there.
const CHANGE: &str = "\
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local key, timeout, what, name = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local function text(number) return string.format('%.0f', number) end
local function number(value) return tonumber(string.match(value or '', '^%s*([+-]?%d+)') or 0) end
local function get(kind) return redis.call('HGET', key, kind .. name) end
local function remove() redis.call('HDEL', key, 'v' .. name, 'e' .. name, 'd' .. name) end
local function has_room() return get('v') or get('e') or redis.call('HLEN', key) <= 3 * MEMBERS end
local function put(value)
  if not has_room() then return end
  if not get('v') then redis.call('HSET', key, 'd' .. name, text(now)) end
  redis.call('HSET', key, 'v' .. name, value)
end
if tonumber(redis.call('HGET', key, 't') or 0) > now + SKEW then redis.call('DEL', key) end
if what == 'seed' then
  if redis.call('EXISTS', key) == 1 then return 0 end
  for i = 3, #ARGV, 2 do
    name = ARGV[i]
    put(ARGV[i + 1])
  end
else
  local ends = tonumber(get('e') or nil)
  if ends and ends <= now then remove() end
  if what == 'set' then
    put(ARGV[4])
  elseif what == 'add' then
    put(text(number(get('v') or nil) + tonumber(ARGV[4])))
  elseif what == 'unset' then
    remove()
  elseif what == 'expire' then
    if has_room() then redis.call('HSET', key, 'e' .. name, text(now + tonumber(ARGV[4]))) end
  elseif what == 'decay' then
    local value, since, period = get('v'), tonumber(get('d') or nil), tonumber(ARGV[5])
    if value and since and period > 0 and now - since >= period then
      local periods = math.floor((now - since) / period)
      local old = number(value)
      if old > 0 then old = math.max(old - tonumber(ARGV[4]) * periods, 0) end
      redis.call('HSET', key, 'v' .. name, text(old), 'd' .. name, text(since + periods * period))
    end
  end
end
if redis.call('EXISTS', key) == 1 then
  redis.call('HSET', key, 't', text(now))
  redis.call('PEXPIRE', key, timeout)
end
return 1
";
