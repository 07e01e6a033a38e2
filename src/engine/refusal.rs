//! What the engine itself refuses: bodies beyond their limits, and bodies that nobody can read.

use super::transaction::Transaction;
use super::{BodyStep, Decision, Disruption, Interruption};

/// A refusal with `status` in `phase`, by no rule.
pub(super) fn refusal(status: u16, phase: u8) -> Interruption {
    Interruption { disruption: Disruption::Deny, status, rule_id: 0, phase }
}

impl Transaction {
    /// Refuses a body, as far as the mode permits; otherwise what there is of it is inspected.
    pub(super) fn refuse_body(&mut self, interruption: Interruption) -> BodyStep {
        match self.decide(interruption) {
            Decision::Pass => BodyStep::LimitReached,
            Decision::Interrupt(interruption) => BodyStep::Interrupt(interruption),
        }
    }
}
