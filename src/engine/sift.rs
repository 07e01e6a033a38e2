//! One value through a group: which of the rules that look at it may match it.

use super::values::{ValueId, Values};
use crate::operator::{Found, NoLookup, Outcome};
use crate::ruleset::classes::ALPHABETS;
use crate::ruleset::plan::{Branch, Length, Plan, unite};
use crate::ruleset::prefilter::LISTS;
use crate::ruleset::{Group, Ruleset};

/// Memory for sieving a value, used again for the next.
#[derive(Default)]
pub(super) struct Sifter {
    /// What is still to be looked at.
    visits: Vec<Visit>,
    /// Texts that have to be looked through, each once however many ways lead to it.
    forms: Vec<Form>,
    /// Sets of rules, one after the other.
    sets: Vec<u64>,
    /// The rules that are left.
    left: Vec<u64>,
    found: Found,
}

/// A value at a node of a group's tree.
#[derive(Clone, Copy)]
struct Visit {
    node: u16,
    value: ValueId,
    /// Where the rules that are concerned stand in `sets`.
    guards: usize,
}

/// A text that some rules' literals are looked for in.
#[derive(Clone, Copy)]
struct Form {
    value: ValueId,
    alphabet: u8,
    /// Where the rules stand in `sets`, and behind them for each list those that need not be looked for.
    guards: usize,
}

impl Sifter {
    /// Of the rules that look at `id`, leaves those that may match it, and adds them to `candidates`.
    pub(super) fn sift(
        &mut self,
        values: &mut Values,
        ruleset: &Ruleset,
        group: &Group,
        id: ValueId,
        candidates: &mut [u64],
    ) {
        let words = group.words();
        self.visits.clear();
        self.forms.clear();
        self.sets.clear();
        self.left.clear();
        self.left.resize(words, 0);
        let looking = values.looking(id);
        self.sets.extend_from_slice(&values.sets_mut()[looking..looking + words]);
        self.visits.push(Visit { node: 0, value: id, guards: 0 });
        while let Some(visit) = self.visits.pop() {
            self.visit(values, ruleset, group, id, visit);
        }
        for n in 0..self.forms.len() {
            self.look_through(values, group, self.forms[n]);
        }
        values.sets_mut()[looking..looking + words].copy_from_slice(&self.left);
        unite(candidates, &self.left);
    }

    fn visit(&mut self, values: &mut Values, ruleset: &Ruleset, group: &Group, raw: ValueId, visit: Visit) {
        let Visit { node, value, guards } = visit;
        let plan = group.plans.get(group, node, values.mask(value));
        let Some(plan) = plan.as_ref() else { return };
        let length = values.get(value).len();
        if let Some(set) = self.concerned(group, plan, length, guards) {
            self.note(group, plan, value, set);
        }
        for branch in &plan.children {
            let Some(guards) = self.concerned_behind(group, branch, values.get(value), guards) else {
                continue;
            };
            let result = values.step(ruleset, value, branch.column);
            if result.is_lasting() {
                self.visits.push(Visit { node: branch.node, value: result, guards });
            } else {
                self.visit_fleeting(values, ruleset, group, raw, branch.node, guards);
            }
        }
    }

    /// A result for which there was no room is gone with the next transformation: what is behind it is made anew from
    /// the beginning.
    fn visit_fleeting(
        &mut self,
        values: &mut Values,
        ruleset: &Ruleset,
        group: &Group,
        raw: ValueId,
        node: u16,
        guards: usize,
    ) {
        let value = values.chain(ruleset, raw, &group.nodes[usize::from(node)].path);
        let plan = group.plans.get(group, node, values.mask(value));
        let Some(plan) = plan.as_ref() else { return };
        let length = values.get(value).len();
        if let Some(set) = self.concerned(group, plan, length, guards) {
            self.sets.extend_from_slice(&plan.met);
            self.look_through(values, group, Form { value, alphabet: plan.alphabet, guards: set });
        }
        for branch in &plan.children {
            if let Some(guards) = self.concerned_behind(group, branch, values.get(value), guards) {
                self.visit_fleeting(values, ruleset, group, raw, branch.node, guards);
            }
        }
    }

