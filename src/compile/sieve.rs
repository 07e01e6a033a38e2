//! Rules of a phase → groups that are sieved together.

use super::prefilter::{ConditionId, Conditioned};
use crate::ruleset::plan::Plans;
use crate::ruleset::prefilter::{ClassMask, Prefilter, any_case, class_of, mask_of_set};
use crate::ruleset::{
    Chain, Compare, Flow, Group, GroupTarget, Guard, Lane, Matcher, Operand, Phase, Rule, RuleIndex, Scan,
    Slot, Step, Target, View, ViewStep,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What groups are made from.
pub(super) struct Sieves<'a> {
    pub(super) rules: &'a [Rule],
    pub(super) lanes: &'a [Lane],
    pub(super) chains: &'a [Chain],
    pub(super) steps: &'a [Step],
    pub(super) conditions: &'a [Conditioned],
    /// For each rule, the condition of its operator.
    pub(super) condition_of: &'a [Option<ConditionId>],
}

/// A comparison whose rule jumps over others.
type Gate = (Slot, bool, Compare, i64, bool);

impl Sieves<'_> {
    /// The phase of these rules.
    pub(super) fn phase(&self, rules: Vec<RuleIndex>) -> Phase {
        let mut members: BTreeMap<BTreeSet<usize>, Vec<usize>> = BTreeMap::new();
        let gates = self.gates(&rules);
        for (position, index) in rules.iter().enumerate() {
            if self.guarded(*index).is_some() {
                let over: BTreeSet<usize> =
                    gates.iter().filter(|g| g.over.contains(&position)).map(|g| g.kind).collect();
                members.entry(over).or_default().push(position);
            }
        }
        let mut guards = vec![None; rules.len()];
        let mut groups = Vec::new();
        // Rules beyond what numbers can tell are evaluated whatever the values are.
        for positions in members.into_values().take(MAX_GROUPS) {
            let positions: Vec<usize> = positions.into_iter().take(MAX_GUARDS).collect();
            for (number, position) in positions.iter().enumerate() {
                guards[*position] = Some(Guard { group: groups.len() as u8, number: number as u16 });
            }
            groups.push(self.group(&rules, &positions));
        }
        Phase { rules: rules.into(), guards: guards.into(), groups: groups.into() }
    }

    /// The comparisons that jump over rules, each kind numbered.
    fn gates(&self, rules: &[RuleIndex]) -> Vec<Jump> {
        let mut kinds: HashMap<Gate, usize> = HashMap::new();
        let mut jumps = Vec::new();
        for (position, index) in rules.iter().enumerate() {
            let rule = &self.rules[index.0 as usize];
            let to = match rule.flow {
                Some(Flow::SkipTo(to)) => to as usize,
                Some(Flow::Skip(n)) => position + 1 + n as usize,
                None => continue,
            };
            let Matcher::Slot { slot, count, compare, operand: Operand::Number(number), negated } =
                &rule.matcher
            else {
                continue;
            };
            if rule.next.is_none() {
                let new = kinds.len();
                let kind = *kinds.entry((*slot, *count, *compare, *number, *negated)).or_insert(new);
                jumps.push(Jump { kind, over: position + 1..to });
            }
        }
        jumps
    }

    /// The scan and condition of a rule that a group may decide about.
    fn guarded(&self, index: RuleIndex) -> Option<(&Scan, &Conditioned)> {
        let Matcher::Scan(scan) = &self.rules[index.0 as usize].matcher else { return None };
        let ConditionId(condition) = (*self.condition_of.get(index.0 as usize)?)?;
        let lane = &self.lanes[usize::from(scan.lane.0)];
        let known = lane.targets.included.iter().all(|t| t.id.is_some() && !t.count);
        let decidable = known && !lane.volatile && !scan.negated && scan.argument.is_none();
        if !decidable {
            return None;
        }
        Some((scan, self.conditions.get(condition as usize)?))
    }

    fn group(&self, rules: &[RuleIndex], positions: &[usize]) -> Group {
        let words = positions.len().div_ceil(64);
        let mut conditions = Vec::new();
        let mut targets: Vec<GroupTarget> = Vec::new();
        let mut views: Vec<View> = Vec::new();
        let mut by_steps: HashMap<Vec<u8>, usize> = HashMap::new();
        // The views of each rule.
        let mut seen_in: Vec<Vec<usize>> = vec![Vec::new(); positions.len()];
        let mut by_target: HashMap<_, usize> = HashMap::new();
        for (number, position) in positions.iter().enumerate() {
            let Some((scan, condition)) = self.guarded(rules[*position]) else { continue };
            let (word, bit) = (number >> 6, 1 << (number & 63));
            conditions.push(condition);
            let lane = &self.lanes[usize::from(scan.lane.0)];
            for target in &lane.targets.included {
                let at = *by_target.entry(target.id).or_insert_with(|| {
                    targets.push(GroupTarget { target: plain(target), guards: vec![0; words].into() });
                    targets.len() - 1
                });
                targets[at].guards[word] |= bit;
            }
            let chain = &self.chains[usize::from(scan.steps.unwrap_or(lane.chain).0)].0;
            // With multiMatch, every step's result is looked at.
            let from = if scan.steps.is_some() { 0 } else { chain.len() };
            for end in from..=chain.len() {
                let steps = self.visible(&chain[..end]);
                let at = *by_steps.entry(steps).or_insert_with_key(|steps| {
                    views.push(self.view(steps, words));
                    views.len() - 1
                });
                views[at].guards[word] |= bit;
                if !seen_in[number].contains(&at) {
                    seen_in[number].push(at);
                }
            }
        }
        for (number, seen) in seen_in.iter().enumerate().filter(|(_, seen)| seen.len() == 1) {
            views[seen[0]].only[number >> 6] |= 1 << (number & 63);
        }
        Group {
            prefilters: std::array::from_fn(|alphabet| {
                Prefilter::new(&conditions.iter().map(|c| &c[alphabet]).collect::<Vec<_>>())
            }),
            positions: positions.iter().map(|p| *p as u32).collect(),
            targets: targets.into(),
            views: views.into(),
            plans: Plans::default(),
        }
    }

    /// A chain without the steps that prefilters do not see.
    fn visible(&self, chain: &[u8]) -> Vec<u8> {
        let mut seen = Vec::new();
        let mut blind = true;
        for &column in chain.iter().rev() {
            let transform = self.steps[usize::from(column)].transform;
            if blind && transform.changes_case_only() {
                continue;
            }
            seen.push(column);
            blind &= transform.ignores_case();
        }
        seen.reverse();
        seen
    }

    fn view(&self, steps: &[u8], words: usize) -> View {
        let mut blind = true;
        let mut view: Vec<ViewStep> = Vec::new();
        for &column in steps.iter().rev() {
            let Step { transform, trigger } = self.steps[usize::from(column)];
            // Prefilters do not see that letters become lower case, where nothing after it minds.
            let trigger =
                if blind && transform.only_lowers() { trigger.map(|t| t & !UPPER_CASE) } else { trigger };
            blind &= transform.ignores_case();
            let adds = transform.adds().map(|set| any_case(mask_of_set(&set)));
            view.push(ViewStep { column, trigger, adds, transform });
        }
        view.reverse();
        View { steps: view.into(), guards: vec![0; words].into(), only: vec![0; words].into() }
    }
}

/// The class of upper-case letters.
const UPPER_CASE: ClassMask = 1 << class_of(b'A');

/// A jump: which comparison, over which positions.
struct Jump {
    kind: usize,
    over: std::ops::Range<usize>,
}

/// The target without `&`, under whose number its values are kept.
fn plain(target: &Target) -> Target {
    Target { count: false, ..target.clone() }
}

/// Groups of a phase.
const MAX_GROUPS: usize = 64;
/// Rules of a group.
const MAX_GUARDS: usize = u16::MAX as usize;
