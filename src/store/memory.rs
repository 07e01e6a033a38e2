//! Persistent collections in the memory of this process.
//!
//! Keys come from clients (addresses, session ids), so the number of collections and their bytes are bounded; at a
//! bound those go that were used longest ago. Shards keep unrelated transactions from waiting for each other.

use super::collection::Collection;
use super::joint::Whole;
use crate::engine::{CollectionChange, Collections};
use lru::LruCache;
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Collections in memory.
pub struct MemoryStore {
    shards: Vec<Mutex<Shard>>,
    /// Keyed per process, so that nobody can aim keys at one shard.
    hasher: RandomState,
    evictions: AtomicU64,
}

/// How full a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Collections.
    pub collections: usize,
    /// Bytes of keys, names and values.
    pub bytes: usize,
    /// Collections that went before their time because a bound was reached.
    pub evictions: u64,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    collection: String,
    app: String,
    key: Vec<u8>,
}

impl Key {
    fn bytes(&self) -> usize {
        self.collection.len() + self.app.len() + self.key.len() + ENTRY_BYTES
    }
}

struct Shard {
    entries: LruCache<Key, Collection>,
    bytes: usize,
    most: usize,
    most_bytes: usize,
}

/// What a collection costs beside its texts, roughly.
const ENTRY_BYTES: usize = 160;
/// Locks; more than threads that a machine runs at once.
const SHARDS: usize = 64;
/// Bytes of a key that are told apart; longer ones (a client may send any session id) are cut and hashed.
const KEY_BYTES: usize = 512;

impl MemoryStore {
    /// A store of at most about `collections` collections and `bytes` bytes.
    pub fn new(collections: usize, bytes: usize) -> Self {
        let shard = || Shard {
            entries: LruCache::unbounded(),
            bytes: 0,
            most: collections.div_ceil(SHARDS).max(1),
            most_bytes: bytes.div_ceil(SHARDS).max(1),
        };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            hasher: RandomState::new(),
            evictions: AtomicU64::new(0),
        }
    }

    /// Goes on with other bounds; what exceeds them goes with the next changes.
    pub fn resize(&self, collections: usize, bytes: usize) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.most = collections.div_ceil(SHARDS).max(1);
            shard.most_bytes = bytes.div_ceil(SHARDS).max(1);
        }
    }

    /// How full it is.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage { evictions: self.evictions.load(Ordering::Relaxed), ..Usage::default() };
        for shard in &self.shards {
            let shard = lock(shard);
            usage.collections += shard.entries.len();
            usage.bytes += shard.bytes;
        }
        usage
    }

    /// Takes what a shared store has of a collection, as it was told over connection `epoch`.
    pub(super) fn replace(
        &self,
        collection: &str,
        app: &str,
        key: &[u8],
        epoch: u64,
        whole: &Whole,
        now: SystemTime,
    ) {
        let key = self.key(collection, app, key);
        self.change(key, now, |entry| entry.replace(whole, epoch, now));
    }

    /// Notes that a shared store knows what is known here; gives the connection over which it was asked last, 0 when it
    /// never was.
    pub(super) fn agreed(&self, collection: &str, app: &str, key: &[u8], epoch: u64) -> u64 {
        let key = self.key(collection, app, key);
        self.shard(&key).entries.get_mut(&key).map_or(0, |entry| entry.agree(epoch))
    }

    /// How long a collection lives without another change.
    pub(super) fn left(&self, collection: &str, app: &str, key: &[u8], now: SystemTime) -> Duration {
        let key = self.key(collection, app, key);
        self.shard(&key).entries.get(&key).map_or(Duration::ZERO, |entry| entry.left(now))
    }

    /// Changes a collection, which is made if need be, and keeps the bounds.
    fn change(&self, key: Key, now: SystemTime, apply: impl FnOnce(&mut Collection)) {
        let mut guard = self.shard(&key);
        let shard = &mut *guard;
        let weight = key.bytes();
        let mut grown = 0;
        if !shard.entries.contains(&key) {
            grown = weight;
        }
        let entry = shard.entries.get_or_insert_mut(key, Collection::default);
        let before = entry.bytes();
        if entry.is_over(now) {
            *entry = Collection::default();
        }
        apply(entry);
        let after = entry.bytes();
        shard.bytes = (shard.bytes + grown + after).saturating_sub(before);
        let evictions = shard.trim(now);
        drop(guard);
        self.evictions.fetch_add(evictions, Ordering::Relaxed);
    }

    fn key(&self, collection: &str, app: &str, key: &[u8]) -> Key {
        let key = match key.get(..KEY_BYTES) {
            Some(start) if start.len() < key.len() => {
                [start, format!("#{:016x}", self.hasher.hash_one(key)).as_bytes()].concat()
            }
            _ => key.to_vec(),
        };
        Key { collection: collection.to_owned(), app: app.to_owned(), key }
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let slot = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        // There are SHARDS shards, always.
        lock(self.shards.get(slot).unwrap_or(&self.shards[0]))
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // A shard is whole between any two of its statements: a panic elsewhere leaves nothing half done.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    /// Drops what is idle for too long or too much. Says how many went before their time.
    fn trim(&mut self, now: SystemTime) -> u64 {
        let mut evictions = 0;
        // The least recently used are looked at first; two a change keep up with any rate of new ones.
        for _ in 0..2 {
            let idle = self.entries.peek_lru().is_some_and(|(_, c)| c.is_over(now));
            if !idle {
                break;
            }
            self.pop();
        }
        while self.entries.len() > 1 && (self.entries.len() > self.most || self.bytes > self.most_bytes) {
            self.pop();
            evictions += 1;
        }
        evictions
    }

    fn pop(&mut self) {
        if let Some((key, collection)) = self.entries.pop_lru() {
            self.bytes = self.bytes.saturating_sub(key.bytes() + collection.bytes());
        }
    }
}

