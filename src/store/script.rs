//! The scripts that Redis runs, each as one step that nothing comes between.
//!
//! All times are the server's own, so that instances need not agree about the clock.

use super::shared::Charge;
use redis::{Script, ScriptInvocation};
use sha1::{Digest, Sha1};
use std::time::Duration;

/// The scripts, with their digests.
pub(super) struct Scripts {
    charge: Script,
    score: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self { charge: Script::new(CHARGE), score: Script::new(SCORE) }
    }
}

impl Scripts {
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
        let period = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
        call.key(key).arg(points).arg(period).arg(threshold);
        call
    }
}

/// The SHA-1 of bytes, in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// GCRA. For each key: what a request is worth, how far ahead its meter may be, how far ahead the caller knows it to
/// be, and whether its refusal ends the list. Gives for each how long to wait, 0 when it was taken, and how far ahead
/// the meter is. A meter is the time at which it is at rest, and expires then. Numbers of Lua are exact up to 2^53, which
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
