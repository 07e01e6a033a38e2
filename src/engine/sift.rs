//! One value through a group: which of the rules that look at it may match it.

use super::forms::Form;
use super::values::{ValueId, Values};
use crate::operator::Found;
use crate::ruleset::classes::{ALPHABETS, any_case};
use crate::ruleset::plan::{self, Branch, Known, Length, Plan, ROOT, unite};
use crate::ruleset::{Group, Ruleset, Told};
use crate::transform::ByteSet;
use smallvec::SmallVec;
use std::sync::Arc;

/// Memory for sieving a value, used again for the next.
#[derive(Default)]
pub(super) struct Sifter {
    /// What is still to be looked at.
    visits: Vec<Visit>,
    /// Texts that have to be looked through, each once however many ways lead to it.
    pub(super) forms: Vec<Form>,
    /// How many of them have been.
    pub(super) done: usize,
    /// Steps that are taken if the text before them has an echo of what is looked for behind.
    deferred: Vec<Deferred>,
    /// What is to be looked for.
    pub(super) sought: Vec<u64>,
    /// Sets of rules, one after the other.
    pub(super) sets: Vec<u64>,
    /// The rules that are left.
    pub(super) left: Vec<u64>,
    /// What is known of values without a plan.
    pub(super) told: Told,
    pub(super) found: Found,
}

/// A value at a node of a group's tree.
#[derive(Clone, Copy)]
pub(super) struct Visit {
    pub(super) node: u16,
    pub(super) value: ValueId,
    /// Where the rules that are concerned stand in `sets`.
    pub(super) guards: usize,
}

/// What may come of a step.
enum Prospect {
    /// Nothing that any of the rules may match.
    Nothing,
    /// An echo in the value before it tells, for rules of this alphabet.
    Echo(u8),
    /// Anything.
    Unknown,
}

/// A step of which an echo tells whether it has to be taken.
#[derive(Clone, Copy)]
struct Deferred {
    value: ValueId,
    alphabet: u8,
    node: u16,
    column: u8,
    /// Where the rules behind it stand in `sets`.
    guards: usize,
}

impl Sifter {
    /// Whether few rules look at `id`, and its bytes alone tell that none of them can match; then none is left.
    pub(super) fn is_clear(&self, values: &mut Values, group: &Group, plans: &Known, id: ValueId) -> bool {
        let (looking, words) = (values.looking(id), group.words());
        let set = &values.sets()[looking..looking + words];
        if set.iter().map(|word| word.count_ones()).sum::<u32>() > FEW {
            return false;
        }
        let Some(plan) = group.plans.get(plans, group, ROOT, values.mask(id)) else { return false };
        let set = &mut values.sets_mut()[looking..looking + words];
        let is_clear = set.iter().zip(&plan.reach).all(|(set, reach)| set & reach == 0);
        if is_clear {
            set.fill(0);
        }
        is_clear
    }

    /// Of the rules that look at `id`, leaves those that may match it, and adds them to `candidates`. Returns whether there
    /// are any.
    pub(super) fn sift(
        &mut self,
        values: &mut Values,
        ruleset: &Ruleset,
        group: &Group,
        plans: &Known,
        id: ValueId,
        candidates: &mut [u64],
    ) -> bool {
        // Nearly all of the work is on short sets, which compilers unroll where they know the length.
        match group.words() {
            1 => Walk::<1> { sifter: self, values, ruleset, group, plans, raw: id }.walk(candidates),
            2 => Walk::<2> { sifter: self, values, ruleset, group, plans, raw: id }.walk(candidates),
            3 => Walk::<3> { sifter: self, values, ruleset, group, plans, raw: id }.walk(candidates),
            _ => Walk::<ANY_LENGTH> { sifter: self, values, ruleset, group, plans, raw: id }.walk(candidates),
        }
    }
}

