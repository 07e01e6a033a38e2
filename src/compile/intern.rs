//! What rules share: steps, chains, lanes and names.

use crate::ruleset::{Chain, ChainId, Lane, LaneId, SlotNames, Step, TargetSet};
use crate::transform::TransformId;
use std::collections::HashMap;

/// Names, steps, chains and lanes of a ruleset.
pub(super) type Interned = (SlotNames, Box<[Step]>, Box<[Chain]>, Box<[Lane]>);

/// Everything interned while a ruleset is compiled.
#[derive(Default)]
pub(super) struct Intern {
    pub(super) slots: SlotNames,
    steps: Vec<Step>,
    chains: Vec<Chain>,
    chain_index: HashMap<Chain, ChainId>,
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
                self.steps.push(Step { transform, trigger: transform.row().trigger.bytes() });
                self.steps.len() - 1
            }
        };
        // There are fewer transformations than 256.
        u8::try_from(at).unwrap_or(u8::MAX)
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
    pub(super) fn finish(self) -> Interned {
        (self.slots, self.steps.into(), self.chains.into(), self.lanes.into())
    }
}
