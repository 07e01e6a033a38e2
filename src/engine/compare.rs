//! What two rulesets made of the same transaction, side by side.

use super::report::{Report, RuleHit};
use super::{AuditEngine, Interruption};
use std::collections::BTreeSet;

/// How the word of a candidate ruleset differs from that of the one which decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Difference {
    /// Both stop it, or both let it pass.
    Same,
    /// Only the candidate stops it.
    NewlyBlocked,
    /// Only the candidate lets it pass.
    NewlyPassed,
    /// The candidate lets pass what it was shown, and was not shown a request body that it asked for.
    Undecided,
}

impl Difference {
    /// Every kind.
    pub const ALL: [Difference; 4] =
        [Difference::Same, Difference::NewlyBlocked, Difference::NewlyPassed, Difference::Undecided];

    /// Whether a transaction that one ruleset has stopped (or would have, but for the mode) is stopped by the
    /// other. `is_complete` says that the candidate was shown all of the request that it asked for.
    pub fn of(is_stopped: bool, candidate_stops: bool, is_complete: bool) -> Self {
        match (is_stopped, candidate_stops) {
            (false, true) => Difference::NewlyBlocked,
            (true, true) => Difference::Same,
            (_, false) if !is_complete => Difference::Undecided,
            (false, false) => Difference::Same,
            (true, false) => Difference::NewlyPassed,
        }
    }

    /// A stable name in snake_case, a label value of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Difference::Same => "same",
            Difference::NewlyBlocked => "newly_blocked",
            Difference::NewlyPassed => "newly_passed",
            Difference::Undecided => "undecided",
        }
    }

    /// Whether the two would have treated the transaction differently.
    pub fn is_different(self) -> bool {
        matches!(self, Difference::NewlyBlocked | Difference::NewlyPassed)
    }
}

/// What a candidate ruleset made of a transaction that another one decided.
#[derive(Clone, Debug)]
pub struct Shadowed {
    /// How the two differ.
    pub difference: Difference,
    /// The candidate asked for the request's body, and it had not been taken in, or not to where the candidate would
    /// have read.
    pub request_body_missing: bool,
    /// The candidate asked for the response's body, and it had not been held back.
    pub response_body_missing: bool,
    /// The candidate's own report.
    pub report: Report,
}

impl Shadowed {
    /// Rules that matched under the candidate and not in `report`; of those that log.
    pub fn added<'a>(&'a self, report: &Report) -> impl Iterator<Item = &'a RuleHit> {
        let known: BTreeSet<u64> = report.logged().map(|hit| hit.id).collect();
        self.report.logged().filter(move |hit| !known.contains(&hit.id))
    }

    /// Ids of rules that matched in `report` and not under the candidate; of those that log.
    pub fn removed(&self, report: &Report) -> BTreeSet<u64> {
        let still: BTreeSet<u64> = self.report.logged().map(|hit| hit.id).collect();
        report.logged().map(|hit| hit.id).filter(|id| !still.contains(id)).collect()
    }
}

impl Report {
    /// What stopped the transaction, or would have but for the mode.
    pub fn stop(&self) -> Option<&Interruption> {
        self.decision.interruption().or(self.suppressed.as_ref())
    }

    /// The matches of rules that log.
    pub fn logged(&self) -> impl Iterator<Item = &RuleHit> {
        self.rules.iter().filter(|hit| hit.log || hit.auditlog)
    }

    /// Whether the transaction is to be written to the audit log because a candidate ruleset would have treated it
    /// otherwise, though nothing else asks for it. Where the ruleset wants no records at all there are none.
    pub fn is_told_by_shadow(&self) -> bool {
        let differs = self.shadow.as_ref().is_some_and(|shadow| shadow.difference.is_different());
        differs && !self.is_audited() && self.audit.engine != AuditEngine::Off
    }
}

#[cfg(test)]
mod tests {
    use super::Difference::{self, *};

    #[test]
    fn a_verdict_on_half_a_request_is_none_unless_it_stops() {
        for (stopped, candidate, complete, expected) in [
            (false, false, true, Same),
            (true, true, true, Same),
            (true, true, false, Same),
            (false, true, true, NewlyBlocked),
            (false, true, false, NewlyBlocked),
            (true, false, true, NewlyPassed),
            (true, false, false, Undecided),
            (false, false, false, Undecided),
        ] {
            let found = Difference::of(stopped, candidate, complete);
            assert_eq!(found, expected, "{stopped} {candidate} {complete}");
        }
    }
}