/// A value on its way through a group whose sets of rules have so many words.
pub(super) struct Walk<'a, const WORDS: usize> {
    pub(super) sifter: &'a mut Sifter,
    pub(super) values: &'a mut Values,
    pub(super) ruleset: &'a Ruleset,
    pub(super) group: &'a Group,
    plans: &'a Known,
    /// The value as it came.
    raw: ValueId,
}

impl<const WORDS: usize> Walk<'_, WORDS> {
    /// Words of a set.
    #[inline(always)]
    pub(super) fn words(&self) -> usize {
        if WORDS == ANY_LENGTH { self.group.words() } else { WORDS }
    }

    /// The set that stands at `at`.
    #[inline(always)]
    pub(super) fn set(&mut self, at: usize) -> &mut [u64] {
        let words = self.words();
        &mut self.sifter.sets[at..at + words]
    }

    fn walk(&mut self, candidates: &mut [u64]) -> bool {
        let words = self.words();
        let sifter = &mut *self.sifter;
        sifter.visits.clear();
        sifter.forms.clear();
        sifter.deferred.clear();
        sifter.done = 0;
        sifter.sets.clear();
        sifter.left.clear();
        sifter.told.clear();
        sifter.left.resize(words, 0);
        let looking = self.values.looking(self.raw);
        sifter.sets.extend_from_slice(&self.values.sets_mut()[looking..looking + words]);
        sifter.visits.push(Visit { node: ROOT, value: self.raw, guards: 0 });
        loop {
            while let Some(visit) = self.sifter.visits.pop() {
                self.visit(visit);
            }
            let Some(form) = self.sifter.forms.get(self.sifter.done).copied() else { break };
            self.sifter.done += 1;
            self.look_through(form);
            self.follow_echoes(form);
        }
        self.values.sets_mut()[looking..looking + words].copy_from_slice(&self.sifter.left[..words]);
        unite(&mut candidates[..words], &self.sifter.left[..words]);
        self.sifter.left.iter().any(|word| *word != 0)
    }

    fn visit(&mut self, visit: Visit) {
        let Visit { node, value, guards } = visit;
        let mask = self.values.mask(value);
        let plan = match self.group.plans.get(self.plans, self.group, node, mask) {
            Some(plan) => plan,
            // To take all steps that none of its bytes asks for would cost more.
            None if node == ROOT && self.values.get(value).len() >= LONG => {
                plan::Found::New(Arc::new(Plan::new(self.group, node, mask)))
            }
            None => return self.visit_noise(visit, mask),
        };
        let plan = &*plan;
        if let Some(set) = self.concerned(plan, value, guards) {
            self.note(plan, value, set);
        }
        for branch in &plan.children {
            let Branch { node, length, .. } = *branch;
            let Some(guards) = self.concerned_behind(node, length, &branch.guards, value, guards) else {
                continue;
            };
            let is_echoed =
                self.set(guards).iter().zip(&branch.echoed).all(|(set, echoed)| set & !echoed == 0);
            let prospect =
                if is_echoed { Prospect::Echo(plan.alphabet) } else { self.foresee(branch, value, guards) };
            match prospect {
                Prospect::Nothing => self.sifter.sets.truncate(guards),
                Prospect::Echo(alphabet) => self.defer(alphabet, plan, branch, value, guards),
                Prospect::Unknown => self.take(node, branch.column, value, guards),
            }
        }
    }

    /// Takes the step to `node`, behind which are the rules at `guards`.
    pub(super) fn take(&mut self, node: u16, column: u8, value: ValueId, guards: usize) {
        let result = self.values.step(self.ruleset, value, column);
        if result.is_lasting() {
            self.sifter.visits.push(Visit { node, value: result, guards });
        } else {
            self.visit_fleeting(node, guards);
        }
    }

    /// What comes of the step to `branch`, going by the bytes that it would make. Leaves of the rules at the end of `sets`
    /// those that may match what becomes of `value` there.
    fn foresee(&mut self, branch: &Branch, value: ValueId, guards: usize) -> Prospect {
        let (group, ruleset) = (self.group, self.ruleset);
        let step = &group.nodes[usize::from(branch.node)];
        if let Some(gaps) = &step.omits
            && self.is_absent(gaps, branch, value, guards)
        {
            return Prospect::Nothing;
        }
        let Some((made, consumed)) = step.made else { return Prospect::Unknown };
        let decodes_otherwise =
            ruleset.settings.unicode_map.is_some() && ruleset.is_unicode_step(branch.column);
        if decodes_otherwise
            || self.values.get(value).len() < FORESEEN
            || self.values.has_taken(value, branch.column)
        {
            return Prospect::Unknown;
        }
        let foreseen = self.values.foresee(value, branch.column, made, consumed);
        let plan = group.plans.get_or_wider(self.plans, group, branch.node, foreseen.classes);
        let Some(plan) = plan else { return Prospect::Unknown };
        let set = self.set(guards);
        let (mut any, mut untold) = (0, 0);
        for ((set, reach), told) in set.iter_mut().zip(&plan.reach).zip(&plan.told) {
            *set &= reach;
            any |= *set;
            untold |= *set & !told;
        }
        if any == 0 {
            return Prospect::Nothing;
        }
        // Where no escape becomes a byte that a run has, a run in the result stood in the value.
        let keeps_others = step.breaks_runs.is_some_and(|breaks| breaks & !consumed == 0);
        if untold == 0 && keeps_others {
            let runs = group.prefilters[usize::from(plan.alphabet)].echo_classes(set);
            if runs.is_some_and(|runs| any_case(foreseen.made) & runs == 0) {
                return Prospect::Echo(plan.alphabet);
            }
        }
        Prospect::Unknown
    }

    /// Whether a step that only leaves out `gaps` leaves nothing that the rules at `guards` may match, as far as is soon told
    /// by looking past these bytes.
    fn is_absent(&mut self, gaps: &ByteSet, branch: &Branch, value: ValueId, guards: usize) -> bool {
        let group = self.group;
        if self.values.get(value).len() < FORESEEN || self.values.has_taken(value, branch.column) {
            return false;
        }
        let mask = self.values.mask(value);
        let Some(plan) = group.plans.get_or_wider(self.plans, group, branch.node, mask) else { return false };
        let words = self.words();
        let set = &mut self.sifter.sets[guards..guards + words];
        set.iter_mut().zip(&plan.reach).for_each(|(set, reach)| *set &= reach);
        let has = |others: &[u64]| set.iter().zip(others).any(|(set, others)| set & others != 0);
        let is_behind = plan.children.iter().any(|child| has(&child.guards));
        let prefilter = &group.prefilters[usize::from(plan.alphabet)];
        !is_behind && prefilter.is_absent(self.values.get(value), gaps, set, &plan.met)
    }

    /// Puts a step off until it is known whether `value` has an echo of what the rules at `guards` look for in values of
    /// this alphabet.
    fn defer(&mut self, alphabet: u8, plan: &Plan, branch: &Branch, value: ValueId, guards: usize) {
        let words = self.words();
        let form = match self.form(value, alphabet) {
            Some(form) => form.guards,
            None => {
                let set = self.sifter.sets.len();
                self.sifter.sets.resize(set + words, 0);
                // Of a form in another alphabet than the value's nothing but echoes is asked.
                self.add_form(alphabet, &plan.met, value, set)
            }
        };
        for n in 0..words {
            self.sifter.sets[form + words + n] |= self.sifter.sets[guards + n];
        }
        let Branch { node, column, .. } = *branch;
        self.sifter.deferred.push(Deferred { value, alphabet, node, column, guards });
    }

    /// Takes those steps that were put off and whose rules have left an echo in the text that was looked through.
    fn follow_echoes(&mut self, form: Form) {
        let words = self.words();
        let is_of = |deferred: &Deferred| deferred.value == form.value && deferred.alphabet == form.alphabet;
        while let Some(at) = self.sifter.deferred.iter().rposition(is_of) {
            let Deferred { value, node, column, guards, .. } = self.sifter.deferred.swap_remove(at);
            let mut any = 0;
            for n in 0..words {
                let heard = self.sifter.sets[form.guards + words + n];
                self.sifter.sets[guards + n] &= heard;
                any |= self.sifter.sets[guards + n];
            }
            if any != 0 {
                self.take(node, column, value, guards);
            }
        }
    }

    /// A result for which there was no room is gone with the next transformation: what is behind it is made anew from
    /// the beginning.
    fn visit_fleeting(&mut self, node: u16, guards: usize) {
        let group = self.group;
        let value = self.values.chain(self.ruleset, self.raw, &group.nodes[usize::from(node)].path);
        let mask = self.values.mask(value);
        let plan = group.plans.get_or_wider(self.plans, group, node, mask);
        let Some(plan) = plan.as_deref() else { return };
        if let Some(set) = self.concerned(plan, value, guards) {
            self.add_form(plan.alphabet, &plan.met, value, set);
            if let Some(form) = self.sifter.forms.pop() {
                self.look_through(form);
            }
        }
        // All that is asked of the value is asked before another takes its place.
        let mut behind = SmallVec::<[(u16, usize); 8]>::new();
        for branch in &plan.children {
            let Branch { node, length, .. } = *branch;
            if let Some(guards) = self.concerned_behind(node, length, &branch.guards, value, guards) {
                behind.push((node, guards));
            }
        }
        for (node, guards) in behind {
            self.visit_fleeting(node, guards);
        }
    }

    /// Of the rules at `guards`, those that may match a value itself, as far as that can be told without looking
    /// through it; where they stand in `sets`.
    fn concerned(&mut self, plan: &Plan, value: ValueId, guards: usize) -> Option<usize> {
        let set = self.narrowed(guards, &plan.here);
        let length = self.values.get(value).len();
        let prefilter = &self.group.prefilters[usize::from(plan.alphabet)];
        if prefilter.retain_long(length, self.set(set)) {
            return Some(set);
        }
        self.sifter.sets.truncate(set);
        None
    }

    /// Of the rules at `guards` those in `others` that may match what becomes of a value behind `node`.
    pub(super) fn concerned_behind(
        &mut self,
        node: u16,
        length: Length,
        others: &[u64],
        value: ValueId,
        guards: usize,
    ) -> Option<usize> {
        let group = self.group;
        let set = self.narrowed(guards, others);
        let value = self.values.get(value);
        let longest = match (length, group.nodes[usize::from(node)].transform) {
            (Length::Any, _) | (_, None) => usize::MAX,
            (Length::Kept, _) => value.len(),
            (Length::Shrunk, Some(step)) => step.longest_for(value).unwrap_or(usize::MAX),
        };
        if group.prefilters[ANY_ALPHABET].retain_long(longest, self.set(set)) {
            return Some(set);
        }
        self.sifter.sets.truncate(set);
        None
    }

    /// Of the rules at `guards` those in `others` that are not left already, at the end of `sets`.
    #[inline(always)]
    pub(super) fn narrowed(&mut self, guards: usize, others: &[u64]) -> usize {
        let words = self.words();
        let sets = &mut self.sifter.sets;
        let set = sets.len();
        sets.resize(set + words, 0);
        let (known, new) = sets.split_at_mut(set);
        let (new, known) = (&mut new[..words], &known[guards..guards + words]);
        let (others, left) = (&others[..words], &self.sifter.left[..words]);
        for n in 0..words {
            new[n] = known[n] & others[n] & !left[n];
        }
        set
    }
}

/// Bytes from which on it pays to foresee what decoding makes.
const FORESEEN: usize = 32;
/// Bytes from which on a value is looked through for a few rules in their own ways.
pub(super) const LONG: usize = 96;

/// Rules that are few.
const FEW: u32 = 4;
/// Stands for sets that are longer than most.
const ANY_LENGTH: usize = 0;

/// The alphabet of all bytes.
const ANY_ALPHABET: usize = ALPHABETS.len() - 1;
