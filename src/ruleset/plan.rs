//! What values made of the same classes of bytes have in common when they are sieved: which transformations can
//! change them, and which rules their bytes cannot meet.

use super::prefilter::{ALL_CLASSES, ClassMask, any_case};
use super::sieve::Group;
use crate::transform::TransformId;
use arc_swap::ArcSwapOption;
use std::sync::Arc;

/// A set of guards of a group.
pub type GuardSet = smallvec::SmallVec<[u64; 4]>;

/// The plans made so far for a group. Bounded: a mixture of bytes takes the place of another that falls on the same
/// slot, so that clients who send all of them cost others no more than the making of a plan.
pub struct Plans(Box<[ArcSwapOption<Plan>]>);

/// How to sieve a value.
#[derive(Debug)]
pub struct Plan {
    mask: ClassMask,
    /// The rules that may match the value as it is, going by its bytes.
    pub same: GuardSet,
    /// What else the value may look like.
    pub looks: Vec<Look>,
}

/// Transformations that can change the value, and the rules which see it so.
#[derive(Debug)]
pub struct Look {
    /// Positions in the ruleset's list of steps.
    pub steps: smallvec::SmallVec<[u8; 8]>,
    /// Those of them that change lengths for sure.
    shrinking: Box<[TransformId]>,
    /// The rules that may match the result, going by the bytes that it can have.
    pub guards: GuardSet,
    /// Rules that do not see the value as it is.
    pub only: GuardSet,
}

impl Plans {
    /// The plan for values of these classes.
    pub fn of(&self, group: &Group, mask: ClassMask) -> Arc<Plan> {
        let mask = mask & ALL_CLASSES;
        let slot = &self.0[(mask.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - SLOT_BITS)) as usize];
        if let Some(plan) = slot.load().as_ref().filter(|plan| plan.mask == mask) {
            return Arc::clone(plan);
        }
        let plan = Arc::new(Plan::new(group, mask));
        slot.store(Some(Arc::clone(&plan)));
        plan
    }
}

impl Default for Plans {
    fn default() -> Self {
        Self((0..1 << SLOT_BITS).map(|_| ArcSwapOption::empty()).collect())
    }
}

impl std::fmt::Debug for Plans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Plans")
    }
}

impl Plan {
    fn new(group: &Group, mask: ClassMask) -> Self {
        let words = group.words();
        let mut same: GuardSet = smallvec::smallvec![u64::MAX; words];
        group.prefilter(mask).retain_permitted(mask, &mut same);
        let mut looks: Vec<Look> = Vec::new();
        for view in &group.views {
            let mut present = mask & ALL_CLASSES;
            let mut steps = smallvec::SmallVec::<[u8; 8]>::new();
            let mut shrinking = Vec::new();
            for step in &view.steps {
                if step.trigger.is_none_or(|trigger| present & trigger != 0) {
                    present = step.adds.map_or(ALL_CLASSES, |adds| any_case(present | adds));
                    steps.push(step.column);
                    if step.transform.longest(PROBE) != Some(PROBE) {
                        shrinking.push(step.transform);
                    }
                }
            }
            if steps.is_empty() {
                continue;
            }
            let mut guards = GuardSet::from_slice(&view.guards);
            if present != ALL_CLASSES {
                group.prefilter(present).retain_permitted(present, &mut guards);
            }
            if guards.iter().all(|word| *word == 0) {
                // Whatever it looks like: none of them can match it.
                remove(&mut same, &view.only);
            } else if let Some(look) = looks.iter_mut().find(|look| look.steps == steps) {
                unite(&mut look.guards, &guards);
                unite(&mut look.only, &view.only);
            } else {
                looks.push(Look {
                    steps,
                    shrinking: shrinking.into(),
                    guards,
                    only: GuardSet::from_slice(&view.only),
                });
            }
        }
        Plan { mask, same, looks }
    }
}

impl Look {
    /// The most bytes of a result for a value of `length` bytes.
    pub fn longest(&self, length: usize) -> usize {
        self.shrinking.iter().try_fold(length, |length, step| step.longest(length)).unwrap_or(usize::MAX)
    }
}

/// Plans that are kept for a group are two to the power of this: values come with few mixtures of bytes.
const SLOT_BITS: u32 = 8;

/// A length by which transformations show whether they keep lengths.
const PROBE: usize = 1_000;

/// Leaves what is in both; whether that is anything.
pub fn intersect(set: &mut [u64], other: &[u64]) -> bool {
    let mut left = 0;
    for (set, other) in set.iter_mut().zip(other) {
        *set &= other;
        left |= *set;
    }
    left != 0
}

/// Takes away what is in `taken`.
pub fn remove(set: &mut [u64], taken: &[u64]) {
    for (set, taken) in set.iter_mut().zip(taken) {
        *set &= !taken;
    }
}

/// Adds what is in `more`.
pub fn unite(all: &mut [u64], more: &[u64]) {
    for (all, more) in all.iter_mut().zip(more) {
        *all |= more;
    }
}
