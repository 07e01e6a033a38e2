//! Texts that are looked through: each once for all rules that look at it, however many ways lead there.

use super::sift::{LONG, Sifter, Walk};
use super::values::ValueId;
use crate::operator::{Found, NoLookup, Outcome};
use crate::ruleset::Group;
use crate::ruleset::plan::{Plan, unite};
use crate::ruleset::prefilter::{ECHO, LISTS, ROWS};

/// A text that some rules' literals are looked for in.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub(super) value: ValueId,
    pub(super) alphabet: u8,
    /// Where the rules stand in `sets`, behind them those whose echo is looked for, and behind those for each row the
    /// rules that need not be looked for.
    pub(super) guards: usize,
}

impl<const WORDS: usize> Walk<'_, WORDS> {
    /// The text that is to be looked through as this value, for rules of this alphabet.
    pub(super) fn form(&self, value: ValueId, alphabet: u8) -> Option<Form> {
        let mut forms = self.sifter.forms[self.sifter.done..].iter().copied();
        forms.find(|form| form.value == value && form.alphabet == alphabet)
    }

    /// Makes a text to be looked through, for the rules at `set`, which is the end of `sets`.
    pub(super) fn add_form(&mut self, alphabet: u8, met: &[u64], value: ValueId, set: usize) -> usize {
        let words = self.words();
        let sets = &mut self.sifter.sets;
        sets.resize(set + 2 * words, 0);
        sets.extend_from_slice(met);
        sets.resize(set + (2 + ROWS) * words, u64::MAX);
        self.sifter.forms.push(Form { value, alphabet, guards: set });
        set
    }

    /// Notes that the rules at the end of `sets` look at a value, unless nothing has to be looked for.
    pub(super) fn note(&mut self, plan: &Plan, value: ValueId, set: usize) {
        let words = self.words();
        let sought = self.set(set).iter().zip(&plan.sought).fold(0, |any, (set, sought)| any | set & sought);
        if sought == 0 {
            self.keep(set);
        } else if let Some(known) = self.form(value, plan.alphabet) {
            self.join(known, set, words, &plan.met);
        } else {
            self.add_form(plan.alphabet, &plan.met, value, set);
        }
    }

    /// The rules at the end of `sets` may match.
    pub(super) fn keep(&mut self, set: usize) {
        let words = self.words();
        unite(&mut self.sifter.left[..words], &self.sifter.sets[set..set + words]);
        self.sifter.sets.truncate(set);
    }

    /// The rules at the end of `sets` look at a text that others look at too; `met` says of them, for each list, for which
    /// nothing has to be looked for.
    pub(super) fn join(&mut self, form: Form, set: usize, words: usize, met: &[u64]) {
        let (before, new) = self.sifter.sets.split_at_mut(set);
        unite(&mut before[form.guards..form.guards + words], new);
        unite(&mut before[form.guards + 2 * words..form.guards + (2 + LISTS) * words], met);
        self.sifter.sets.truncate(set);
    }

    /// Leaves of the rules of a form those that may match its text, and adds them to `left`; and of those whose echo is
    /// looked for those that have one.
    pub(super) fn look_through(&mut self, form: Form) {
        let (words, group) = (self.words(), self.group);
        let Sifter { sets, sought, left, found, .. } = &mut *self.sifter;
        let (rules, rest) = sets[form.guards..].split_at_mut(words);
        let (echoes, rest) = rest.split_at_mut(words);
        let met = &mut rest[..ROWS * words];
        let prefilter = &group.prefilters[usize::from(form.alphabet)];
        let value = self.values.get(form.value);
        sought.clear();
        for n in 0..words {
            sought.push(rules[n] | echoes[n]);
            met[ECHO * words + n] = !echoes[n];
            for list in 0..LISTS {
                met[list * words + n] |= !rules[n];
            }
        }
        prefilter.seek(value, sought, met);
        if sought.iter().any(|word| *word != 0) {
            let is_echo = sought.iter().zip(&*echoes).any(|(sought, echoes)| sought & echoes != 0);
            if value.len() >= LONG && !is_echo && prefilter.are_quick(sought) {
                for n in 0..words {
                    for list in 0..LISTS {
                        met[list * words + n] |= sought[n];
                    }
                    rules[n] &= !sought[n];
                }
                ask(group, value, sought, found);
                unite(rules, sought);
            } else {
                prefilter.find(value, sought, met);
            }
        }
        for n in 0..words {
            echoes[n] &= met[ECHO * words + n];
            for list in 0..LISTS {
                rules[n] &= met[list * words + n];
            }
        }
        unite(&mut left[..words], rules);
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
