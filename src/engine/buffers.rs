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

/// What is spare on a thread.
struct Spare {
    buffers: Vec<Buffers>,
    /// Bytes of values in all of them.
    bytes: usize,
}

thread_local! {
    /// Transactions may end on another thread than they began on; that evens out.
    static SPARE: RefCell<Spare> = const { RefCell::new(Spare { buffers: Vec::new(), bytes: 0 }) };
}

impl Spare {
    fn take(&mut self) -> Option<Buffers> {
        let buffers = self.buffers.pop()?;
        self.bytes -= buffers.values.occupied();
        Some(buffers)
    }

    fn keep(&mut self, buffers: Buffers) {
        let bytes = self.bytes + buffers.values.occupied();
        if self.buffers.len() < limits::SPARE_BUFFERS && bytes <= limits::SPARE_BUFFER_BYTES {
            self.bytes = bytes;
            self.buffers.push(buffers);
        }
    }
}

impl Buffers {
    /// Buffers for a transaction under `ruleset`, empty.
    pub(super) fn take(ruleset: &Ruleset) -> Self {
        let spare = SPARE.try_with(|spare| spare.try_borrow_mut().ok()?.take()).ok().flatten();
        let mut buffers = spare.unwrap_or_default();
        buffers.clear(ruleset);
        buffers
    }

    /// Keeps them for another transaction, unless there are enough or they have grown too large.
    pub(super) fn give_back(self) {
        let _ = SPARE.try_with(|spare| {
            if let Ok(mut spare) = spare.try_borrow_mut() {
                spare.keep(self);
            }
        });
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
        let mut spare = Spare { buffers: Vec::new(), bytes: 0 };
        for _ in 0..2 * limits::SPARE_BUFFERS {
            spare.keep(of(1_000));
        }
        assert_eq!(spare.buffers.len(), limits::SPARE_BUFFERS);
        while spare.take().is_some() {}
        assert_eq!(spare.bytes, 0);

        spare.keep(of(limits::SPARE_BUFFER_BYTES));
        assert!(spare.buffers.is_empty(), "too much");
        spare.keep(of(limits::SPARE_BUFFER_BYTES / 4 * 3));
        assert_eq!(spare.buffers.len(), 1, "one may be large");
        spare.keep(of(limits::SPARE_BUFFER_BYTES / 2));
        assert_eq!(spare.buffers.len(), 1, "too much beside it");
        spare.keep(of(1_000));
        assert_eq!(spare.buffers.len(), 2);
    }
}
