//! What rules share: steps, chains, lanes and names.

use crate::ruleset::classes::{any_case, classes_in, mask_of_set};
use crate::ruleset::{Chain, ChainId, Lane, LaneId, Selector, Slot, SlotNames, Step, TargetId, TargetSet};
use crate::transform::TransformId;
use crate::variable::Variable;
use std::collections::HashMap;
use std::sync::Arc;

/// Names, steps, chains and lanes of a ruleset.
pub(super) struct Interned {
    pub(super) slots: SlotNames,
    pub(super) steps: Box<[Step]>,
    pub(super) chains: Box<[Chain]>,
    pub(super) lanes: Box<[Lane]>,
    /// How many targets have a number.
    pub(super) targets: usize,
}

/// Everything interned while a ruleset is compiled.
#[derive(Default)]
pub(super) struct Intern {
    pub(super) slots: SlotNames,
    steps: Vec<Step>,
    chains: Vec<Chain>,
    chain_index: HashMap<Chain, ChainId>,
    targets: HashMap<String, TargetId>,
    lanes: Vec<Lane>,
    lane_index: HashMap<(String, ChainId), LaneId>,
}

impl Intern {
    /// The chain of `transforms`; `None` when there are more chains than a ruleset may have.
    pub(super) fn chain(&mut self, transforms: &[TransformId]) -> Option<ChainId> {
        let columns: Box<[u8]> = transforms.iter().map(|t| self.step(*t)).collect();
        let chain = Chain(columns);
        if let Some(&id) = self.chain_index.get(&chain) {
            return Some(id);
        }
        let id = ChainId(u16::try_from(self.chains.len()).ok()?);
        self.chains.push(chain.clone());
        self.chain_index.insert(chain, id);
        Some(id)
    }

    fn step(&mut self, transform: TransformId) -> u8 {
        let at = match self.steps.iter().position(|s| s.transform == transform) {
            Some(at) => at,
            None => {
                self.steps.push(Step {
                    transform,
                    trigger: transform.row().trigger.bytes().map(|bytes| mask_of_set(&bytes)),
                    adds: transform.adds().map(|bytes| any_case(mask_of_set(&bytes))),
                    removes: classes_in(&transform.removes()),
                });
                self.steps.len() - 1
            }
        };
        // There are fewer transformations than 256.
        u8::try_from(at).unwrap_or(u8::MAX)
    }

    /// The number of the target known by `key`; `None` when there are more than a ruleset may have.
    pub(super) fn target(&mut self, key: &str) -> Option<TargetId> {
        if let Some(&id) = self.targets.get(key) {
            return Some(id);
        }
        let id = TargetId(u16::try_from(self.targets.len()).ok()?);
        self.targets.insert(key.to_owned(), id);
        Some(id)
    }

    /// The lane of `targets`, which are known by `key`, seen through `chain`.
    pub(super) fn lane(&mut self, key: String, targets: TargetSet, chain: ChainId) -> Option<LaneId> {
        if let Some(&id) = self.lane_index.get(&(key.clone(), chain)) {
            return Some(id);
        }
        let id = LaneId(u16::try_from(self.lanes.len()).ok()?);
        let volatile = targets.included.iter().any(|t| t.variable.row().volatile);
        self.lanes.push(Lane { targets, chain, volatile });
        self.lane_index.insert((key, chain), id);
        Some(id)
    }

    /// Gives everything away.
    pub(super) fn finish(mut self) -> Interned {
        // Only now are all slots known.
        for target in self.lanes.iter_mut().flat_map(|lane| lane.targets.included.iter_mut()) {
            if let (Variable::Tx, Selector::Regex(pattern)) = (target.variable, &target.selector) {
                let selects = |slot: &Slot| target.selector.selects(self.slots.name(*slot).as_bytes());
                let slots = (0..self.slots.len() as u16).map(Slot).filter(selects).collect();
                target.selector = Selector::SlotRegex(Arc::clone(pattern), slots);
            }
        }
        Interned {
            slots: self.slots,
            steps: self.steps.into(),
            chains: self.chains.into(),
            lanes: self.lanes.into(),
            targets: self.targets.len(),
        }
    }
}
