//! The metrics: one row each, from which they are registered and `docs/reference/metrics.md` is written.
//!
//! No label takes its value from a client. Sites come from the configuration, rule ids from rule text and bounded,
//! everything else from fixed lists; a row says which.

use super::category;
use super::costs::{CostTable, OTHER_RULES, SIEVE};
use super::per_site::{Fate, PerSite};
use crate::audit::mode_name;
use crate::engine::{Costs, Difference, EventKind, Scores};
use crate::ruleset::Mode;
use arc_swap::ArcSwap;
use prometheus::core::Collector;
use prometheus::{
    CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counted by upper bounds: seconds, or what its help says.
    Histogram(&'static [f64]),
}

/// A metric.
#[derive(Debug)]
pub struct Row {
    /// Its full name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels, each with what bounds its values.
    pub labels: &'static [(&'static str, &'static str)],
    /// What it counts.
    pub help: &'static str,
    /// A query to show what it is good for; empty for the usual one of its kind ([`Row::query`]).
    pub example: &'static str,
}

const SITE: (&str, &str) = ("site", "a site's name, or `-` when none serves the request");

const UPSTREAM: (&str, &str) = ("upstream", "an upstream's URL in the configuration at work");
const SINK: (&str, &str) = ("sink", "a sink's name; `log` is `audit.log`, `-` the queue before all sinks");

/// Upper bounds for inspection: most requests take tens of microseconds, hostile ones milliseconds.
const INSPECTION: &[f64] =
    &[0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5];
/// Upper bounds for whole requests.
const REQUEST: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Upper bounds for anomaly scores: CRS counts 2, 3, 4 or 5 for a match, and blocks from 5 on unless told otherwise.
const SCORE: &[f64] = &[0.0, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0];

/// Declares the metrics: a field, and its row; at its end a query, where the usual one of its kind says little.
macro_rules! metrics {
    ($($field:ident: $type:ident = $kind:expr, $name:literal, [$($label:expr),*], $help:literal $(, $example:literal)?;)*) => {
        /// All metrics of the process.
        pub struct Metrics {
            registry: Registry,
            sites: ArcSwap<HashMap<String, Arc<PerSite>>>,
            rules_known: AtomicUsize,
            shadow_rules_seen: Mutex<HashSet<u64>>,
            cost_table: Mutex<CostTable>,
            /// One of `inspection_seconds` for each phase: five look-ups less for each request.
            phases: Vec<Histogram>,
            $(pub(super) $field: $type,)*
        }

        /// Every metric in the order of the documentation.
        pub const ROWS: &[Row] =
            &[$(Row { name: $name, kind: $kind, labels: &[$($label),*], help: $help, example: concat!($($example)?) },)*];

        impl Metrics {
            /// Registers every metric with a registry of its own.
            ///
            /// # Errors
            ///
            /// Never for the rows as they stand, of which a test registers all; the registry's own word otherwise.
            pub fn new() -> prometheus::Result<Self> {
                let registry = Registry::new();
                $(let $field = $type::of(&Row { name: $name, kind: $kind, labels: &[$($label),*], help: $help, example: "" })?;
                registry.register(Box::new($field.clone()))?;)*
                process(&registry)?;
                let mut all = Self {
                    registry,
                    sites: ArcSwap::default(),
                    rules_known: AtomicUsize::new(0),
                    shadow_rules_seen: Mutex::default(),
                    cost_table: Mutex::default(),
                    phases: Vec::new(),
                    $($field,)*
                };
                let phase = |name| all.inspection_seconds.with_label_values(&[name]);
                all.phases = ["1", "2", "3", "4", "5"].into_iter().map(phase).collect();
                Ok(all)
            }
        }
    };
}

metrics! {
    requests: IntCounterVec = Kind::Counter, "portcullis_requests_total",
        [SITE, ("outcome", "`passed`, `detected`, `blocked`, `refused`, `failed`, `abandoned`"),
         ("status_class", "`1xx` to `5xx`, or `none` when nothing was answered")],
        "Finished requests. `detected`: rules would have blocked it but for the mode; `refused`: not acceptable as \
         HTTP, for no site, for one that is closed for maintenance, or turned away by an access rule, a rate limit or a \
         ban; `failed`: something failed inside or upstream; `abandoned`: the client left.";
    request_seconds: HistogramVec = Kind::Histogram(REQUEST), "portcullis_request_duration_seconds", [SITE],
        "Time from the end of a request's head to the end of its answer, the upstream's time included.";
    request_bytes: IntCounterVec = Kind::Counter, "portcullis_request_body_bytes_total", [SITE],
        "Bytes of request bodies read from clients.";
    response_bytes: IntCounterVec = Kind::Counter, "portcullis_response_body_bytes_total", [SITE],
        "Bytes of response bodies sent to clients.";
    blocks: IntCounterVec = Kind::Counter, "portcullis_blocks_total",
        [SITE, ("category", "a tag `attack-…` of a fixed list without its prefix, or `other`")],
        "Blocked requests by the category that most of the matching rules carry; one for each blocked request.",
        "topk(5, sum by (category) (increase(portcullis_blocks_total[1h])))";
    detections: IntCounterVec = Kind::Counter, "portcullis_detections_total",
        [SITE, ("category", "as of `portcullis_blocks_total`")],
        "Requests that would have been blocked but for the mode, by category; one for each.",
        "sum by (site, category) (increase(portcullis_detections_total[1h]))";
    false_alarm_candidates: IntCounterVec = Kind::Counter, "portcullis_false_alarm_candidates_total", [SITE],
        "Blocked or detected requests on the evidence of a single rule, which is none of a virtual patch and looks \
         neither for scanners nor for breaches of protocol: most false alarms are among them, and some attacks.",
        "sum by (site) (rate(portcullis_false_alarm_candidates_total[1h])) / on (site) sum by (site) \
         (rate(portcullis_requests_total{outcome=~\"blocked|detected\"}[1h]))";
    rule_hits: IntCounterVec = Kind::Counter, "portcullis_rule_hits_total",
        [SITE, ("rule_id", "the id of a rule that has matched, of the first 2000 pairs of site and rule; `other` beyond"),
         ("outcome", "what became of the request: `blocked`, `detected`, `passed`")],
        "Requests in which a rule that logs matched.",
        "topk(10, sum by (rule_id) (increase(portcullis_rule_hits_total{outcome=\"blocked\"}[1d])))";
    patch_hits: IntCounterVec = Kind::Counter, "portcullis_patch_hits_total",
        [SITE, ("patch", "the name of a virtual patch that is in force"), ("outcome", "`blocked`, or `detected` for everything else")],
        "Requests in which a virtual patch matched.",
        "sum by (patch) (increase(portcullis_patch_hits_total[1d]))";
    scores: HistogramVec = Kind::Histogram(SCORE), "portcullis_anomaly_score",
        [SITE, ("direction", "`inbound` or `outbound`")],
        "Anomaly scores of requests and responses at their end, where the rules have a threshold.",
        "histogram_quantile(0.999, sum by (le) (rate(portcullis_anomaly_score_bucket{direction=\"inbound\"}[1h])))";
    inspection_seconds: HistogramVec = Kind::Histogram(INSPECTION), "portcullis_inspection_seconds",
        [("phase", "`1` to `5`")],
        "Time spent in the engine by phase, parsing of bodies included.";
    uninspected: IntCounterVec = Kind::Counter, "portcullis_uninspected_total",
        [SITE, ("reason", "an event's name, or `failure_` and the failure that was let through")],
        "Messages that passed in part or as a whole without inspection.";
    events: IntCounterVec = Kind::Counter, "portcullis_events_total", [SITE, ("event", "an event's name")],
        "What the engine noticed beside matches of rules, as in the audit log.";
    turned_away: IntCounterVec = Kind::Counter, "portcullis_admission_refusals_total",
        [SITE, ("control", "`access_denied`, `rate_limited`, `banned`"),
         ("rule", "the name of the access rule or rate limit; `bans` for a ban"),
         ("outcome", "`refused`, or `detected` when it was only told because of the mode")],
        "Requests that an access rule, a rate limit or a ban refused, or would have.";
    banned: IntGaugeVec = Kind::Gauge, "portcullis_banned_clients", [], "Clients that are banned.";
    limit_evictions: IntGaugeVec = Kind::Gauge, "portcullis_rate_limit_evictions", [],
        "Keys of rate limits that made room for others before they were at rest, since the start. It grows when \
         `store.limit_keys` is too small for a flood of new keys.";
    malformed: IntCounterVec = Kind::Counter, "portcullis_malformed_requests_total",
        [("reason", "a fixed name of the fault")],
        "Requests refused because they are not HTTP as Portcullis accepts it, or for no site.";
    failures: IntCounterVec = Kind::Counter, "portcullis_failures_total",
        [SITE, ("failure", "a setting of `sites[].fail`, or a fixed name"), ("outcome", "`open` or `closed`")],
        "Failures inside Portcullis, and what the site's setting did to the request.";
    upstream_errors: IntCounterVec = Kind::Counter, "portcullis_upstream_errors_total",
        [SITE, ("cause", "a fixed name of the cause")],
        "Failed attempts at upstreams, those included after which another one was tried.";
    upstream_up: IntGaugeVec = Kind::Gauge, "portcullis_upstream_up", [SITE, UPSTREAM],
        "1 when the upstream is asked like the others, 0 when it rests after failures or health checks say it is down.";
    upstream_active: IntGaugeVec = Kind::Gauge, "portcullis_upstream_active_requests", [SITE, UPSTREAM],
        "Requests under way at the upstream.";
    upstream_requests: IntCounterVec = Kind::Counter, "portcullis_upstream_requests_total", [SITE, UPSTREAM],
        "Requests that the upstream was chosen for, those that failed there included.";
    upstream_failures: IntCounterVec = Kind::Counter, "portcullis_upstream_failures_total", [SITE, UPSTREAM],
        "Failures of the upstream, as `balance.fail_on` counts them.";
    upstream_checks: IntCounterVec = Kind::Counter, "portcullis_upstream_health_checks_total",
        [SITE, UPSTREAM, ("result", "`passed` or `failed`")], "Health checks of the upstream.";
    connections_open: IntGaugeVec = Kind::Gauge, "portcullis_client_connections",
        [("listener", "a listener's address in the configuration")], "Client connections.";
    connections_failed: IntCounterVec = Kind::Counter, "portcullis_failed_connections_total",
        [("reason", "a fixed name of the reason")],
        "Client connections that ended before they brought a request: TLS, PROXY protocol, broken HTTP/2.";
    reloads: IntCounterVec = Kind::Counter, "portcullis_reloads_total",
        [("result", "`success`, `refused`, `unchanged`")],
        "Attempts at loading a new generation. A refused one leaves the old one at work.";
    reload_ok: IntGaugeVec = Kind::Gauge, "portcullis_config_last_reload_successful", [],
        "1 when the last attempt at loading was sound, 0 when it was refused.";
    reload_time: IntGaugeVec = Kind::Gauge, "portcullis_config_last_reload_success_timestamp_seconds", [],
        "When the generation at work was loaded, seconds since 1970.";
    generation: IntGaugeVec = Kind::Gauge, "portcullis_generation_info",
        [("number", "the generation's number"), ("hash", "its hash")],
        "1 for the generation at work.";
    rules: IntGaugeVec = Kind::Gauge, "portcullis_site_rules", [SITE], "Active rules.";
    mode: IntGaugeVec = Kind::Gauge, "portcullis_site_mode",
        [SITE, ("mode", "`On`, `DetectionOnly`, `Off`")],
        "1 for the mode that the site is in, 0 for the others.",
        "portcullis_site_mode{mode!=\"On\"} == 1";
    alarms: IntGaugeVec = Kind::Gauge, "portcullis_site_alarms", [SITE],
        "Reasons why the site's rules cannot block, as the posture tells them; 0 when all is well.";
    patches: IntGaugeVec = Kind::Gauge, "portcullis_site_patches", [SITE], "Virtual patches in force, those that only tell included.";
    patches_past_review: IntGaugeVec = Kind::Gauge, "portcullis_site_patches_past_review", [SITE],
        "Virtual patches whose `review_by` has passed. They go on blocking.";
    audit_written: IntCounterVec = Kind::Counter, "portcullis_audit_written_total", [SINK],
        "Audit records delivered.";
    audit_dropped: IntCounterVec = Kind::Counter, "portcullis_audit_dropped_total",
        [SINK, ("reason", "`queue_full`, `unreachable` (tried for as long as `retry` says), `refused` by the sink, \
         `too_long`, `unmade`")],
        "Audit records lost.";
    audit_retries: IntCounterVec = Kind::Counter, "portcullis_audit_retries_total", [SINK],
        "Failed attempts at delivering audit records that are tried again.";
    audit_queue: IntGaugeVec = Kind::Gauge, "portcullis_audit_queue_length", [SINK],
        "Audit records that wait or are being sent.";
    store_collections: IntGaugeVec = Kind::Gauge, "portcullis_store_collections", [],
        "Persistent collections in memory.";
    store_bytes: IntGaugeVec = Kind::Gauge, "portcullis_store_bytes", [],
        "Bytes of names and values of persistent collections.";
    store_evictions: IntGaugeVec = Kind::Gauge, "portcullis_store_evictions", [],
        "Persistent collections that went before their time because a bound was reached, since the start.";
    shadow_requests: IntCounterVec = Kind::Counter, "portcullis_shadow_requests_total",
        [SITE, ("verdict", "`same`, `newly_blocked`, `newly_passed`, `undecided`")],
        "Requests that were shown to a site's candidate ruleset, by how its word differs from that of the rules at work. \
         `undecided`: it lets pass what it was shown, and asked for a body that had not been taken in.";
    shadow_rules: IntCounterVec = Kind::Counter, "portcullis_shadow_rule_differences_total",
        [("rule_id", "the id of a rule, of the first 500 that made a difference; `other` beyond them"),
         ("change", "`added`: it matched under the candidate only; `removed`: under the rules at work only")],
        "Matches of rules that log which only one of both rulesets has, in requests that one of them alone stops.";
    shadow_incomplete: IntCounterVec = Kind::Counter, "portcullis_shadow_incomplete_total",
        [SITE, ("part", "`request_body` or `response_body`")],
        "Requests of which a candidate ruleset asked for a part that the rules at work had not asked for.";
    shadow_dropped: IntCounterVec = Kind::Counter, "portcullis_shadow_dropped_total",
        [SITE, ("reason", "`queue_full`, `bytes` (too much is kept already) or `failed`")],
        "Requests that were chosen for a candidate ruleset and not shown to it.";
    shadow_seconds: HistogramVec = Kind::Histogram(INSPECTION), "portcullis_shadow_evaluation_seconds", [SITE],
        "Time that a candidate ruleset takes for a request, beside the path of requests.";
    shadow_ruleset: IntGaugeVec = Kind::Gauge, "portcullis_site_shadow_rules", [SITE],
        "Active rules of the site's candidate ruleset; absent without one.";
    rule_cost: CounterVec = Kind::Counter, "portcullis_rule_cost_seconds_total",
        [("rule_id", "the id of a rule, of at most 50 that were among the 20 dearest; `sieve` for finding out which rules \
                     need not be evaluated; `other`")],
        "Time spent on rules in the requests in which it was measured, see `metrics.rule_cost_sample`. Divide by \
         `portcullis_rule_cost_requests_total` for the cost in one request.";
    rule_cost_requests: IntCounterVec = Kind::Counter, "portcullis_rule_cost_requests_total", [],
        "Requests in which the cost of rules was measured.";
    shared_up: IntGaugeVec = Kind::Gauge, "portcullis_shared_store_up", [],
        "1 while the shared store (`store.redis`) answers, 0 while this instance goes on by itself; absent without one.";
    shared_errors: IntCounterVec = Kind::Counter, "portcullis_shared_store_errors_total",
        [("cause", "`timeout`, `connection`, `command`, or `overflow` when too much waits for it")],
        "What the shared store failed to do.";
    shared_fallbacks: IntCounterVec = Kind::Counter, "portcullis_shared_store_fallbacks_total", [],
        "Requests whose rate limits were decided by this instance alone, since the shared store gave no answer in time.";
    build: IntGaugeVec = Kind::Gauge, "portcullis_build_info", [("version", "the version")], "1.";
}

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
    /// Its failures.
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

    fn name(self) -> &'static str {
        match self {
            AuditLoss::QueueFull => "queue_full",
            AuditLoss::Unreachable => "unreachable",
            AuditLoss::Refused => "refused",
            AuditLoss::TooLong => "too_long",
            AuditLoss::Unmade => "unmade",
        }
    }
}

