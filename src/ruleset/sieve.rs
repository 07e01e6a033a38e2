//! Which rules of a phase can match at all, told for all of them at once.
//!
//! Most rules ask a pattern about values, and nearly all of them find nothing. A [`Group`] holds what the patterns of
//! many such rules need; the engine passes each value of a phase through it once, and then walks past all rules that
//! no value can match. A group's rules are those of one phase that the same jumps lead past, such as those of a
//! paranoia level: what is jumped over is never asked about.

use super::plan::Plans;
use super::prefilter::{ALL_CLASSES, ALPHABETS, ClassMask, Prefilter};
use crate::transform::TransformId;

/// Rules of one phase that are sieved together. Each is known by its number in the group, its guard.
#[derive(Debug)]
pub struct Group {
    /// What the rules' patterns need, in values of each of [`ALPHABETS`].
    pub prefilters: [Prefilter; ALPHABETS.len()],
    /// For each guard the rule's position in the phase.
    pub positions: Box<[u32]>,
    /// What the rules look at.
    pub targets: Box<[GroupTarget]>,
    /// How to sieve values of each mixture of bytes.
    pub plans: Plans,
    /// How values look to the rules.
    pub views: Box<[View]>,
}

/// A target, and which rules look at it.
#[derive(Debug)]
pub struct GroupTarget {
    /// The target.
    pub target: super::Target,
    /// The guards.
    pub guards: Box<[u64]>,
}

/// A chain of transformations, as far as prefilters can tell its results apart: steps that change the case of
/// letters only are left out where nothing after them minds.
#[derive(Debug)]
pub struct View {
    /// The steps.
    pub steps: Box<[ViewStep]>,
    /// The guards of the rules that look at values so.
    pub guards: Box<[u64]>,
    /// Those of them that look at values in no other way.
    pub only: Box<[u64]>,
}

/// One step of a [`View`].
#[derive(Clone, Copy, Debug)]
pub struct ViewStep {
    /// Position in the ruleset's list of steps.
    pub column: u8,
    /// Values without any of these classes look as they are; `None` when any value may change.
    pub trigger: Option<ClassMask>,
    /// The classes that the result may have beside those of the value; `None` when it may have any.
    pub adds: Option<ClassMask>,
    /// What the step is.
    pub transform: TransformId,
}

/// The place of a rule in a [`Group`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The group among those of the phase.
    pub group: u8,
    /// Its number there.
    pub number: u16,
}

impl Group {
    /// Words of a set of guards.
    pub fn words(&self) -> usize {
        self.prefilters[0].words()
    }

    /// What the rules' patterns need in a value of these classes of bytes.
    pub fn prefilter(&self, mask: ClassMask) -> &Prefilter {
        let mask = mask & ALL_CLASSES;
        let fits = ALPHABETS.iter().position(|alphabet| mask & !alphabet == 0);
        &self.prefilters[fits.unwrap_or(ALPHABETS.len() - 1)]
    }
}
