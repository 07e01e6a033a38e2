//! Long inspections, beside the scheduler.
//!
//! A phase that takes milliseconds would hold up all connections of its worker. One that would, by what
//! [`super::pace`] knows, is run on a thread for such phases
//! instead, of which there are as many as processors; the others wait for their turn, and hold no thread while they do. How
//! many may wait, and for how long, is for who asks: what finds no place, or is not begun in time, is not run at all.
//! More threads would only share the same processors, and each keeps memory of its own for what it allocates: with
//! tokio's pool, or `block_in_place`, which turns threads of that pool into workers, there come to be dozens of them.

use super::observer::Observer;
use super::pace::Pace;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The threads for long inspections. They are started when the first one comes, and end with this.
pub(super) struct Aside {
    crew: OnceLock<Crew>,
    /// Jobs that wait or are run.
    unfinished: Arc<AtomicUsize>,
    observer: Arc<dyn Observer>,
    pace: Pace,
}

struct Crew {
    sender: Sender<Slot>,
    threads: usize,
}

type Job = Box<dyn FnOnce() + Send>;

/// A job until somebody takes it: a thread, to run it, or who had it made, to wait no longer. What is left in the queue of
/// one that was taken back is this shell.
type Slot = Arc<Mutex<Option<Job>>>;

/// Why a call was not run to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hitch {
    /// As many wait as may.
    Full,
    /// It has waited for as long as it may.
    Late,
    /// It panicked.
    Panicked,
}

impl Aside {
    pub(super) fn new(observer: Arc<dyn Observer>) -> Self {
        Self { crew: OnceLock::new(), unfinished: Arc::default(), observer, pace: Pace::default() }
    }

    /// What inspections have cost lately.
    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Runs `call` on another thread when it is its turn, unless `queue` others wait already, or that takes longer than
    /// `wait`. Once it has begun it is waited for.
    ///
    /// # Errors
    ///
    /// Why it was not run, or has not ended.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        queue: usize,
        wait: Duration,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Hitch> {
        let crew = self.crew.get_or_init(crew);
        if crew.threads == 0 {
            // Without a thread there is nothing better than to be in the way.
            return catch_unwind(AssertUnwindSafe(call)).map_err(|_| Hitch::Panicked);
        }
        let most = crew.threads.saturating_add(queue);
        let place = self.place(crew.threads, most).ok_or(Hitch::Full)?;
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move || {
            let result = call();
            drop(place);
            // Nobody may be waiting any more.
            let _ = done.send(result);
        });
        let slot = Claim(Arc::new(Mutex::new(Some(job))));
        if crew.sender.send(Arc::clone(&slot.0)).is_err() {
            return Err(Hitch::Panicked);
        }
        tokio::pin!(result);
        match timeout(wait, &mut result).await {
            Ok(result) => result.map_err(|_| Hitch::Panicked),
            Err(_) if slot.take().is_some() => Err(Hitch::Late),
            Err(_) => result.await.map_err(|_| Hitch::Panicked),
        }
    }

    /// A place among `most` jobs.
    fn place(&self, threads: usize, most: usize) -> Option<Place> {
        let next = |n: usize| (n < most).then_some(n + 1);
        let before = self.unfinished.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).ok()?;
        self.observer.inspections_wait((before + 1).saturating_sub(threads));
        Some(Place {
            unfinished: Arc::clone(&self.unfinished),
            observer: Arc::clone(&self.observer),
            threads,
        })
    }
}

/// A place in the queue, given back with the job.
struct Place {
    unfinished: Arc<AtomicUsize>,
    observer: Arc<dyn Observer>,
    threads: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        let before = self.unfinished.fetch_sub(1, Ordering::AcqRel);
        self.observer.inspections_wait(before.saturating_sub(1).saturating_sub(self.threads));
    }
}

/// The side of who waits: goes away with them, and takes the job along unless it has begun.
struct Claim(Slot);

impl Claim {
    fn take(&self) -> Option<Job> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        drop(self.take());
    }
}

fn crew() -> Crew {
    let (sender, slots) = channel();
    let slots = Arc::new(Mutex::new(slots));
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut threads = 0;
    for _ in 0..processors.min(MOST_THREADS) {
        let slots = Arc::clone(&slots);
        let started = std::thread::Builder::new().name("inspection".to_owned()).spawn(move || work(&slots));
        match started {
            Ok(_) => threads += 1,
            Err(error) => tracing::error!(%error, "a thread for long inspections cannot be started"),
        }
    }
    Crew { sender, threads }
}

fn work(slots: &Mutex<Receiver<Slot>>) {
    loop {
        let slot = slots.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(slot) = slot else { return };
        let job = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Who waits for a job that panics hears of it by its channel.
        let _ = catch_unwind(AssertUnwindSafe(|| job.map(|job| job())));
    }
}

/// A machine with more processors has them for more than this.
const MOST_THREADS: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::observer::Deaf;
    use super::*;

    #[tokio::test]
    async fn all_calls_are_run_and_a_panic_ends_none_but_its_own() {
        let aside = Arc::new(Aside::new(Arc::new(Deaf)));
        let calls = (0..200_u32).map(|n| {
            let aside = Arc::clone(&aside);
            tokio::spawn(async move {
                aside
                    .run(1_000, Duration::from_secs(60), move || {
                        assert!(n % 10 != 3, "a call panics, as it should");
                        n
                    })
                    .await
            })
        });
        for (n, call) in (0..).zip(calls.collect::<Vec<_>>()) {
            let expected = if n % 10 == 3 { Err(Hitch::Panicked) } else { Ok(n) };
            assert_eq!(call.await.expect("a task"), expected);
        }
        while aside.unfinished.load(Ordering::Acquire) > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_waits_is_bounded_in_number_and_time() {
        let aside = Arc::new(Aside::new(Arc::new(Deaf)));
        let long = Duration::from_secs(60);
        // All threads are kept busy until they are let go.
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let gone = Arc::new(Mutex::new(gone));
        let threads = aside.crew.get_or_init(crew).threads;
        let busy: Vec<_> = (0..threads)
            .map(|_| {
                let (aside, gone) = (Arc::clone(&aside), Arc::clone(&gone));
                tokio::spawn(async move {
                    aside.run(0, long, move || gone.lock().map(|g| g.recv().is_ok()).is_ok()).await
                })
            })
            .collect();
        while aside.unfinished.load(Ordering::Acquire) < threads {
            tokio::task::yield_now().await;
        }
        assert_eq!(aside.run(0, long, || 1).await, Err(Hitch::Full), "nobody may wait");
        let short = Duration::from_millis(20);
        assert_eq!(aside.run(1, short, || 1).await, Err(Hitch::Late), "one may, and not for long");
        let left = timeout(short, aside.run(1, long, || 1)).await;
        assert!(left.is_err(), "who waits no longer");
        assert_eq!(aside.unfinished.load(Ordering::Acquire), threads, "has left no place taken");
        let waiting = {
            let aside = Arc::clone(&aside);
            tokio::spawn(async move { aside.run(1, long, || 2).await })
        };
        for _ in 0..threads {
            go.send(()).expect("somebody waits");
        }
        assert_eq!(waiting.await.expect("a task"), Ok(2));
        for task in busy {
            assert_eq!(task.await.expect("a task"), Ok(true));
        }
    }
}
