//! What inspecting a byte has cost lately, and so how many are inspected where other connections wait.
//!
//! An inspection cannot be interrupted. What a worker does of them is bounded in time all the same, by the bytes that it is
//! given: as many as can be inspected within [`SHORT`] at the pace that was seen lately. Rules differ in what they cost, and
//! values that are aimed at them cost ten times what prose does; one of those teaches the pace, and it takes many ordinary
//! ones to forget it. As long as nothing is known of the rules, bytes count as dear ones.

use nix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The pace of all inspections together.
#[derive(Debug)]
pub(super) struct Pace {
    /// CPU time of a byte, in picoseconds.
    each: AtomicU64,
    /// The number of the latest generation, about whose rules that is.
    generation: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { each: AtomicU64::new(UNKNOWN), generation: AtomicU64::new(0) }
    }
}

impl Pace {
    /// A request is looked at by the rules of this generation. With a new one, what
    /// was known is no longer trusted where it was cheap.
    pub(super) fn serve(&self, generation: u64) {
        if self.generation.load(Ordering::Relaxed) < generation
            && self.generation.fetch_max(generation, Ordering::Relaxed) < generation
        {
            self.each.fetch_max(UNKNOWN, Ordering::Relaxed);
        }
    }

    /// Whether to inspect so many bytes takes long.
    pub(super) fn is_long(&self, bytes: u64) -> bool {
        // Below the floor nobody needs to look.
        bytes > FLOOR && bytes > self.most()
    }

    /// The most bytes whose inspection is a short one.
    fn most(&self) -> u64 {
        let fit = SHORT.checked_div(self.each.load(Ordering::Relaxed)).unwrap_or(CEILING);
        fit.clamp(FLOOR, CEILING)
    }

    /// Runs `call`, which inspects so many bytes, and learns from it.
    pub(super) fn watch<T>(&self, bytes: u64, call: impl FnOnce() -> T) -> T {
        if bytes < WORTH {
            return call();
        }
        let before = thread_time();
        let result = call();
        if let (Some(before), Some(after)) = (before, thread_time()) {
            self.learn(bytes, after.saturating_sub(before));
        }
        result
    }

    fn learn(&self, bytes: u64, took: Duration) {
        let picos = took.as_nanos().saturating_mul(1_000) / u128::from(bytes.max(1));
        let seen = u64::try_from(picos).unwrap_or(u64::MAX).min(DEAREST);
        let old = self.each.load(Ordering::Relaxed);
        let new = if seen > old { old + (seen - old).div_ceil(2) } else { old - (old - seen) / 64 };
        // What another thread has learnt at the same moment may be lost.
        self.each.store(new, Ordering::Relaxed);
    }
}

/// CPU time of this thread: others may have run on its processor meanwhile.
fn thread_time() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).ok().map(Duration::from)
}

/// A short inspection, in picoseconds: a millisecond. To hand over a long one takes some ten microseconds.
const SHORT: u64 = 1_000_000_000;

/// Bytes of text whose inspection is a long one at any pace: with CRS at level 1, prose of that length takes half a
/// millisecond.
const CEILING: u64 = 32 * 1024;

/// Bytes whose inspection is a short one at any pace, so that ordinary requests do not wait with an attacker's: the dearest
/// that are known take 6 ms with CRS at level 1, and 10 ms at level 4.
const FLOOR: u64 = 8 * 1024;

/// What a byte counts before anything is known, in picoseconds: no more than the floor is inspected where others wait.
const UNKNOWN: u64 = SHORT / FLOOR;

/// Fewer bytes teach nothing: most of their inspection does not depend on them, and looking at the clock would show.
const WORTH: u64 = 4 * 1024;

/// No byte counts more than a microsecond, in picoseconds.
const DEAREST: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(pace: &Pace, nanos_a_byte: u64, times: usize) {
        (0..times).for_each(|_| pace.learn(10_000, Duration::from_nanos(nanos_a_byte * 10_000)));
    }

    #[test]
    fn the_dearer_a_byte_the_fewer_are_short() {
        let pace = Pace::default();
        assert_eq!(pace.most(), FLOOR, "nothing is known");
        // Prose at level 1, and at level 4.
        learn(&pace, 17, 200);
        assert!(!pace.is_long(CEILING) && pace.is_long(CEILING + 1));
        learn(&pace, 50, 100);
        assert!((19_000..22_000).contains(&pace.most()), "{}", pace.most());
        // Two that are aimed at the rules teach what they cost, and no more than what is ordinary is left.
        learn(&pace, 600, 2);
        assert_eq!(pace.most(), FLOOR);
        assert!(!pace.is_long(FLOOR) && pace.is_long(FLOOR + 1));
        // It takes many others to forget them.
        learn(&pace, 17, 20);
        assert_eq!(pace.most(), FLOOR);
        learn(&pace, 17, 400);
        assert_eq!(pace.most(), CEILING);
        learn(&pace, u64::MAX / 10_000, 10);
        assert_eq!(pace.most(), FLOOR);
    }

    #[test]
    fn other_rules_are_unknown_until_they_have_been_seen() {
        let pace = Pace::default();
        learn(&pace, 17, 200);
        pace.serve(2);
        assert_eq!(pace.most(), FLOOR);
        learn(&pace, 17, 200);
        // Requests of the generation before may be on their way still.
        (1..=2).for_each(|generation| pace.serve(generation));
        assert_eq!(pace.most(), CEILING);
        // What was learnt to be dearer than that stays dear.
        learn(&pace, 600, 3);
        let before = pace.each.load(Ordering::Relaxed);
        pace.serve(3);
        assert_eq!(pace.each.load(Ordering::Relaxed), before);
    }

    #[test]
    fn what_is_watched_is_learnt_and_what_is_small_is_not() {
        let pace = Pace::default();
        let work = || (0..4_000_000_u64).fold(0, |sum, n| std::hint::black_box(sum ^ n));
        pace.watch(WORTH - 1, work);
        assert_eq!(pace.each.load(Ordering::Relaxed), UNKNOWN);
        pace.watch(WORTH, work);
        assert!(pace.each.load(Ordering::Relaxed) > UNKNOWN);
        // Waiting is no work.
        let idle = Pace::default();
        idle.watch(WORTH, || std::thread::sleep(Duration::from_millis(50)));
        assert!(idle.each.load(Ordering::Relaxed) < 1_000_000, "{idle:?}");
    }
}
