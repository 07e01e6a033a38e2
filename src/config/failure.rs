//! What happens to requests when Portcullis itself fails or is overwhelmed: reads `fail` and `overload`.

use super::document::{Data, Node};
use super::reader::{Section, lone_word};
use super::schema;
use crate::syntax::diagnostic::Diagnostics;
use std::time::Duration;

/// Failures inside Portcullis that are nobody's attack. What a client does wrong is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Failure {
    /// The engine panicked or broke an invariant.
    Internal,
    /// Too much is held for inspection already ([`ClientLimits::held_bytes`](super::ClientLimits::held_bytes)), or too much waits for processors
    /// ([`Overload`]).
    Overload,
    /// An operator gave up at its step limit, so that a rule's answer is unknown.
    OperatorLimit,
    /// A response cannot be inspected though its type asks for it (unknown or broken content coding).
    ResponseUninspectable,
}

impl Failure {
    /// Every kind.
    pub const ALL: [Failure; 4] =
        [Failure::Internal, Failure::Overload, Failure::OperatorLimit, Failure::ResponseUninspectable];

    /// A stable name in snake_case, as in the configuration file and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Failure::Internal => "internal",
            Failure::Overload => "overload",
            Failure::OperatorLimit => "operator_limit",
            Failure::ResponseUninspectable => "response_uninspectable",
        }
    }
}

/// What an inner failure does to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureOutcome {
    /// Refuse it.
    Closed,
    /// Let it through, counted as uninspected.
    Open,
}

/// [`Failure`] → [`FailureOutcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePolicy {
    internal: FailureOutcome,
    overload: FailureOutcome,
    operator_limit: FailureOutcome,
    response_uninspectable: FailureOutcome,
}

impl FailurePolicy {
    /// The same for every kind.
    pub const fn all(outcome: FailureOutcome) -> Self {
        Self {
            internal: outcome,
            overload: outcome,
            operator_limit: outcome,
            response_uninspectable: outcome,
        }
    }

    /// What `failure` does.
    pub fn outcome(&self, failure: Failure) -> FailureOutcome {
        match failure {
            Failure::Internal => self.internal,
            Failure::Overload => self.overload,
            Failure::OperatorLimit => self.operator_limit,
            Failure::ResponseUninspectable => self.response_uninspectable,
        }
    }
}

/// How long inspections may wait for processors. What would wait longer meets [`Failure::Overload`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overload {
    /// The longest wait: of a request for a worker, and of a long inspection for its thread.
    pub wait: Duration,
    /// Long inspections that may wait, those of other sites included.
    pub queue: usize,
    /// What refused clients are told, in seconds.
    pub retry_after: u64,
}

impl Default for Overload {
    fn default() -> Self {
        Self { wait: Duration::from_secs(2), queue: 256, retry_after: 2 }
    }
}

/// What inner failures do to requests of the site at `section`.
pub(super) fn policy(section: &Section<'_>, out: &mut Diagnostics) -> FailurePolicy {
    let words = [("closed", FailureOutcome::Closed), ("open", FailureOutcome::Open)];
    match section.get("fail") {
        None => FailurePolicy::all(FailureOutcome::Closed),
        Some(node @ Node { data: Data::Mapping(_), .. }) => {
            let inner = Section::new(&schema::FAIL, node, out);
            let mut read =
                |failure: Failure| inner.word(failure.name(), &words, out).unwrap_or(FailureOutcome::Closed);
            FailurePolicy {
                internal: read(Failure::Internal),
                overload: read(Failure::Overload),
                operator_limit: read(Failure::OperatorLimit),
                response_uninspectable: read(Failure::ResponseUninspectable),
            }
        }
        Some(node) => {
            FailurePolicy::all(lone_word(node, "fail", &words, out).unwrap_or(FailureOutcome::Closed))
        }
    }
}

/// How long its inspections may wait.
pub(super) fn overload(section: &Section<'_>, out: &mut Diagnostics) -> Overload {
    let Some(node) = section.get("overload") else { return Overload::default() };
    let inner = Section::new(&schema::OVERLOAD, node, out);
    let default = Overload::default();
    let retry_after = inner.duration("retry_after", (1, 86_400), out).map(|time| time.as_secs());
    Overload {
        wait: inner.duration("wait", (0, 60), out).unwrap_or(default.wait),
        queue: inner.count("queue", (0, 1_000_000), out).unwrap_or(default.queue),
        retry_after: retry_after.unwrap_or(default.retry_after),
    }
}
