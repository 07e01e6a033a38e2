//! What a ruleset amounts to: facts for those who must know whether it protects them.

use super::draft::DraftRule;
use crate::ruleset::{Disruptive, Mode, SetOperation, SetTarget, SlotNames, Template, TxName};
use crate::syntax::ast;
use std::collections::BTreeMap;
use time::Date;

/// Facts about a ruleset. Numbers count rules, a chain as one.
#[derive(Clone, Debug, Default)]
pub struct Posture {
    /// All active rules.
    pub rules: usize,
    /// Active rules by phase, 1 to 5 at 0 to 4.
    pub by_phase: [usize; 5],
    /// Active rules by the paranoia level that their tag `paranoia-level/N` names.
    pub by_paranoia: BTreeMap<u8, usize>,
    /// Rules that disrupt by themselves (`deny`, `drop`, `redirect`).
    pub disruptive: usize,
    /// Ids of rules that `SecRuleRemove…` took away.
    pub removed: Vec<u64>,
    /// Ids of rules that `SecRuleUpdate…` changed.
    pub updated: Vec<u64>,
    /// Ids of rules whose patterns run on the backtracking engine.
    pub backtracking: Vec<u64>,
    /// `SecRuleEngine`.
    pub mode: Option<Mode>,
    /// Whether request bodies are inspected.
    pub request_body: bool,
    /// Whether response bodies are inspected.
    pub response_body: bool,
    /// Whether rules add up an anomaly score.
    pub scores: bool,
    /// The rule that blocks by the inbound score (949110 or its like), if it is active.
    pub inbound_blocking: Option<u64>,
    /// The rule that blocks by the outbound score (959100 or its like), if it is active.
    pub outbound_blocking: Option<u64>,
    /// The inbound threshold, where the rule text fixes it.
    pub inbound_threshold: Option<i64>,
    /// The outbound threshold, where the rule text fixes it.
    pub outbound_threshold: Option<i64>,
    /// The paranoia level that blocks, where the rule text fixes it.
    pub blocking_paranoia: Option<i64>,
    /// The paranoia level that detects, where the rule text fixes it.
    pub detection_paranoia: Option<i64>,
    /// `SecComponentSignature`s.
    pub components: Vec<String>,
    /// Virtual patches.
    pub patches: Vec<ast::Patch>,
}

impl Posture {
    /// The patches whose `review_by` is before `today`.
    pub fn past_review(&self, today: Date) -> impl Iterator<Item = &ast::Patch> {
        self.patches.iter().filter(move |patch| patch.review_by.node < today)
    }
}

impl Posture {
    /// Counts the rule, and reads off it what the posture tells.
    pub(super) fn count(&mut self, draft: &DraftRule, disruptive: Option<&Disruptive>, slots: &SlotNames) {
        self.rules += 1;
        self.by_phase[usize::from(draft.phase) - 1] += 1;
        let head = draft.head();
        let tag = |t: &Template| {
            t.as_text()
                .and_then(|t| std::str::from_utf8(t).ok()?.strip_prefix("paranoia-level/")?.parse().ok())
        };
        if let Some(level) = head.set.tags.iter().find_map(tag) {
            *self.by_paranoia.entry(level).or_default() += 1;
        }
        let disrupts =
            matches!(disruptive, Some(Disruptive::Deny | Disruptive::Drop | Disruptive::Redirect(_)));
        if disrupts {
            self.disruptive += 1;
        }
        let compared = head.targets.first().and_then(|t| match t.selector.as_ref().map(|s| &s.node) {
            Some(ast::Selector::Key(key)) if t.name.eq_ignore_ascii_case("tx") && !t.count => {
                Some(key.to_ascii_lowercase())
            }
            _ => None,
        });
        if disrupts && let Some(name) = compared {
            if name.contains("outbound") && name.ends_with("anomaly_score") {
                self.outbound_blocking = Some(draft.id);
            } else if name.ends_with("anomaly_score") {
                self.inbound_blocking = Some(draft.id);
            }
        }
        let unconditional = head.operator.is_none();
        for set in draft.links.iter().flat_map(|l| &l.set.set) {
            let SetTarget::Tx(TxName::Slot(slot)) = &set.target else { continue };
            let name = slots.name(*slot);
            self.scores |= name.contains("anomaly_score") && matches!(set.operation, SetOperation::Add(_));
            let SetOperation::Assign(value) = &set.operation else { continue };
            let number =
                value.as_text().and_then(|t| std::str::from_utf8(t).ok()?.trim().parse::<i64>().ok());
            let place = match name {
                "inbound_anomaly_score_threshold" => &mut self.inbound_threshold,
                "outbound_anomaly_score_threshold" => &mut self.outbound_threshold,
                "blocking_paranoia_level" | "paranoia_level" => &mut self.blocking_paranoia,
                "detection_paranoia_level" | "executing_paranoia_level" => &mut self.detection_paranoia,
                _ => continue,
            };
            // A rule with a condition gives a default: it counts only where nothing was set before it.
            if unconditional || place.is_none() {
                *place = number.or(*place);
            }
        }
    }
}
