//! Addresses of upstreams' names: asked of the system's resolver, remembered, and asked for again.
//!
//! A request waits for the resolver only where nothing is known of a name. What is known goes on being used while it is asked
//! anew, and while a resolver is late, gone, or knows the name no longer: yesterday's address beats none. Of all requests
//! one asks; a resolver that hangs would otherwise hold one thread for each of them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

/// The names that are known. There are as many as configurations have had.
pub(super) struct Names {
    names: Mutex<HashMap<(String, u16), Arc<Name>>>,
    resolver: Arc<Resolver>,
    /// How long the resolver may take.
    patience: Duration,
}

type Answer = Pin<Box<dyn Future<Output = Vec<SocketAddr>> + Send>>;
/// Gives nothing for a name that it does not know, and when it fails.
type Resolver = dyn Fn(String, u16) -> Answer + Send + Sync;

/// What is known of a name.
struct Name {
    host: String,
    port: u16,
    known: Mutex<Option<Known>>,
    /// Held by who asks the resolver.
    asking: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone)]
struct Known {
    /// None when the name is unknown.
    addresses: Arc<[SocketAddr]>,
    /// When the resolver was asked last.
    since: Instant,
    /// It has not said so when it was asked last.
    is_old: bool,
}

impl Default for Names {
    fn default() -> Self {
        let resolver = |host: String, port| -> Answer {
            Box::pin(async move {
                let found = tokio::net::lookup_host((host, port)).await;
                found.map(Iterator::collect).unwrap_or_default()
            })
        };
        Self { names: Mutex::default(), resolver: Arc::new(resolver), patience: PATIENCE }
    }
}

impl Names {
    /// The addresses of a name, which are used for `lifetime` before they are asked for again; none when it is not known.
    pub(super) async fn addresses(&self, host: &str, port: u16, lifetime: Duration) -> Arc<[SocketAddr]> {
        let name = self.name(host, port);
        match name.known() {
            Some(known) if known.is_fresh(lifetime) => return known.addresses,
            Some(known) if !known.addresses.is_empty() => {
                if let Ok(turn) = Arc::clone(&name.asking).try_lock_owned() {
                    // A resolver that is well has answered by then.
                    let _ = timeout(GLANCE, self.ask(&name, turn)).await;
                }
            }
            _ => {
                let turn = Arc::clone(&name.asking).lock_owned().await;
                // Somebody else may have asked meanwhile.
                if !name.known().is_some_and(|known| known.is_fresh(lifetime)) {
                    self.ask(&name, turn).await;
                }
            }
        }
        name.known().map_or_else(|| Arc::from([]), |known| known.addresses)
    }

    /// What is known of a name already.
    pub(super) fn known(&self, host: &str, port: u16) -> Option<Arc<[SocketAddr]>> {
        let name = self.names().get(&(host.to_owned(), port)).cloned()?;
        name.known().map(|known| known.addresses)
    }

    /// What a resolver would have said.
    #[cfg(test)]
    pub(super) fn teach(&self, host: &str, port: u16, addresses: Vec<SocketAddr>) {
        self.name(host, port).learn(addresses);
    }

    /// Asks, also when nobody waits for it any more.
    async fn ask(&self, name: &Arc<Name>, turn: OwnedMutexGuard<()>) {
        let (name, answer) = (Arc::clone(name), (self.resolver)(name.host.clone(), name.port));
        let patience = self.patience;
        let asking = tokio::spawn(async move {
            let found = timeout(patience, answer).await.unwrap_or_default();
            name.learn(found);
            drop(turn);
        });
        // It does not panic; if it did, nothing would have been learnt.
        let _ = asking.await;
    }

    fn name(&self, host: &str, port: u16) -> Arc<Name> {
        let mut names = self.names();
        let name = names.entry((host.to_owned(), port)).or_insert_with(|| {
            Arc::new(Name { host: host.to_owned(), port, known: Mutex::default(), asking: Arc::default() })
        });
        Arc::clone(name)
    }

    fn names(&self) -> MutexGuard<'_, HashMap<(String, u16), Arc<Name>>> {
        // Nothing is left half done where something could panic.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Name {
    fn known(&self) -> Option<Known> {
        self.slot().clone()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, found: Vec<SocketAddr>) {
        let mut slot = self.slot();
        let (host, since) = (&self.host, Instant::now());
        let before = slot.take();
        let is_old = found.is_empty() && before.as_ref().is_some_and(|known| !known.addresses.is_empty());
        let was_old = before.as_ref().is_some_and(|known| known.is_old);
        match (was_old, is_old) {
            (false, true) => {
                tracing::warn!(
                    host,
                    "the resolver has no answer; the upstream's last known addresses stay in use"
                );
            }
            (true, false) => tracing::info!(host, "the resolver answers again"),
            _ => {}
        }
        let addresses = match before {
            Some(known) if is_old => known.addresses,
            _ => Arc::from(found),
        };
        *slot = Some(Known { addresses, since, is_old });
    }
}

