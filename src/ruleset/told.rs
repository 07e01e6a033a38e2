//! What the classes of values' bytes tell of a group's rules, each mixture asked for once.

use super::classes::{ALL_CLASSES, ClassMask};
use super::prefilter::LISTS;
use super::sieve::Group;
use smallvec::SmallVec;

/// What mixtures of classes tell, as far as a group was asked.
#[derive(Default)]
pub struct Told {
    masks: SmallVec<[ClassMask; 8]>,
    /// For each of them the rules that do not need other classes, and for each list those for which it is met.
    sets: Vec<u64>,
}

impl Told {
    /// Forgets what another group, or none, was asked for.
    pub fn clear(&mut self) {
        self.masks.clear();
        self.sets.clear();
    }

    /// What values of these classes tell: the rules of the group that do not need others, and for each list, one after the
    /// other, those that need not be looked for, since they do not have the list, or a class meets it.
    pub fn of(&mut self, group: &Group, mask: ClassMask) -> &[u64] {
        let mask = mask & ALL_CLASSES;
        let known = self.masks.iter().position(|known| *known == mask);
        let at = known.unwrap_or_else(|| {
            self.masks.push(mask);
            group.prefilters[usize::from(Group::alphabet(mask))].tell(mask, &mut self.sets);
            self.masks.len() - 1
        });
        let length = (1 + LISTS) * group.words();
        &self.sets[at * length..][..length]
    }
}
