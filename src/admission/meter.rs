//! Meters: how much each key has used of its rate, by the generic cell rate algorithm (GCRA, ITU-T I.371).
//!
//! A meter is one number: the time at which its key is at rest again. A request moves it by the interval that one
//! request is worth, and is refused when it would lie further ahead than the burst is worth. Nothing runs in the
//! background, and a meter at rest is the same as none.
//!
//! Keys come from clients, so the table has a fixed size: buckets of eight meters, each known by a hash under random
//! keys. Where a bucket is full, the meter that is nearest to rest makes room. So a flood of new keys pushes out those
//! that have used least, and never the one who is being held back.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A table of meters.
pub struct Meters {
    /// Each is made when the first meter in it is set, so that a server without rate limits has none.
    shards: Box<[Mutex<Vec<Slot>>]>,
    /// Of a shard.
    buckets: usize,
    /// Two, keyed per process: where a key stands, and how it is known there.
    hashers: [RandomState; 2],
    evictions: AtomicU64,
    started: Instant,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// The key's second hash.
    tag: u64,
    /// When it is at rest, in microseconds of the table's clock; 0 for a slot that is free.
    rest: u64,
}

/// A rate and its burst, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// What one request is worth.
    pub(super) interval: u64,
    /// How far ahead a meter may be.
    pub(super) tolerance: u64,
}

/// A key's place in the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    at: u64,
    tag: u64,
}

/// Slots of a bucket: two lines of a cache.
const WAYS: usize = 8;
/// Locks; more than threads that a machine runs at once.
const SHARDS: usize = 64;

