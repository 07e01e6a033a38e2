//! The immutable, compiled form of all rule text that one site uses: rules as plain operations on interned
//! slots, targets with their lanes, actions, macro templates and settings.
//!
//! Must not know rule text: only [`crate::compile`] makes rulesets, and [`crate::engine`] runs them.

mod action;
mod class_table;
pub mod classes;
mod gates;
mod grams;
pub mod literals;
pub mod plan;
pub mod prefilter;
mod program;
mod rule;
pub mod seeker;
mod settings;
mod sieve;
mod strides;
mod target;
mod template;
mod told;
pub mod verdict;

pub use action::{
    Allow, AuditMode, CollectionRef, Ctl, Disruptive, Flow, PartsChange, RuleAction, RuleBits, Sanitise,
    SetOperation, SetTarget, SetVar, TxName,
};
pub use program::{Comparison, Gate, Phase, RuleIndex, Ruleset, ScoreSlots};
pub use rule::{Compare, Matcher, Operand, Rule, RuleMeta, Scan};
pub use settings::{BodyLimitAction, Mode, RelevantStatus, Settings};
pub use sieve::{ALWAYS, Behind, Changing, FEW_NODES, Group, GroupTarget, Guard, Node};
pub use target::{Chain, ChainId, Lane, LaneId, Selector, Step, Target, TargetId, TargetSet};
pub use template::{Piece, Slot, SlotNames, Template};
pub use told::Told;
