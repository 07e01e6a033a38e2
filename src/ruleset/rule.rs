//! One compiled rule.

use super::action::{Disruptive, Flow, RuleAction, Sanitise, SetVar};
use super::program::RuleIndex;
use super::target::LaneId;
use super::template::{Slot, Template};
use crate::operator::{Operator, Wanted};
use std::sync::Arc;

/// A compiled `SecRule` or `SecAction`, or one link of a chain.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The id; links of a chain have their first rule's.
    pub id: u64,
    /// The phase, 1 to 5.
    pub phase: u8,
    /// When it matches.
    pub matcher: Matcher,
    /// The next link of the chain.
    pub next: Option<RuleIndex>,
    /// Assignments, carried out for every value that matches.
    pub set: Box<[SetVar]>,
    /// Other actions, carried out once when the rule (with the rest of its chain) has matched.
    pub actions: Box<[RuleAction]>,
    /// Masking of what matched.
    pub sanitise: Box<[Sanitise]>,
    /// What disrupts, already resolved from `block` and the defaults; only at the head of a chain.
    pub disruptive: Option<Disruptive>,
    /// Where to go on; only at the head of a chain.
    pub flow: Option<Flow>,
    /// What is told about it.
    pub meta: Arc<RuleMeta>,
}

impl Rule {
    /// The texts with macros in what it does and tells, its chain left out.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.set.iter().flat_map(SetVar::templates).chain(self.templates_at_end())
    }

    /// Those of them that are made use of when the whole chain has matched.
    pub fn templates_at_end(&self) -> impl Iterator<Item = &Template> {
        let actions = self.actions.iter().flat_map(RuleAction::templates);
        let redirect = match &self.disruptive {
            Some(Disruptive::Redirect(url)) => Some(url),
            _ => None,
        };
        let meta = [&self.meta.message, &self.meta.data].into_iter().chain(&self.meta.dynamic_tags);
        actions.chain(redirect).chain(meta)
    }

    /// Whether a match does nothing but lead elsewhere: nothing is set, decided or told, and there is no chain. What it
    /// matched can be seen in `MATCHED_VAR` only.
    pub fn is_quiet(&self) -> bool {
        self.next.is_none()
            && self.set.is_empty()
            && self.actions.is_empty()
            && self.sanitise.is_empty()
            && matches!(self.disruptive, None | Some(Disruptive::Pass))
            && self.meta.severity.is_none()
            && !self.meta.log
            && !self.meta.auditlog
    }
}

/// When a rule matches.
#[derive(Clone, Debug)]
pub enum Matcher {
    /// Always (`SecAction`).
    Always,
    /// A comparison of one member of `TX` with a number: most of CRS's bookkeeping.
    Slot {
        /// The member.
        slot: Slot,
        /// The number of such members (0 or 1) instead of the value.
        count: bool,
        /// How it is compared.
        compare: Compare,
        /// With what.
        operand: Operand,
        /// `!`
        negated: bool,
    },
    /// An operator asked about the values of a lane.
    Scan(Scan),
}

/// The right side of a numeric comparison.
#[derive(Clone, Debug)]
pub enum Operand {
    /// A number.
    Number(i64),
    /// A member of `TX`, read as a number; 0 when it is not set.
    Slot(Slot),
    /// Other text with macros, read as a number.
    Template(Template),
}

/// A numeric comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compare {
    /// `@eq`
    Eq,
    /// `@ge`
    Ge,
    /// `@gt`
    Gt,
    /// `@le`
    Le,
    /// `@lt`
    Lt,
}

impl Compare {
    /// Compares `left` with `right`.
    pub fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Compare::Eq => left == right,
            Compare::Ge => left >= right,
            Compare::Gt => left > right,
            Compare::Le => left <= right,
            Compare::Lt => left < right,
        }
    }
}

/// An operator and the values it is asked about.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The values. With `multi_match` the lane holds them untransformed.
    pub lane: LaneId,
    /// The transformations, for `multi_match`; otherwise they are in the lane.
    pub steps: Option<super::ChainId>,
    /// The operator.
    pub operator: Arc<dyn Operator>,
    /// `!`
    pub negated: bool,
    /// The argument, when it holds macros.
    pub argument: Option<Template>,
    /// `capture`, and whether anything may read `TX.1` to `TX.9` of it.
    pub capture: Wanted,
}

/// What is told about a rule. Shared by the links of a chain.
#[derive(Clone, Debug)]
pub struct RuleMeta {
    /// `msg`
    pub message: Template,
    /// `logdata`
    pub data: Template,
    /// `severity`, 0 to 7.
    pub severity: Option<u8>,
    /// `tag`s without macros.
    pub tags: Arc<[String]>,
    /// `tag`s with macros.
    pub dynamic_tags: Box<[Template]>,
    /// `ver`
    pub version: String,
    /// `rev`
    pub revision: String,
    /// `maturity`
    pub maturity: Option<u8>,
    /// `accuracy`
    pub accuracy: Option<u8>,
    /// `status`, for `deny` and `redirect`.
    pub status: Option<u16>,
    /// `log` (not `nolog`)
    pub log: bool,
    /// `auditlog` (not `noauditlog`)
    pub auditlog: bool,
    /// The operator as written, cut to a bound, for messages.
    pub operator: Arc<str>,
    /// Likewise those of the chain's further links; empty where a link has none.
    pub further_operators: Box<[Arc<str>]>,
    /// The file.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
}
