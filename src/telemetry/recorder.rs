//! What becomes of a finished request: its metrics and its audit record.

use super::metrics::{Metrics, NO_SITE, Outcome};
use super::sink::{AuditEntry, AuditSink};
use crate::audit::Facts;
use crate::engine::{Decision, Report};
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
}

/// What can go wrong besides rules. The names are labels of metrics: fixed, and never from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It is not acceptable as HTTP, or no site serves it.
    Refused(&'static str),
    /// The site is closed; the count of requests by outcome and status tells.
    Closed,
    /// Something failed inside; `open` when it was let through all the same.
    Inner {
        /// What failed.
        failure: &'static str,
        /// Whether it was let through.
        open: bool,
    },
    /// The upstream failed.
    Upstream(&'static str),
    /// The client left.
    Gone,
}

/// Counts and records finished requests.
pub struct Recorder {
    metrics: Arc<Metrics>,
    sink: Arc<dyn AuditSink>,
}

impl Recorder {
    /// A recorder over both.
    pub fn new(metrics: Arc<Metrics>, sink: Arc<dyn AuditSink>) -> Self {
        Self { metrics, sink }
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Counts a finished request, and hands it to the audit log if the rules want that. Does not block.
    pub fn finished(&self, done: Completed) {
        let metrics = &self.metrics;
        let site = done.site.as_deref().unwrap_or(NO_SITE);
        let outcome = outcome(&done);
        metrics.request(site, outcome, done.status, done.duration);
        metrics.bodies(site, done.request_bytes, done.response_bytes);
        metrics.inspection(&done.inspection);
        if outcome == Outcome::Blocked {
            let logged = done.report.rules.iter().filter(|r| r.log || r.auditlog);
            metrics.block(site, logged.flat_map(|r| r.tags.iter().map(String::as_str)));
        }
        for hit in done.report.rules.iter().filter(|r| r.log || r.auditlog) {
            metrics.rule_hit(hit.id);
        }
        for event in &done.report.events {
            metrics.event(site, event.kind);
        }
        for mishap in &done.mishaps {
            match *mishap {
                Mishap::Refused(reason) => metrics.malformed(reason),
                Mishap::Inner { failure, open } => metrics.failure(site, failure, open),
                Mishap::Upstream(cause) => metrics.upstream_error(site, cause),
                Mishap::Gone | Mishap::Closed => {}
            }
        }
        if done.report.is_audited() {
            let facts = Facts {
                site: site.to_owned(),
                status: done.status,
                duration: done.duration,
                upstream: done.upstream,
            };
            self.sink.submit(AuditEntry { report: done.report, facts });
        }
    }
}

fn outcome(done: &Completed) -> Outcome {
    if let Decision::Interrupt(_) = done.report.decision {
        return Outcome::Blocked;
    }
    // What came last decided how it ended; a failure that was let through did not end it.
    let end = done.mishaps.iter().rev().find(|m| !matches!(m, Mishap::Inner { open: true, .. }));
    match end {
        Some(Mishap::Refused(_) | Mishap::Closed) => Outcome::Refused,
        Some(Mishap::Inner { .. } | Mishap::Upstream(_)) => Outcome::Failed,
        Some(Mishap::Gone) => Outcome::Abandoned,
        None if done.report.suppressed.is_some() => Outcome::Detected,
        None => Outcome::Passed,
    }
}
