//! What was measured of the cost of rules, added up over requests.

use crate::engine::Costs;
use std::collections::{HashMap, HashSet};

/// The label of the time spent to find out which rules need not be evaluated.
pub(super) const SIEVE: &str = "sieve";
/// The label of rules without a series of their own.
pub(super) const OTHER_RULES: &str = "other";

/// What one rule took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleTime {
    /// How often it was evaluated.
    pub evaluations: u64,
    /// Nanoseconds in all.
    pub nanoseconds: u64,
    /// Nanoseconds of the evaluation that took longest.
    pub longest: u64,
}

/// What rules took in the requests in which it was measured, since the start.
#[derive(Clone, Debug, Default)]
pub struct CostTable {
    /// Requests.
    pub requests: u64,
    /// Nanoseconds spent on finding out which rules need not be evaluated.
    pub sieve: u64,
    /// By rule id.
    pub rules: HashMap<u64, RuleTime>,
    /// Rules beyond `RULES`, together.
    pub rest: RuleTime,
    /// Rules with a series of their own.
    shown: HashSet<u64>,
}

/// Rules that are told apart; more than any ruleset has, unless it is reloaded with ever new ids.
const RULES: usize = 20_000;
/// A rule gets a series when it is among so many dearest ones,
const DEAREST: usize = 20;
/// as long as no more than these have one.
const SERIES: usize = 50;
/// How often the dearest are looked for, in requests.
const REVIEW: u64 = 16;

impl CostTable {
    /// Adds one request. `tell` is called with the id of each rule that has a series, and once without for the others
    /// together; what it was told never becomes less.
    pub(super) fn add(&mut self, costs: &Costs, mut tell: impl FnMut(Option<u64>, u64)) {
        self.requests += 1;
        self.sieve = self.sieve.saturating_add(costs.sieve);
        for cost in &costs.rules {
            let has_room = self.rules.len() < RULES || self.rules.contains_key(&cost.id);
            let time = if has_room { self.rules.entry(cost.id).or_default() } else { &mut self.rest };
            time.evaluations += 1;
            time.nanoseconds = time.nanoseconds.saturating_add(cost.nanoseconds);
            time.longest = time.longest.max(cost.nanoseconds);
        }
        if self.requests % REVIEW == 1 && self.shown.len() < SERIES {
            for (id, _) in self.dearest(DEAREST) {
                if self.shown.len() < SERIES {
                    self.shown.insert(id);
                }
            }
        }
        let mut other = 0_u64;
        for cost in &costs.rules {
            match self.shown.contains(&cost.id) {
                true => tell(Some(cost.id), cost.nanoseconds),
                false => other = other.saturating_add(cost.nanoseconds),
            }
        }
        tell(None, other);
    }

    /// The `most` rules on which most time was spent, the dearest first.
    pub fn dearest(&self, most: usize) -> Vec<(u64, RuleTime)> {
        let mut all: Vec<(u64, RuleTime)> = self.rules.iter().map(|(id, time)| (*id, *time)).collect();
        all.sort_by_key(|(id, time)| (std::cmp::Reverse(time.nanoseconds), *id));
        all.truncate(most);
        all
    }

    /// Nanoseconds spent on rules, the sieve left out.
    pub fn nanoseconds(&self) -> u64 {
        self.rules.values().map(|time| time.nanoseconds).fold(self.rest.nanoseconds, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::RuleCost;

    #[test]
    fn series_are_few_go_to_the_dearest_and_add_up() {
        let mut table = CostTable::default();
        let mut told: HashMap<Option<u64>, u64> = HashMap::new();
        for round in 0..100_u64 {
            let rules = (0..200).map(|id| RuleCost { id, nanoseconds: id + round }).collect();
            table.add(&Costs { rules, sieve: 1 }, |id, n| *told.entry(id).or_default() += n);
        }
        assert!(told.len() <= SERIES + 1, "{}", told.len());
        assert!((180..200).all(|id| told.contains_key(&Some(id))));
        assert_eq!(told.values().sum::<u64>(), table.nanoseconds());
        assert_eq!((table.requests, table.sieve), (100, 100));
        let (id, time) = table.dearest(1)[0];
        assert_eq!((id, time.evaluations, time.longest), (199, 100, 298));
    }

    #[test]
    fn ever_new_rules_are_no_leak() {
        let mut table = CostTable::default();
        for id in 0..(RULES as u64 + 100) {
            table.add(&Costs { rules: vec![RuleCost { id, nanoseconds: 1 }], sieve: 0 }, |_, _| {});
        }
        assert_eq!((table.rules.len(), table.rest.evaluations), (RULES, 100));
        assert!(table.shown.len() <= SERIES);
    }
}