/// Rule ids with series of their own among the differences that candidates make.
const SHADOW_RULE_IDS: usize = 500;

/// The site's label of requests for no site.
pub const NO_SITE: &str = "-";

impl Metrics {
    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        let families = self.registry.gather();
        let mut text = String::new();
        // Fails only for families without a name or metric, which a registry does not hold.
        let _ = TextEncoder::new().encode_utf8(&families, &mut text);
        text
    }

    /// Finished requests of all sites by outcome, in the order of [`Outcome::ALL`].
    pub fn outcomes(&self) -> [u64; Outcome::ALL.len()] {
        let mut counts = [0; Outcome::ALL.len()];
        for metric in self.requests.collect().iter().flat_map(prometheus::proto::MetricFamily::get_metric) {
            let label = metric.get_label().iter().find(|pair| pair.name() == "outcome");
            let place = label.and_then(|pair| Outcome::ALL.iter().position(|o| o.name() == pair.value()));
            if let Some(count) = place.and_then(|at| counts.get_mut(at)) {
                // Counted as whole numbers; a float shows them exactly up to 2^53.
                *count += metric.get_counter().get_value() as u64;
            }
        }
        counts
    }

    /// The series of a site.
    fn of(&self, site: &str) -> Arc<PerSite> {
        if let Some(found) = self.sites.load().get(site) {
            return Arc::clone(found);
        }
        let new = Arc::new(PerSite::new(site, self));
        self.sites.rcu(|sites| {
            let mut sites = HashMap::clone(sites);
            // Somebody else may have been quicker; theirs counts on.
            sites.entry(site.to_owned()).or_insert_with(|| Arc::clone(&new));
            sites
        });
        self.sites.load().get(site).map_or(new, Arc::clone)
    }

    /// A finished request: what became of it, how long it took, the bytes of its bodies.
    pub fn request(&self, site: &str, outcome: Outcome, status: u16, duration: Duration, bodies: (u64, u64)) {
        let of = self.of(site);
        of.requests(site, outcome, status, self).inc();
        of.seconds.observe(duration.as_secs_f64());
        of.request_bytes.inc_by(bodies.0);
        of.response_bytes.inc_by(bodies.1);
    }

    /// The anomaly scores of a finished request, where its rules have a threshold.
    pub fn scores(&self, site: &str, scores: &Scores) {
        let (inbound, outbound) = (scores.inbound_threshold > 0, scores.outbound_threshold > 0);
        if !inbound && !outbound {
            return;
        }
        let of = self.of(site);
        for (there, outbound, score) in [(inbound, false, scores.inbound), (outbound, true, scores.outbound)]
        {
            if there {
                // A score is far from where whole numbers of a float end.
                let score = i32::try_from(score).unwrap_or(i32::MAX);
                of.score(site, outbound, self).observe(f64::from(score));
            }
        }
    }

    /// A blocked request, whose matching rules carry `tags`.
    pub fn block<'a>(&self, site: &str, tags: impl Iterator<Item = &'a str>) {
        self.blocks.with_label_values(&[site, category::of(tags)]).inc();
    }

    /// A request that would have been blocked but for the mode.
    pub fn detection<'a>(&self, site: &str, tags: impl Iterator<Item = &'a str>) {
        self.detections.with_label_values(&[site, category::of(tags)]).inc();
    }

    /// A blocked or detected request that may well be a false alarm.
    pub fn false_alarm_candidate(&self, site: &str) {
        self.false_alarm_candidates.with_label_values(&[site]).inc();
    }

    /// A rule matched.
    pub fn rule_hit(&self, site: &str, id: u64, fate: Fate) {
        self.of(site).rule(site, id, fate, &self.rules_known, self);
    }

    /// A virtual patch matched.
    pub fn patch_hit(&self, site: &str, patch: &str, fate: Fate) {
        self.of(site).patch(patch, fate);
    }

    /// Time in the engine by phase; phases that did not run are zero.
    pub fn inspection(&self, phases: &[Duration; 5]) {
        for (histogram, time) in self.phases.iter().zip(phases) {
            if !time.is_zero() {
                histogram.observe(time.as_secs_f64());
            }
        }
    }

    /// An event of the engine.
    pub fn event(&self, site: &str, kind: EventKind) {
        self.events.with_label_values(&[site, kind.name()]).inc();
        if leaves_uninspected(kind) {
            self.uninspected.with_label_values(&[site, kind.name()]).inc();
        }
    }

    /// A failure inside; `open` when the request was let through.
    pub fn failure(&self, site: &str, failure: &'static str, open: bool) {
        let outcome = if open { "open" } else { "closed" };
        self.failures.with_label_values(&[site, failure, outcome]).inc();
        if open {
            self.uninspected.with_label_values(&[site, format!("failure_{failure}").as_str()]).inc();
        }
    }

    /// A request that `rule` of `control` turned away, or would have but for the mode.
    pub fn turned_away(&self, site: &str, control: &'static str, rule: &str, refused: bool) {
        let outcome = if refused { "refused" } else { "detected" };
        self.turned_away.with_label_values(&[site, control, rule, outcome]).inc();
    }

    /// The state of bans and rate limits.
    pub fn admission(&self, banned: usize, evictions: u64) {
        self.banned.with_label_values::<&str>(&[]).set(gauge(banned));
        self.limit_evictions.with_label_values::<&str>(&[]).set(i64::try_from(evictions).unwrap_or(i64::MAX));
    }

    /// A request that was refused before any rule.
    pub fn malformed(&self, reason: &'static str) {
        self.malformed.with_label_values(&[reason]).inc();
    }

    /// An attempt at an upstream failed.
    pub fn upstream_error(&self, site: &str, cause: &'static str) {
        self.upstream_errors.with_label_values(&[site, cause]).inc();
    }

    /// Forgets all upstreams; [`Self::upstream`] then tells those of the generation at work.
    pub fn forget_upstreams(&self) {
        self.upstream_up.reset();
        self.upstream_active.reset();
        self.upstream_requests.reset();
        self.upstream_failures.reset();
        self.upstream_checks.reset();
    }

    /// What an upstream is like.
    pub fn upstream(&self, site: &str, url: &str, facts: &UpstreamFacts) {
        let labels = [site, url];
        self.upstream_up.with_label_values(&labels).set(facts.is_up.into());
        self.upstream_active.with_label_values(&labels).set(facts.active.into());
        self.upstream_requests.with_label_values(&labels).inc_by(facts.requests);
        self.upstream_failures.with_label_values(&labels).inc_by(facts.failures);
        self.upstream_checks.with_label_values(&[site, url, "passed"]).inc_by(facts.checks_passed);
        self.upstream_checks.with_label_values(&[site, url, "failed"]).inc_by(facts.checks_failed);
    }

    /// `more` client connections on a listener.
    pub fn connections(&self, listener: &str, more: i64) {
        self.connections_open.with_label_values(&[listener]).add(more);
    }

    /// A connection failed before it brought a request.
    pub fn connection_failed(&self, reason: &'static str) {
        self.connections_failed.with_label_values(&[reason]).inc();
    }

    /// An attempt to load a generation.
    pub fn reload(&self, result: ReloadResult) {
        let name = match result {
            ReloadResult::Success => "success",
            ReloadResult::Refused => "refused",
            ReloadResult::Unchanged => "unchanged",
        };
        self.reloads.with_label_values(&[name]).inc();
        self.reload_ok.with_label_values::<&str>(&[]).set(i64::from(result != ReloadResult::Refused));
    }

    /// The generation at work: its number, hash, and time of loading in seconds since 1970.
    pub fn generation(&self, number: u64, hash: &str, loaded: i64) {
        self.generation.reset();
        // From the start, so that a rate can be taken of the first of each.
        for result in ["success", "refused", "unchanged"] {
            let _ = self.reloads.with_label_values(&[result]);
        }
        self.generation.with_label_values(&[number.to_string().as_str(), hash]).set(1);
        self.reload_time.with_label_values::<&str>(&[]).set(loaded);
        self.reload_ok.with_label_values::<&str>(&[]).set(1);
        self.rules.reset();
        self.alarms.reset();
        self.shadow_ruleset.reset();
        self.mode.reset();
        self.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    }

    /// A site of the generation at work.
    pub fn site(&self, site: &str, rules: usize, alarms: usize, mode: Mode) {
        self.rules.with_label_values(&[site]).set(gauge(rules));
        self.alarms.with_label_values(&[site]).set(gauge(alarms));
        for one in [Mode::On, Mode::DetectionOnly, Mode::Off] {
            self.mode.with_label_values(&[site, mode_name(one)]).set(i64::from(one == mode));
        }
        // From the start, so that a rate can be taken of the first block.
        for category in category::ALL {
            let _ = self.blocks.with_label_values(&[site, category]);
            let _ = self.detections.with_label_values(&[site, category]);
        }
        let _ = self.false_alarm_candidates.with_label_values(&[site]);
        let of = self.of(site);
        for (outcome, status) in [(Outcome::Passed, 200), (Outcome::Blocked, 403), (Outcome::Detected, 200)] {
            let _ = of.requests(site, outcome, status, self);
        }
    }

    /// Virtual patches of a site, and how many of them should have been looked at again.
    pub fn site_patches<'n>(
        &self,
        site: &str,
        names: impl ExactSizeIterator<Item = &'n str>,
        past_review: usize,
    ) {
        self.patches.with_label_values(&[site]).set(gauge(names.len()));
        self.patches_past_review.with_label_values(&[site]).set(gauge(past_review));
        self.of(site).set_patches(site, names, self);
    }

    /// A sink has been opened: its series show from now on.
    pub fn audit_sink(&self, sink: &str) {
        let _ = self.audit_written.with_label_values(&[sink]);
        let _ = self.audit_retries.with_label_values(&[sink]);
        let _ = self.audit_queue.with_label_values(&[sink]);
        for loss in AuditLoss::ALL {
            let _ = self.audit_dropped.with_label_values(&[sink, loss.name()]);
        }
    }

    /// `n` audit records were delivered.
    pub fn audit_written(&self, sink: &str, n: u64) {
        self.audit_written.with_label_values(&[sink]).inc_by(n);
    }

    /// `n` audit records were lost.
    pub fn audit_dropped(&self, sink: &str, loss: AuditLoss, n: u64) {
        self.audit_dropped.with_label_values(&[sink, loss.name()]).inc_by(n);
    }

    /// An attempt failed and will be made again.
    pub fn audit_retried(&self, sink: &str) {
        self.audit_retries.with_label_values(&[sink]).inc();
    }

    /// Audit records that wait.
    pub fn audit_queue(&self, sink: &str, waiting: usize) {
        self.audit_queue.with_label_values(&[sink]).set(gauge(waiting));
    }

    /// A candidate ruleset's word on a request, which took it `time`.
    pub fn shadow(&self, site: &str, difference: Difference, time: Duration) {
        self.shadow_requests.with_label_values(&[site, difference.name()]).inc();
        self.shadow_seconds.with_label_values(&[site]).observe(time.as_secs_f64());
    }

    /// A rule matched under one of both rulesets only; `added` when under the candidate.
    pub fn shadow_rule(&self, id: u64, added: bool) {
        let label = rule_label(&self.shadow_rules_seen, SHADOW_RULE_IDS, id);
        let change = if added { "added" } else { "removed" };
        self.shadow_rules.with_label_values(&[label.as_str(), change]).inc();
    }

    /// A candidate ruleset asked for a part of a request that is not there.
    pub fn shadow_incomplete(&self, site: &str, part: &'static str) {
        self.shadow_incomplete.with_label_values(&[site, part]).inc();
    }

    /// A request was not shown to the candidate ruleset.
    pub fn shadow_dropped(&self, site: &str, reason: &'static str) {
        self.shadow_dropped.with_label_values(&[site, reason]).inc();
    }

    /// A site of the generation at work has a candidate of so many rules.
    pub fn site_shadow(&self, site: &str, rules: usize) {
        self.shadow_ruleset.with_label_values(&[site]).set(gauge(rules));
        // All four from the start, so that a rate can be taken of the first of them.
        for difference in Difference::ALL {
            self.shadow_requests.with_label_values(&[site, difference.name()]);
        }
    }

    /// The cost of rules in one request.
    pub fn rule_costs(&self, costs: &Costs) {
        self.rule_cost_requests.with_label_values::<&str>(&[]).inc();
        let add = |label: &str, nanoseconds: u64| {
            let seconds = Duration::from_nanos(nanoseconds).as_secs_f64();
            self.rule_cost.with_label_values(&[label]).inc_by(seconds);
        };
        add(SIEVE, costs.sieve);
        let mut table = self.cost_table.lock().unwrap_or_else(PoisonError::into_inner);
        table.add(costs, |label, nanoseconds| match label {
            Some(id) => add(&id.to_string(), nanoseconds),
            None => add(OTHER_RULES, nanoseconds),
        });
    }

    /// What was measured of rules since the start.
    pub fn cost_table(&self) -> CostTable {
        self.cost_table.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the shared store answers.
    pub fn shared_store_up(&self, up: bool) {
        self.shared_up.with_label_values::<&str>(&[]).set(i64::from(up));
    }

    /// The shared store failed to do something.
    pub fn shared_store_error(&self, cause: &'static str) {
        self.shared_errors.with_label_values(&[cause]).inc();
    }

    /// A request was decided without the shared store.
    pub fn shared_store_fallback(&self) {
        self.shared_fallbacks.with_label_values::<&str>(&[]).inc();
    }

    /// The state of the persistent collections.
    pub fn store(&self, collections: usize, bytes: usize, evictions: u64) {
        self.store_collections.with_label_values::<&str>(&[]).set(gauge(collections));
        self.store_bytes.with_label_values::<&str>(&[]).set(gauge(bytes));
        self.store_evictions.with_label_values::<&str>(&[]).set(i64::try_from(evictions).unwrap_or(i64::MAX));
    }
}

