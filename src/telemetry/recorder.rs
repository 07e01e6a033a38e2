//! What becomes of a finished request: its metrics and its audit record.

use super::metrics::{Metrics, NO_SITE};
use super::per_site::{Fate, PerSite};
use super::sink::{AuditEntry, AuditSink};
use super::traffic::Traffic;
use super::words::Outcome;
use crate::audit::Facts;
use crate::engine::{Decision, Report, RuleHit};
use std::sync::Arc;
use std::time::Duration;

/// A finished request, as those who served it tell it.
#[derive(Clone, Debug)]
pub struct Completed {
    /// The site's name; none when no site serves it.
    pub site: Option<String>,
    /// The engine's report.
    pub report: Report,
    /// What the client was answered; 0 when nothing was.
    pub status: u16,
    /// What went wrong, in order.
    pub mishaps: Vec<Mishap>,
    /// What access rules, rate limits and bans said.
    pub turned_away: Vec<TurnedAway>,
    /// Time in the engine by phase, 1 to 5.
    pub inspection: [Duration; 5],
    /// From the end of the head to the end of the answer.
    pub duration: Duration,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the response's body.
    pub response_bytes: u64,
    /// The upstream that was asked last.
    pub upstream: Option<String>,
    /// The hash of the generation by which it was served.
    pub generation: String,
}

/// What of a finished request is counted.
#[derive(Clone, Copy, Debug)]
pub struct Tally<'a> {
    /// As in [`Completed::site`].
    pub site: Option<&'a str>,
    /// As in [`Completed::report`].
    pub report: &'a Report,
    /// As in [`Completed::status`].
    pub status: u16,
    /// As in [`Completed::mishaps`].
    pub mishaps: &'a [Mishap],
    /// As in [`Completed::turned_away`].
    pub turned_away: &'a [TurnedAway],
    /// As in [`Completed::inspection`].
    pub inspection: &'a [Duration; 5],
    /// As in [`Completed::duration`].
    pub duration: Duration,
    /// As in [`Completed::request_bytes`].
    pub request_bytes: u64,
    /// As in [`Completed::response_bytes`].
    pub response_bytes: u64,
}

/// What can go wrong besides rules. The names are labels of metrics: fixed, and never from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It is not acceptable as HTTP, or no site serves it.
    Refused(&'static str),
    /// The site is closed, or asks to come by HTTPS; the count of requests by outcome and status tells.
    Closed,
    /// Something failed inside; `open` when it was let through all the same.
    Inner {
        /// What failed.
        failure: &'static str,
        /// Whether it was let through.
        open: bool,
    },
    /// There was more to inspect than could be, or more waited for clients than may.
    Overloaded {
        /// What was short.
        shortage: &'static str,
        /// Whether it was let through uninspected.
        open: bool,
    },
    /// The upstream failed.
    Upstream(&'static str),
    /// The client left.
    Gone,
}

/// A refusal by an access rule, a rate limit or a ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnedAway {
    /// What refused it: a fixed name.
    pub control: &'static str,
    /// The rule's name, from the configuration.
    pub rule: String,
    /// False when it was only told because of the mode.
    pub refused: bool,
}

/// Counts and records finished requests.
pub struct Recorder {
    metrics: Arc<Metrics>,
    sink: Arc<dyn AuditSink>,
    traffic: Option<Arc<Traffic>>,
}

impl Recorder {
    /// A recorder over both.
    pub fn new(metrics: Arc<Metrics>, sink: Arc<dyn AuditSink>) -> Self {
        Self { metrics, sink, traffic: None }
    }

    /// Remembers in `traffic` what finished lately.
    #[must_use]
    pub fn remembering(mut self, traffic: Arc<Traffic>) -> Self {
        self.traffic = Some(traffic);
        self
    }