    /// Of the rules at `guards`, those that may match a value itself, as far as that can be told without looking
    /// through it; where they stand in `sets`.
    fn concerned(&mut self, group: &Group, plan: &Plan, length: usize, guards: usize) -> Option<usize> {
        let set = self.narrowed(guards, &plan.here);
        let prefilter = &group.prefilters[usize::from(plan.alphabet)];
        if prefilter.retain_long(length, &mut self.sets[set..]) {
            return Some(set);
        }
        self.sets.truncate(set);
        None
    }

    /// Of the rules at `guards`, those that may match what becomes of a value behind `branch`.
    fn concerned_behind(
        &mut self,
        group: &Group,
        branch: &Branch,
        value: &[u8],
        guards: usize,
    ) -> Option<usize> {
        let set = self.narrowed(guards, &branch.guards);
        let longest = match (branch.length, group.nodes[usize::from(branch.node)].transform) {
            (Length::Any, _) | (_, None) => usize::MAX,
            (Length::Kept, _) => value.len(),
            (Length::Shrunk, Some(step)) => step.longest_for(value).unwrap_or(usize::MAX),
        };
        if group.prefilters[ANY_ALPHABET].retain_long(longest, &mut self.sets[set..]) {
            return Some(set);
        }
        self.sets.truncate(set);
        None
    }

    /// Of the rules at `guards` those in `others` that are not left already, at the end of `sets`.
    fn narrowed(&mut self, guards: usize, others: &[u64]) -> usize {
        let set = self.sets.len();
        let words = others.len();
        self.sets.resize(set + words, 0);
        let (known, new) = self.sets.split_at_mut(set);
        let known = &known[guards..guards + words];
        for (((new, known), other), left) in new.iter_mut().zip(known).zip(others).zip(&self.left) {
            *new = known & other & !left;
        }
        set
    }

    /// Notes that the rules at the end of `sets` look at a value, unless nothing has to be looked for.
    fn note(&mut self, group: &Group, plan: &Plan, value: ValueId, set: usize) {
        let words = group.words();
        let sought =
            self.sets[set..].iter().zip(&plan.sought).fold(0, |any, (set, sought)| any | set & sought);
        if sought == 0 {
            unite(&mut self.left, &self.sets[set..]);
            self.sets.truncate(set);
        } else if let Some(known) = self.forms.iter().find(|form| form.value == value) {
            let (before, new) = self.sets.split_at_mut(set);
            unite(&mut before[known.guards..known.guards + words], new);
            self.sets.truncate(set);
        } else {
            self.sets.extend_from_slice(&plan.met);
            self.forms.push(Form { value, alphabet: plan.alphabet, guards: set });
        }
    }

    fn look_through(&mut self, values: &Values, group: &Group, form: Form) {
        let words = group.words();
        let (set, rest) = self.sets[form.guards..].split_at_mut(words);
        let met = &mut rest[..LISTS * words];
        let (prefilter, value) = (&group.prefilters[usize::from(form.alphabet)], values.get(form.value));
        if value.len() < LONG || !prefilter.retain_alone(value, met, set) {
            prefilter.retain_found(value, met, set);
        } else {
            ask(group, value, set, &mut self.found);
        }
        unite(&mut self.left, set);
    }
}

/// Takes from `set`, which are few rules, those that say that they do not match.
fn ask(group: &Group, value: &[u8], set: &mut [u64], found: &mut Found) {
    found.only_answer = true;
    for (word, rules) in set.iter_mut().enumerate() {
        let mut rest = *rules;
        while rest != 0 {
            let number = word * 64 + rest.trailing_zeros() as usize;
            if let Some(operator) = &group.operators[number]
                && operator.evaluate(value, b"", &NoLookup, found) == Outcome::NoMatch
            {
                *rules &= !(rest & rest.wrapping_neg());
            }
            rest &= rest - 1;
        }
    }
}

/// Bytes from which on a value is looked through for a few rules in their own ways.
const LONG: usize = 96;

/// The alphabet of all bytes.
const ANY_ALPHABET: usize = ALPHABETS.len() - 1;
