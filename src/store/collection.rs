//! One persistent collection: members that expire and decay.

use super::joint::Whole;
use crate::engine::CollectionChange;
use crate::limits::CLOCK_SKEW;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// A collection's members.
#[derive(Debug, Default)]
pub(super) struct Collection {
    members: BTreeMap<String, Member>,
    bytes: usize,
    /// When it ends unless it is changed before.
    ends: Option<SystemTime>,
    /// When it was changed last.
    touched: Option<SystemTime>,
    /// The connection over which a shared store was asked about it last; 0 before.
    agreed: u64,
}

#[derive(Debug, Default)]
struct Member {
    /// None when there is only an expiry yet: rules may say `expirevar` before `setvar`.
    value: Option<Vec<u8>>,
    expires: Option<SystemTime>,
    /// Up to when its decay has been applied; when it came to be, at first.
    decayed: Option<SystemTime>,
}

/// Members of one collection, in a shared store as well. Names come from rule text, but macros may put anything into them.
pub(super) const MEMBERS: usize = 1_024;
/// Bytes of a member's value; longer ones are cut.
const VALUE_BYTES: usize = 16_384;
/// Bytes of a member's name; longer ones are not kept.
const NAME_BYTES: usize = 512;
/// What a member costs beside its texts, roughly.
const MEMBER_BYTES: usize = 96;

impl Collection {
    /// Bytes of names and values, with what keeping them costs.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it was idle for too long; or the clock has been set back so far that its members would never expire.
    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
            || self.touched.is_some_and(|touched| touched > now + CLOCK_SKEW)
    }

    /// Members with a value whose time has not passed.
    pub(super) fn live(&self, now: SystemTime) -> BTreeMap<String, Vec<u8>> {
        let live = self.members.iter().filter(|(_, m)| !m.is_over(now));
        live.filter_map(|(name, m)| Some((name.clone(), m.value.clone()?))).collect()
    }

    /// Takes what a shared store has, as it was told over connection `epoch`, in the place of what is known here.
    pub(super) fn replace(&mut self, whole: &Whole, epoch: u64, now: SystemTime) {
        self.members.clear();
        self.bytes = 0;
        for held in &whole.members {
            self.put(held.name.clone(), held.value.clone(), now);
            if let Some(member) = self.members.get_mut(&held.name) {
                member.expires = held.left.and_then(|left| now.checked_add(left));
            }
        }
        self.ends = now.checked_add(whole.left);
        self.touched = Some(now);
        self.agreed = epoch;
    }

    /// Notes that a shared store knows what is known here; gives the connection over which it was asked last.
    pub(super) fn agree(&mut self, epoch: u64) -> u64 {
        std::mem::replace(&mut self.agreed, epoch)
    }

    /// How long it lives without another change.
    pub(super) fn left(&self, now: SystemTime) -> Duration {
        self.ends.and_then(|ends| ends.duration_since(now).ok()).unwrap_or_default()
    }

    /// Applies one change. `timeout` is how long it lives without another one.
    pub(super) fn apply(&mut self, change: CollectionChange, now: SystemTime, timeout: Duration) {
        self.ends = now.checked_add(timeout);
        self.touched = Some(now);
        let (CollectionChange::Set(name, _)
        | CollectionChange::Add(name, _)
        | CollectionChange::Unset(name)
        | CollectionChange::Expire(name, _)
        | CollectionChange::Deprecate(name, ..)) = &change;
        if name.len() > NAME_BYTES {
            return;
        }
        let name = name.clone();
        if self.members.get(&name).is_some_and(|m| m.is_over(now)) {
            self.remove(&name);
        }
        match change {
            CollectionChange::Set(_, mut value) => {
                value.truncate(VALUE_BYTES);
                self.put(name, value, now);
            }
            CollectionChange::Add(_, amount) => {
                let old = self.members.get(&name).and_then(|m| m.value.as_deref()).map_or(0, number);
                self.put(name, old.saturating_add(amount).to_string().into_bytes(), now);
            }
            CollectionChange::Unset(_) => self.remove(&name),
            CollectionChange::Expire(_, after) => {
                if let Some(member) = self.member(name) {
                    member.expires = now.checked_add(after);
                }
            }
            CollectionChange::Deprecate(_, amount, period) => self.decay(&name, amount, period, now),
        }
    }

    /// Takes `amount` away for each whole `period` since the member came to be or last decayed, not below 0.
    ///
    /// ModSecurity 2 counts from the collection's last change and so forgets the rest of a period with each
    /// change: a value that is touched often never decays. Here the rest is kept.
    fn decay(&mut self, name: &str, amount: i64, period: Duration, now: SystemTime) {
        let Some(member) = self.members.get_mut(name) else { return };
        let (Some(value), Some(since)) = (&mut member.value, member.decayed) else { return };
        let elapsed = now.duration_since(since).unwrap_or_default().as_secs();
        let Some(periods) = elapsed.checked_div(period.as_secs()).filter(|n| *n > 0) else { return };
        let loss = amount.saturating_mul(i64::try_from(periods).unwrap_or(i64::MAX));
        let old = number(value);
        let new = if old > 0 { old.saturating_sub(loss).max(0) } else { old };
        let text = new.to_string().into_bytes();
        self.bytes = (self.bytes + text.len()).saturating_sub(value.len());
        *value = text;
        member.decayed = since.checked_add(Duration::from_secs(periods.saturating_mul(period.as_secs())));
    }

    fn put(&mut self, name: String, value: Vec<u8>, now: SystemTime) {
        let added = value.len();
        let Some(member) = self.member(name) else { return };
        let old = member.value.replace(value);
        if old.is_none() {
            member.decayed = Some(now);
        }
        self.bytes = (self.bytes + added).saturating_sub(old.map_or(0, |v| v.len()));
    }

    /// The member of this name, a new one if need be; none when there are too many.
    fn member(&mut self, name: String) -> Option<&mut Member> {
        if !self.members.contains_key(&name) {
            if self.members.len() >= MEMBERS {
                return None;
            }
            self.bytes += name.len() + MEMBER_BYTES;
        }
        Some(self.members.entry(name).or_default())
    }

    fn remove(&mut self, name: &str) {
        if let Some(member) = self.members.remove(name) {
            let held = name.len() + MEMBER_BYTES + member.value.map_or(0, |v| v.len());
            self.bytes = self.bytes.saturating_sub(held);
        }
    }
}

