//! Which members of `TX` are scores, and which rules only keep the books of them.
//!
//! Nothing here goes by ids. The score that blocks is known ([`Ruleset::score_slots`]); whatever rules add up and then
//! add to it is a score too, level by level; and a rule that looks at nothing but `TX` keeps books.

use crate::engine::{Sum, Trace, TracedRule};
use crate::ruleset::{
    Matcher, Piece, RuleIndex, Ruleset, SetOperation, SetTarget, Slot, Target, Template, TxName,
};
use crate::variable::Variable;
use std::collections::HashSet;

/// The scores of a ruleset.
#[derive(Clone, Debug, Default)]
pub struct Scoring {
    inbound: HashSet<Slot>,
    outbound: HashSet<Slot>,
}

/// What a rule added to a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contribution {
    pub(super) amount: i64,
    pub(super) outbound: bool,
    /// Whether it became part of the sum that blocks.
    pub(super) counted: bool,
}

impl Scoring {
    /// Reads off a ruleset what scores it has.
    pub fn of(ruleset: &Ruleset) -> Self {
        let mut flows: Vec<(Slot, Option<Slot>, bool)> = Vec::new();
        for set in ruleset.rules.iter().flat_map(|rule| &rule.set) {
            let SetTarget::Tx(TxName::Slot(to)) = set.target else { continue };
            match &set.operation {
                SetOperation::Add(amount) | SetOperation::Subtract(amount) => {
                    flows.push((to, source(amount), true));
                }
                SetOperation::Assign(value) => flows.push((to, source(value), false)),
                SetOperation::Unset => {}
            }
        }
        let summed: HashSet<Slot> = flows.iter().filter(|(.., adds)| *adds).map(|(to, ..)| *to).collect();
        let closure = |roots: [Option<Slot>; 2]| {
            let mut known: HashSet<Slot> = roots.into_iter().flatten().collect();
            loop {
                let more: Vec<Slot> = flows
                    .iter()
                    .filter(|(to, ..)| known.contains(to))
                    .filter_map(|(_, from, _)| *from)
                    .filter(|from| summed.contains(from) && !known.contains(from))
                    .collect();
                if more.is_empty() {
                    return known;
                }
                known.extend(more);
            }
        };
        let slots = ruleset.score_slots;
        let outbound = closure(slots.outbound);
        // A sum of both scores, as CRS 4 makes one to tell of it, makes the response's none of the request's.
        let inbound = closure(slots.inbound).difference(&outbound).copied().collect();
        Self { inbound, outbound }
    }

    /// Whether there are any: rules without scores decide one by one.
    pub fn is_empty(&self) -> bool {
        self.inbound.is_empty() && self.outbound.is_empty()
    }

    fn has(&self, slot: Slot) -> bool {
        self.inbound.contains(&slot) || self.outbound.contains(&slot)
    }

    /// What `rule` itself added to a score; not what it carried from one to another.
    pub(super) fn contribution(&self, rule: &TracedRule, counted: &HashSet<Slot>) -> Option<Contribution> {
        let own = |sum: &&Sum| self.has(sum.slot) && !sum.from.is_some_and(|from| self.has(from));
        let mut out: Option<Contribution> = None;
        for sum in rule.sums.iter().filter(own) {
            let outbound = !self.inbound.contains(&sum.slot);
            let is_counted = counted.contains(&sum.slot);
            let contribution = out.get_or_insert(Contribution { amount: 0, outbound, counted: is_counted });
            contribution.amount = contribution.amount.saturating_add(sum.amount);
            contribution.counted |= is_counted;
        }
        out.filter(|contribution| contribution.amount != 0)
    }

    /// The scores that became part of a sum that blocks, in this transaction. Before any sum was made, all of them.
    pub(super) fn counted(&self, ruleset: &Ruleset, trace: &Trace) -> HashSet<Slot> {
        let carried: Vec<(Slot, Slot)> = trace
            .rules
            .iter()
            .chain(&trace.unfinished)
            .flat_map(|rule| &rule.sums)
            .filter_map(|sum| Some((sum.slot, sum.from.filter(|from| self.has(*from))?)))
            .collect();
        let mut out = HashSet::new();
        for (roots, all) in
            [(ruleset.score_slots.inbound, &self.inbound), (ruleset.score_slots.outbound, &self.outbound)]
        {
            let mut known: HashSet<Slot> = roots.into_iter().flatten().collect();
            if !carried.iter().any(|(to, _)| known.contains(to)) {
                out.extend(all);
                continue;
            }
            loop {
                let more = carried.iter().find(|(to, from)| known.contains(to) && !known.contains(from));
                let Some((_, from)) = more else { break };
                known.insert(*from);
            }
            out.extend(known);
        }
        out
    }

    /// Whether a rule with all its links looks at nothing but `TX`, or at nothing.
    pub(super) fn keeps_books(ruleset: &Ruleset, head: RuleIndex) -> bool {
        links(ruleset, head).all(|link| match &ruleset.rule(link).matcher {
            Matcher::Always | Matcher::Slot { .. } => true,
            Matcher::Scan(scan) => {
                let targets = &ruleset.lane(scan.lane).targets.included;
                !targets.is_empty() && targets.iter().all(|t: &Target| t.variable == Variable::Tx)
            }
        })
    }

    /// Whether a rule decides by a score.
    pub(super) fn decides(&self, ruleset: &Ruleset, head: RuleIndex) -> bool {
        Self::keeps_books(ruleset, head)
            && links(ruleset, head).any(|link| match &ruleset.rule(link).matcher {
                Matcher::Slot { slot, .. } => self.has(*slot),
                _ => false,
            })
    }
}

/// A rule's links.
pub(super) fn links(ruleset: &Ruleset, head: RuleIndex) -> impl Iterator<Item = RuleIndex> + '_ {
    std::iter::successors(Some(head), |link| ruleset.rule(*link).next)
}

/// The member of `TX` that a text consists of.
fn source(template: &Template) -> Option<Slot> {
    match &*template.pieces {
        [Piece::Slot(slot)] => Some(*slot),
        _ => None,
    }
}
