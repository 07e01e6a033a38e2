//! Targets at run time: the values that a rule looks at. Those that stay the same through a phase are gathered once.

use super::transaction::Transaction;
use super::values::ValueId;
use crate::ruleset::{Ctl, RuleAction, RuleBits, RuleIndex, Ruleset, Selector, Slot, Target, TargetSet};
use crate::variable::Variable;
use std::ops::Range;

/// Where the values of a target stand that is gathered once a phase.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeptTarget {
    /// When it was gathered; of another time, it counts for nothing.
    time: u32,
    start: u32,
    end: u32,
}

/// Values of a target: a range of those kept for the phase, or of those of one rule alone.
#[derive(Clone, Debug)]
pub(super) enum Gathered {
    /// Of `lane_values`.
    Kept(Range<u32>),
    /// Of `loose_values`.
    Loose(Range<u32>),
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
    /// It is a number of values (`&`).
    pub(super) count: bool,
}

/// A target that `ctl` took away from rules: the rule that did, and the number of the action.
#[derive(Clone, Copy, Debug)]
pub(super) struct RemovedTarget {
    pub(super) by: RuleIndex,
    pub(super) number: usize,
}

impl RemovedTarget {
    /// The rules, and the target.
    fn of(self, ruleset: &Ruleset) -> Option<(&RuleBits, &Target)> {
        match ruleset.rule(self.by).actions.get(self.number)? {
            RuleAction::Ctl(Ctl::RemoveTarget(rules, target)) => Some((rules, target)),
            _ => None,
        }
    }
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
    /// The link whose operator saw it, once that is known.
    pub(super) link: Option<RuleIndex>,
}

impl Transaction {
    /// Forgets all values: a new phase may know more.
    pub(super) fn begin_targets(&mut self) {
        self.lane_values.clear();
        self.target_time += 1;
    }

    /// Gathers all targets again when they are next asked for: something has been added to what they are gathered
    /// from. What has been gathered stays where it is until the phase ends.
    pub(super) fn forget_targets(&mut self) {
        self.target_time += 1;
        self.sieve.forget();
    }

    /// The values of one target, untransformed, without regard to exclusions and to `&`.
    pub(super) fn gather_target(&mut self, ruleset: &Ruleset, target: &Target) -> Gathered {
        let from = self.lane_values.len();
        let Some(id) = target.id.filter(|_| self.values.keeps) else {
            self.resolve(ruleset, target);
            let start = self.loose_values.len() as u32;
            self.loose_values.extend(self.lane_values.drain(from..));
            return Gathered::Loose(start..self.loose_values.len() as u32);
        };
        let kept = self.kept_targets[usize::from(id.0)];
        if kept.time == self.target_time {
            return Gathered::Kept(kept.start..kept.end);
        }
        self.resolve(ruleset, target);
        let (start, end) = (from as u32, self.lane_values.len() as u32);
        self.kept_targets[usize::from(id.0)] = KeptTarget { time: self.target_time, start, end };
        Gathered::Kept(start..end)
    }

    /// The values of a gathered target.
    pub(super) fn all_gathered(&self, gathered: &Gathered) -> &[LaneValue] {
        let (values, range) = match gathered {
            Gathered::Kept(range) => (&self.lane_values, range),
            Gathered::Loose(range) => (&self.loose_values, range),
        };
        values.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    /// The value at a position of a gathered target.
    pub(super) fn gathered(&self, gathered: &Gathered, at: u32) -> LaneValue {
        match gathered {
            Gathered::Kept(_) => self.lane_values[at as usize],
            Gathered::Loose(_) => self.loose_values[at as usize],
        }
    }

    /// The values of the targets of the rule at `rule`. Exclusions have been applied where values were counted;
    /// elsewhere ask [`Self::is_excluded`].
    pub(super) fn gather(
        &mut self,
        ruleset: &Ruleset,
        targets: &TargetSet,
        rule: RuleIndex,
    ) -> smallvec::SmallVec<[Gathered; 8]> {
        self.loose_values.clear();
        let mut all = smallvec::SmallVec::new();
        for target in &targets.included {
            if !target.count {
                all.push(self.gather_target(ruleset, target));
                continue;
            }
            // A count of what is excluded as a whole is no 0, it is nothing: a rule that asks for the absence of
            // something would match otherwise.
            if self.exclusions(ruleset, targets, rule).any(|x| covers(x, target)) {
                continue;
            }
            let gathered = self.gather_target(ruleset, target);
            let range = gathered.range();
            let number = if self.has_exclusions(ruleset, targets, rule) {
                range
                    .filter(|at| !self.is_excluded(ruleset, targets, rule, &self.gathered(&gathered, *at)))
                    .count()
            } else {
                range.len()
            };
            let raw = self.number(number as i64);
            let name = match &target.selector {
                Selector::Key(key) => self.values.push(key),
                Selector::Slot(slot) => self.values.push(ruleset.slots.name(*slot).as_bytes()),
                _ => ValueId::NONE,
            };
            let start = self.loose_values.len() as u32;
            self.loose_values.push(LaneValue { variable: target.variable, name, raw, count: true });
            all.push(Gathered::Loose(start..start + 1));
        }
        all
    }

    /// Whether anything is excluded from what the rule at `rule` looks at.
    pub(super) fn has_exclusions(&self, ruleset: &Ruleset, targets: &TargetSet, rule: RuleIndex) -> bool {
        !targets.excluded.is_empty() || self.removed_from(ruleset, rule).next().is_some()
    }

    /// Whether `value` is excluded from what the rule at `rule` looks at, by the rule itself or by `ctl`.
    pub(super) fn is_excluded(
        &self,
        ruleset: &Ruleset,
        targets: &TargetSet,
        rule: RuleIndex,
        value: &LaneValue,
    ) -> bool {
        self.exclusions(ruleset, targets, rule).any(|x| excludes(x, value, &self.values))
    }

    fn exclusions<'a>(
        &'a self,
        ruleset: &'a Ruleset,
        targets: &'a TargetSet,
        rule: RuleIndex,
    ) -> impl Iterator<Item = &'a Target> {
        targets.excluded.iter().chain(self.removed_from(ruleset, rule))
    }

    /// What `ctl` took away from the rule at `rule`.
    fn removed_from<'a>(&'a self, ruleset: &'a Ruleset, rule: RuleIndex) -> impl Iterator<Item = &'a Target> {
        self.removed_targets.iter().filter_map(move |removed| {
            let (rules, target) = removed.of(ruleset)?;
            rules.has(rule).then_some(target)
        })
    }

    /// Whether `ctl` took the member `slot` of `TX` away from the rule at `rule`.
    pub(super) fn is_slot_removed(&self, ruleset: &Ruleset, rule: RuleIndex, slot: Slot) -> bool {
        self.tx_removed
            && self.removed_from(ruleset, rule).any(|target| {
                target.variable == Variable::Tx
                    && match &target.selector {
                        Selector::Slot(removed) => *removed == slot,
                        selector => selector.selects(ruleset.slots.name(slot).as_bytes()),
                    }
            })
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

impl Gathered {
    /// The positions of the values.
    pub(super) fn range(&self) -> Range<u32> {
        match self {
            Gathered::Kept(range) | Gathered::Loose(range) => range.clone(),
        }
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
        Selector::Key(_) | Selector::Regex(_) | Selector::SlotRegex(..) => {
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
