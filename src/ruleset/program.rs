//! The ruleset as a whole.

use super::rule::{Compare, Rule};
use super::settings::Settings;
use super::sieve::{Group, Guard};
use super::target::{Chain, ChainId, Lane, LaneId, Step};
use super::template::{Slot, SlotNames};

/// Index of a rule, or of a link of a chain, in a ruleset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleIndex(pub u32);

/// The rules of one phase, heads of chains only, in the order in which they are evaluated.
#[derive(Debug, Default)]
pub struct Phase {
    /// The rules.
    pub rules: Box<[RuleIndex]>,
    /// For each rule, whether it is a comparison in `TX` that leads elsewhere and leaves nothing behind.
    pub gates: Box<[Option<Gate>]>,
    /// For each rule its guard; rules without one are evaluated whatever the values are.
    pub guards: Box<[Option<Guard>]>,
    /// Rules with guards, sieved together.
    pub groups: Box<[Group]>,
}

/// A comparison of a member of `TX` with a number that does nothing but jump. CRS has two hundred of them in a phase,
/// for its paranoia levels.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// What is compared.
    pub asks: Comparison,
    /// The position in the phase to go on at.
    pub to: u32,
}

/// A member of `TX` beside a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Comparison {
    /// The member.
    pub slot: Slot,
    /// How it is compared.
    pub compare: Compare,
    /// With what.
    pub number: i64,
    /// `!`
    pub negated: bool,
}

/// A compiled ruleset. Immutable; share it in an `Arc`.
#[derive(Debug)]
pub struct Ruleset {
    /// What directives set.
    pub settings: Settings,
    /// All rules and links of chains, in the order of the rule text.
    pub rules: Box<[Rule]>,
    /// Phases 1 to 5, at 0 to 4.
    pub phases: [Phase; 5],
    /// All lanes.
    pub lanes: Box<[Lane]>,
    /// All chains of transformations.
    pub chains: Box<[Chain]>,
    /// The transformations in use; a transaction's memo has a column for each.
    pub steps: Box<[Step]>,
    /// How many targets are gathered once a phase.
    pub kept_targets: usize,
    /// Names of `TX`'s slots.
    pub slots: SlotNames,
    /// Slots that CRS's scores and thresholds live in, for reports.
    pub score_slots: ScoreSlots,
    /// What is known of values that came by before.
    pub verdicts: super::verdict::Verdicts,
    /// How many rules of the rule text were removed by `SecRuleRemove…`.
    pub removed: usize,
}

/// Where scores and thresholds live.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScoreSlots {
    /// Inbound score: CRS 4's name, then CRS 3's.
    pub inbound: [Option<Slot>; 2],
    /// Outbound score: CRS 4's name, then CRS 3's.
    pub outbound: [Option<Slot>; 2],
    /// Inbound threshold.
    pub inbound_threshold: Option<Slot>,
    /// Outbound threshold.
    pub outbound_threshold: Option<Slot>,
}

impl Ruleset {
    /// The rule at `index`.
    pub fn rule(&self, index: RuleIndex) -> &Rule {
        &self.rules[index.0 as usize]
    }

    /// The lane `id`.
    pub fn lane(&self, id: LaneId) -> &Lane {
        &self.lanes[usize::from(id.0)]
    }

    /// The chain `id`.
    pub fn chain(&self, id: ChainId) -> &[u8] {
        &self.chains[usize::from(id.0)].0
    }

    /// Whether step `column` is `urlDecodeUni`, which `SecUnicodeMapFile` extends.
    pub fn is_unicode_step(&self, column: u8) -> bool {
        self.steps[usize::from(column)].transform.row().name == "urlDecodeUni"
    }

    /// Phase `number`, 1 to 5.
    pub fn phase(&self, number: u8) -> &Phase {
        &self.phases[usize::from(number) - 1]
    }
}