impl Meters {
    /// A table of at least `meters` meters, 16 bytes each.
    pub fn new(meters: usize) -> Self {
        let buckets = meters.div_ceil(SHARDS * WAYS).max(1).next_power_of_two();
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            buckets,
            hashers: [RandomState::new(), RandomState::new()],
            evictions: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    /// Meters that made room for others before they were at rest.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Now, in microseconds of the table's own clock, which never goes back.
    pub(super) fn now(&self) -> u64 {
        // From 1, so that no meter at work looks like a free slot.
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Where `key` stands.
    pub(super) fn place(&self, key: &[u8]) -> Place {
        let [at, tag] = &self.hashers;
        Place { at: at.hash_one(key), tag: tag.hash_one(key) }
    }

    /// Takes one request of `rate` at the time `now`; `Err` with the microseconds to wait when there is none left, and
    /// then nothing is taken.
    pub(super) fn take(&self, place: Place, rate: Rate, now: u64) -> Result<(), u64> {
        self.with(place, now, |rest| {
            let ahead = (*rest).saturating_sub(now).saturating_add(rate.interval);
            if ahead > rate.tolerance {
                return Err(ahead - rate.tolerance);
            }
            *rest = now.saturating_add(ahead);
            Ok(())
        })
    }

    /// How far ahead the meter is, in microseconds.
    pub(super) fn ahead(&self, place: Place, now: u64) -> u64 {
        self.with(place, now, |rest| (*rest).saturating_sub(now))
    }

    /// Sets the meter `ahead` microseconds ahead of `now`, unless it is further already.
    pub(super) fn raise(&self, place: Place, now: u64, ahead: u64) {
        self.with(place, now, |rest| *rest = (*rest).max(now.saturating_add(ahead)));
    }

    /// Shows `change` the time at which the meter is at rest, and keeps what it makes of it.
    fn with<T>(&self, place: Place, now: u64, change: impl FnOnce(&mut u64) -> T) -> T {
        let low = |n: u64| usize::try_from(n).unwrap_or(0);
        let shard = low(place.at % SHARDS as u64);
        // There are SHARDS shards, always, and a shard is whole between any two of its statements.
        let shard = self.shards.get(shard).unwrap_or(&self.shards[0]);
        let mut slots = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let first = low((place.at / SHARDS as u64) % self.buckets as u64) * WAYS;
        let known = slots.get_mut(first..first + WAYS).unwrap_or_default();
        if let Some(slot) = known.iter_mut().find(|slot| slot.tag == place.tag && slot.rest > now) {
            return change(&mut slot.rest);
        }
        let mut rest = now;
        let result = change(&mut rest);
        if rest <= now {
            return result;
        }
        if slots.is_empty() {
            *slots = vec![Slot::default(); self.buckets * WAYS];
        }
        if let Some(bucket) = slots.get_mut(first..first + WAYS)
            && let Some(slot) = bucket.iter_mut().min_by_key(|slot| slot.rest)
        {
            if slot.rest > now {
                self.evictions.fetch_add(1, Ordering::Relaxed);
            }
            *slot = Slot { tag: place.tag, rest };
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000;

    fn rate(requests: u64, seconds: u64, burst: u64) -> Rate {
        let interval = seconds * SECOND / requests;
        Rate { interval, tolerance: interval * burst }
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let meters = Meters::new(64);
        let (place, rate) = (meters.place(b"a"), rate(60, 60, 3));
        let start = 1_000 * SECOND;
        for _ in 0..3 {
            assert_eq!(meters.take(place, rate, start), Ok(()));
        }
        assert_eq!(meters.take(place, rate, start), Err(SECOND));
        assert_eq!(meters.take(place, rate, start + SECOND / 2), Err(SECOND / 2));
        assert_eq!(meters.take(place, rate, start + SECOND), Ok(()));
        assert_eq!(meters.take(place, rate, start + SECOND), Err(SECOND));
        // A quiet while gives the burst back, and no more than that.
        let later = start + 1_000 * SECOND;
        let passed = (0..10).filter(|_| meters.take(place, rate, later).is_ok()).count();
        assert_eq!(passed, 3);
    }

    proptest! {
        /// In any stretch of time no more pass than the burst and what the rate gives in it, and who keeps to the rate
        /// is never refused.
        #[test]
        fn the_rate_holds_over_any_stretch(gaps in prop::collection::vec(0_u64..3_000_000, 1..200)) {
            let meters = Meters::new(64);
            let (place, rate) = (meters.place(b"a"), rate(1, 1, 5));
            let mut now = 1;
            let mut passed = Vec::new();
            for gap in gaps {
                now += gap;
                match meters.take(place, rate, now) {
                    Ok(()) => passed.push(now),
                    Err(wait) => {
                        prop_assert!(meters.take(place, rate, now + wait - 1).is_err());
                    }
                }
            }
            for (i, from) in passed.iter().enumerate() {
                for (j, to) in passed.iter().enumerate().skip(i) {
                    let most = 5 + (to - from) / SECOND;
                    prop_assert!((j - i + 1) as u64 <= most, "{} in {} us", j - i + 1, to - from);
                }
            }
        }
    }

    #[test]
    fn a_flood_of_new_keys_frees_nobody_who_is_held_back() {
        let meters = Meters::new(1_024);
        let rate = rate(10, 60, 10);
        let held = meters.place(b"held back");
        let now = meters.now();
        while meters.take(held, rate, now).is_ok() {}
        for i in 0..200_000_u32 {
            let _ = meters.take(meters.place(&i.to_be_bytes()), rate, now);
        }
        assert!(meters.take(held, rate, now).is_err());
        assert!(meters.evictions() > 150_000);
        let slots: usize = meters.shards.iter().map(|s| s.lock().map_or(0, |s| s.len())).sum();
        assert_eq!(slots, 1_024, "whatever comes");
    }

    #[test]
    fn threads_take_no_more_than_there_is() {
        let meters = std::sync::Arc::new(Meters::new(64));
        let rate = rate(1, 3_600, 1_000);
        let now = meters.now();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let meters = std::sync::Arc::clone(&meters);
                let place = meters.place(b"shared");
                std::thread::spawn(move || {
                    (0..1_000).filter(|_| meters.take(place, rate, now).is_ok()).count()
                })
            })
            .collect();
        let passed: usize = threads.into_iter().map(|t| t.join().expect("no panic")).sum();
        assert_eq!(passed, 1_000);
    }

    #[test]
    fn what_others_know_only_ever_raises_a_meter() {
        let meters = Meters::new(64);
        let place = meters.place(b"a");
        let now = meters.now();
        meters.raise(place, now, 5 * SECOND);
        meters.raise(place, now, 2 * SECOND);
        assert_eq!(meters.ahead(place, now), 5 * SECOND);
        assert_eq!(meters.ahead(place, now + 6 * SECOND), 0);
        assert_eq!(meters.ahead(meters.place(b"b"), now), 0);
    }
}
