//! Which rules of a phase can match at all, told for all of them at once.
//!
//! Most rules ask a pattern about values, and nearly all of them find nothing. A [`Group`] holds what the patterns of
//! many such rules need; the engine passes each value of a phase through it once, and then walks past all rules that
//! no value can match. A group's rules are those of one phase that the same jumps lead past, such as those of a
//! paranoia level: what is jumped over is never asked about.

use super::classes::{ALL_CLASSES, ALPHABETS, ClassMask};
use super::plan::Length;
use super::plan::Plans;
use super::prefilter::Prefilter;
use crate::operator::Operator;
use crate::transform::{ByteSet, Made, Marks, TransformId};
use std::sync::Arc;

/// Rules of one phase that are sieved together. Each is known by its number in the group, its guard.
#[derive(Debug)]
pub struct Group {
    /// Its number in the ruleset.
    pub id: u32,
    /// The comparison that all of the rules begin with. While it does not hold, none of them can match.
    pub only: Option<super::Comparison>,
    /// What the rules' patterns need, in values of each of [`ALPHABETS`].
    pub prefilters: [Prefilter; ALPHABETS.len()],
    /// For each guard the rule's position in the phase.
    pub positions: Box<[u32]>,
    /// All these positions, a bit each, but for those of negated operators: those rules are always evaluated, and the
    /// sieve tells them what their operators need not be asked.
    pub members: Box<[u64]>,
    /// What the rules look at.
    pub targets: Box<[GroupTarget]>,
    /// How to sieve values of each mixture of bytes.
    pub plans: Plans,
    /// How values look to the rules: a tree of transformations, the root first, and each node behind its parent.
    pub nodes: Box<[Node]>,
    /// What makes the steps of the tree change a value, each different thing once; empty where the tree has more than
    /// [`FEW_NODES`].
    pub changes: Box<[Changing]>,
    /// The operators of those rules that may be asked about a value as it stands in the tree: nothing has been left out
    /// on the way there, and their patterns are as quick as a look for literals.
    pub operators: Box<[Option<Arc<dyn Operator>>]>,
}

/// A target, and which rules look at it.
#[derive(Debug)]
pub struct GroupTarget {
    /// The target.
    pub target: super::Target,
    /// The guards.
    pub guards: Box<[u64]>,
}

/// What a value looks like after a chain of transformations, as far as prefilters can tell results apart: steps that
/// change the case of letters only are left out where nothing after them minds.
#[derive(Debug)]
pub struct Node {
    /// The last step, as a position in the ruleset's list of steps; of no meaning for the root.
    pub column: u8,
    /// Values without any of these classes look as they did before it; `None` when any value may change.
    pub trigger: Option<ClassMask>,
    /// The classes that the result may have beside those of the value; `None` when it may have any.
    pub adds: Option<ClassMask>,
    /// What is known of the length of the result and of all that becomes of it.
    pub length: Length,
    /// What tells of the bytes that the step makes, where that is much less work than the step, and the classes that the
    /// result has only where this tells so.
    pub made: Option<(Made, ClassMask)>,
    /// The bytes that the step leaves out, where it does nothing else ([`TransformId::omits`]).
    pub omits: Option<ByteSet>,
    /// Classes that a value must not have for what is known of echoes
    /// ([`TransformId::breaks_runs`]); `None` where nothing is known.
    pub breaks_runs: Option<ClassMask>,
    /// What the step is; nothing for the root.
    pub transform: Option<TransformId>,
    /// All steps from the root to here.
    pub path: Box<[u8]>,
    /// The guards of the rules that look at values so.
    pub here: Box<[u64]>,
    /// The nodes one step further.
    pub children: Box<[u16]>,
    /// The guards of the rules that look at values so, or at what becomes of them.
    pub reach: Box<[u64]>,
    /// The guards of the rules that look at nothing else.
    pub reach_alone: Box<[u64]>,
    /// This node and those behind it, a bit each; of no meaning where the tree has more than [`FEW_NODES`].
    pub subtree: u64,
    /// What may become of a value from here on.
    pub behind: Behind,
    /// The [marks](crate::transform::Marks) without all of which a value stays as it was before the step, or the step is
    /// of no consequence; `None` where they tell nothing.
    pub wakes: Option<Marks>,
}

/// What makes some of a tree's steps change a value.
#[derive(Clone, Debug)]
pub struct Changing {
    /// The classes without which a value stays as it is; [`ALWAYS`] where any value may change.
    pub trigger: ClassMask,
    /// The marks without which it does; all where they tell nothing.
    pub wakes: Marks,
    /// The nodes, a bit each.
    pub nodes: u64,
}

/// Nodes of a tree of which sets are a word.
pub const FEW_NODES: usize = 64;

/// What all that may become of a value from a node on has in common.
#[derive(Clone, Debug, Default)]
pub struct Behind {
    /// The classes that any of the steps can be triggered by; [`ALWAYS`] where one needs none.
    pub triggers: ClassMask,
    /// The classes that may be added by steps of which it is known what they add, as long as no other came before.
    pub adds: ClassMask,
    /// The classes that trigger the first of the others; [`ALWAYS`] where one needs none.
    pub wild_trigger: ClassMask,
    /// The guards of the rules that look at what becomes of a value behind such a step.
    pub wild: Box<[u64]>,
}

/// Triggers that even a value without any byte meets.
pub const ALWAYS: ClassMask = ClassMask::MAX;

impl Behind {
    /// Whether any of the steps can change a value of these classes.
    pub fn may_change(&self, mask: ClassMask) -> bool {
        is_triggered(self.triggers, mask)
    }

    /// Whether a value of these classes may come to have any bytes.
    pub fn may_grow_wild(&self, mask: ClassMask) -> bool {
        is_triggered(self.wild_trigger, mask)
    }
}

fn is_triggered(triggers: ClassMask, mask: ClassMask) -> bool {
    (triggers == ALWAYS) | (triggers & mask != 0)
}

/// The place of a rule in a [`Group`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The group among those of the phase.
    pub group: u8,
    /// Its number there.
    pub number: u16,
    /// The link of the rule's chain whose values are sieved, 0 for the first.
    pub link: u8,
    /// The operator is negated: where it cannot match, the rule does.
    pub negated: bool,
}

impl Group {
    /// The nodes whose steps can change a value of these classes that has these marks; of a tree of
    /// [`FEW_NODES`] at most.
    #[inline]
    pub fn changing(&self, mask: ClassMask, marks: Marks) -> u64 {
        // Without a branch: where this is asked, answers are as good as random.
        self.changes.iter().fold(0, |nodes, all| {
            let changes = is_triggered(all.trigger, mask) & all.wakes.meets(marks);
            nodes | all.nodes & u64::from(changes).wrapping_neg()
        })
    }

    /// Words of a set of guards.
    pub fn words(&self) -> usize {
        self.prefilters[0].words()
    }

    /// Which of the prefilters speaks of values of these classes: that of the smallest alphabet which has them all.
    pub fn alphabet(mask: ClassMask) -> u8 {
        let mask = mask & ALL_CLASSES;
        let fits = ALPHABETS.iter().position(|alphabet| mask & !alphabet == 0);
        fits.unwrap_or(ALPHABETS.len() - 1) as u8
    }
}