/// The label of a rule: its id, or `other` when `most` others have been seen.
fn rule_label(seen: &Mutex<HashSet<u64>>, most: usize, id: u64) -> String {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let known = seen.contains(&id) || seen.len() < most && seen.insert(id);
    if known { id.to_string() } else { "other".to_owned() }
}

fn gauge(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
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
        | EventKind::Banned => false,
    }
}

/// How a metric of a row is made.
trait FromRow: Collector + Clone + Sized {
    fn of(row: &Row) -> prometheus::Result<Self>;
}

fn labels(row: &Row) -> Vec<&'static str> {
    row.labels.iter().map(|(name, _)| *name).collect()
}

impl FromRow for IntCounterVec {
    fn of(row: &Row) -> prometheus::Result<Self> {
        let metric = IntCounterVec::new(Opts::new(row.name, row.help), &labels(row))?;
        // A counter without labels shows from the start, so that a rate can be taken of its first increase.
        if row.labels.is_empty() {
            let _ = metric.with_label_values::<&str>(&[]);
        }
        Ok(metric)
    }
}

impl FromRow for CounterVec {
    fn of(row: &Row) -> prometheus::Result<Self> {
        CounterVec::new(Opts::new(row.name, row.help), &labels(row))
    }
}

impl FromRow for IntGaugeVec {
    fn of(row: &Row) -> prometheus::Result<Self> {
        IntGaugeVec::new(Opts::new(row.name, row.help), &labels(row))
    }
}

