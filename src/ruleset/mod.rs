//! The immutable, compiled form of all rule text that one site uses.
//!
//! Must not know rule text: only [`crate::compile`] makes rulesets.

/// `SecRuleEngine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Rules are evaluated and may disrupt.
    On,
    /// Rules are evaluated; disruptive actions are reported and not carried out.
    DetectionOnly,
    /// Rules are not evaluated.
    Off,
}

/// A compiled ruleset.
#[derive(Debug)]
pub struct Ruleset {}
