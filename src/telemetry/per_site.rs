//! What is counted for each request of a site, with its series at hand: a request looks its site up once, and no label.

use super::category;
use super::known::Known;
use super::rows::Series;
use super::words::Outcome;
use crate::engine::{EventKind, Scores};
use prometheus::{Histogram, IntCounter, IntCounterVec};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// The series of one site. A counter shows from when it first counts, unless something says that it shows before.
pub struct PerSite {
    site: String,
    series: Arc<Series>,
    /// Pairs of site and rule with series of their own, over all sites.
    rules_known: Arc<AtomicUsize>,
    seconds: Histogram,
    request_bytes: IntCounter,
    response_bytes: IntCounter,
    requests: [[OnceLock<IntCounter>; CLASSES.len()]; Outcome::ALL.len()],
    scores: [OnceLock<Histogram>; 2],
    blocks: [OnceLock<IntCounter>; category::ALL.len()],
    detections: [OnceLock<IntCounter>; category::ALL.len()],
    false_alarm_candidates: OnceLock<IntCounter>,
    /// Each with the one of what is left uninspected by it.
    events: [OnceLock<(IntCounter, Option<IntCounter>)>; EventKind::ALL.len()],
    failures: Known<(&'static str, bool)>,
    let_through: Known<&'static str>,
    overloads: Known<(&'static str, bool)>,
    upstream_errors: Known<&'static str>,
    turned_away: Known<(&'static str, String, bool)>,
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
    pub(super) fn new(site: &str, series: &Arc<Series>, rules_known: &Arc<AtomicUsize>) -> Self {
        Self {
            site: site.to_owned(),
            series: Arc::clone(series),
            rules_known: Arc::clone(rules_known),
            seconds: series.request_seconds.with_label_values(&[site]),
            request_bytes: series.request_bytes.with_label_values(&[site]),
            response_bytes: series.response_bytes.with_label_values(&[site]),
            requests: Default::default(),
            scores: Default::default(),
            blocks: Default::default(),
            detections: Default::default(),
            false_alarm_candidates: OnceLock::new(),
            events: Default::default(),
            failures: Known::default(),
            let_through: Known::default(),
            overloads: Known::default(),
            upstream_errors: Known::default(),
            turned_away: Known::default(),
            rules: Mutex::default(),
            patches: Mutex::default(),
        }
    }

    /// Lets series show before they count, so that a rate can be taken of the first block.
    pub(super) fn show(&self) {
        for index in 0..category::ALL.len() {
            self.of_category(&self.blocks, index, |series| &series.blocks);
            self.of_category(&self.detections, index, |series| &series.detections);
        }
        self.false_alarms();
        for (outcome, status) in [(Outcome::Passed, 200), (Outcome::Blocked, 403), (Outcome::Detected, 200)] {
            self.requests(outcome, status);
        }
    }

    /// A finished request: what became of it, how long it took, the bytes of its bodies.
    pub fn request(&self, outcome: Outcome, status: u16, duration: Duration, bodies: (u64, u64)) {
        self.requests(outcome, status).inc();
        self.seconds.observe(duration.as_secs_f64());
        self.request_bytes.inc_by(bodies.0);
        self.response_bytes.inc_by(bodies.1);
    }

    fn requests(&self, outcome: Outcome, status: u16) -> &IntCounter {
        let class = usize::from(status / 100);
        let class = if class < CLASSES.len() { class } else { 0 };
        let all =
            self.requests.get(outcome as usize).and_then(|of| of.get(class)).unwrap_or(&self.requests[0][0]);
        all.get_or_init(|| {
            let class = CLASSES.get(class).copied().unwrap_or("none");
            self.series.requests.with_label_values(&[self.site.as_str(), outcome.name(), class])
        })
    }

    /// The anomaly scores of a finished request, where its rules have a threshold.
    pub fn scores(&self, scores: &Scores) {
        let inbound = (scores.inbound_threshold > 0, "inbound", scores.inbound);
        let outbound = (scores.outbound_threshold > 0, "outbound", scores.outbound);
        for (slot, (is_there, direction, score)) in self.scores.iter().zip([inbound, outbound]) {
            if is_there {
                let label = || self.series.scores.with_label_values(&[self.site.as_str(), direction]);
                // A score is far from where whole numbers of a float end.
                let score = i32::try_from(score).unwrap_or(i32::MAX);
                slot.get_or_init(label).observe(f64::from(score));
            }
        }
    }

    /// A blocked request, whose matching rules carry `tags`.
    pub fn block<'a>(&self, tags: impl Iterator<Item = &'a str>) {
        self.of_category(&self.blocks, category::of(tags), |series| &series.blocks).inc();
    }

    /// A request that would have been blocked but for the mode.
    pub fn detection<'a>(&self, tags: impl Iterator<Item = &'a str>) {
        self.of_category(&self.detections, category::of(tags), |series| &series.detections).inc();
    }

    fn of_category<'s>(
        &self,
        slots: &'s [OnceLock<IntCounter>; category::ALL.len()],
        index: usize,
        row: impl Fn(&Series) -> &IntCounterVec,
    ) -> &'s IntCounter {
        let (slot, name) = match (slots.get(index), category::ALL.get(index)) {
            (Some(slot), Some(name)) => (slot, *name),
            _ => (&slots[category::ALL.len() - 1], category::OTHER),
        };
        slot.get_or_init(|| row(&self.series).with_label_values(&[self.site.as_str(), name]))
    }

    /// A blocked or detected request that may well be a false alarm.
    pub fn false_alarm_candidate(&self) {
        self.false_alarms().inc();
    }

    fn false_alarms(&self) -> &IntCounter {
        let row = &self.series.false_alarm_candidates;
        self.false_alarm_candidates.get_or_init(|| row.with_label_values(&[self.site.as_str()]))
    }

    /// An event of the engine.
    pub fn event(&self, kind: EventKind) {
        let Some(slot) = EventKind::ALL.iter().position(|k| *k == kind).and_then(|at| self.events.get(at))
        else {
            return;
        };
        let (events, uninspected) = slot.get_or_init(|| {
            let labels = [self.site.as_str(), kind.name()];
            let uninspected = leaves_uninspected(kind);
            (
                self.series.events.with_label_values(&labels),
                uninspected.then(|| self.series.uninspected.with_label_values(&labels)),
            )
        });
        events.inc();
        if let Some(uninspected) = uninspected {
            uninspected.inc();
        }
    }

    /// A failure inside; `open` when the request was let through.
    pub fn failure(&self, failure: &'static str, open: bool) {
        let site = self.site.as_str();
        let outcome = if open { "open" } else { "closed" };
        self.failures.count(
            |known| *known == (failure, open),
            || ((failure, open), self.series.failures.with_label_values(&[site, failure, outcome])),
        );
        if open {
            let reason = || format!("failure_{failure}");
            self.let_through.count(
                |known| *known == failure,
                || (failure, self.series.uninspected.with_label_values(&[site, reason().as_str()])),
            );
        }
    }

    /// A request that was not inspected for want of `cause`; `open` when it was let through.
    pub fn overload(&self, cause: &'static str, open: bool) {
        let labels = [self.site.as_str(), cause, if open { "open" } else { "shed" }];
        self.overloads.count(
            |known| *known == (cause, open),
            || ((cause, open), self.series.overloads.with_label_values(&labels)),
        );
    }

    /// An attempt at an upstream failed.
    pub fn upstream_error(&self, cause: &'static str) {
        let labels = [self.site.as_str(), cause];
        self.upstream_errors.count(
            |known| *known == cause,
            || (cause, self.series.upstream_errors.with_label_values(&labels)),
        );
    }

    /// A request that `rule` of `control` turned away, or would have but for the mode.
    pub fn turned_away(&self, control: &'static str, rule: &str, refused: bool) {
        let labels = [self.site.as_str(), control, rule, if refused { "refused" } else { "detected" }];
        self.turned_away.count(
            |(c, name, r)| (*c, name.as_str(), *r) == (control, rule, refused),
            || ((control, rule.to_owned(), refused), self.series.turned_away.with_label_values(&labels)),
        );
    }

    /// A rule that logs matched.
    pub fn rule_hit(&self, id: u64, fate: Fate) {
        let row = &self.series.rule_hits;
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let new = !rules.contains_key(&id);
        let room = |n: usize| (n < RULES).then_some(n + 1);
        if new && self.rules_known.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            row.with_label_values(&[self.site.as_str(), OTHER, fate.name()]).inc();
            return;
        }
        let counters = rules.entry(id).or_default();
        if let Some(counter) = counters.get_mut(fate as usize) {
            let label = || row.with_label_values(&[self.site.as_str(), id.to_string().as_str(), fate.name()]);
            counter.get_or_insert_with(label).inc();
        }
    }

    /// The patches in force. Each has its series from the start; those that are gone keep theirs.
    pub(super) fn set_patches<'n>(&self, names: impl Iterator<Item = &'n str>) {
        let row = &self.series.patch_hits;
        let of = |name: &str| {
            [Fate::Blocked, Fate::Detected]
                .map(|fate| row.with_label_values(&[self.site.as_str(), name, fate.name()]))
        };
        *self.patches.lock().unwrap_or_else(PoisonError::into_inner) =
            names.map(|name| (name.to_owned(), of(name))).collect();
    }

    /// A rule of the patch called so matched; one that is none of the site's is not counted, since a tag's text may be
    /// anything.
    pub fn patch_hit(&self, name: &str, fate: Fate) {
        let patches = self.patches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some([blocked, detected]) = patches.get(name) {
            if fate == Fate::Blocked { blocked } else { detected }.inc();
        }
    }
}

/// Whether an event of this kind means that something passed without (full) inspection.
fn leaves_uninspected(kind: EventKind) -> bool {
    match kind {
        EventKind::RequestBodyTruncated
        | EventKind::RequestBodyUninspected
        | EventKind::ResponseBodyTruncated
        | EventKind::ResponseBodyUninspected
        | EventKind::ResponsePartial
        | EventKind::ContentCoding
        | EventKind::ArgumentsLimit
        | EventKind::OperatorLimit
        | EventKind::InternalError => true,
        EventKind::MalformedRequest
        | EventKind::NormalisedRequest
        | EventKind::RequestBodyError
        | EventKind::RequestBodyRefused
        | EventKind::RuleError
        | EventKind::AccessDenied
        | EventKind::RateLimited
        | EventKind::Banned
        | EventKind::Overloaded
        | EventKind::AdminChange => false,
    }
}
