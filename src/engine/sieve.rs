//! The walk through a phase: which rules are left once values have been sieved.

use super::sift::Sifter;
use super::transaction::Transaction;
use super::values::{Epoch, ValueId};
use crate::ruleset::verdict::{self, Key};
use crate::ruleset::{Group, Guard, Phase, Ruleset};

/// The rules of the present phase that are still to be evaluated.
#[derive(Default)]
pub(super) struct Sieve {
    /// Positions in the phase, a bit each.
    active: Vec<u64>,
    /// For each group of the phase, when its values were sieved; 0 while they have not been.
    epochs: Vec<Epoch>,
    last: Epoch,
    sifter: Sifter,
    /// The rules of a group that may match any of the values.
    candidates: Vec<u64>,
    /// Values of which nothing was known before.
    news: Vec<News>,
    /// The rules that looked at them, one set after the other.
    asked: Vec<u64>,
}

/// A value that may come again.
struct News {
    key: Key,
    value: ValueId,
    /// Where the rules that looked at it stand in `asked`.
    asked: usize,
    /// Where those stand that are left, among the values' sets.
    left: usize,
    words: usize,
}

impl Sieve {
    /// Nothing has been sieved yet: times count from the beginning, so that they never run out.
    pub(super) fn reset(&mut self) {
        self.last = 0;
    }

    /// All rules of `phase`.
    pub(super) fn begin(&mut self, phase: &Phase) {
        let rules = phase.rules.len();
        self.active.clear();
        self.active.resize(rules.div_ceil(64), u64::MAX);
        if let Some(last) = self.active.last_mut()
            && !rules.is_multiple_of(64)
        {
            *last = (1 << (rules % 64)) - 1;
        }
        self.epochs.clear();
        self.epochs.resize(phase.groups.len(), 0);
        self.news.clear();
        self.asked.clear();
    }

    /// What has been sieved no longer holds.
    pub(super) fn forget(&mut self) {
        self.active.fill(u64::MAX);
        self.epochs.fill(0);
    }

    /// The first position from `at` on that is left.
    pub(super) fn next(&self, at: usize) -> Option<usize> {
        let mut word = at / 64;
        let mut bits = self.active.get(word)? & (u64::MAX << (at % 64));
        while bits == 0 {
            word += 1;
            bits = *self.active.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }

    fn is_left(&self, position: usize) -> bool {
        self.active.get(position / 64).is_some_and(|word| word >> (position % 64) & 1 == 1)
    }

    /// When the values of a group were sieved.
    pub(super) fn epoch(&self, guard: Guard) -> Epoch {
        self.epochs.get(usize::from(guard.group)).copied().unwrap_or_default()
    }
}

impl Transaction {
    /// Whether the rule at `position`, whose guard this is, may match. Sieves the values of its group first, when
    /// that has not been done in this phase.
    pub(super) fn passes_sieve(
        &mut self,
        ruleset: &Ruleset,
        phase: &Phase,
        position: usize,
        guard: Guard,
    ) -> bool {
        if self.sieve.epoch(guard) == 0 {
            // Values are not sieved for rules of a paranoia level that is off. The level is asked for each rule, since a
            // rule may change it.
            if let Some(only) = phase.groups.get(usize::from(guard.group)).and_then(|group| group.only)
                && !self.tx_removed
                && !self.holds(only)
            {
                return false;
            }
            self.sieve_group(ruleset, phase, guard.group);
        }
        self.sieve.is_left(position)
    }

    fn sieve_group(&mut self, ruleset: &Ruleset, phase: &Phase, number: u8) {
        let Some(group) = phase.groups.get(usize::from(number)) else { return };
        self.sieve.last += 1;
        let epoch = self.sieve.last;
        self.sieve.epochs[usize::from(number)] = epoch;
        let mut seen = std::mem::take(&mut self.sieved_values);
        seen.clear();
        for looked_at in &group.targets {
            let gathered = self.gather_target(ruleset, &looked_at.target);
            for at in gathered.range() {
                let raw = self.gathered(&gathered, at).raw;
                if self.values.look(raw, epoch, &looked_at.guards) {
                    seen.push(raw);
                }
            }
        }
        let words = group.words();
        let mut candidates = std::mem::take(&mut self.sieve.candidates);
        candidates.clear();
        candidates.resize(words, 0);
        let plans = group.plans.known();
        for &raw in &seen {
            let is_told = self.sieve.sifter.is_clear(&mut self.values, group, &plans, raw)
                || self.recall(ruleset, group, raw, &mut candidates);
            if !is_told {
                let before = self.values.state(raw);
                let sifter = &mut self.sieve.sifter;
                let is_left = sifter.sift(&mut self.values, ruleset, group, &plans, raw, &mut candidates);
                // What became of a value that no rule may match is seldom asked for again. Among many values it is better
                // to have room.
                if let Some(before) = before.filter(|_| !is_left) {
                    self.values.forget(before);
                }
            }
        }
        self.sieved_values = seen;
        for (active, members) in self.sieve.active.iter_mut().zip(&group.members) {
            *active &= !members;
        }
        for (word, candidates) in candidates.iter().enumerate() {
            let mut rest = *candidates;
            while rest != 0 {
                let position = group.positions[word * 64 + rest.trailing_zeros() as usize] as usize;
                self.sieve.active[position / 64] |= 1 << (position % 64);
                rest &= rest - 1;
            }
        }
        self.sieve.candidates = candidates;
    }

    /// Whether the rules that look at `id` have all looked at such a value before; then leaves those that may match it,
    /// and adds them to `candidates`.
    fn recall(&mut self, ruleset: &Ruleset, group: &Group, id: ValueId, candidates: &mut [u64]) -> bool {
        let length = self.values.get(id).len();
        if !self.verdicts || length > verdict::LONGEST {
            return false;
        }
        let words = group.words();
        let key = Key::new(ruleset.verdicts.hash(self.values.get(id)), group.id);
        let known = ruleset.verdicts.get(key, self.values.get(id));
        let left = self.values.looking(id);
        let looking = &mut self.values.sets_mut()[left..left + words];
        if let Some(known) = known.as_ref().and_then(|known| known.as_ref())
            && looking.iter().zip(&known.asked).all(|(looking, asked)| looking & !asked == 0)
        {
            for ((looking, left), candidates) in looking.iter_mut().zip(&known.left).zip(candidates) {
                *looking &= left;
                *candidates |= *looking;
            }
            return true;
        }
        let asked = self.sieve.asked.len();
        self.sieve.asked.extend_from_slice(looking);
        self.sieve.news.push(News { key, value: id, asked, left, words });
        false
    }

    /// Remembers at the end of a phase what came of values that may come again.
    pub(super) fn remember_verdicts(&mut self, ruleset: &Ruleset) {
        for news in self.sieve.news.drain(..) {
            let asked = &self.sieve.asked[news.asked..news.asked + news.words];
            let left = &self.values.sets()[news.left..news.left + news.words];
            ruleset.verdicts.learn(news.key, self.values.get(news.value), asked, left);
        }
    }
}
