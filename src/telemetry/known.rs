//! Counters that are looked up by their labels once.

use arc_swap::ArcSwap;
use prometheus::IntCounter;
use std::sync::Arc;

/// Some counters of a row, told apart by `K`. Few: they are looked for one by one, which takes no lock and hashes nothing.
pub(super) struct Known<K> {
    all: ArcSwap<Vec<(K, IntCounter)>>,
}

impl<K> Default for Known<K> {
    fn default() -> Self {
        Self { all: ArcSwap::default() }
    }
}

impl<K: Clone> Known<K> {
    /// Counts one for that of which `is_it` holds; `new` makes it when it is not known yet.
    pub(super) fn count(&self, is_it: impl Fn(&K) -> bool, new: impl FnOnce() -> (K, IntCounter)) {
        if let Some((_, counter)) = self.all.load().iter().find(|(key, _)| is_it(key)) {
            return counter.inc();
        }
        let (key, counter) = new();
        counter.inc();
        self.all.rcu(|all| {
            let mut all = Vec::clone(all);
            // Somebody else may have been quicker; both count on the same series.
            if !all.iter().any(|(key, _)| is_it(key)) {
                all.push((key.clone(), counter.clone()));
            }
            Arc::new(all)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{IntCounterVec, Opts};

    #[test]
    fn each_counts_on_its_own_series() {
        let row = IntCounterVec::new(Opts::new("a_total", "A."), &["name"]).expect("a row");
        let known = Known::<&'static str>::default();
        let mut made = 0;
        for name in ["a", "b", "a", "a"] {
            known.count(
                |key| *key == name,
                || {
                    made += 1;
                    (name, row.with_label_values(&[name]))
                },
            );
        }
        assert_eq!(
            (made, row.with_label_values(&["a"]).get(), row.with_label_values(&["b"]).get()),
            (2, 3, 1)
        );
    }
}
