//! Lanes at run time: which values a rule's targets have, gathered and transformed once a phase.

use super::transaction::Transaction;
use super::values::ValueId;
use crate::ruleset::prefilter::PatternId;
use crate::ruleset::{LaneId, RuleIndex, Ruleset, Selector, Slot, Target, TargetSet};
use crate::variable::Variable;
use std::ops::Range;

/// What is known of a lane in the present phase.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LaneState {
    /// The phase for which it was gathered; 0 for none.
    phase: u8,
    start: u32,
    end: u32,
    /// Place of the set of patterns that may match any of its values, and one more; 0 while it is not known.
    candidates: u32,
}

/// A value of a target.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneValue {
    /// The variable it belongs to.
    pub(super) variable: Variable,
    /// The member's name; [`ValueId::NONE`] for scalars.
    pub(super) name: ValueId,
    /// The value as it came.
    pub(super) raw: ValueId,
    /// The value after the lane's transformations.
    pub(super) value: ValueId,
    /// It is a number of values (`&`).
    pub(super) count: bool,
}

/// A value that an operator matched.
#[derive(Clone, Debug)]
pub(super) struct Matched {
    /// Where the value stands.
    pub(super) at: LaneValue,
    /// The value that the operator saw.
    pub(super) value: ValueId,
    /// Which bytes of it matched.
    pub(super) range: Option<Range<usize>>,
}

impl Transaction {
    /// Forgets all lanes: a new phase may know more.
    pub(super) fn reset_lanes(&mut self) {
        self.lane_values.clear();
        self.lanes.fill(LaneState::default());
    }

    /// Forgets all lanes but the one whose values are being looked at: what they were gathered from has grown. Their
    /// values stay where they are until the phase ends, since positions must not move.
    pub(super) fn reset_lanes_but(&mut self, id: LaneId) {
        let kept = self.lanes[usize::from(id.0)];
        self.lanes.fill(LaneState::default());
        self.lanes[usize::from(id.0)] = kept;
    }

    /// The values of `lane` for the rule at `rule`, as positions in `lane_values`. Values that are gathered for
    /// this one evaluation stand at the end of it; cut it back to `lane_mark` afterwards.
    pub(super) fn lane(&mut self, ruleset: &Ruleset, id: LaneId, rule: RuleIndex) -> Range<usize> {
        let lane = ruleset.lane(id);
        let state = self.lanes[usize::from(id.0)];
        let restricted = self.removed_targets.iter().any(|(r, _)| *r == rule);
        if state.phase == self.phase && !restricted {
            return state.start as usize..state.end as usize;
        }
        let start = self.lane_values.len();
        if restricted {
            let removed = std::mem::take(&mut self.removed_targets);
            let here = removed.iter().filter(|(r, _)| *r == rule).map(|(_, target)| target);
            self.gather(ruleset, &lane.targets, &here.collect::<Vec<_>>());
            self.removed_targets = removed;
        } else {
            self.gather(ruleset, &lane.targets, &[]);
        }
        let chain = ruleset.chain(lane.chain);
        let mut lasting = true;
        for i in start..self.lane_values.len() {
            let raw = self.lane_values[i].raw;
            let value = if self.lane_values[i].count { raw } else { self.values.chain(ruleset, raw, chain) };
            lasting &= value.is_lasting();
            // What could not be kept is computed again by the one who asks.
            self.lane_values[i].value = if value.is_lasting() { value } else { ValueId::NONE };
        }
        let end = self.lane_values.len();
        if !lane.volatile && !restricted && lasting && self.values.keeps {
            self.lanes[usize::from(id.0)] =
                LaneState { phase: self.phase, start: start as u32, end: end as u32, candidates: 0 };
        }
        start..end
    }

    /// Whether what stands in `lane_values` for this lane must be cut off after use.
    pub(super) fn is_lane_kept(&self, id: LaneId, values: &Range<usize>) -> bool {
        let state = self.lanes[usize::from(id.0)];
        state.phase == self.phase && state.start as usize == values.start && state.end as usize == values.end
    }

    /// Whether `ctl` took the member `slot` of `TX` away from the rule at `rule`.
    pub(super) fn is_slot_removed(&self, ruleset: &Ruleset, rule: RuleIndex, slot: Slot) -> bool {
        self.removed_targets.iter().any(|(r, target)| {
            *r == rule
                && target.variable == Variable::Tx
                && match &target.selector {
                    Selector::Slot(removed) => *removed == slot,
                    selector => selector.selects(ruleset.slots.name(slot).as_bytes()),
                }
        })
    }

    /// Whether the prefilter rules out that a pattern matches `value`.
    pub(super) fn cannot_match(
        &mut self,
        ruleset: &Ruleset,
        value: ValueId,
        PatternId(n): PatternId,
    ) -> bool {
        let words = ruleset.prefilter.words();
        self.values.candidates(ruleset, value).is_some_and(|at| {
            self.values.candidate_words(at, words)[usize::from(n >> 6)] >> (n & 63) & 1 == 0
        })
    }

