//! The metrics: one row each, from which they are registered and `docs/metrics.md` is written.
//!
//! No label takes its value from a client. Sites come from the configuration, rule ids from rule text and bounded,
//! everything else from fixed lists; a row says which.

use super::category;
use super::costs::{CostTable, OTHER_RULES, SIEVE};
use crate::engine::{Costs, Difference, EventKind};
use prometheus::core::Collector;
use prometheus::{
    CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use std::collections::HashSet;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in seconds, counted by upper bounds.
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
}

const SITE: (&str, &str) = ("site", "a site's name, or `-` when none serves the request");

const UPSTREAM: (&str, &str) = ("upstream", "an upstream's URL in the configuration at work");

/// Upper bounds for inspection: most requests take tens of microseconds, hostile ones milliseconds.
const INSPECTION: &[f64] =
    &[0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5];
/// Upper bounds for whole requests.
const REQUEST: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Declares the metrics: a field, and its row.
macro_rules! metrics {
    ($($field:ident: $type:ident = $kind:expr, $name:literal, [$($label:expr),*], $help:literal;)*) => {
        /// All metrics of the process.
        pub struct Metrics {
            registry: Registry,
            rules_seen: Mutex<HashSet<u64>>,
            shadow_rules_seen: Mutex<HashSet<u64>>,
            cost_table: Mutex<CostTable>,
            /// One of `inspection_seconds` for each phase: five look-ups less for each request.
            phases: Vec<Histogram>,
            $($field: $type,)*
        }

        /// Every metric in the order of the documentation.
        pub const ROWS: &[Row] =
            &[$(Row { name: $name, kind: $kind, labels: &[$($label),*], help: $help },)*];

        impl Metrics {
            /// Registers every metric with a registry of its own.
            ///
            /// # Errors
            ///
            /// Never for the rows as they stand, of which a test registers all; the registry's own word otherwise.
            pub fn new() -> prometheus::Result<Self> {
                let registry = Registry::new();
                $(let $field = $type::of(&Row { name: $name, kind: $kind, labels: &[$($label),*], help: $help })?;
                registry.register(Box::new($field.clone()))?;)*
                process(&registry)?;
                let mut all = Self { registry, rules_seen: Mutex::default(), shadow_rules_seen: Mutex::default(), cost_table: Mutex::default(), phases: Vec::new(), $($field,)* };
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
        "Blocked requests by the category that most of the matching rules carry; one for each blocked request.";
    rule_hits: IntCounterVec = Kind::Counter, "portcullis_rule_hits_total",
        [("rule_id", "the id of a rule that has matched, of the first 2000 such rules; `other` beyond them")],
        "Matches of rules that log.";
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
    alarms: IntGaugeVec = Kind::Gauge, "portcullis_site_alarms", [SITE],
        "Reasons why the site's rules cannot block, as the posture tells them; 0 when all is well.";
    patches: IntGaugeVec = Kind::Gauge, "portcullis_site_patches", [SITE], "Virtual patches in force, those that only tell included.";
    patches_past_review: IntGaugeVec = Kind::Gauge, "portcullis_site_patches_past_review", [SITE],
        "Virtual patches whose `review_by` has passed. They go on blocking.";
    audit_written: IntCounterVec = Kind::Counter, "portcullis_audit_written_total", [],
        "Audit records written.";
    audit_dropped: IntCounterVec = Kind::Counter, "portcullis_audit_queue_dropped_total", [],
        "Audit records dropped because the queue was full.";
    audit_errors: IntCounterVec = Kind::Counter, "portcullis_audit_write_errors_total", [],
        "Audit records lost because they could not be written.";
    audit_queue: IntGaugeVec = Kind::Gauge, "portcullis_audit_queue_length", [],
        "Audit records that wait for the writer.";
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

/// Rule ids with a series of their own.
const RULE_IDS: usize = 2_000;

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

    /// A finished request.
    pub fn request(&self, site: &str, outcome: Outcome, status: u16, duration: Duration) {
        let class = match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            5 => "5xx",
            _ => "none",
        };
        self.requests.with_label_values(&[site, outcome.name(), class]).inc();
        self.request_seconds.with_label_values(&[site]).observe(duration.as_secs_f64());
    }

    /// Bytes of a finished request's bodies.
    pub fn bodies(&self, site: &str, request: u64, response: u64) {
        self.request_bytes.with_label_values(&[site]).inc_by(request);
        self.response_bytes.with_label_values(&[site]).inc_by(response);
    }

    /// A blocked request, whose matching rules carry `tags`.
    pub fn block<'a>(&self, site: &str, tags: impl Iterator<Item = &'a str>) {
        self.blocks.with_label_values(&[site, category::of(tags)]).inc();
    }

    /// A rule matched.
    pub fn rule_hit(&self, id: u64) {
        let label = rule_label(&self.rules_seen, RULE_IDS, id);
        self.rule_hits.with_label_values(&[label.as_str()]).inc();
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
        self.generation.with_label_values(&[number.to_string().as_str(), hash]).set(1);
        self.reload_time.with_label_values::<&str>(&[]).set(loaded);
        self.reload_ok.with_label_values::<&str>(&[]).set(1);
        self.rules.reset();
        self.alarms.reset();
        self.shadow_ruleset.reset();
        self.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    }

    /// A site of the generation at work.
    pub fn site(&self, site: &str, rules: usize, alarms: usize) {
        self.rules.with_label_values(&[site]).set(gauge(rules));
        self.alarms.with_label_values(&[site]).set(gauge(alarms));
    }

    /// Virtual patches of a site, and those of them that should have been looked at again.
    pub fn site_patches(&self, site: &str, patches: usize, past_review: usize) {
        self.patches.with_label_values(&[site]).set(gauge(patches));
        self.patches_past_review.with_label_values(&[site]).set(gauge(past_review));
    }

    /// `n` audit records were written.
    pub fn audit_written(&self, n: u64) {
        self.audit_written.with_label_values::<&str>(&[]).inc_by(n);
    }

    /// An audit record was dropped.
    pub fn audit_dropped(&self) {
        self.audit_dropped.with_label_values::<&str>(&[]).inc();
    }

    /// An audit record could not be written.
    pub fn audit_error(&self) {
        self.audit_errors.with_label_values::<&str>(&[]).inc();
    }

    /// Audit records that wait.
    pub fn audit_queue(&self, waiting: usize) {
        self.audit_queue.with_label_values::<&str>(&[]).set(gauge(waiting));
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

/// `docs/metrics.md`.
pub fn reference() -> String {
    let mut out = PROLOGUE.to_owned();
    for row in ROWS {
        let kind = match row.kind {
            Kind::Counter => "counter".to_owned(),
            Kind::Gauge => "gauge".to_owned(),
            Kind::Histogram(bounds) => {
                let bounds: Vec<String> = bounds.iter().map(f64::to_string).collect();
                format!("histogram, upper bounds in seconds: {}", bounds.join(", "))
            }
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "\n## `{}`\n\n{} ({kind})", row.name, row.help);
        if !row.labels.is_empty() {
            let _ = writeln!(out, "\n| label | values |\n| --- | --- |");
        }
        for (label, values) in row.labels {
            let _ = writeln!(out, "| `{label}` | {values} |");
        }
    }
    let events: Vec<String> = EventKind::ALL.iter().map(|k| format!("`{}`", k.name())).collect();
    let categories: Vec<String> = category::ALL.iter().map(|c| format!("`{c}`")).collect();
    let _ = writeln!(
        out,
        "\n## Values\n\nEvents: {}.\n\nCategories: {}.",
        events.join(", "),
        categories.join(", ")
    );
    out
}

const PROLOGUE: &str = "\
# Metrics

<!-- Generated from src/telemetry/metrics.rs. A test fails when this page is stale;
     `PORTCULLIS_BLESS=1 cargo test --lib telemetry` rewrites it. -->

The admin listener (by default `127.0.0.1:9180`) serves them at `/metrics` in Prometheus' text format, together with
the usual `process_…` metrics on Linux. No label takes its value from a client, so nobody outside can make series.
";

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
    use super::*;
    use crate::engine::RuleCost;

    fn metrics() -> Metrics {
        Metrics::new().expect("all rows register")
    }

    #[test]
    fn rows_follow_prometheus_conventions() {
        let mut names = HashSet::new();
        for row in ROWS {
            assert!(row.name.starts_with("portcullis_"), "{}", row.name);
            assert!(names.insert(row.name), "{} twice", row.name);
            assert!(row.help.ends_with('.'), "{}", row.name);
            let unit = ["_total", "_seconds", "_bytes", "_info"].iter().any(|u| row.name.ends_with(u));
            match row.kind {
                Kind::Counter => assert!(row.name.ends_with("_total"), "{}", row.name),
                Kind::Gauge => assert!(!row.name.ends_with("_total"), "{}", row.name),
                Kind::Histogram(bounds) => {
                    assert!(unit && bounds.is_sorted(), "{}", row.name);
                }
            }
        }
    }

    #[test]
    fn every_metric_can_be_moved() {
        let m = metrics();
        m.generation(3, "abc", 17);
        m.site("shop", 10, 1);
        m.site_patches("shop", 3, 1);
        m.request("shop", Outcome::Blocked, 403, Duration::from_millis(3));
        m.bodies("shop", 5, 7);
        m.block("shop", ["attack-xss", "attack-sqli", "attack-sqli", "x"].into_iter());
        m.rule_hit(942_100);
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
        m.audit_written(2);
        m.audit_dropped();
        m.audit_error();
        m.audit_queue(4);
        m.store(1, 2, 3);
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
            "portcullis_rule_hits_total{rule_id=\"942100\"} 1",
            "portcullis_inspection_seconds_count{phase=\"1\"} 1",
            "portcullis_uninspected_total{reason=\"request_body_truncated\",site=\"shop\"} 1",
            "portcullis_uninspected_total{reason=\"failure_internal\",site=\"shop\"} 1",
            "portcullis_config_last_reload_successful 0",
            "portcullis_generation_info{hash=\"abc\",number=\"3\"} 1",
            "portcullis_audit_queue_dropped_total 1",
            "portcullis_shadow_requests_total{site=\"shop\",verdict=\"newly_blocked\"} 1",
            "portcullis_shadow_requests_total{site=\"shop\",verdict=\"same\"} 0",
            "portcullis_shadow_rule_differences_total{change=\"added\",rule_id=\"942100\"} 1",
            "portcullis_site_shadow_rules{site=\"shop\"} 7",
            "portcullis_rule_cost_seconds_total{rule_id=\"942100\"} 1.5",
            "portcullis_rule_cost_seconds_total{rule_id=\"sieve\"} 0.5",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.contains("portcullis_inspection_seconds_count{phase=\"2\"} 0"));
        #[cfg(target_os = "linux")]
        assert!(text.contains("process_resident_memory_bytes"));
        m.generation(4, "def", 18);
        assert!(!m.render().contains("hash=\"abc\""));
    }

    #[test]
    fn rule_ids_are_bounded() {
        let m = metrics();
        for id in 0..(RULE_IDS as u64 + 10) {
            m.rule_hit(id);
            m.rule_hit(id);
        }
        let text = m.render();
        assert_eq!(text.matches("portcullis_rule_hits_total{").count(), RULE_IDS + 1);
        assert!(text.contains("portcullis_rule_hits_total{rule_id=\"other\"} 20"));
    }

    #[test]
    fn the_reference_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        if std::env::var_os("PORTCULLIS_BLESS").is_some() {
            std::fs::write(path, reference()).expect("written");
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == reference(),
            "docs/metrics.md is stale: PORTCULLIS_BLESS=1 cargo test --lib telemetry"
        );
    }
}
