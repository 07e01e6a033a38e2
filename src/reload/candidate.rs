//! A candidate ruleset beside the one that decides, and what has been seen of it.

use crate::compile::Posture;
use crate::engine::Difference;
use crate::ruleset::{Mode, Ruleset};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// A site's candidate ruleset.
#[derive(Debug)]
pub struct Candidate {
    /// Its rules.
    pub ruleset: Arc<Ruleset>,
    /// What they amount to.
    pub posture: Arc<Posture>,
    /// The mode in which they are tried: the site's, so that the two can be compared; `On` where that is `Off`.
    pub mode: Mode,
    /// Of a million requests, how many are tried.
    pub sample: u32,
    /// What has been seen, since these rules stand beside those which decide.
    pub evidence: Arc<Evidence>,
    /// Identifies both rulesets by their content, and the mode.
    pub(super) print: String,
}

impl Candidate {
    /// Whether a request is tried; `chance` is any number, equally likely.
    pub fn wants(&self, chance: u64) -> bool {
        chance % u64::from(crate::config::Shadow::ALL) < u64::from(self.sample)
    }

    /// Goes on with what was seen under `old`, if neither ruleset has changed since.
    pub(super) fn inherit(&mut self, old: &Candidate) {
        if self.print == old.print {
            self.evidence = Arc::clone(&old.evidence);
        }
    }
}

/// What has been seen of a candidate. Counted by whoever tries it.
#[derive(Debug)]
pub struct Evidence {
    since: SystemTime,
    differences: [AtomicU64; Difference::ALL.len()],
    dropped: AtomicU64,
}

impl Evidence {
    pub(super) fn new() -> Self {
        Self {
            since: SystemTime::now(),
            differences: std::array::from_fn(|_| AtomicU64::new(0)),
            dropped: AtomicU64::new(0),
        }
    }

    /// A request was tried.
    pub fn add(&self, difference: Difference) {
        if let Some(count) = self.differences.get(difference as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request that was to be tried was not.
    pub fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// All of it, as it is now.
    pub fn seen(&self) -> Seen {
        let of = |difference: Difference| {
            self.differences.get(difference as usize).map_or(0, |count| count.load(Ordering::Relaxed))
        };
        Seen {
            since: self.since,
            same: of(Difference::Same),
            newly_blocked: of(Difference::NewlyBlocked),
            newly_passed: of(Difference::NewlyPassed),
            undecided: of(Difference::Undecided),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }
}

/// What has been seen of a candidate: numbers of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Since when.
    pub since: SystemTime,
    /// See [`Difference::Same`].
    pub same: u64,
    /// See [`Difference::NewlyBlocked`].
    pub newly_blocked: u64,
    /// See [`Difference::NewlyPassed`].
    pub newly_passed: u64,
    /// See [`Difference::Undecided`].
    pub undecided: u64,
    /// Chosen and not tried, as too many waited.
    pub dropped: u64,
}

impl Seen {
    /// Requests on which the candidate has a verdict.
    pub fn decided(&self) -> u64 {
        self.same.saturating_add(self.newly_blocked).saturating_add(self.newly_passed)
    }

    /// The share of those which it would block and the rules at work let pass; 0 without any.
    pub fn new_blocks(&self) -> f64 {
        match self.decided() {
            0 => 0.0,
            decided => self.newly_blocked as f64 / decided as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_adds_up() {
        let evidence = Evidence::new();
        assert_eq!(evidence.seen().new_blocks(), 0.0);
        for difference in Difference::ALL {
            evidence.add(difference);
        }
        evidence.add(Difference::Same);
        evidence.drop_one();
        let seen = evidence.seen();
        assert_eq!((seen.same, seen.newly_blocked, seen.newly_passed, seen.undecided), (2, 1, 1, 1));
        assert_eq!((seen.decided(), seen.dropped, seen.new_blocks()), (4, 1, 0.25));
    }
}
