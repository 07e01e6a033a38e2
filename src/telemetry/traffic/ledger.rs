//! Counts of all sites together, and of each.

use super::history::{Bucket, History, Range};
use super::recent::Totals;
use crate::telemetry::words::Outcome;
use std::collections::BTreeMap;

/// What was counted, and when.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    all: Account,
    sites: BTreeMap<String, Account>,
}

#[derive(Debug, Default)]
struct Account {
    totals: Totals,
    /// Totals at the last sample.
    sampled: Totals,
    history: History,
}

/// Sites that are counted by themselves, the first ones that are seen: each takes up to 280 KiB for its history. The
/// others count among all.
pub(super) const SITES: usize = 32;

impl Ledger {
    /// A request of `site` was blocked, or would have been, for an attack of the category at that place.
    pub(super) fn decided(&mut self, site: &str, outcome: Outcome, category: usize) {
        self.all.decided(outcome, category);
        if let Some(account) = self.site(site) {
            account.decided(outcome, category);
        }
    }

    /// Adds to the histories what happened since the last call; `outcomes` are counts since the start.
    pub(super) fn sample<'n>(
        &mut self,
        outcomes: impl Iterator<Item = (&'n str, [u64; Outcome::ALL.len()])>,
        second: u64,
    ) {
        self.all.totals.outcomes = [0; Outcome::ALL.len()];
        for (site, counts) in outcomes {
            for (all, count) in self.all.totals.outcomes.iter_mut().zip(counts) {
                *all += count;
            }
            if let Some(account) = self.site(site) {
                account.totals.outcomes = counts;
            }
        }
        self.all.sample(second);
        self.sites.values_mut().for_each(|account| account.sample(second));
    }

    /// Everything counted since the start, as of the last sample.
    pub(super) fn told(&self) -> &Totals {
        &self.all.sampled
    }

    /// The same by site.
    pub(super) fn by_site(&self) -> impl Iterator<Item = (&str, &Totals)> {
        self.sites.iter().map(|(site, account)| (site.as_str(), &account.sampled))
    }

    /// Counts over time up to `second`: of all sites, or of one, which may be unknown.
    pub(super) fn range(&self, site: Option<&str>, range: Range, second: u64) -> Vec<Bucket> {
        let unknown = History::default();
        let history = match site {
            None => &self.all.history,
            Some(site) => self.sites.get(site).map_or(&unknown, |account| &account.history),
        };
        history.range(range, second)
    }

    fn site(&mut self, site: &str) -> Option<&mut Account> {
        if self.sites.len() < SITES && !self.sites.contains_key(site) {
            self.sites.insert(site.to_owned(), Account::default());
        }
        self.sites.get_mut(site)
    }
}

impl Account {
    fn decided(&mut self, outcome: Outcome, category: usize) {
        let counts = match outcome {
            Outcome::Blocked => &mut self.totals.blocked,
            _ => &mut self.totals.detected,
        };
        if let Some(count) = counts.get_mut(category) {
            *count += 1;
        }
    }

    fn sample(&mut self, second: u64) {
        let change = self.totals.since(&self.sampled);
        if !change.is_zero() {
            self.history.add(second, &change);
            self.sampled = self.totals.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked(n: u64) -> [u64; Outcome::ALL.len()] {
        let mut counts = [0; Outcome::ALL.len()];
        counts[Outcome::Blocked as usize] = n;
        counts
    }

    #[test]
    fn sites_are_counted_apart_and_together() {
        let mut ledger = Ledger::default();
        ledger.decided("shop", Outcome::Blocked, 0);
        ledger.decided("wiki", Outcome::Detected, 1);
        ledger.sample([("shop", blocked(2)), ("wiki", blocked(1))].into_iter(), 1_000);
        ledger.sample([("shop", blocked(5)), ("wiki", blocked(1))].into_iter(), 1_100);
        let sum = |site| {
            let buckets = ledger.range(site, Range::Quarter, 1_100);
            buckets.iter().fold(Totals::default(), |mut all, bucket| {
                all.add(&bucket.counts);
                all
            })
        };
        let (all, shop) = (sum(None), sum(Some("shop")));
        assert_eq!((all.outcomes, shop.outcomes), (blocked(6), blocked(5)));
        assert_eq!((all.blocked[0], all.detected[1], shop.blocked[0], shop.detected[1]), (1, 1, 1, 0));
        assert!(sum(Some("nobody")).is_zero());
        assert_eq!(ledger.told().outcomes, blocked(6));
        assert_eq!(ledger.by_site().map(|(site, _)| site).collect::<Vec<_>>(), ["shop", "wiki"]);
    }

    #[test]
    fn sites_are_bounded() {
        let mut ledger = Ledger::default();
        for n in 0..100 {
            ledger.decided(&format!("site{n}"), Outcome::Blocked, 0);
        }
        ledger.sample(std::iter::empty(), 10);
        assert_eq!((ledger.by_site().count(), ledger.told().blocked[0]), (SITES, 100));
    }
}