impl Known {
    fn is_fresh(&self, lifetime: Duration) -> bool {
        let lifetime = if self.addresses.is_empty() { ABSENCE } else { lifetime };
        self.since.elapsed() < lifetime
    }
}

/// How long a resolver may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a request waits for news of a name that is known.
const GLANCE: Duration = Duration::from_millis(100);

/// How long a name that is not known is not asked for again.
const ABSENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

    /// A resolver that gives an address with this last byte; 0 for none, 255 for an answer that never comes.
    #[derive(Clone, Default)]
    struct Fake {
        says: Arc<AtomicU8>,
        asked: Arc<AtomicUsize>,
    }

    const SILENCE: u8 = 255;
    const LOOKUP_TIME: Duration = Duration::from_secs(2);

    impl Fake {
        fn names(&self) -> Names {
            let fake = self.clone();
            let resolver = move |_, port| -> Answer {
                fake.asked.fetch_add(1, Ordering::Relaxed);
                let says = fake.says.load(Ordering::Relaxed);
                Box::pin(async move {
                    if says == SILENCE {
                        std::future::pending::<()>().await;
                    }
                    (says > 0).then(|| SocketAddr::from(([10, 0, 0, says], port))).into_iter().collect()
                })
            };
            Names { names: Mutex::default(), resolver: Arc::new(resolver), patience: LOOKUP_TIME }
        }

        fn say(&self, says: u8) {
            self.says.store(says, Ordering::Relaxed);
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    async fn ask(names: &Names, lifetime: Duration) -> u8 {
        let found = names.addresses("shop.test", 80, lifetime).await;
        found.first().map_or(0, |address| match address {
            SocketAddr::V4(address) => address.ip().octets()[3],
            SocketAddr::V6(_) => SILENCE,
        })
    }

    const LONG: Duration = Duration::from_secs(3_600);
    const OVER: Duration = Duration::ZERO;

    #[tokio::test]
    async fn names_are_asked_again_when_their_time_is_over() {
        let fake = Fake::default();
        let names = fake.names();
        fake.say(1);
        assert_eq!((ask(&names, LONG).await, ask(&names, LONG).await, fake.asked()), (1, 1, 1));
        fake.say(2);
        assert_eq!((ask(&names, LONG).await, ask(&names, OVER).await), (1, 2));
        assert_eq!(names.known("shop.test", 80).map(|a| a.len()), Some(1));
        assert!(names.known("shop.test", 81).is_none());
    }

    #[tokio::test]
    async fn a_resolver_that_goes_away_takes_nothing_with_it_and_holds_up_nobody() {
        let fake = Fake::default();
        let names = Arc::new(fake.names());
        fake.say(1);
        assert_eq!(ask(&names, LONG).await, 1);
        // The name is gone.
        fake.say(0);
        assert_eq!((ask(&names, OVER).await, ask(&names, OVER).await), (1, 1));
        // Nobody answers: one waits for a moment, the others do not, and it is asked once.
        fake.say(SILENCE);
        let (began, before) = (Instant::now(), fake.asked());
        let many: Vec<_> = (0..100)
            .map(|_| {
                let names = Arc::clone(&names);
                tokio::spawn(async move { ask(&names, OVER).await })
            })
            .collect();
        for one in many {
            assert_eq!(one.await.expect("no panic"), 1);
        }
        assert!(began.elapsed() < LOOKUP_TIME, "{:?}", began.elapsed());
        assert_eq!(fake.asked(), before + 1);
    }

    #[tokio::test]
    async fn it_is_asked_again_after_it_has_hung() {
        let fake = Fake::default();
        let names = fake.names();
        fake.say(1);
        assert_eq!(ask(&names, LONG).await, 1);
        fake.say(SILENCE);
        assert_eq!(ask(&names, OVER).await, 1);
        fake.say(2);
        assert_eq!(ask(&names, OVER).await, 1, "somebody still waits for the answer to the first question");
        tokio::time::sleep(LOOKUP_TIME * 2).await;
        assert_eq!(ask(&names, OVER).await, 2);
    }

    #[tokio::test]
    async fn a_name_that_nobody_knows_is_asked_once_for_all_who_wait() {
        let fake = Fake::default();
        let names = Arc::new(fake.names());
        fake.say(SILENCE);
        let began = Instant::now();
        let many: Vec<_> = (0..100)
            .map(|_| {
                let names = Arc::clone(&names);
                tokio::spawn(async move { ask(&names, LONG).await })
            })
            .collect();
        for one in many {
            assert_eq!(one.await.expect("no panic"), 0);
        }
        assert!(began.elapsed() < LOOKUP_TIME * 4, "{:?}", began.elapsed());
        assert_eq!(fake.asked(), 1);
    }
}
