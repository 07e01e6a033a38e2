//! What the engine needs of the world.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// The outside, as far as a transaction may see it.
pub trait World: Send + Sync {
    /// The time now.
    fn now(&self) -> SystemTime;

    /// Nanoseconds since some moment; never fewer than before. Asked only by transactions that measure what rules cost.
    fn ticks(&self) -> u64 {
        0
    }

    /// Persistent collections (`IP`, `SESSION`, `USER`, `GLOBAL`, `RESOURCE`).
    fn collections(&self) -> &dyn Collections;

    /// An environment variable, for `ENV`.
    fn env(&self, _name: &str) -> Option<String> {
        None
    }

    /// Addresses that `name` resolves to, for `@rbl`; `None` when that is not known in time.
    fn resolve(&self, _name: &str) -> Option<Vec<std::net::IpAddr>> {
        None
    }

    /// A name for the client's address, for `REMOTE_HOST`.
    fn reverse(&self, _address: std::net::IpAddr) -> Option<String> {
        None
    }

    /// A number no client can guess, for `UNIQUE_ID`-like needs and sampling. Need not be cryptographic.
    fn random(&self) -> u64;
}

/// A store of persistent collections. Each is a small map under a collection's name (`IP`), the application
/// it belongs to (`SecWebAppId`) and a key (an address). Implementations are safe for concurrent use.
pub trait Collections: Send + Sync {
    /// All live members of a collection; empty when there is none. `ttl` is when an idle collection ends
    /// (`SecCollectionTimeout`).
    fn load(&self, collection: &str, app: &str, key: &[u8], now: SystemTime) -> BTreeMap<String, Vec<u8>>;

    /// Applies one change at once, so that concurrent transactions add up.
    fn update(
        &self,
        collection: &str,
        app: &str,
        key: &[u8],
        change: CollectionChange,
        now: SystemTime,
        timeout: Duration,
    );
}

/// One change of a persistent collection's member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CollectionChange {
    /// `setvar:ip.x=…`
    Set(String, Vec<u8>),
    /// `setvar:ip.x=+n`, `-n`
    Add(String, i64),
    /// `setvar:!ip.x`
    Unset(String),
    /// `expirevar:ip.x=seconds`
    Expire(String, Duration),
    /// `deprecatevar:ip.x=amount/seconds`
    Deprecate(String, i64, Duration),
}

/// A world without time or memory, for tests and for rules that need neither.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoWorld;

impl Collections for NoWorld {
    fn load(&self, _: &str, _: &str, _: &[u8], _: SystemTime) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::new()
    }
    fn update(&self, _: &str, _: &str, _: &[u8], _: CollectionChange, _: SystemTime, _: Duration) {}
}

impl World for NoWorld {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
    fn collections(&self) -> &dyn Collections {
        self
    }
    fn random(&self) -> u64 {
        4
    }
}
