//! The engine's outside, as a server has it.

use super::resolver::Resolver;
use crate::engine::{Collections, World};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

/// The real clock, the process' environment, and collections that outlive transactions.
///
/// Names (`@rbl`) are looked up beside requests: one that has not been asked before has no answer yet. Addresses are
/// not turned into names, so that `REMOTE_HOST` is an address.
pub struct ServerWorld {
    collections: Arc<dyn Collections>,
    /// Keyed by the operating system's random source.
    random: RandomState,
    drawn: AtomicU64,
    resolver: Resolver,
    began: Instant,
}

impl ServerWorld {
    /// A world over `collections`.
    pub fn new(collections: Arc<dyn Collections>) -> Self {
        Self {
            collections,
            random: RandomState::new(),
            drawn: AtomicU64::new(0),
            resolver: Resolver::system(),
            began: Instant::now(),
        }
    }
}

impl World for ServerWorld {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn ticks(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn collections(&self) -> &dyn Collections {
        &*self.collections
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn resolve(&self, name: &str) -> Option<Vec<IpAddr>> {
        self.resolver.resolve(name)
    }

    /// SipHash of a counter under a random key: no client can tell the next from the last.
    fn random(&self) -> u64 {
        self.random.hash_one(self.drawn.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use std::collections::HashSet;

    #[test]
    fn numbers_do_not_repeat() {
        let world = ServerWorld::new(Arc::new(MemoryStore::new(64, 1 << 20)));
        let drawn: HashSet<u64> = (0..10_000).map(|_| world.random()).collect();
        assert_eq!(drawn.len(), 10_000);
    }
}
