//! The metrics: one row each, from which they are registered and `docs/reference/metrics.md` is written.
//!
//! No label takes its value from a client. Sites come from the configuration, rule ids from rule text and bounded,
//! everything else from fixed lists; a row says which.

use prometheus::core::Collector;
use prometheus::{
    CounterVec, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
};

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

const USE: (&str, &str) = ("use", "`rate_limits`, or `collections` (`initcol`)");

/// Upper bounds for inspection: most requests take tens of microseconds, hostile ones milliseconds.
const INSPECTION: &[f64] =
    &[0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5];
/// Upper bounds for an answer of the shared store: a server nearby takes less than a millisecond, and who waits gives up
/// after ten unless told otherwise.
const SHARED: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25];
/// Upper bounds for whole requests.
const REQUEST: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Upper bounds for anomaly scores: CRS counts 2, 3, 4 or 5 for a match, and blocks from 5 on unless told otherwise.
const SCORE: &[f64] = &[0.0, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0];

/// Declares the metrics: a field, and its row; at its end a query, where the usual one of its kind says little.
macro_rules! metrics {
    ($($field:ident: $type:ident = $kind:expr, $name:literal, [$($label:expr),*], $help:literal $(, $example:literal)?;)*) => {
        /// The series of all rows.
        pub(super) struct Series {
            $(pub(super) $field: $type,)*
        }

        /// Every metric in the order of the documentation.
        pub const ROWS: &[Row] =
            &[$(Row { name: $name, kind: $kind, labels: &[$($label),*], help: $help, example: concat!($($example)?) },)*];

        impl Series {
            /// Registers every metric.
            ///
            /// # Errors
            ///
            /// Never for the rows as they stand, of which a test registers all; the registry's own word otherwise.
            pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
                $(let $field = $type::of(&Row { name: $name, kind: $kind, labels: &[$($label),*], help: $help, example: "" })?;
                registry.register(Box::new($field.clone()))?;)*
                Ok(Self { $($field,)* })
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
        "Requests in which a rule that logs matched. Rules that only compare or tell the anomaly score, as 949110 and 980130 \
         do, are not counted: they match in every request that is blocked.",
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
    limit_evictions: IntCounterVec = Kind::Counter, "portcullis_rate_limit_evictions_total", [],
        "Keys of rate limits that made room for others before they were at rest. It grows when \
         `store.limit_keys` is too small for a flood of new keys.";
    malformed: IntCounterVec = Kind::Counter, "portcullis_malformed_requests_total",
        [("reason", "a fixed name of the fault")],
        "Requests refused because they are not HTTP as Portcullis accepts it, or for no site.";
    failures: IntCounterVec = Kind::Counter, "portcullis_failures_total",
        [SITE, ("failure", "a setting of `sites[].fail`, or a fixed name"), ("outcome", "`open` or `closed`")],
        "Failures inside Portcullis, and what the site's setting did to the request.";
    overloads: IntCounterVec = Kind::Counter, "portcullis_overload_total",
        [SITE, ("cause", "`held_bytes` (`client.held_bytes` is used up), `unsent_bytes` (`client.unsent_bytes` is), `processors` (worker threads are late), `queue_full` \
                          or `queue_wait` (of long inspections)"),
         ("outcome", "`shed` (503, or cut off) or `open` (passed uninspected)")],
        "Requests that were not inspected because there was more to inspect than could be, or cut off because too much waited for \
         clients, by what was short.",
        "sum by (site, cause) (rate(portcullis_overload_total[5m]))";
    inspections_waiting: IntGaugeVec = Kind::Gauge, "portcullis_inspection_queue_length", [],
        "Long inspections that wait for their turn.";
    lag: GaugeVec = Kind::Gauge, "portcullis_worker_lag_seconds", [],
        "How late worker threads come to what is due, the longest of the last second: what `sites[].overload.wait` is \
         compared with.";
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
        "Client connections that did not begin or end in good order: TLS, PROXY protocol, no room, HTTP/2 that is broken or \
         abused, a panic.";
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
    store_evictions: IntCounterVec = Kind::Counter, "portcullis_store_evictions_total", [],
        "Persistent collections that went before their time because a bound was reached.";
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
    shared_fallbacks: IntCounterVec = Kind::Counter, "portcullis_shared_store_fallbacks_total", [USE],
        "Times that rate limits were decided, or persistent collections opened, by this instance alone, since the shared \
         store gave no answer in time.";
    shared_wait: HistogramVec = Kind::Histogram(SHARED), "portcullis_shared_store_wait_seconds", [USE],
        "Time that requests waited for the shared store, for answers that did not come in time included.",
        "histogram_quantile(0.99, sum by (use, le) (rate(portcullis_shared_store_wait_seconds_bucket[5m])))";
    admin_changes: IntCounterVec = Kind::Counter, "portcullis_admin_changes_total",
        [("action", "`sign in`, `sign out`, `reload`, `promote`, `lift bans`, or `access` for a call with a wrong token"),
         ("result", "`success`, `unchanged`, `failed`, `refused`, or `limited` when it came too fast")],
        "Changes through the admin listener, and attempts at them.",
        "sum by (action) (increase(portcullis_admin_changes_total{result=\"refused\"}[1h]))";
    build: IntGaugeVec = Kind::Gauge, "portcullis_build_info", [("version", "the version")], "1.";
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

impl FromRow for GaugeVec {
    fn of(row: &Row) -> prometheus::Result<Self> {
        GaugeVec::new(Opts::new(row.name, row.help), &labels(row))
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
