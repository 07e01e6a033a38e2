//! What is counted for each request of a site, with its series at hand: a request looks one name up instead of one for
//! each metric.

use super::metrics::{Metrics, Outcome};
use prometheus::{Histogram, IntCounter};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The series of one site.
pub(super) struct PerSite {
    pub(super) seconds: Histogram,
    pub(super) request_bytes: IntCounter,
    pub(super) response_bytes: IntCounter,
    requests: [[OnceLock<IntCounter>; CLASSES.len()]; Outcome::ALL.len()],
    scores: [OnceLock<Histogram>; 2],
    rules: Mutex<HashMap<u64, [Option<IntCounter>; Fate::ALL.len()]>>,
    patches: Mutex<HashMap<String, [IntCounter; 2]>>,
}

/// Labels of `status_class`; the last is for what has none.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// What became of a request in which a rule matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was blocked.
    Blocked,
    /// It would have been but for the mode.
    Detected,
    /// Neither.
    Passed,
}

impl Fate {
    const ALL: [Fate; 3] = [Fate::Blocked, Fate::Detected, Fate::Passed];

    fn name(self) -> &'static str {
        match self {
            Fate::Blocked => "blocked",
            Fate::Detected => "detected",
            Fate::Passed => "passed",
        }
    }
}

/// Pairs of site and rule with series of their own.
pub(super) const RULES: usize = 2_000;
/// The rule's label of those beyond.
const OTHER: &str = "other";

impl PerSite {
    pub(super) fn new(site: &str, metrics: &Metrics) -> Self {
        Self {
            seconds: metrics.request_seconds.with_label_values(&[site]),
            request_bytes: metrics.request_bytes.with_label_values(&[site]),
            response_bytes: metrics.response_bytes.with_label_values(&[site]),
            requests: Default::default(),
            scores: Default::default(),
            rules: Mutex::default(),
            patches: Mutex::default(),
        }
    }

    /// Requests with this outcome and status.
    pub(super) fn requests(
        &self,
        site: &str,
        outcome: Outcome,
        status: u16,
        metrics: &Metrics,
    ) -> &IntCounter {
        let class = usize::from(status / 100);
        let class = if class < CLASSES.len() { class } else { 0 };
        let all =
            self.requests.get(outcome as usize).and_then(|of| of.get(class)).unwrap_or(&self.requests[0][0]);
        all.get_or_init(|| {
            let class = CLASSES.get(class).copied().unwrap_or("none");
            metrics.requests.with_label_values(&[site, outcome.name(), class])
        })
    }

    /// Anomaly scores, inbound or outbound.
    pub(super) fn score(&self, site: &str, outbound: bool, metrics: &Metrics) -> &Histogram {
        let (slot, direction) =
            if outbound { (&self.scores[1], "outbound") } else { (&self.scores[0], "inbound") };
        slot.get_or_init(|| metrics.scores.with_label_values(&[site, direction]))
    }

    /// A rule matched. `known` counts pairs of site and rule over all sites.
    pub(super) fn rule(&self, site: &str, id: u64, fate: Fate, known: &AtomicUsize, metrics: &Metrics) {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let new = !rules.contains_key(&id);
        let room = |n: usize| (n < RULES).then_some(n + 1);
        if new && known.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            metrics.rule_hits.with_label_values(&[site, OTHER, fate.name()]).inc();
            return;
        }
        let counters = rules.entry(id).or_default();
        if let Some(counter) = counters.get_mut(fate as usize) {
            let label = || metrics.rule_hits.with_label_values(&[site, id.to_string().as_str(), fate.name()]);
            counter.get_or_insert_with(label).inc();
        }
    }

    /// The patches in force. Each has its series from the start; those that are gone keep theirs.
    pub(super) fn set_patches<'n>(
        &self,
        site: &str,
        names: impl Iterator<Item = &'n str>,
        metrics: &Metrics,
    ) {
        let of = |name: &str| {
            [Fate::Blocked, Fate::Detected]
                .map(|fate| metrics.patch_hits.with_label_values(&[site, name, fate.name()]))
        };
        *self.patches.lock().unwrap_or_else(PoisonError::into_inner) =
            names.map(|name| (name.to_owned(), of(name))).collect();
    }

    /// A rule of the patch called so matched; one that is none of the site's is not counted, since a tag's text may be
    /// anything.
    pub(super) fn patch(&self, name: &str, fate: Fate) {
        let patches = self.patches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some([blocked, detected]) = patches.get(name) {
            if fate == Fate::Blocked { blocked } else { detected }.inc();
        }
    }
}
