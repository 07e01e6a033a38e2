//! Long inspections, beside the scheduler.
//!
//! A phase that takes milliseconds would hold up all connections of its worker. It is run on a thread for such phases
//! instead, of which there are as many as processors; the others wait for their turn, and hold no thread while they do.
//! More threads would only share the same processors, and each keeps memory of its own for what it allocates: with
//! tokio's pool, or `block_in_place`, which turns threads of that pool into workers, there come to be dozens of them.

use crate::http::RequestHead;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::oneshot;

/// The threads for long inspections. They are started when the first one comes, and end with this.
#[derive(Default)]
pub(super) struct Aside(OnceLock<Sender<Job>>);

type Job = Box<dyn FnOnce() + Send>;

impl Aside {
    /// Runs `call` on another thread when it is its turn; `None` when it has panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        let job = Box::new(move || {
            // Nobody may be waiting any more.
            let _ = done.send(call());
        });
        // Without a thread there is nothing better than to be in the way.
        if let Err(unsent) = self.0.get_or_init(threads).send(job) {
            (unsent.0)();
        }
        result.await.ok()
    }
}

fn threads() -> Sender<Job> {
    let (sender, jobs) = channel();
    let jobs = Arc::new(Mutex::new(jobs));
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    for _ in 0..processors.min(MOST_THREADS) {
        let jobs = Arc::clone(&jobs);
        let started = std::thread::Builder::new().name("inspection".to_owned()).spawn(move || work(&jobs));
        if let Err(error) = started {
            tracing::error!(%error, "a thread for long inspections cannot be started");
        }
    }
    sender
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // Who waits for a job that panics hears of it by its channel.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

/// A machine with more processors has them for more than this.
const MOST_THREADS: usize = 64;

/// What a body is expected to cost: its bytes as if they were those of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Weight {
    /// The body is compressed, and there is more to look at than what is held.
    pub(super) is_coded: bool,
    /// Most of it are files, which are parsed as they come and hardly looked at again.
    pub(super) is_multipart: bool,
}

impl Weight {
    pub(super) fn of_request(head: &RequestHead) -> Self {
        let is_multipart =
            |kind: &[u8]| kind.get(..10).is_some_and(|k| k.eq_ignore_ascii_case(b"multipart/"));
        Self {
            is_coded: head.values("content-encoding").next().is_some(),
            is_multipart: head.values("content-type").any(is_multipart),
        }
    }

    /// Whether the phase that looks at `bytes` of such a body is a long one.
    pub(super) fn is_long(self, bytes: u64) -> bool {
        let bytes = if self.is_coded { bytes.saturating_mul(CODED) } else { bytes };
        let bytes = if self.is_multipart { bytes / MULTIPART } else { bytes };
        bytes > LONG
    }
}

/// Bytes of a form from which on its inspection is a long one: with CRS it takes about a millisecond then, and to hand
/// it over some ten microseconds.
const LONG: u64 = 32 * 1024;
/// Text becomes so many times smaller, roughly.
const CODED: u64 = 8;
/// How much cheaper files are. No more than that, since a client may send text in their place.
const MULTIPART: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_calls_are_run_and_a_panic_ends_none_but_its_own() {
        let aside = Arc::new(Aside::default());
        let calls = (0..200_u32).map(|n| {
            let aside = Arc::clone(&aside);
            tokio::spawn(async move {
                aside
                    .run(move || {
                        assert!(n % 10 != 3, "a call panics, as it should");
                        n
                    })
                    .await
            })
        });
        for (n, call) in (0..).zip(calls.collect::<Vec<_>>()) {
            assert_eq!(call.await.expect("a task"), Some(n).filter(|n| n % 10 != 3));
        }
    }

    #[test]
    fn bodies_weigh_what_they_cost() {
        let plain = Weight::default();
        assert!(!plain.is_long(30_000) && plain.is_long(40_000));
        let coded = Weight { is_coded: true, ..plain };
        assert!(!coded.is_long(4_000) && coded.is_long(5_000) && coded.is_long(u64::MAX));
        let files = Weight { is_multipart: true, ..plain };
        assert!(!files.is_long(200_000) && files.is_long(300_000));
        assert!(Weight { is_coded: true, is_multipart: true }.is_long(40_000));
    }
}
