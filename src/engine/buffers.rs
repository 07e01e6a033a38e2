//! Memory of transactions that have ended, for those that begin: a transaction's vectors keep their capacity, so that
//! in a steady state almost nothing is allocated.

use super::lanes::{KeptTarget, LaneValue, Matched};
use super::sieve::Sieve;
use super::transaction::Member;
use super::tx::Tx;
use super::values::{ValueId, Values};
use crate::limits;
use crate::operator::Found;
use crate::ruleset::Ruleset;
use crate::variable::Variable;
use std::cell::RefCell;

/// What a transaction works in.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) values: Values,
    pub(super) scalars: Vec<ValueId>,
    pub(super) collections: Vec<Vec<Member>>,
    pub(super) tx: Tx,
    pub(super) kept_targets: Vec<KeptTarget>,
    pub(super) lane_values: Vec<LaneValue>,
    pub(super) loose_values: Vec<LaneValue>,
    pub(super) sieve: Sieve,
    pub(super) sieved_values: Vec<ValueId>,
    pub(super) matched: Vec<Matched>,
    pub(super) rule_matches: Vec<Matched>,
    pub(super) found: Found,
    pub(super) scratch: Vec<u8>,
}

thread_local! {
    /// What is spare on this thread. Transactions may end on another thread than they began on; that evens out.
    static SPARE: RefCell<Vec<Buffers>> = const { RefCell::new(Vec::new()) };
}

impl Buffers {
    /// Buffers for a transaction under `ruleset`, empty.
    pub(super) fn take(ruleset: &Ruleset) -> Self {
        let spare = SPARE.try_with(|spare| spare.try_borrow_mut().ok()?.pop()).ok().flatten();
        let mut buffers = spare.unwrap_or_default();
        buffers.clear(ruleset);
        buffers
    }

    /// Keeps them for another transaction, unless there are enough or they have grown too large.
    pub(super) fn give_back(self) {
        let _ = SPARE.try_with(|spare| {
            if let Ok(mut spare) = spare.try_borrow_mut() {
                self.keep(&mut spare);
            }
        });
    }

    fn keep(self, spare: &mut Vec<Buffers>) {
        let bytes: usize = spare.iter().chain([&self]).map(|buffers| buffers.values.occupied()).sum();
        if spare.len() < limits::SPARE_BUFFERS && bytes <= limits::SPARE_BUFFER_BYTES {
            spare.push(self);
        }
    }

    fn clear(&mut self, ruleset: &Ruleset) {
        self.values.reset(ruleset.steps.len(), limits::TRANSACTION_ARENA_BYTES);
        self.scalars.clear();
        self.scalars.resize(Variable::COUNT, ValueId::EMPTY);
        self.collections.iter_mut().for_each(Vec::clear);
        self.collections.resize_with(Variable::COUNT, Vec::new);
        self.tx.reset(&ruleset.slots);
        self.kept_targets.clear();
        self.kept_targets.resize(ruleset.kept_targets, KeptTarget::default());
        self.lane_values.clear();
        self.loose_values.clear();
        self.sieve.reset();
        self.sieved_values.clear();
        self.matched.clear();
        self.rule_matches.clear();
        self.found.clear();
        self.scratch.clear();
        // Beyond what one transaction needs again and again, memory is not kept for those that do not.
        self.scratch.shrink_to(limits::SPARE_SCRATCH_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: usize) -> Buffers {
        let mut buffers = Buffers::default();
        buffers.values.reset(0, limits::TRANSACTION_ARENA_BYTES);
        buffers.values.push(&vec![b'a'; bytes]);
        buffers
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_bytes() {
        let mut spare = Vec::new();
        for _ in 0..2 * limits::SPARE_BUFFERS {
            of(1_000).keep(&mut spare);
        }
        assert_eq!(spare.len(), limits::SPARE_BUFFERS);

        spare.clear();
        of(limits::SPARE_BUFFER_BYTES).keep(&mut spare);
        assert!(spare.is_empty(), "too much");
        of(limits::SPARE_BUFFER_BYTES / 4 * 3).keep(&mut spare);
        assert_eq!(spare.len(), 1, "one may be large");
        of(limits::SPARE_BUFFER_BYTES / 2).keep(&mut spare);
        assert_eq!(spare.len(), 1, "too much beside it");
        of(1_000).keep(&mut spare);
        assert_eq!(spare.len(), 2);
    }
}