impl FromRow for HistogramVec {
    fn of(row: &Row) -> prometheus::Result<Self> {
        let Kind::Histogram(bounds) = row.kind else {
            return Err(prometheus::Error::Msg(format!("{} has no upper bounds", row.name)));
        };
        let opts = HistogramOpts::new(row.name, row.help).buckets(bounds.to_vec());
        HistogramVec::new(opts, &labels(row))
    }
}

#[cfg(target_os = "linux")]
fn process(registry: &Registry) -> prometheus::Result<()> {
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
}

#[cfg(not(target_os = "linux"))]
fn process(_: &Registry) -> prometheus::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::per_site::RULES;
    use super::*;
    use crate::engine::RuleCost;

    fn metrics() -> Metrics {
        Metrics::new().expect("all rows register")
    }

    #[test]
    fn rows_follow_prometheus_conventions() {
        let mut names = std::collections::HashSet::new();
        for row in ROWS {
            assert!(row.name.starts_with("portcullis_"), "{}", row.name);
            assert!(names.insert(row.name), "{} twice", row.name);
            assert!(row.help.ends_with('.'), "{}", row.name);
            let unit = ["_total", "_seconds", "_bytes", "_info"].iter().any(|u| row.name.ends_with(u));
            match row.kind {
                Kind::Counter => assert!(row.name.ends_with("_total"), "{}", row.name),
                Kind::Gauge => assert!(!row.name.ends_with("_total"), "{}", row.name),
                Kind::Histogram(bounds) => {
                    // A score is a number without a unit.
                    assert!(unit || row.name.ends_with("_score"), "{}", row.name);
                    assert!(bounds.is_sorted(), "{}", row.name);
                }
            }
        }
    }

    #[test]
    fn every_metric_can_be_moved() {
        let m = metrics();
        m.generation(3, "abc", 17);
        m.site("shop", 10, 1, Mode::DetectionOnly);
        m.site_patches("shop", ["log4shell"].into_iter(), 1);
        m.patch_hit("shop", "log4shell", Fate::Blocked);
        m.patch_hit("shop", "<script>", Fate::Blocked);
        m.request("shop", Outcome::Blocked, 403, Duration::from_millis(3), (5, 7));
        m.scores("shop", &Scores { inbound: 7, inbound_threshold: 5, ..Scores::default() });
        m.detection("shop", ["attack-lfi"].into_iter());
        m.false_alarm_candidate("shop");
        m.block("shop", ["attack-xss", "attack-sqli", "attack-sqli", "x"].into_iter());
        m.rule_hit("shop", 942_100, Fate::Blocked);
        m.inspection(&[
            Duration::from_micros(30),
            Duration::ZERO,
            Duration::ZERO,
            Duration::ZERO,
            Duration::ZERO,
        ]);
        m.event("shop", EventKind::RequestBodyTruncated);
        m.failure("shop", "internal", true);
        m.malformed("smuggling");
        m.turned_away("shop", "rate_limited", "login", true);
        m.admission(1, 2);
        m.upstream_error("shop", "refused");
        let facts = UpstreamFacts {
            is_up: true,
            active: 1,
            requests: 1,
            failures: 1,
            checks_passed: 1,
            checks_failed: 1,
        };
        m.upstream("shop", "http://a", &facts);
        m.connections("127.0.0.1:80", 1);
        m.connection_failed("tls");
        m.reload(ReloadResult::Refused);
        m.audit_sink("log");
        m.audit_written("log", 2);
        m.audit_dropped("log", AuditLoss::QueueFull, 1);
        m.audit_retried("log");
        m.audit_queue("log", 4);
        m.store(1, 2, 3);
        m.shared_store_up(true);
        m.shared_store_error("timeout");
        m.shared_store_fallback();
        m.site_shadow("shop", 7);
        m.shadow("shop", Difference::NewlyBlocked, Duration::from_micros(80));
        m.shadow_rule(942_100, true);
        m.shadow_rule(942_100, false);
        m.shadow_incomplete("shop", "request_body");
        m.shadow_dropped("shop", "queue_full");
        let rules = vec![RuleCost { id: 942_100, nanoseconds: 1_500_000_000 }];
        m.rule_costs(&Costs { rules, sieve: 500_000_000 });
        let text = m.render();
        for row in ROWS {
            assert!(text.contains(&format!("# TYPE {} ", row.name)), "{} shows nothing", row.name);
        }
        for line in [
            "portcullis_requests_total{outcome=\"blocked\",site=\"shop\",status_class=\"4xx\"} 1",
            "portcullis_blocks_total{category=\"sqli\",site=\"shop\"} 1",
            "portcullis_rule_hits_total{outcome=\"blocked\",rule_id=\"942100\",site=\"shop\"} 1",
            "portcullis_patch_hits_total{outcome=\"blocked\",patch=\"log4shell\",site=\"shop\"} 1",
            "portcullis_anomaly_score_bucket{direction=\"inbound\",site=\"shop\",le=\"5\"} 0",
            "portcullis_anomaly_score_bucket{direction=\"inbound\",site=\"shop\",le=\"8\"} 1",
            "portcullis_site_mode{mode=\"DetectionOnly\",site=\"shop\"} 1",
            "portcullis_site_mode{mode=\"On\",site=\"shop\"} 0",
            "portcullis_request_body_bytes_total{site=\"shop\"} 5",
            "portcullis_inspection_seconds_count{phase=\"1\"} 1",
            "portcullis_uninspected_total{reason=\"request_body_truncated\",site=\"shop\"} 1",
            "portcullis_uninspected_total{reason=\"failure_internal\",site=\"shop\"} 1",
            "portcullis_config_last_reload_successful 0",
            "portcullis_generation_info{hash=\"abc\",number=\"3\"} 1",
            "portcullis_shadow_requests_total{site=\"shop\",verdict=\"newly_blocked\"} 1",
            "portcullis_shadow_requests_total{site=\"shop\",verdict=\"same\"} 0",
            "portcullis_shadow_rule_differences_total{change=\"added\",rule_id=\"942100\"} 1",
            "portcullis_site_shadow_rules{site=\"shop\"} 7",
            "portcullis_rule_cost_seconds_total{rule_id=\"942100\"} 1.5",
            "portcullis_rule_cost_seconds_total{rule_id=\"sieve\"} 0.5",
            "portcullis_audit_dropped_total{reason=\"queue_full\",sink=\"log\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.contains("portcullis_inspection_seconds_count{phase=\"2\"} 0"));
        assert!(!text.contains("<script>"), "a tag's text makes no series");
        #[cfg(target_os = "linux")]
        assert!(text.contains("process_resident_memory_bytes"));
        m.generation(4, "def", 18);
        assert!(!m.render().contains("hash=\"abc\""));
    }

    #[test]
    fn rule_ids_are_bounded() {
        let m = metrics();
        for id in 0..RULES as u64 / 2 + 10 {
            m.rule_hit("a", id, Fate::Passed);
            m.rule_hit("a", id, Fate::Passed);
            m.rule_hit("b", id, Fate::Passed);
        }
        let text = m.render();
        assert_eq!(text.matches("portcullis_rule_hits_total{").count(), RULES + 2);
        let other = "portcullis_rule_hits_total{outcome=\"passed\",rule_id=\"other\",site=\"a\"} 20";
        assert!(text.contains(other));
    }
}
