//! A world that stands still unless a case moves it, and remembers what rules did to it.

use crate::case::{WorldCase, escaped};
use portcullis::engine::{CollectionChange, Collections, World};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// The world of one case.
pub struct TestWorld {
    case: WorldCase,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    now: u64,
    collections: BTreeMap<(String, String, Vec<u8>), BTreeMap<String, Member>>,
    changes: Vec<String>,
}

#[derive(Default)]
struct Member {
    value: Vec<u8>,
    ends: Option<SystemTime>,
}

impl TestWorld {
    /// 2026-11-22 12:34:56 UTC, a Sunday.
    pub const START: u64 = 1_795_350_896;

    pub fn new(case: &WorldCase) -> Self {
        Self { case: case.clone(), inner: Mutex::new(Inner { now: Self::START, ..Inner::default() }) }
    }

    pub fn pass(&self, seconds: u64) {
        self.inner().now += seconds;
    }

    /// What has been done to the collections since the last call.
    pub fn take_changes(&self) -> Vec<String> {
        std::mem::take(&mut self.inner().changes)
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test panics while it holds the world")
    }
}

impl World for TestWorld {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.inner().now)
    }

    fn collections(&self) -> &dyn Collections {
        self
    }

    fn env(&self, name: &str) -> Option<String> {
        self.case.env.get(name).cloned()
    }

    fn resolve(&self, name: &str) -> Option<Vec<IpAddr>> {
        let address = self.case.addresses.get(name)?;
        Some(vec![address.parse().expect("a case's addresses are valid")])
    }

    fn reverse(&self, address: IpAddr) -> Option<String> {
        self.case.names.get(&address.to_string()).cloned()
    }

    fn random(&self) -> u64 {
        7
    }
}

impl Collections for TestWorld {
    fn load(&self, name: &str, app: &str, key: &[u8], now: SystemTime) -> BTreeMap<String, Vec<u8>> {
        let inner = self.inner();
        let Some(members) = inner.collections.get(&(name.to_owned(), app.to_owned(), key.to_vec())) else {
            return BTreeMap::new();
        };
        members
            .iter()
            .filter(|(_, m)| m.ends.is_none_or(|ends| now < ends))
            .map(|(name, m)| (name.clone(), m.value.clone()))
            .collect()
    }

    fn update(
        &self,
        name: &str,
        app: &str,
        key: &[u8],
        change: CollectionChange,
        now: SystemTime,
        timeout: Duration,
    ) {
        let mut inner = self.inner();
        let what = match &change {
            CollectionChange::Set(member, value) => format!("{member} = {}", escaped(value)),
            CollectionChange::Add(member, amount) => format!("{member} {amount:+}"),
            CollectionChange::Unset(member) => format!("{member} unset"),
            CollectionChange::Expire(member, after) => format!("{member} ends in {}", after.as_secs()),
            CollectionChange::Deprecate(member, amount, each) => {
                format!("{member} falls by {amount} each {}", each.as_secs())
            }
        };
        let app_shown = if app.is_empty() { String::new() } else { format!("{app}/") };
        let line = format!("{app_shown}{name}[{}] {what} ({})", escaped(key), timeout.as_secs());
        inner.changes.push(line);
        let members = inner.collections.entry((name.to_owned(), app.to_owned(), key.to_vec())).or_default();
        match change {
            CollectionChange::Set(member, value) => members.entry(member).or_default().value = value,
            CollectionChange::Add(member, amount) => {
                let value = &mut members.entry(member).or_default().value;
                let old: i64 = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok()).unwrap_or(0);
                *value = (old + amount).to_string().into_bytes();
            }
            CollectionChange::Unset(member) => {
                members.remove(&member);
            }
            CollectionChange::Expire(member, after) => {
                members.entry(member).or_default().ends = Some(now + after);
            }
            CollectionChange::Deprecate(..) => {}
        }
    }
}
