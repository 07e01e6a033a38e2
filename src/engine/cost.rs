//! What rules cost, for transactions in which that is measured.
//!
//! The time comes from the [`World`](super::World); here it is only subtracted and added.

use super::transaction::Transaction;

/// What the rules of one transaction cost.
#[derive(Clone, Debug, Default)]
pub struct Costs {
    /// One entry for each rule that was evaluated, a chain counting as its first rule, in the order of evaluation.
    pub rules: Vec<RuleCost>,
    /// Nanoseconds spent to find out which rules need not be evaluated at all. That is done for many rules at once, so
    /// it is nobody's in particular.
    pub sieve: u64,
}

/// One evaluation of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleCost {
    /// The rule's id.
    pub id: u64,
    /// Nanoseconds, from gathering its values to the end of its actions.
    pub nanoseconds: u64,
}

impl Transaction {
    /// What has passed since `begun` was spent on the rule `id`.
    pub(super) fn rule_cost(&mut self, id: u64, begun: u64) {
        let nanoseconds = self.world.ticks().saturating_sub(begun);
        if let Some(costs) = &mut self.costs {
            costs.rules.push(RuleCost { id, nanoseconds });
        }
    }

    /// What has passed since `begun` was spent on the sieve.
    pub(super) fn sieve_cost(&mut self, begun: u64) {
        let spent = self.world.ticks().saturating_sub(begun);
        if let Some(costs) = &mut self.costs {
            costs.sieve = costs.sieve.saturating_add(spent);
        }
    }
}
