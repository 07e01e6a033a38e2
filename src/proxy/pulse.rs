//! How late the worker threads are.
//!
//! When processors are short, requests that have come wait until a worker turns to their connection, and nobody sees them
//! wait: they stand in the kernel's buffers and the scheduler's queues. So a task of our own goes through the same queues
//! all the time, and its lateness is theirs. While it waits, how long it has waited by now is known already.

use super::observer::Observer;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::time::sleep_until;

/// What is known of the workers' lateness.
pub(super) struct Pulse {
    origin: Instant,
    /// When the next beat is due, in microseconds from `origin`; 0 before the first.
    due: AtomicU64,
    /// How late the last one was, in microseconds.
    last: AtomicU64,
    /// Somebody has asked since.
    is_asked: AtomicBool,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            due: AtomicU64::new(0),
            last: AtomicU64::new(0),
            is_asked: AtomicBool::new(false),
        }
    }
}

impl Pulse {
    /// How long who comes `now` has to expect to have waited.
    pub(super) fn lag(&self, now: Instant) -> Duration {
        // Looked at first, so that processors need not fight for it.
        if !self.is_asked.load(Ordering::Relaxed) {
            self.is_asked.store(true, Ordering::Relaxed);
        }
        let due = self.due.load(Ordering::Relaxed);
        let late = if due == 0 { 0 } else { self.since_origin(now).saturating_sub(due) };
        Duration::from_micros(late.max(self.last.load(Ordering::Relaxed)))
    }

    /// Beats until it is dropped.
    pub(super) async fn beat(self: Arc<Self>, observer: Arc<dyn Observer>) {
        let mut longest = Duration::ZERO;
        let mut told = Instant::now();
        loop {
            // Where nothing comes, nothing waits, and few looks will do.
            let pause = if self.is_asked.swap(false, Ordering::Relaxed) { BEAT } else { REST };
            let due = Instant::now() + pause;
            self.due.store(self.since_origin(due).max(1), Ordering::Relaxed);
            sleep_until(due.into()).await;
            behind_the_others().await;
            let late = due.elapsed();
            self.last.store(micros(late), Ordering::Relaxed);
            longest = longest.max(late);
            if told.elapsed() >= TELL {
                observer.workers_late(std::mem::take(&mut longest));
                told = Instant::now();
            }
        }
    }

    fn since_origin(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.origin))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Goes to the end of the worker's queue. A timer that has run out would be served before what waits there, and so would
/// [`tokio::task::yield_now`].
async fn behind_the_others() {
    let mut has_gone = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_gone, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Between two beats while requests come.
const BEAT: Duration = Duration::from_millis(10);
/// The same while none do.
const REST: Duration = Duration::from_millis(100);
/// How often the longest lateness is told.
const TELL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::super::observer::Deaf;
    use super::*;

    #[test]
    fn lateness_is_known_before_it_ends() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let pulse = Arc::new(Pulse::default());
        runtime.spawn(Arc::clone(&pulse).beat(Arc::new(Deaf)));
        let until = Instant::now() + Duration::from_secs(20);
        // The only worker is held up by something that does not yield.
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (go, gone) = std::sync::mpsc::channel::<()>();
        while pulse.due.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        runtime.spawn(async move {
            let _ = begun.send(());
            let _ = gone.recv();
        });
        has_begun.recv().expect("it runs");
        while pulse.lag(Instant::now()) < Duration::from_millis(300) {
            assert!(Instant::now() < until, "it is not noticed");
            std::thread::sleep(Duration::from_millis(5));
        }
        go.send(()).expect("it waits");
        while pulse.lag(Instant::now()) >= Duration::from_millis(300) {
            assert!(Instant::now() < until, "its end is not noticed");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