    /// Whether the prefilter rules out that a pattern matches any of the values of a lane. Known only of lanes that
    /// are kept; there, one set answers for all values and rules.
    pub(super) fn lane_cannot_match(
        &mut self,
        ruleset: &Ruleset,
        id: LaneId,
        PatternId(n): PatternId,
    ) -> bool {
        let state = self.lanes[usize::from(id.0)];
        if state.phase != self.phase {
            return false;
        }
        let words = ruleset.prefilter.words();
        let at = match state.candidates.checked_sub(1) {
            Some(at) => at as usize,
            None => {
                let mut places = smallvec::SmallVec::<[usize; 32]>::new();
                for i in state.start as usize..state.end as usize {
                    let value = self.lane_values[i].value;
                    places.extend(self.values.candidates(ruleset, value));
                }
                let at = self.values.union(places.into_iter(), words);
                self.lanes[usize::from(id.0)].candidates = at as u32 + 1;
                at
            }
        };
        self.values.candidate_words(at, words)[usize::from(n >> 6)] >> (n & 63) & 1 == 0
    }

    /// Appends the values of `targets` to `lane_values`, untransformed; `removed` are exclusions beside theirs.
    fn gather(&mut self, ruleset: &Ruleset, targets: &TargetSet, removed: &[&Target]) {
        let excluded = || targets.excluded.iter().chain(removed.iter().copied());
        for target in &targets.included {
            // A count of what is excluded as a whole is no 0, it is nothing: a rule that asks for the absence of
            // something would match otherwise.
            if target.count && excluded().any(|x| covers(x, target)) {
                continue;
            }
            let from = self.lane_values.len();
            self.resolve(ruleset, target);
            if !targets.excluded.is_empty() || !removed.is_empty() {
                let (values, lane_values) = (&self.values, &mut self.lane_values);
                retain_from(lane_values, from, |v| !excluded().any(|x| excludes(x, v, values)));
            }
            if target.count {
                let number = (self.lane_values.len() - from).to_string();
                self.lane_values.truncate(from);
                let raw = self.values.push(number.as_bytes());
                let name = match &target.selector {
                    Selector::Key(key) => self.values.push(key),
                    Selector::Slot(slot) => self.values.push(ruleset.slots.name(*slot).as_bytes()),
                    _ => ValueId::NONE,
                };
                self.lane_values.push(LaneValue {
                    variable: target.variable,
                    name,
                    raw,
                    value: raw,
                    count: true,
                });
            }
        }
    }

    /// The first value of `target`, for macros.
    pub(super) fn first_value(&mut self, ruleset: &Ruleset, target: &Target) -> Option<ValueId> {
        let from = self.lane_values.len();
        self.resolve(ruleset, target);
        let found = self.lane_values.len() - from;
        let value = if target.count {
            Some(self.values.push(found.to_string().as_bytes()))
        } else {
            self.lane_values.get(from).map(|v| v.raw)
        };
        self.lane_values.truncate(from);
        value
    }
}

/// Whether the exclusion `excluded` takes away all that `target` can select.
fn covers(excluded: &Target, target: &Target) -> bool {
    excluded.variable == target.variable
        && (matches!(excluded.selector, Selector::All)
            || excluded.written.eq_ignore_ascii_case(&target.written))
}

/// Whether the exclusion `target` takes `value` away. A whole variable is excluded by its name alone.
fn excludes(target: &Target, value: &LaneValue, values: &super::values::Values) -> bool {
    // As in ModSecurity 3, excluding a member of ARGS excludes its name as well.
    let names = matches!(target.selector, Selector::Key(_) | Selector::Regex(_))
        && target.variable == Variable::Args
        && value.variable == Variable::ArgsNames;
    if target.variable != value.variable && !names {
        return false;
    }
    match &target.selector {
        Selector::All => true,
        Selector::Key(_) | Selector::Regex(_) => {
            value.name.is_some() && target.selector.selects(values.get(value.name))
        }
        // Members of TX are named by their lower-case names; XPath expressions are compared as written.
        Selector::Slot(_) | Selector::XPath(..) => {
            value.name.is_some()
                && target
                    .written
                    .split_once(':')
                    .is_some_and(|(_, name)| name.as_bytes().eq_ignore_ascii_case(values.get(value.name)))
        }
    }
}

fn retain_from<T>(list: &mut Vec<T>, from: usize, keep: impl Fn(&T) -> bool) {
    let mut kept = from;
    for i in from..list.len() {
        if keep(&list[i]) {
            list.swap(kept, i);
            kept += 1;
        }
    }
    list.truncate(kept);
}
