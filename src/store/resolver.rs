//! Names asked of the system's resolver beside requests, never in them: an inspection does not wait for a name
//! server. A name that has not been asked before has no answer yet; the requests that follow find it.

use crate::limits;
use lru::LruCache;
use std::net::{IpAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

type Ask = dyn Fn(&str) -> Vec<IpAddr> + Send + Sync;

/// Answers to names, remembered for a while.
pub(super) struct Resolver {
    answers: Arc<Mutex<LruCache<String, Answer>>>,
    ask: Arc<Ask>,
    /// The thread that asks, started with the first name.
    queue: OnceLock<Option<SyncSender<String>>>,
}

#[derive(Clone)]
struct Answer {
    /// `None` until the first answer has come.
    addresses: Option<Vec<IpAddr>>,
    /// When to ask again.
    until: Instant,
}

impl Resolver {
    /// The system's resolver.
    pub(super) fn system() -> Self {
        Self::new(|name| match (name, 0).to_socket_addrs() {
            Ok(addresses) => addresses.map(|a| a.ip()).collect(),
            // No such name, or no name server: neither says that the name is listed anywhere.
            Err(_) => Vec::new(),
        })
    }

    fn new(ask: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static) -> Self {
        let room = NonZeroUsize::new(limits::RESOLVED_NAMES).unwrap_or(NonZeroUsize::MIN);
        Self {
            answers: Arc::new(Mutex::new(LruCache::new(room))),
            ask: Arc::new(ask),
            queue: OnceLock::new(),
        }
    }

    /// What is known of `name`: its addresses, none when there is no such name, `None` when nobody knows yet.
    pub(super) fn resolve(&self, name: &str) -> Option<Vec<IpAddr>> {
        let mut answers = lock(&self.answers);
        let known = answers.get(name).cloned();
        if let Some(answer) = &known
            && answer.until > Instant::now()
        {
            return answer.addresses.clone();
        }
        let addresses = known.and_then(|a| a.addresses);
        let waiting = Answer { addresses: addresses.clone(), until: Instant::now() + PATIENCE };
        answers.put(name.to_owned(), waiting);
        drop(answers);
        if let Some(queue) = self.queue.get_or_init(|| self.start()) {
            // A full queue means that names come faster than they are answered; this one is asked later.
            let _ = queue.try_send(name.to_owned());
        }
        addresses
    }

    fn start(&self) -> Option<SyncSender<String>> {
        let (queue, names) = sync_channel(limits::RESOLVER_QUEUE);
        let (answers, ask) = (Arc::clone(&self.answers), Arc::clone(&self.ask));
        let work = move || serve(&names, &answers, &*ask);
        // Without the thread nothing is ever known, which is what rules see without a name server, too.
        std::thread::Builder::new().name("resolver".into()).spawn(work).ok()?;
        Some(queue)
    }
}

fn serve(names: &Receiver<String>, answers: &Mutex<LruCache<String, Answer>>, ask: &Ask) {
    while let Ok(name) = names.recv() {
        let addresses = ask(&name);
        let keep = if addresses.is_empty() { ABSENT } else { PRESENT };
        lock(answers).put(name, Answer { addresses: Some(addresses), until: Instant::now() + keep });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The system's resolver does not tell how long an answer holds; block lists change within minutes.
const PRESENT: Duration = Duration::from_secs(300);
const ABSENT: Duration = Duration::from_secs(60);
/// A name whose answer has not come within this time is asked again.
const PATIENCE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_known_to_those_who_ask_later() {
        let (asked, asks) = sync_channel(8);
        let resolver = Resolver::new(move |name| {
            let _ = asked.send(name.to_owned());
            if name == "listed.example" { vec![IpAddr::from([127, 0, 0, 2])] } else { Vec::new() }
        });
        for (name, expected) in
            [("listed.example", vec![IpAddr::from([127, 0, 0, 2])]), ("other.example", vec![])]
        {
            assert_eq!(resolver.resolve(name), None);
            assert_eq!(asks.recv().expect("it is asked"), name);
            let answer = std::iter::repeat_with(|| {
                std::thread::sleep(Duration::from_millis(1));
                resolver.resolve(name)
            })
            .take(10_000)
            .find(Option::is_some)
            .flatten();
            assert_eq!(answer, Some(expected));
        }
        assert!(asks.try_recv().is_err(), "each name is asked once");
    }
}
