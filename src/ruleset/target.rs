//! What rules look at: targets, sets of them, and lanes.
//!
//! A lane is a set of targets together with a chain of transformations; rules that look at the same things in the same
//! way share one. The values of a target are gathered once a phase, and what a step makes of a value is remembered.

use super::classes::ClassMask;
use super::template::Slot;
use crate::operator::{Found, NoLookup, Operator, Outcome};
use crate::transform::TransformId;
use crate::variable::Variable;
use std::sync::Arc;

/// Which members of a collection.
#[derive(Clone, Debug)]
pub enum Selector {
    /// All of them; for a scalar, its value.
    All,
    /// Those of this name, compared without regard to ASCII case.
    Key(Box<[u8]>),
    /// A member of `TX`.
    Slot(Slot),
    /// Those whose name matches (without regard to case, as in ModSecurity).
    Regex(Arc<dyn Operator>),
    /// The members of `TX` whose name matches: of those that have slots, these.
    SlotRegex(Arc<dyn Operator>, Box<[Slot]>),
    /// An XPath expression and the namespaces of `xmlns` actions, prefix and URI.
    XPath(Box<str>, Box<[(Box<str>, Box<str>)]>),
}

impl Selector {
    /// Whether a member called `name` is selected. Not for XPath or slots, which select otherwise.
    pub fn selects(&self, name: &[u8]) -> bool {
        match self {
            Selector::All => true,
            Selector::Key(key) => key.eq_ignore_ascii_case(name),
            Selector::Regex(pattern) | Selector::SlotRegex(pattern, _) => {
                pattern.evaluate(name, b"", &NoLookup, &mut Found::default()) == Outcome::Match
            }
            Selector::Slot(_) | Selector::XPath(..) => false,
        }
    }
}

/// `[&]VARIABLE[:selector]`.
#[derive(Clone, Debug)]
pub struct Target {
    /// The variable.
    pub variable: Variable,
    /// `&`: the number of values instead of the values.
    pub count: bool,
    /// Which members.
    pub selector: Selector,
    /// Its number among the targets whose values stay the same through a phase and are gathered once; `None` for
    /// all others.
    pub id: Option<TargetId>,
    /// As it was written, for names of matched values that have no member of their own.
    pub written: Box<str>,
}

/// Number of a target in a ruleset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId(pub u16);

/// All targets of a rule.
#[derive(Clone, Debug, Default)]
pub struct TargetSet {
    /// What is looked at, in order.
    pub included: Box<[Target]>,
    /// What is not, although it is included.
    pub excluded: Box<[Target]>,
}

/// A transformation in use by a ruleset, and which values it can change.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The transformation.
    pub transform: TransformId,
    /// Values without any of these classes of bytes stay as they are; `None` when any value may change.
    pub trigger: Option<ClassMask>,
    /// The classes that a changed value may have beside those it had; `None` when it may have any.
    pub adds: Option<ClassMask>,
    /// The classes that a changed value has no byte of.
    pub removes: ClassMask,
}

/// A chain of transformations, in order, as positions in the ruleset's list of [`Step`]s.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Chain(pub Box<[u8]>);

/// Index of a chain in a ruleset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainId(pub u16);

/// Index of a lane in a ruleset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId(pub u16);

/// A set of targets, seen through a chain of transformations.
#[derive(Clone, Debug)]
pub struct Lane {
    /// What is looked at.
    pub targets: TargetSet,
    /// What is done to each value.
    pub chain: ChainId,
    /// Whether the values of any target may change between two rules of a phase.
    pub volatile: bool,
}