    /// Whether the request line of a transaction is to be shown although it is not for the audit log.
    pub fn wants_line(&self, report: &Report) -> bool {
        self.traffic.as_ref().is_some_and(|traffic| traffic.wants(report))
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Counts a finished request, and hands it to the audit log if the rules want that. Does not block.
    pub fn finished(&self, done: Completed) {
        self.count(&Tally {
            site: done.site.as_deref(),
            report: &done.report,
            status: done.status,
            mishaps: &done.mishaps,
            turned_away: &done.turned_away,
            inspection: &done.inspection,
            duration: done.duration,
            request_bytes: done.request_bytes,
            response_bytes: done.response_bytes,
        });
        self.record(done);
    }

    /// Counts a finished request.
    pub fn count(&self, done: &Tally<'_>) {
        let metrics = &self.metrics;
        let site = done.site.unwrap_or(NO_SITE);
        let of = metrics.of(site);
        let outcome = outcome(done.report, done.mishaps, done.turned_away);
        of.request(outcome, done.status, done.duration, (done.request_bytes, done.response_bytes));
        of.scores(&done.report.scores);
        metrics.inspection(done.inspection);
        if let Some(costs) = &done.report.costs {
            metrics.rule_costs(costs);
        }
        rules(&of, done.report);
        for event in &done.report.events {
            of.event(event.kind);
        }
        for mishap in done.mishaps {
            match *mishap {
                Mishap::Refused(reason) => metrics.malformed(reason),
                Mishap::Inner { failure, open } => of.failure(failure, open),
                Mishap::Overloaded { shortage, open } => {
                    of.failure("overload", open);
                    of.overload(shortage, open);
                }
                Mishap::Upstream(cause) => of.upstream_error(cause),
                Mishap::Gone | Mishap::Closed => {}
            }
        }
        for away in done.turned_away {
            of.turned_away(away.control, &away.rule, away.refused);
        }
    }

    /// Counts what a candidate ruleset says of a finished request, which took it `time`.
    pub fn count_shadow(&self, done: &Completed, time: Duration) {
        let Some(shadow) = &done.report.shadow else { return };
        let site = done.site.as_deref().unwrap_or(NO_SITE);
        self.metrics.shadow(site, shadow.difference, time);
        if shadow.request_body_missing {
            self.metrics.shadow_incomplete(site, "request_body");
        }
        if shadow.response_body_missing {
            self.metrics.shadow_incomplete(site, "response_body");
        }
        if shadow.difference.is_different() {
            shadow.added(&done.report).for_each(|hit| self.metrics.shadow_rule(hit.id, true));
            shadow.removed(&done.report).into_iter().for_each(|id| self.metrics.shadow_rule(id, false));
        }
    }

    /// Hands a finished request to the audit log if the rules want that, or if a candidate ruleset would have treated it
    /// otherwise, and remembers it if it is worth that. Does not block.
    pub fn record(&self, mut done: Completed) {
        let outcome = outcome(&done.report, &done.mishaps, &done.turned_away);
        let is_told = done.report.is_told_by_shadow();
        if is_told && let Some(shadow) = &done.report.shadow {
            // The engine has kept nothing of a request that was not to be recorded; the candidate's has.
            done.report.request = shadow.report.request.clone();
        }
        let is_audited = is_told || done.report.is_audited();
        let traffic = self.traffic.as_ref().filter(|traffic| traffic.keeps(outcome, &done.report));
        if !is_audited && traffic.is_none() {
            return;
        }
        let facts = Facts {
            site: done.site.unwrap_or_else(|| NO_SITE.to_owned()),
            status: done.status,
            duration: done.duration,
            upstream: done.upstream,
            generation: done.generation,
        };
        let entry = Arc::new(AuditEntry { report: done.report, facts });
        if let Some(traffic) = traffic {
            traffic.take(outcome, &entry);
        }
        if is_audited {
            self.sink.submit(entry);
        }
    }
}

/// Counts what rules found.
fn rules(of: &PerSite, report: &Report) {
    let fate = match (&report.decision, &report.suppressed) {
        (Decision::Interrupt(_), _) => Fate::Blocked,
        (Decision::Pass, Some(_)) => Fate::Detected,
        (Decision::Pass, None) if report.rules.is_empty() => return,
        (Decision::Pass, None) => Fate::Passed,
    };
    let logged = || report.rules.iter().filter(|hit| hit.log || hit.auditlog);
    let tags = || logged().flat_map(|hit| hit.tags.iter().map(String::as_str));
    for hit in logged().filter(|hit| !hit.keeps_books()) {
        of.rule_hit(hit.id, fate);
    }
    for patch in tags().filter_map(|tag| tag.strip_prefix(PATCH)) {
        of.patch_hit(patch, fate);
    }
    match fate {
        Fate::Blocked => of.block(tags()),
        Fate::Detected => of.detection(tags()),
        Fate::Passed => return,
    }
    if is_thin(&mut logged()) {
        of.false_alarm_candidate();
    }
}

/// What the name of a virtual patch stands behind in its rules' tags.
const PATCH: &str = "patch/";

/// Whether a single rule is all the evidence, and one that innocent requests meet: neither a virtual patch's nor one
/// that looks for scanners or breaches of protocol. Rules without a tag `attack-…` add up or report.
fn is_thin(hits: &mut dyn Iterator<Item = &RuleHit>) -> bool {
    let mut only = None;
    for hit in hits {
        let attack = |tag: &String| tag.starts_with("attack-");
        if !hit.tags.iter().any(attack) || only == Some(hit.id) {
            continue;
        }
        let sure = |tag: &String| {
            tag == "attack-protocol" || tag.starts_with("attack-reputation") || tag.starts_with(PATCH)
        };
        if only.is_some() || hit.tags.iter().any(sure) {
            return false;
        }
        only = Some(hit.id);
    }
    only.is_some()
}

fn outcome(report: &Report, mishaps: &[Mishap], turned_away: &[TurnedAway]) -> Outcome {
    if let Decision::Interrupt(_) = report.decision {
        return Outcome::Blocked;
    }
    if turned_away.iter().any(|away| away.refused) {
        return Outcome::Refused;
    }
    // What came last decided how it ended; a failure that was let through did not end it.
    let is_open =
        |m: &&Mishap| matches!(m, Mishap::Inner { open: true, .. } | Mishap::Overloaded { open: true, .. });
    let end = mishaps.iter().rev().find(|m| !is_open(m));
    match end {
        Some(Mishap::Refused(_) | Mishap::Closed) => Outcome::Refused,
        Some(Mishap::Inner { .. } | Mishap::Overloaded { .. } | Mishap::Upstream(_)) => Outcome::Failed,
        Some(Mishap::Gone) => Outcome::Abandoned,
        None if report.suppressed.is_some() || !turned_away.is_empty() => Outcome::Detected,
        None => Outcome::Passed,
    }
}
