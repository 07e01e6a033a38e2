//! One value through a group: which of the rules that look at it may match it.

use super::values::{ValueId, Values};
use crate::operator::{Found, NoLookup, Outcome};
use crate::ruleset::classes::ALPHABETS;
use crate::ruleset::plan::{Branch, Length, Plan, unite};
use crate::ruleset::prefilter::{ECHO, LISTS, ROWS};
use crate::ruleset::{Group, Ruleset};

/// Memory for sieving a value, used again for the next.
#[derive(Default)]
pub(super) struct Sifter {
    /// What is still to be looked at.
    visits: Vec<Visit>,
    /// Texts that have to be looked through, each once however many ways lead to it.
    forms: Vec<Form>,
    /// How many of them have been.
    done: usize,
    /// Steps that are taken if the text before them has an echo of what is looked for behind.
    deferred: Vec<Deferred>,
    /// What is to be looked for.
    sought: Vec<u64>,
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
    /// Where the rules stand in `sets`, behind them those whose echo is looked for, and behind those for each row the
    /// rules that need not be looked for.
    guards: usize,
}

/// A step of which an echo tells whether it has to be taken.
#[derive(Clone, Copy)]
struct Deferred {
    value: ValueId,
    node: u16,
    column: u8,
    /// Where the rules behind it stand in `sets`.
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
        self.deferred.clear();
        self.done = 0;
        self.sets.clear();
        self.left.clear();
        self.left.resize(words, 0);
        let looking = values.looking(id);
        self.sets.extend_from_slice(&values.sets_mut()[looking..looking + words]);
        self.visits.push(Visit { node: 0, value: id, guards: 0 });
        loop {
            while let Some(visit) = self.visits.pop() {
                self.visit(values, ruleset, group, id, visit);
            }
            let Some(form) = self.forms.get(self.done).copied() else { break };
            self.done += 1;
            self.look_through(values, group, form);
            self.follow_echoes(values, ruleset, group, id, form);
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
            let is_echoed =
                self.sets[guards..].iter().zip(&branch.echoed).all(|(set, echoed)| set & !echoed == 0);
            if is_echoed {
                self.defer(group, plan, branch, value, guards);
            } else if self.may_make(values, ruleset, group, branch, value, guards) {
                self.take(values, ruleset, group, raw, branch.node, branch.column, value, guards);
            } else {
                self.sets.truncate(guards);
            }
        }
    }

    /// Takes the step to `node`, behind which are the rules at `guards`.
    fn take(
        &mut self,
        values: &mut Values,
        ruleset: &Ruleset,
        group: &Group,
        raw: ValueId,
        node: u16,
        column: u8,
        value: ValueId,
        guards: usize,
    ) {
        let result = values.step(ruleset, value, column);
        if result.is_lasting() {
            self.visits.push(Visit { node, value: result, guards });
        } else {
            self.visit_fleeting(values, ruleset, group, raw, node, guards);
        }
    }

    /// Whether the rules at the end of `sets` may match what becomes of `value` behind `branch`, going by the bytes that
    /// the step would make. Leaves those that may.
    fn may_make(
        &mut self,
        values: &mut Values,
        ruleset: &Ruleset,
        group: &Group,
        branch: &Branch,
        value: ValueId,
        guards: usize,
    ) -> bool {
        let Some((made, consumed)) = group.nodes[usize::from(branch.node)].made else { return true };
        let decodes_otherwise =
            ruleset.settings.unicode_map.is_some() && ruleset.is_unicode_step(branch.column);
        if decodes_otherwise || values.get(value).len() < FORESEEN || values.has_taken(value, branch.column) {
            return true;
        }
        let classes = values.foresee(value, branch.column, made, consumed);
        let plan = group.plans.get(group, branch.node, classes);
        let Some(plan) = plan.as_ref() else { return true };
        let mut any = 0;
        for (set, reach) in self.sets[guards..].iter_mut().zip(&plan.reach) {
            *set &= reach;
            any |= *set;
        }
        any != 0
    }

    /// Puts a step off until it is known whether `value` has an echo of what the rules at `guards` look for.
    fn defer(&mut self, group: &Group, plan: &Plan, branch: &Branch, value: ValueId, guards: usize) {
        let words = group.words();
        let form = match self.form(value) {
            Some(form) => form.guards,
            None => {
                let set = self.sets.len();
                self.sets.resize(set + words, 0);
                self.add_form(plan, value, set)
            }
        };
        for n in 0..words {
            self.sets[form + words + n] |= self.sets[guards + n];
        }
        self.deferred.push(Deferred { value, node: branch.node, column: branch.column, guards });
    }

    /// Takes those steps that were put off and whose rules have left an echo in the text that was looked through.
    fn follow_echoes(
        &mut self,
        values: &mut Values,
        ruleset: &Ruleset,
        group: &Group,
        raw: ValueId,
        form: Form,
    ) {
        let words = group.words();
        while let Some(at) = self.deferred.iter().rposition(|deferred| deferred.value == form.value) {
            let Deferred { value, node, column, guards } = self.deferred.swap_remove(at);
            let mut any = 0;
            for n in 0..words {
                let heard = self.sets[form.guards + words + n];
                self.sets[guards + n] &= heard;
                any |= self.sets[guards + n];
            }
            if any != 0 {
                self.take(values, ruleset, group, raw, node, column, value, guards);
            }
        }
    }

    /// The text that is to be looked through as this value.
    fn form(&self, value: ValueId) -> Option<Form> {
        self.forms[self.done..].iter().copied().find(|form| form.value == value)
    }

    /// Makes a text to be looked through, for the rules at `set`, which is the end of `sets`.
    fn add_form(&mut self, plan: &Plan, value: ValueId, set: usize) -> usize {
        let words = plan.here.len();
        self.sets.resize(set + 2 * words, 0);
        self.sets.extend_from_slice(&plan.met);
        self.sets.resize(set + (2 + ROWS) * words, u64::MAX);
        self.forms.push(Form { value, alphabet: plan.alphabet, guards: set });
        set
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
            self.add_form(plan, value, set);
            if let Some(form) = self.forms.pop() {
                self.look_through(values, group, form);
            }
        }
        // All that is asked of the value is asked before another takes its place.
        let behind: smallvec::SmallVec<[(u16, usize); 8]> = plan
            .children
            .iter()
            .filter_map(|branch| {
                let guards = self.concerned_behind(group, branch, values.get(value), guards)?;
                Some((branch.node, guards))
            })
            .collect();
        for (node, guards) in behind {
            self.visit_fleeting(values, ruleset, group, raw, node, guards);
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
        } else if let Some(known) = self.form(value) {
            let (before, new) = self.sets.split_at_mut(set);
            unite(&mut before[known.guards..known.guards + words], new);
            self.sets.truncate(set);
        } else {
            self.add_form(plan, value, set);
        }
    }

    /// Leaves of the rules of a form those that may match its text, and adds them to `left`; and of those whose echo is
    /// looked for those that have one.
    fn look_through(&mut self, values: &Values, group: &Group, form: Form) {
        let words = group.words();
        let (rules, rest) = self.sets[form.guards..].split_at_mut(words);
        let (echoes, rest) = rest.split_at_mut(words);
        let met = &mut rest[..ROWS * words];
        let (prefilter, value) = (&group.prefilters[usize::from(form.alphabet)], values.get(form.value));
        self.sought.clear();
        for n in 0..words {
            self.sought.push(rules[n] | echoes[n]);
            met[ECHO * words + n] = !echoes[n];
            for list in 0..LISTS {
                met[list * words + n] |= !rules[n];
            }
        }
        prefilter.seek(value, &mut self.sought, met);
        if self.sought.iter().any(|word| *word != 0) {
            let is_echo = self.sought.iter().zip(&*echoes).any(|(sought, echoes)| sought & echoes != 0);
            if value.len() >= LONG && !is_echo && prefilter.are_quick(&self.sought) {
                for n in 0..words {
                    met[n] |= self.sought[n];
                    met[words + n] |= self.sought[n];
                    rules[n] &= !self.sought[n];
                }
                ask(group, value, &mut self.sought, &mut self.found);
                unite(rules, &self.sought);
            } else {
                prefilter.find(value, &self.sought, met);
            }
        }
        for n in 0..words {
            echoes[n] &= met[ECHO * words + n];
            for list in 0..LISTS {
                rules[n] &= met[list * words + n];
            }
        }
        unite(&mut self.left, rules);
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

/// Bytes from which on it pays to foresee what decoding makes.
const FORESEEN: usize = 32;
/// Bytes from which on a value is looked through for a few rules in their own ways.
const LONG: usize = 96;

/// The alphabet of all bytes.
const ANY_ALPHABET: usize = ALPHABETS.len() - 1;
