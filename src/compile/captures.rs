//! Which rules' groups (`TX.1` to `TX.9`) anything reads.
//!
//! CRS has `capture` on most of its rules for the sake of `TX.0`. To tell what each group of a pattern took takes a second
//! search, which costs ten times as much for each byte as the first.

use crate::operator::Wanted;
use crate::ruleset::{
    Lane, Matcher, Operand, Piece, Rule, RuleAction, Scan, Selector, SetOperation, SetTarget, SetVar, Slot,
    Target, Template, TxName,
};
use crate::variable::Variable;

/// Lets rules leave out what their groups took, where that is read nowhere.
///
/// Each match of a rule with `capture` takes the place of what another captured. So what is read in a chain behind such a
/// rule is that rule's, and of no others; what is read without one before it in its chain may be any rule's.
pub(super) fn leave_out_groups(rules: &mut [Rule], lanes: &[Lane]) {
    let heads = heads(rules);
    let chain =
        |head: usize| std::iter::successors(Some(head), |at| rules[*at].next.map(|next| next.0 as usize));
    let mut needed = vec![false; rules.len()];
    for &head in &heads {
        let (mut captured, mut is_read, mut is_told) = (false, false, false);
        for rule in chain(head).map(|at| &rules[at]) {
            let looks = looks(rule, lanes);
            let had_captured = captured;
            captured |= captures(rule);
            let sets = sets(rule);
            if looks && !had_captured || sets && !captured {
                return;
            }
            is_read |= looks || sets;
            // That happens when all of the chain has matched.
            is_told |= tells(rule);
        }
        if is_told && !captured {
            return;
        }
        if is_read || is_told {
            chain(head).for_each(|at| needed[at] = true);
        }
    }
    for (rule, _) in rules.iter_mut().zip(needed).filter(|(_, needed)| !needed) {
        if let Matcher::Scan(Scan { capture: capture @ Wanted::Groups, .. }) = &mut rule.matcher {
            *capture = Wanted::Whole;
        }
    }
}

/// The rules that are no further links of a chain.
fn heads(rules: &[Rule]) -> Vec<usize> {
    let mut is_head = vec![true; rules.len()];
    for next in rules.iter().filter_map(|rule| rule.next) {
        is_head[next.0 as usize] = false;
    }
    (0..rules.len()).filter(|at| is_head[*at]).collect()
}

/// Whether a match of the rule takes the place of what was captured before.
fn captures(rule: &Rule) -> bool {
    matches!(&rule.matcher, Matcher::Scan(scan) if scan.capture != Wanted::Nothing && !scan.negated)
}

/// Whether it depends on groups whether the rule matches.
fn looks(rule: &Rule, lanes: &[Lane]) -> bool {
    match &rule.matcher {
        Matcher::Always => false,
        Matcher::Slot { slot, operand, .. } => {
            let operand = match operand {
                Operand::Number(_) => false,
                Operand::Slot(slot) => is_group(*slot),
                Operand::Template(template) => names(template),
            };
            is_group(*slot) || operand
        }
        Matcher::Scan(scan) => {
            let targets = &lanes[usize::from(scan.lane.0)].targets.included;
            targets.iter().any(selects) || scan.argument.as_ref().is_some_and(names)
        }
    }
}

/// Whether what the rule sets with each match depends on groups.
fn sets(rule: &Rule) -> bool {
    let changes = |set: &SetVar| match &set.operation {
        SetOperation::Add(_) | SetOperation::Subtract(_) => changes(&set.target),
        SetOperation::Assign(_) | SetOperation::Unset => false,
    };
    rule.set.iter().any(|set| changes(set) || set.templates().any(names))
}

/// Whether what is done and told once the whole chain has matched depends on groups.
fn tells(rule: &Rule) -> bool {
    let changes = |action: &RuleAction| match action {
        RuleAction::Expire(target, _) | RuleAction::Deprecate(target, ..) => changes(target),
        _ => false,
    };
    rule.templates_at_end().any(names) || rule.actions.iter().any(changes)
}

/// Whether what becomes of a member depends on what it was, and the member may be a group.
fn changes(target: &SetTarget) -> bool {
    match target {
        SetTarget::Tx(TxName::Slot(slot)) => is_group(*slot),
        // A group's name is one digit.
        SetTarget::Tx(TxName::Dynamic(name)) => {
            !matches!(&*name.pieces, [Piece::Text(text), ..] if text.len() > 1)
        }
        SetTarget::Collection(..) => false,
    }
}

fn names(template: &Template) -> bool {
    template.pieces.iter().any(|piece| match piece {
        Piece::Text(_) => false,
        Piece::Slot(slot) => is_group(*slot),
        Piece::Target(target) => selects(target),
    })
}

fn selects(target: &Target) -> bool {
    target.variable == Variable::Tx
        && match &target.selector {
            Selector::All => true,
            Selector::Slot(slot) => is_group(*slot),
            other => GROUPS.map(|n| [b'0' + n]).iter().any(|name| other.selects(name)),
        }
}

fn is_group(slot: Slot) -> bool {
    GROUPS.map(Slot::capture).contains(&slot)
}

/// The groups that `TX` has beside the whole match.
const GROUPS: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];
