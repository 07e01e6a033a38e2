//! The words in which metrics are told what happened.

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It passed because of the mode; rules would have blocked it.
    Detected,
    /// Rules blocked it.
    Blocked,
    /// It is not acceptable as HTTP, or no site serves it.
    Refused,
    /// Something failed inside or upstream.
    Failed,
    /// The client left.
    Abandoned,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 6] = [
        Outcome::Passed,
        Outcome::Detected,
        Outcome::Blocked,
        Outcome::Refused,
        Outcome::Failed,
        Outcome::Abandoned,
    ];

    /// Its name, a label of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Detected => "detected",
            Outcome::Blocked => "blocked",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::Abandoned => "abandoned",
        }
    }
}

/// What an upstream is like at the moment of a scrape; counts are since it was first configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamFacts {
    /// It is asked like the others.
    pub is_up: bool,
    /// Requests under way.
    pub active: u32,
    /// Requests that it was chosen for.
    pub requests: u64,
    /// Requests that failed on it, as `fail_on` counts.
    pub failures: u64,
    /// Health checks that were well.
    pub checks_passed: u64,
    /// Health checks that failed.
    pub checks_failed: u64,
}

/// What became of an attempt to load a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadResult {
    /// A new generation is at work.
    Success,
    /// It was faulty; the old one stays.
    Refused,
    /// Nothing has changed.
    Unchanged,
}

/// What a request asks the shared store for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedUse {
    /// Rate limits.
    RateLimits,
    /// A persistent collection.
    Collections,
}

impl SharedUse {
    /// Every use.
    pub const ALL: [SharedUse; 2] = [SharedUse::RateLimits, SharedUse::Collections];

    /// Its name, a label of metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            SharedUse::RateLimits => "rate_limits",
            SharedUse::Collections => "collections",
        }
    }
}

/// Why an audit record was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditLoss {
    /// There was no room in the queue.
    QueueFull,
    /// The sink could not be reached for as long as it was tried.
    Unreachable,
    /// The sink will not have it.
    Refused,
    /// It does not fit, even shortened.
    TooLong,
    /// It could not be made.
    Unmade,
}

impl AuditLoss {
    /// Every reason.
    pub const ALL: [AuditLoss; 5] = [
        AuditLoss::QueueFull,
        AuditLoss::Unreachable,
        AuditLoss::Refused,
        AuditLoss::TooLong,
        AuditLoss::Unmade,
    ];

    /// Its name, a label of metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            AuditLoss::QueueFull => "queue_full",
            AuditLoss::Unreachable => "unreachable",
            AuditLoss::Refused => "refused",
            AuditLoss::TooLong => "too_long",
            AuditLoss::Unmade => "unmade",
        }
    }
}
