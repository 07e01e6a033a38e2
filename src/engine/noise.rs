//! Values of which there is no plan: what a plan would say is told for the value at hand alone.
//!
//! Mixtures of bytes that have not come before are what an attacker sends, and nothing that is made for them serves again.
//! So what bytes tell comes from tables that hold for all mixtures, and a step is only taken when a rule behind it may match
//! what bytes there may be.

use super::sift::{Visit, Walk};
use super::values::ValueId;
use crate::ruleset::classes::{ClassMask, any_case};
use crate::ruleset::plan::unite;
use crate::ruleset::{FEW_NODES, Group, Node};
use crate::transform::Marks;
use smallvec::SmallVec;

impl<const WORDS: usize> Walk<'_, WORDS> {
    /// Visits without a plan: does what a plan for values of the classes in `mask` would say.
    #[inline(never)]
    pub(super) fn visit_noise(&mut self, visit: Visit, mask: ClassMask) {
        let Visit { node, value, guards } = visit;
        let (words, group) = (self.words(), self.group);
        let marks = self.values.marks(value);
        let here = self.narrowed(guards, &group.nodes[usize::from(node)].reach);
        if group.nodes.len() > FEW_NODES {
            let behind = self.walk_unchanged(node, mask, marks, here);
            self.note_noise(value, mask, here);
            behind.into_iter().for_each(|node| self.take_noise(node, value, mask, guards));
            return;
        }
        let at = &group.nodes[usize::from(node)];
        let mut changing = group.changing(mask, marks) & at.subtree & !(1 << node);
        let mut behind = 0;
        // The first is behind none of the others.
        while changing != 0 {
            let first = &group.nodes[changing.trailing_zeros() as usize];
            behind |= changing & changing.wrapping_neg();
            changing &= !first.subtree;
            let rules = &mut self.sifter.sets[here..here + words];
            for (rules, behind) in rules.iter_mut().zip(&first.reach_alone) {
                *rules &= !behind;
            }
        }
        self.note_noise(value, mask, here);
        while behind != 0 {
            self.take_noise(behind.trailing_zeros() as u16, value, mask, guards);
            behind &= behind - 1;
        }
    }

    /// Takes the step to `node`, if any of the rules at `guards` may match what becomes of a value behind it.
    fn take_noise(&mut self, node: u16, value: ValueId, mask: ClassMask, guards: usize) {
        if let Some(guards) = self.concerned_behind_noise(node, value, mask, guards) {
            self.take(node, self.group.nodes[usize::from(node)].column, value, guards);
        }
    }

    /// The same for trees of many nodes: leaves of the rules at `here` those that look at the value as it is, and returns the
    /// steps that may change it.
    fn walk_unchanged(
        &mut self,
        node: u16,
        mask: ClassMask,
        marks: Marks,
        here: usize,
    ) -> SmallVec<[u16; 16]> {
        let group = self.group;
        let mut looking = SmallVec::<[u64; 16]>::from_elem(0, self.words());
        let (mut behind, mut same) = (SmallVec::new(), SmallVec::<[u16; 16]>::from_slice(&[node]));
        while let Some(node) = same.pop() {
            let at = &group.nodes[usize::from(node)];
            if !at.behind.may_change(mask) {
                unite(&mut looking, &at.reach);
                continue;
            }
            unite(&mut looking, &at.here);
            for &child in &at.children {
                let step = &group.nodes[usize::from(child)];
                let changes = step.may_change(mask) && step.wakes.is_none_or(|wakes| wakes.meets(marks));
                if changes { &mut behind } else { &mut same }.push(child);
            }
        }
        for (rules, looking) in self.set(here).iter_mut().zip(&looking) {
            *rules &= looking;
        }
        behind
    }

    /// Notes which of the rules at the end of `sets` look at a value of which there is no plan.
    fn note_noise(&mut self, value: ValueId, mask: ClassMask, set: usize) {
        let words = self.words();
        let alphabet = Group::alphabet(mask);
        let length = self.values.get(value).len();
        let prefilter = &self.group.prefilters[usize::from(alphabet)];
        if !prefilter.retain_long(length, self.set(set)) {
            self.sifter.sets.truncate(set);
            return;
        }
        let sets = &mut self.sifter.sets;
        let (permitted, met) = self.sifter.told.of(self.group, mask).split_at(words);
        let (mut any, mut sought) = (0, 0);
        for n in 0..words {
            let rules = &mut sets[set + n];
            *rules &= permitted[n];
            any |= *rules;
            sought |= *rules & !(met[n] & met[words + n]);
        }
        if any == 0 {
            self.sifter.sets.truncate(set);
            return;
        }
        if sought == 0 {
            self.keep(set);
            return;
        }
        let met = SmallVec::<[u64; 16]>::from_slice(met);
        if let Some(known) = self.form(value, alphabet) {
            self.join(known, set, words, &met);
        } else {
            self.add_form(alphabet, &met, value, set);
        }
    }

    /// Of the rules at `guards` those that may match what becomes of a value, of which there is no plan, behind `node`.
    fn concerned_behind_noise(
        &mut self,
        node: u16,
        value: ValueId,
        mask: ClassMask,
        guards: usize,
    ) -> Option<usize> {
        let step = &self.group.nodes[usize::from(node)];
        let set = self.concerned_behind(node, step.length, &step.reach, value, guards)?;
        let Some(present) = self.present_behind(step, value, mask) else { return Some(set) };
        let words = self.words();
        let all = any_case(present | step.behind.adds);
        let is_wild = step.behind.may_grow_wild(all);
        let permitted = self.sifter.told.of(self.group, all);
        let mut any = 0;
        let rules = &mut self.sifter.sets[set..set + words];
        for ((rules, permitted), wild) in rules.iter_mut().zip(permitted).zip(&step.behind.wild) {
            *rules &= if is_wild { permitted | wild } else { *permitted };
            any |= *rules;
        }
        if any != 0 {
            return Some(set);
        }
        self.sifter.sets.truncate(set);
        None
    }

    /// The classes that the result of a step may have; `None` when it may have any.
    fn present_behind(&mut self, step: &Node, value: ValueId, mask: ClassMask) -> Option<ClassMask> {
        if let Some(adds) = step.adds {
            return Some(mask | adds);
        }
        let (made, consumed) = step.made?;
        let decodes_otherwise =
            self.ruleset.settings.unicode_map.is_some() && self.ruleset.is_unicode_step(step.column);
        (!decodes_otherwise).then(|| self.values.foresee(value, step.column, made, consumed).classes)
    }
}