impl Collections for MemoryStore {
    fn load(&self, collection: &str, app: &str, key: &[u8], now: SystemTime) -> BTreeMap<String, Vec<u8>> {
        let key = self.key(collection, app, key);
        let mut shard = self.shard(&key);
        match shard.entries.get(&key) {
            Some(found) if !found.is_over(now) => found.live(now),
            _ => BTreeMap::new(),
        }
    }

    fn update(
        &self,
        collection: &str,
        app: &str,
        key: &[u8],
        change: CollectionChange,
        now: SystemTime,
        timeout: Duration,
    ) {
        let key = self.key(collection, app, key);
        self.change(key, now, |entry| entry.apply(change, now, timeout));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    fn set(store: &MemoryStore, key: &str, value: &[u8], now: SystemTime) {
        store.update("IP", "", key.as_bytes(), CollectionChange::Set("x".into(), value.to_vec()), now, HOUR);
    }

    #[test]
    fn collections_are_told_apart_by_name_application_and_key() {
        let store = MemoryStore::new(100, 1 << 20);
        let add = |c: &str, a: &str, k: &str| {
            store.update(c, a, k.as_bytes(), CollectionChange::Add("n".into(), 1), at(0), HOUR);
            store.load(c, a, k.as_bytes(), at(0)).get("n").cloned()
        };
        for (c, a, k) in [("IP", "", "1"), ("IP", "", "2"), ("IP", "app", "1"), ("SESSION", "", "1")] {
            assert_eq!(add(c, a, k), Some(b"1".to_vec()));
        }
        assert_eq!(add("IP", "", "1"), Some(b"2".to_vec()));
        let long = "k".repeat(10_000);
        assert_eq!(add("IP", "", &format!("{long}a")), Some(b"1".to_vec()));
        assert_eq!(add("IP", "", &format!("{long}b")), Some(b"1".to_vec()));
    }

    #[test]
    fn idle_collections_end() {
        let store = MemoryStore::new(100, 1 << 20);
        set(&store, "a", b"1", at(0));
        assert_eq!(store.load("IP", "", b"a", at(3_599)).len(), 1);
        assert_eq!(store.load("IP", "", b"a", at(3_601)).len(), 0);
        store.update("IP", "", b"a", CollectionChange::Add("x".into(), 5), at(3_601), HOUR);
        assert_eq!(store.load("IP", "", b"a", at(3_601)).get("x"), Some(&b"5".to_vec()));
        // A clock that goes back loses nothing.
        assert_eq!(store.load("IP", "", b"a", at(0)).len(), 1);
    }

    #[test]
    fn number_and_bytes_are_bounded_and_the_latest_stay() {
        let store = MemoryStore::new(640, 64 << 20);
        for i in 0..20_000 {
            set(&store, &i.to_string(), b"1", at(0));
            set(&store, "busy", b"1", at(0));
        }
        let usage = store.usage();
        assert!(usage.collections <= 640 && usage.evictions > 19_000, "{usage:?}");
        assert_eq!(store.load("IP", "", b"busy", at(0)).len(), 1);

        let store = MemoryStore::new(1_000_000, 1 << 20);
        for i in 0..20_000 {
            set(&store, &i.to_string(), &[b'v'; 1_000], at(0));
        }
        assert!(store.usage().bytes <= (1 << 20) + 64 * 2_000, "{:?}", store.usage());
        store.resize(64, 1 << 20);
        for i in 0..2_000 {
            set(&store, &i.to_string(), b"1", at(0));
        }
        assert!(store.usage().collections <= 64);
    }

    #[test]
    fn the_count_of_bytes_is_right_whatever_happens() {
        let store = MemoryStore::new(1_000, 1 << 30);
        for i in 0..50_u64 {
            let key = (i % 7).to_string();
            let name = format!("m{}", i % 5);
            let change = match i % 4 {
                0 => CollectionChange::Set(name, vec![b'x'; i as usize]),
                1 => CollectionChange::Add(name, 17),
                2 => CollectionChange::Unset(name),
                _ => CollectionChange::Expire(name, Duration::from_secs(1)),
            };
            store.update("IP", "", key.as_bytes(), change, at(i), HOUR);
        }
        let counted: usize = store
            .shards
            .iter()
            .map(|s| lock(s).entries.iter().map(|(k, c)| k.bytes() + c.bytes()).sum::<usize>())
            .sum();
        assert_eq!(store.usage().bytes, counted);
        set(&store, "0", b"1", at(100_000));
        set(&store, "0", b"1", at(100_000));
        assert!(store.usage().bytes < counted);
    }

    #[test]
    fn concurrent_changes_add_up() {
        let store = Arc::new(MemoryStore::new(10_000, 64 << 20));
        let threads: Vec<_> = (0..8)
            .map(|t| {
                let store = Arc::clone(&store);
                std::thread::spawn(move || {
                    for i in 0..2_000 {
                        store.update("GLOBAL", "", b"g", CollectionChange::Add("n".into(), 1), at(0), HOUR);
                        set(&store, &format!("{t}-{i}"), b"1", at(0));
                        let _ = store.load("IP", "", format!("{t}-{i}").as_bytes(), at(0));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert_eq!(store.load("GLOBAL", "", b"g", at(0)).get("n"), Some(&b"16000".to_vec()));
    }
}