impl Member {
    fn is_over(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// The number at the beginning of a value, 0 when there is none, as ModSecurity reads numbers.
fn number(value: &[u8]) -> i64 {
    let text = value.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let mut total = 0_i64;
    for digit in digits.iter().take_while(|b| b.is_ascii_digit()) {
        total = total.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    }
    if negative { total.saturating_neg() } else { total }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    fn shown(collection: &Collection, now: SystemTime) -> String {
        let live = collection.live(now);
        let pairs = live.iter().map(|(k, v)| format!("{k}={}", String::from_utf8_lossy(v)));
        pairs.collect::<Vec<_>>().join(" ")
    }

    fn set(name: &str, value: &str) -> CollectionChange {
        CollectionChange::Set(name.into(), value.as_bytes().to_vec())
    }

    #[test]
    fn values_are_set_added_and_unset() {
        let mut c = Collection::default();
        c.apply(set("a", "12x"), at(0), HOUR);
        c.apply(CollectionChange::Add("a".into(), -2), at(0), HOUR);
        c.apply(CollectionChange::Add("b".into(), i64::MAX), at(0), HOUR);
        c.apply(CollectionChange::Add("b".into(), 1), at(0), HOUR);
        c.apply(set("c", "gone"), at(0), HOUR);
        c.apply(CollectionChange::Unset("c".into()), at(0), HOUR);
        assert_eq!(shown(&c, at(0)), format!("a=10 b={}", i64::MAX));
    }

    #[test]
    fn members_expire_also_when_the_expiry_comes_first() {
        let mut c = Collection::default();
        c.apply(CollectionChange::Expire("late".into(), Duration::from_secs(10)), at(0), HOUR);
        c.apply(set("late", "1"), at(0), HOUR);
        c.apply(set("stays", "1"), at(0), HOUR);
        assert_eq!(shown(&c, at(9)), "late=1 stays=1");
        assert_eq!(shown(&c, at(10)), "stays=1");
        c.apply(CollectionChange::Add("late".into(), 1), at(11), HOUR);
        assert_eq!(shown(&c, at(1_000)), "late=1 stays=1", "a new value has no old expiry");
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nothing_for_ever() {
        let mut c = Collection::default();
        let year = 365 * 86_400;
        c.apply(set("blocked", "1"), at(year), HOUR);
        c.apply(CollectionChange::Expire("blocked".into(), Duration::from_secs(60)), at(year), HOUR);
        assert!(!c.is_over(at(year - 200)) && c.is_over(at(0)));
        // And what decays by time does not where there was none.
        c.apply(CollectionChange::Deprecate("blocked".into(), 1, Duration::from_secs(1)), at(0), HOUR);
        assert_eq!(shown(&c, at(0)), "blocked=1");
    }

    #[test]
    fn values_decay_by_whole_periods_and_not_below_zero() {
        let mut c = Collection::default();
        let decay = CollectionChange::Deprecate("score".into(), 10, Duration::from_secs(60));
        c.apply(set("score", "100"), at(0), HOUR);
        for second in 1..=125 {
            c.apply(decay.clone(), at(second), HOUR);
            c.apply(CollectionChange::Add("other".into(), 1), at(second), HOUR);
        }
        assert_eq!(shown(&c, at(125)), "other=125 score=80", "changes in between do not stop it");
        c.apply(decay.clone(), at(179), HOUR);
        assert_eq!(c.live(at(179)).get("score"), Some(&b"80".to_vec()));
        c.apply(decay.clone(), at(100_000), HOUR);
        assert_eq!(c.live(at(100_000)).get("score"), Some(&b"0".to_vec()));
        c.apply(CollectionChange::Deprecate("score".into(), 10, Duration::ZERO), at(200_000), HOUR);
        c.apply(CollectionChange::Deprecate("none".into(), 10, HOUR), at(200_000), HOUR);
    }

    #[test]
    fn members_and_values_are_bounded() {
        let mut c = Collection::default();
        for i in 0..5_000 {
            c.apply(set(&format!("m{i}"), "1"), at(0), HOUR);
        }
        assert_eq!(c.live(at(0)).len(), MEMBERS);
        c.apply(set("m0", &"v".repeat(100_000)), at(0), HOUR);
        c.apply(set(&"n".repeat(100_000), "1"), at(0), HOUR);
        assert!(c.bytes() < MEMBERS * 200 + VALUE_BYTES);
    }
}
