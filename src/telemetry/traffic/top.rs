//! What occurs most, in bounded memory: the Space-Saving algorithm (Metwally, Agrawal, El Abbadi, 2005).

use std::collections::HashMap;
use std::hash::Hash;

/// Counts the commonest of a stream of keys. A flood of keys that occur once displaces only rare ones.
///
/// A count is too high by no more than the smallest count held, and a key that makes up more than one in
/// `places` of all occurrences is never missing.
pub(super) struct Top<K> {
    places: usize,
    counts: Vec<(K, u64)>,
    index: HashMap<K, usize>,
}

impl<K: Clone + Eq + Hash + Ord> Top<K> {
    pub(super) fn new(places: usize) -> Self {
        Self { places, counts: Vec::new(), index: HashMap::new() }
    }

    /// Counts one occurrence.
    pub(super) fn count(&mut self, key: K) {
        if let Some((_, count)) = self.index.get(&key).and_then(|at| self.counts.get_mut(*at)) {
            *count += 1;
            return;
        }
        if self.counts.len() < self.places {
            self.index.insert(key.clone(), self.counts.len());
            self.counts.push((key, 1));
            return;
        }
        let rarest = self.counts.iter_mut().enumerate().min_by_key(|(_, (_, count))| *count);
        if let Some((at, (rare, count))) = rarest {
            self.index.remove(rare);
            *rare = key.clone();
            *count += 1;
            self.index.insert(key, at);
        }
    }
}

/// [`Top`] over the last while: two of them, of which the older is forgotten each `period`, so that what is told
/// covers between one period and two.
pub(super) struct Lately<K> {
    places: usize,
    period: u64,
    turn: u64,
    now: Top<K>,
    before: Top<K>,
}

impl<K: Clone + Eq + Hash + Ord> Lately<K> {
    /// `period` in seconds.
    pub(super) fn new(places: usize, period: u64) -> Self {
        Self { places, period, turn: 0, now: Top::new(places), before: Top::new(places) }
    }

    /// Counts one occurrence at `second`.
    pub(super) fn count(&mut self, key: K, second: u64) {
        self.turn(second);
        self.now.count(key);
    }

    /// The `n` commonest with their counts, the commonest first; among equals in the order of keys.
    pub(super) fn most(&mut self, n: usize, second: u64) -> Vec<(K, u64)> {
        self.turn(second);
        let mut sums: HashMap<&K, u64> = HashMap::new();
        for (key, count) in self.now.counts.iter().chain(&self.before.counts) {
            *sums.entry(key).or_default() += count;
        }
        let mut all: Vec<(K, u64)> = sums.into_iter().map(|(key, count)| (key.clone(), count)).collect();
        all.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
        all.truncate(n);
        all
    }

    fn turn(&mut self, second: u64) {
        let turn = second / self.period;
        // A clock that was set back goes on with what there is; threads may be a little behind each other.
        if turn <= self.turn {
            if turn + 1 < self.turn {
                self.turn = turn;
            }
            return;
        }
        let fresh = || Top::new(self.places);
        let was = std::mem::replace(&mut self.now, fresh());
        self.before = if turn == self.turn + 1 { was } else { fresh() };
        self.turn = turn;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_new_keys_does_not_displace_the_common_ones() {
        let mut top = Lately::new(64, 1_000);
        for n in 0..10_000_u32 {
            top.count(1_000_000 + n, 5);
            if n % 10 == 0 {
                top.count(7, 5);
            }
        }
        assert!(top.now.counts.len() == 64 && top.now.index.len() == 64);
        let most = top.most(1, 5);
        assert_eq!(most[0].0, 7);
        assert!((1_000..=1_200).contains(&most[0].1), "{most:?}");
    }

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let mut top = Lately::new(8, 10);
        top.count("a", 3);
        top.count("b", 14);
        top.count("a", 15);
        assert_eq!(top.most(5, 19), [("a", 2), ("b", 1)]);
        assert_eq!(top.most(5, 21), [("a", 1), ("b", 1)]);
        assert_eq!(top.most(5, 31), []);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nothing_for_ever() {
        let mut top = Lately::new(8, 10);
        top.count("a", 1_000_000);
        top.count("b", 14);
        assert_eq!(top.most(5, 14), [("a", 1), ("b", 1)]);
        assert_eq!(top.most(5, 31), []);
    }
}
