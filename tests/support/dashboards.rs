//! Grafana's dashboards as rows, from which `config/grafana/dashboards/*.json` are written.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use serde_json::{Value, json};

/// A dashboard.
pub struct Dashboard {
    pub file: &'static str,
    pub uid: &'static str,
    pub title: &'static str,
    pub about: &'static str,
    /// From top to bottom; a title begins each part.
    pub parts: &'static [(&'static str, &'static [Panel])],
}

/// A panel. Panels of a part stand side by side as long as there is room.
pub struct Panel {
    pub kind: Kind,
    pub title: &'static str,
    pub about: &'static str,
    /// Grafana's name of the unit.
    pub unit: &'static str,
    /// Width in columns of 24.
    pub width: u32,
    /// Expressions and their legends.
    pub queries: &'static [(&'static str, &'static str)],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Lines over time.
    Lines,
    /// Areas on top of each other.
    Stack,
    /// One number.
    Number,
    /// A list with bars, of the last value.
    Bars,
    /// Buckets over time.
    Heat,
}

impl Kind {
    pub fn height(self) -> u32 {
        if self == Kind::Number { 4 } else { 8 }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Lines | Kind::Stack => "timeseries",
            Kind::Number => "stat",
            Kind::Bars => "bargauge",
            Kind::Heat => "heatmap",
        }
    }

    /// Whether it shows the newest value and not the course.
    pub fn is_instant(self) -> bool {
        matches!(self, Kind::Number | Kind::Bars)
    }
}

const fn panel(
    kind: Kind,
    width: u32,
    title: &'static str,
    about: &'static str,
    unit: &'static str,
    queries: &'static [(&'static str, &'static str)],
) -> Panel {
    Panel { kind, title, about, unit, width, queries }
}

pub const ALL: [&Dashboard; 2] = [&ATTACKS, &OPERATIONS];

pub const ATTACKS: Dashboard = Dashboard {
    file: "attacks.json",
    uid: "portcullis-attacks",
    title: "Portcullis: attacks",
    about: "What is blocked, by which rules, and what may be a false alarm.",
    parts: &[
        (
            "Overview",
            &[
                panel(
                    Kind::Number,
                    4,
                    "Blocked",
                    "Requests that rules blocked.",
                    "short",
                    &[("sum(increase(portcullis_blocks_total{site=~\"$site\"}[$__range]))", "")],
                ),
                panel(
                    Kind::Number,
                    4,
                    "Detected",
                    "Requests that would have been blocked but for the mode.",
                    "short",
                    &[("sum(increase(portcullis_detections_total{site=~\"$site\"}[$__range]))", "")],
                ),
                panel(
                    Kind::Number,
                    4,
                    "Share blocked",
                    "Of all requests.",
                    "percentunit",
                    &[(
                        "sum(increase(portcullis_blocks_total{site=~\"$site\"}[$__range])) / sum(increase(portcullis_requests_total{site=~\"$site\"}[$__range]))",
                        "",
                    )],
                ),
                panel(
                    Kind::Number,
                    4,
                    "False-alarm candidates",
                    "Share of blocked and detected requests with a single rule as evidence. Some are attacks.",
                    "percentunit",
                    &[(
                        "sum(increase(portcullis_false_alarm_candidates_total{site=~\"$site\"}[$__range])) / (sum(increase(portcullis_blocks_total{site=~\"$site\"}[$__range])) + sum(increase(portcullis_detections_total{site=~\"$site\"}[$__range])))",
                        "",
                    )],
                ),
                panel(
                    Kind::Number,
                    4,
                    "Virtual patches hit",
                    "Requests in which a virtual patch matched.",
                    "short",
                    &[("sum(increase(portcullis_patch_hits_total{site=~\"$site\"}[$__range]))", "")],
                ),
                panel(
                    Kind::Number,
                    4,
                    "Sites that do not block",
                    "In DetectionOnly or Off.",
                    "short",
                    &[("count(portcullis_site_mode{site=~\"$site\",mode!=\"On\"} == 1) or vector(0)", "")],
                ),
            ],
        ),
        (
            "Course",
            &[
                panel(
                    Kind::Stack,
                    12,
                    "Blocks by category",
                    "Blocked requests by the kind of attack that most of the matching rules name.",
                    "reqps",
                    &[(
                        "sum by (category) (rate(portcullis_blocks_total{site=~\"$site\"}[$__rate_interval])) > 0",
                        "{{category}}",
                    )],
                ),
                panel(
                    Kind::Stack,
                    12,
                    "Detections by category",
                    "Requests that would have been blocked but for the mode.",
                    "reqps",
                    &[(
                        "sum by (category) (rate(portcullis_detections_total{site=~\"$site\"}[$__rate_interval])) > 0",
                        "{{category}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    12,
                    "Blocks and detections by site",
                    "",
                    "reqps",
                    &[
                        (
                            "sum by (site) (rate(portcullis_blocks_total{site=~\"$site\"}[$__rate_interval]))",
                            "{{site}} blocked",
                        ),
                        (
                            "sum by (site) (rate(portcullis_detections_total{site=~\"$site\"}[$__rate_interval]))",
                            "{{site}} detected",
                        ),
                    ],
                ),
                panel(
                    Kind::Lines,
                    12,
                    "False-alarm candidates by site",
                    "Share of blocked and detected requests with a single rule as evidence, over an hour.",
                    "percentunit",
                    &[("site:portcullis_false_alarm_candidates:ratio1h{site=~\"$site\"}", "{{site}}")],
                ),
            ],
        ),
        (
            "Rules",
            &[
                panel(
                    Kind::Bars,
                    8,
                    "Rules in blocked requests",
                    "The ten rules that matched most often in requests that were blocked; without those that only compare the score.",
                    "short",
                    &[(
                        "topk(10, sum by (rule_id) (increase(portcullis_rule_hits_total{site=~\"$site\",outcome=\"blocked\"}[$__range])) > 0)",
                        "{{rule_id}}",
                    )],
                ),
                panel(
                    Kind::Bars,
                    8,
                    "Rules in detected requests",
                    "Where to look for false alarms before blocking is switched on.",
                    "short",
                    &[(
                        "topk(10, sum by (rule_id) (increase(portcullis_rule_hits_total{site=~\"$site\",outcome=\"detected\"}[$__range])) > 0)",
                        "{{rule_id}}",
                    )],
                ),
                panel(
                    Kind::Bars,
                    8,
                    "Virtual patches",
                    "The ten that matched most often.",
                    "short",
                    &[(
                        "topk(10, sum by (patch) (increase(portcullis_patch_hits_total{site=~\"$site\"}[$__range])) > 0)",
                        "{{patch}}",
                    )],
                ),
            ],
        ),
        (
            "Who is turned away",
            &[
                panel(
                    Kind::Stack,
                    8,
                    "Turned away",
                    "Requests that access rules, rate limits and bans refused, or would have.",
                    "reqps",
                    &[(
                        "sum by (site, control) (rate(portcullis_admission_refusals_total{site=~\"$site\"}[$__rate_interval])) > 0",
                        "{{site}} {{control}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Banned clients",
                    "",
                    "short",
                    &[("max by (instance) (portcullis_banned_clients)", "{{instance}}")],
                ),
                panel(
                    Kind::Bars,
                    8,
                    "Rules that turn away",
                    "Access rules and rate limits by what they refused.",
                    "short",
                    &[(
                        "topk(10, sum by (site, rule) (increase(portcullis_admission_refusals_total{site=~\"$site\"}[$__range])) > 0)",
                        "{{site}} {{rule}}",
                    )],
                ),
            ],
        ),
        (
            "Scores",
            &[
                panel(
                    Kind::Heat,
                    12,
                    "Anomaly scores",
                    "Requests by their inbound score. A gap between ordinary requests and attacks is what a threshold needs.",
                    "short",
                    &[(
                        "sum by (le) (increase(portcullis_anomaly_score_bucket{site=~\"$site\",direction=\"inbound\"}[$__rate_interval]))",
                        "{{le}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    12,
                    "Anomaly scores by percentile",
                    "",
                    "short",
                    &[
                        (
                            "histogram_quantile(0.9, sum by (le) (rate(portcullis_anomaly_score_bucket{site=~\"$site\",direction=\"inbound\"}[$__rate_interval])))",
                            "90 %",
                        ),
                        (
                            "histogram_quantile(0.99, sum by (le) (rate(portcullis_anomaly_score_bucket{site=~\"$site\",direction=\"inbound\"}[$__rate_interval])))",
                            "99 %",
                        ),
                        (
                            "histogram_quantile(0.99, sum by (le) (rate(portcullis_anomaly_score_bucket{site=~\"$site\",direction=\"outbound\"}[$__rate_interval])))",
                            "outbound 99 %",
                        ),
                    ],
                ),
            ],
        ),
        (
            "Candidate rulesets and malformed requests",
            &[
                panel(
                    Kind::Lines,
                    8,
                    "Shadow differences",
                    "What a site's candidate ruleset would have done otherwise.",
                    "reqps",
                    &[(
                        "sum by (verdict) (rate(portcullis_shadow_requests_total{site=~\"$site\",verdict!=\"same\"}[$__rate_interval]))",
                        "{{verdict}}",
                    )],
                ),
                panel(
                    Kind::Bars,
                    8,
                    "Rules that make the difference",
                    "Matches that only one of both rulesets has.",
                    "short",
                    &[(
                        "topk(10, sum by (rule_id, change) (increase(portcullis_shadow_rule_differences_total[$__range])) > 0)",
                        "{{rule_id}} {{change}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Malformed requests",
                    "Refused because they are not HTTP as Portcullis accepts it, or for no site.",
                    "reqps",
                    &[(
                        "sum by (reason) (rate(portcullis_malformed_requests_total[$__rate_interval]))",
                        "{{reason}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Time that candidates take",
                    "For one request in a hundred; beside the path of requests.",
                    "s",
                    &[(
                        "histogram_quantile(0.99, sum by (site, le) (rate(portcullis_shadow_evaluation_seconds_bucket{site=~\"$site\"}[$__rate_interval])))",
                        "{{site}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Not shown to candidates",
                    "Requests that were chosen and not shown, and those of which a part was missing.",
                    "reqps",
                    &[
                        (
                            "sum by (site, reason) (rate(portcullis_shadow_dropped_total{site=~\"$site\"}[$__rate_interval]))",
                            "{{site}} {{reason}}",
                        ),
                        (
                            "sum by (site, part) (rate(portcullis_shadow_incomplete_total{site=~\"$site\"}[$__rate_interval]))",
                            "{{site}} without {{part}}",
                        ),
                    ],
                ),
                panel(
                    Kind::Bars,
                    8,
                    "Rules of candidates",
                    "",
                    "short",
                    &[("max by (site) (portcullis_site_shadow_rules{site=~\"$site\"})", "{{site}}")],
                ),
            ],
        ),
    ],
};

pub const OPERATIONS: Dashboard = Dashboard {
    file: "operations.json",
    uid: "portcullis-operations",
    title: "Portcullis: operations",
    about: "Whether it works, how fast, and what passes without inspection.",
    parts: &[
        (
            "Overview",
            &[
                panel(Kind::Number, 4, "Instances up", "", "short", &[("sum(up{job=\"portcullis\"})", "")]),
                panel(
                    Kind::Number,
                    4,
                    "Requests",
                    "",
                    "reqps",
                    &[("sum(rate(portcullis_requests_total{site=~\"$site\"}[$__rate_interval]))", "")],
                ),
                panel(
                    Kind::Number,
                    4,
                    "Uninspected",
                    "Messages that passed in part or as a whole without inspection.",
                    "short",
                    &[(
                        "sum(increase(portcullis_uninspected_total{site=~\"$site\"}[$__range])) or vector(0)",
                        "",
                    )],
                ),
                panel(
                    Kind::Number,
                    4,
                    "Audit records lost",
                    "",
                    "short",
                    &[("sum(increase(portcullis_audit_dropped_total[$__range]))", "")],
                ),
                panel(
                    Kind::Number,
                    4,
                    "Patches past review",
                    "Virtual patches whose `review_by` has passed.",
                    "short",
                    &[("sum(portcullis_site_patches_past_review{site=~\"$site\"})", "")],
                ),
                panel(
                    Kind::Number,
                    4,
                    "Configuration is",
                    "How long the configuration at work has been loaded.",
                    "s",
                    &[("time() - min(portcullis_config_last_reload_success_timestamp_seconds)", "")],
                ),
            ],
        ),
        (
            "Traffic",
            &[
                panel(
                    Kind::Stack,
                    12,
                    "Requests by outcome",
                    "",
                    "reqps",
                    &[(
                        "sum by (outcome) (rate(portcullis_requests_total{site=~\"$site\"}[$__rate_interval])) > 0",
                        "{{outcome}}",
                    )],
                ),
                panel(
                    Kind::Stack,
                    12,
                    "Requests by status",
                    "",
                    "reqps",
                    &[(
                        "sum by (status_class) (rate(portcullis_requests_total{site=~\"$site\"}[$__rate_interval])) > 0",
                        "{{status_class}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    12,
                    "Duration of requests",
                    "The upstream's time included.",
                    "s",
                    &[
                        (
                            "histogram_quantile(0.5, sum by (le) (rate(portcullis_request_duration_seconds_bucket{site=~\"$site\"}[$__rate_interval])))",
                            "50 %",
                        ),
                        (
                            "histogram_quantile(0.95, sum by (le) (rate(portcullis_request_duration_seconds_bucket{site=~\"$site\"}[$__rate_interval])))",
                            "95 %",
                        ),
                        (
                            "histogram_quantile(0.99, sum by (le) (rate(portcullis_request_duration_seconds_bucket{site=~\"$site\"}[$__rate_interval])))",
                            "99 %",
                        ),
                    ],
                ),
                panel(
                    Kind::Lines,
                    12,
                    "Bodies",
                    "",
                    "Bps",
                    &[
                        (
                            "sum(rate(portcullis_request_body_bytes_total{site=~\"$site\"}[$__rate_interval]))",
                            "requests",
                        ),
                        (
                            "sum(rate(portcullis_response_body_bytes_total{site=~\"$site\"}[$__rate_interval]))",
                            "responses",
                        ),
                    ],
                ),
            ],
        ),
        (
            "Inspection",
            &[
                panel(
                    Kind::Lines,
                    8,
                    "Inspection by phase, median",
                    "Time in the engine.",
                    "s",
                    &[(
                        "histogram_quantile(0.5, sum by (phase, le) (rate(portcullis_inspection_seconds_bucket[$__rate_interval])))",
                        "phase {{phase}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Inspection by phase, 99 %",
                    "Time in the engine.",
                    "s",
                    &[(
                        "histogram_quantile(0.99, sum by (phase, le) (rate(portcullis_inspection_seconds_bucket[$__rate_interval])))",
                        "phase {{phase}}",
                    )],
                ),
                panel(
                    Kind::Bars,
                    8,
                    "Dearest rules",
                    "Time that a rule takes in one request, by a sample of requests.",
                    "s",
                    &[(
                        "topk(10, sum by (rule_id) (rate(portcullis_rule_cost_seconds_total{rule_id!~\"sieve|other\"}[$__range])) / on () group_left () sum(rate(portcullis_rule_cost_requests_total[$__range])))",
                        "{{rule_id}}",
                    )],
                ),
                panel(
                    Kind::Stack,
                    8,
                    "Uninspected, by reason",
                    "Messages that passed in part or as a whole without inspection.",
                    "reqps",
                    &[(
                        "sum by (reason) (rate(portcullis_uninspected_total{site=~\"$site\"}[$__rate_interval]))",
                        "{{reason}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Events",
                    "What the engine noticed beside matches of rules.",
                    "reqps",
                    &[(
                        "sum by (event) (rate(portcullis_events_total{site=~\"$site\"}[$__rate_interval]))",
                        "{{event}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Failures inside",
                    "And whether the request was let through.",
                    "reqps",
                    &[(
                        "sum by (failure, outcome) (rate(portcullis_failures_total{site=~\"$site\"}[$__rate_interval]))",
                        "{{failure}} {{outcome}}",
                    )],
                ),
            ],
        ),
        (
            "Upstreams",
            &[
                panel(
                    Kind::Lines,
                    8,
                    "Upstreams up",
                    "1: asked like the others; 0: it rests, or checks say that it is down.",
                    "short",
                    &[(
                        "min by (site, upstream) (portcullis_upstream_up{site=~\"$site\"})",
                        "{{site}} {{upstream}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Requests to upstreams",
                    "",
                    "reqps",
                    &[(
                        "sum by (site, upstream) (rate(portcullis_upstream_requests_total{site=~\"$site\"}[$__rate_interval]))",
                        "{{site}} {{upstream}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Errors of upstreams",
                    "Failed attempts, by cause.",
                    "reqps",
                    &[(
                        "sum by (site, cause) (rate(portcullis_upstream_errors_total{site=~\"$site\"}[$__rate_interval]))",
                        "{{site}} {{cause}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Requests under way",
                    "At each upstream.",
                    "short",
                    &[(
                        "sum by (site, upstream) (portcullis_upstream_active_requests{site=~\"$site\"})",
                        "{{site}} {{upstream}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Failures",
                    "Of each upstream, as balance.fail_on counts them.",
                    "reqps",
                    &[(
                        "sum by (site, upstream) (rate(portcullis_upstream_failures_total{site=~\"$site\"}[$__rate_interval]))",
                        "{{site}} {{upstream}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Health checks",
                    "",
                    "reqps",
                    &[(
                        "sum by (site, upstream, result) (rate(portcullis_upstream_health_checks_total{site=~\"$site\"}[$__rate_interval]))",
                        "{{site}} {{upstream}} {{result}}",
                    )],
                ),
            ],
        ),
        (
            "Configuration",
            &[
                panel(
                    Kind::Lines,
                    8,
                    "Reloads",
                    "Attempts at loading, by result.",
                    "short",
                    &[(
                        "sum by (result) (increase(portcullis_reloads_total[$__rate_interval]))",
                        "{{result}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Last reload was sound",
                    "0: refused, and the old configuration is at work.",
                    "short",
                    &[("min(portcullis_config_last_reload_successful)", "sound")],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Alarms",
                    "Reasons why a site's rules cannot block.",
                    "short",
                    &[("max by (site) (portcullis_site_alarms{site=~\"$site\"})", "{{site}}")],
                ),
                panel(
                    Kind::Bars,
                    8,
                    "Active rules, virtual patches",
                    "",
                    "short",
                    &[
                        ("max by (site) (portcullis_site_rules{site=~\"$site\"})", "{{site}} rules"),
                        ("max by (site) (portcullis_site_patches{site=~\"$site\"})", "{{site}} patches"),
                    ],
                ),
                panel(
                    Kind::Bars,
                    8,
                    "Generation at work",
                    "The number that each instance is at.",
                    "short",
                    &[("max by (instance, number) (portcullis_generation_info)", "{{instance}}: {{number}}")],
                ),
                panel(
                    Kind::Bars,
                    8,
                    "Versions",
                    "Instances of each.",
                    "short",
                    &[("count by (version) (portcullis_build_info)", "{{version}}")],
                ),
                panel(
                    Kind::Lines,
                    24,
                    "Changes through the admin listener",
                    "And attempts at them.",
                    "reqps",
                    &[(
                        "sum by (action, result) (rate(portcullis_admin_changes_total[$__rate_interval]))",
                        "{{action}} {{result}}",
                    )],
                ),
            ],
        ),
        (
            "Audit log",
            &[
                panel(
                    Kind::Lines,
                    8,
                    "Records delivered",
                    "",
                    "reqps",
                    &[("sum by (sink) (rate(portcullis_audit_written_total[$__rate_interval]))", "{{sink}}")],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Records that wait",
                    "",
                    "short",
                    &[("sum by (sink) (portcullis_audit_queue_length)", "{{sink}}")],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Records lost, failed attempts",
                    "",
                    "reqps",
                    &[
                        (
                            "sum by (sink, reason) (rate(portcullis_audit_dropped_total[$__rate_interval])) > 0",
                            "{{sink}} {{reason}}",
                        ),
                        (
                            "sum by (sink) (rate(portcullis_audit_retries_total[$__rate_interval]))",
                            "{{sink}} tried again",
                        ),
                    ],
                ),
            ],
        ),
        (
            "Process",
            &[
                panel(
                    Kind::Lines,
                    8,
                    "Memory",
                    "Resident.",
                    "bytes",
                    &[("process_resident_memory_bytes{job=\"portcullis\"}", "{{instance}}")],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Processor",
                    "Cores in use.",
                    "short",
                    &[(
                        "rate(process_cpu_seconds_total{job=\"portcullis\"}[$__rate_interval])",
                        "{{instance}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Connections",
                    "Of clients, by listener.",
                    "short",
                    &[("sum by (listener) (portcullis_client_connections)", "{{listener}}")],
                ),
            ],
        ),
        (
            "Load and limits",
            &[
                panel(
                    Kind::Stack,
                    8,
                    "Overload",
                    "Requests that were answered 503, cut off or let through uninspected because there was more to inspect than could be, or because too much waited for clients.",
                    "reqps",
                    &[(
                        "sum by (site, cause, outcome) (rate(portcullis_overload_total{site=~\"$site\"}[$__rate_interval])) > 0",
                        "{{site}} {{cause}} {{outcome}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Long inspections that wait",
                    "",
                    "short",
                    &[("sum by (instance) (portcullis_inspection_queue_length)", "{{instance}}")],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Lag of worker threads",
                    "How late they come to what is due.",
                    "s",
                    &[("max by (instance) (portcullis_worker_lag_seconds)", "{{instance}}")],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Connections that brought no request",
                    "listener_full: the listener had as many as it may have.",
                    "reqps",
                    &[(
                        "sum by (reason) (rate(portcullis_failed_connections_total[$__rate_interval]))",
                        "{{reason}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Keys of rate limits that made room",
                    "Before they were at rest: store.limit_keys is too small for a flood of new keys.",
                    "reqps",
                    &[(
                        "sum by (instance) (rate(portcullis_rate_limit_evictions_total[$__rate_interval]))",
                        "{{instance}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Collections",
                    "Persistent collections in memory, and those that went before their time in a second.",
                    "short",
                    &[
                        ("sum by (instance) (portcullis_store_collections)", "{{instance}}"),
                        (
                            "sum by (instance) (rate(portcullis_store_evictions_total[$__rate_interval]))",
                            "{{instance}} evicted",
                        ),
                    ],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Memory of collections",
                    "",
                    "bytes",
                    &[("sum by (instance) (portcullis_store_bytes)", "{{instance}}")],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Shared store",
                    "1 while it answers.",
                    "short",
                    &[("min by (instance) (portcullis_shared_store_up)", "{{instance}}")],
                ),
                panel(
                    Kind::Lines,
                    8,
                    "Waiting for the shared store",
                    "Half, and all but one in a hundred, of the requests that ask for rate limits or collections wait no longer.",
                    "s",
                    &[
                        (
                            "histogram_quantile(0.5, sum by (use, le) (rate(portcullis_shared_store_wait_seconds_bucket[$__rate_interval])))",
                            "{{use}} 50 %",
                        ),
                        (
                            "histogram_quantile(0.99, sum by (use, le) (rate(portcullis_shared_store_wait_seconds_bucket[$__rate_interval])))",
                            "{{use}} 99 %",
                        ),
                    ],
                ),
                panel(
                    Kind::Lines,
                    12,
                    "Without the shared store",
                    "Rate limits that an instance decided, and collections that it opened, alone.",
                    "reqps",
                    &[(
                        "sum by (instance, use) (rate(portcullis_shared_store_fallbacks_total[$__rate_interval]))",
                        "{{instance}} {{use}}",
                    )],
                ),
                panel(
                    Kind::Lines,
                    12,
                    "Errors of the shared store",
                    "By cause.",
                    "reqps",
                    &[(
                        "sum by (instance, cause) (rate(portcullis_shared_store_errors_total[$__rate_interval]))",
                        "{{instance}} {{cause}}",
                    )],
                ),
            ],
        ),
    ],
};

impl Dashboard {
    /// Every panel with its place: x, y, width, height.
    pub fn places(&self) -> Vec<(&Panel, [u32; 4])> {
        let mut places = Vec::new();
        let mut y = 0;
        for (_, panels) in self.parts {
            y += 1;
            let (mut x, mut tallest) = (0, 0);
            for panel in *panels {
                if x + panel.width > 24 {
                    (x, y, tallest) = (0, y + tallest, 0);
                }
                places.push((panel, [x, y, panel.width, panel.kind.height()]));
                x += panel.width;
                tallest = tallest.max(panel.kind.height());
            }
            y += tallest;
        }
        places
    }

    /// Where each part's title stands.
    pub fn headings(&self) -> Vec<(&'static str, u32)> {
        let places = self.places();
        let mut next = 0;
        let mut headings = Vec::new();
        for (title, panels) in self.parts {
            headings.push((*title, places[next].1[1] - 1));
            next += panels.len();
        }
        headings
    }

    /// As Grafana reads it.
    pub fn json(&self) -> Value {
        let mut panels: Vec<Value> = Vec::new();
        for (title, y) in self.headings() {
            panels.push(json!({
                "type": "row", "title": title, "collapsed": false, "panels": [],
                "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
            }));
        }
        panels.extend(self.places().into_iter().map(|(panel, place)| panel.json(place)));
        panels.sort_by_key(|p| (p["gridPos"]["y"].as_u64(), p["gridPos"]["x"].as_u64()));
        for (id, panel) in (1..).zip(&mut panels) {
            panel["id"] = Value::from(id);
        }
        json!({
            "uid": self.uid, "title": self.title, "description": self.about, "tags": ["portcullis"],
            "schemaVersion": 39, "version": 1, "editable": true, "graphTooltip": 1, "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"}, "timezone": "", "annotations": {"list": [reloads()]},
            "links": [{"type": "dashboards", "tags": ["portcullis"], "title": "Portcullis", "asDropdown": false,
                       "includeVars": true, "keepTime": true, "icon": "external link", "targetBlank": false, "tooltip": "", "url": ""}],
            "templating": {"list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
                 "current": {"text": "", "value": ""}, "hide": 0, "refresh": 1, "regex": "", "options": []},
                {"name": "site", "label": "Site", "type": "query", "datasource": source(), "includeAll": true,
                 "multi": true, "allValue": ".*", "refresh": 2, "sort": 1, "hide": 0,
                 "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
                 "definition": SITES, "query": {"query": SITES, "refId": "sites"}, "options": []},
            ]},
            "panels": panels,
        })
    }
}

/// What fills the variable `site`.
const SITES: &str = "label_values(portcullis_site_rules, site)";

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// A mark in every panel when a configuration was loaded.
fn reloads() -> Value {
    json!({
        "name": "Reloads", "enable": true, "iconColor": "blue", "datasource": source(),
        "expr": "changes(portcullis_config_last_reload_success_timestamp_seconds[1m]) > 0",
        "titleFormat": "Configuration loaded", "step": "60s",
    })
}

impl Panel {
    fn json(&self, [x, y, w, h]: [u32; 4]) -> Value {
        let instant = self.kind.is_instant();
        let target = |(index, (expr, legend)): (usize, &(&str, &str))| {
            json!({
                "refId": char::from(b'A' + u8::try_from(index).expect("few queries")).to_string(),
                "datasource": source(), "editorMode": "code", "expr": expr, "instant": instant, "range": !instant,
                "legendFormat": if legend.is_empty() { "__auto" } else { legend },
                "format": if self.kind == Kind::Heat { "heatmap" } else { "time_series" },
            })
        };
        let custom = match self.kind {
            Kind::Lines => {
                json!({"lineWidth": 1, "fillOpacity": 0, "showPoints": "never", "spanNulls": false})
            }
            Kind::Stack => json!({"lineWidth": 1, "fillOpacity": 40, "showPoints": "never",
                                  "stacking": {"mode": "normal", "group": "A"}}),
            _ => json!({}),
        };
        let options = match self.kind {
            Kind::Lines | Kind::Stack => {
                json!({"legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
                                                 "tooltip": {"mode": "multi", "sort": "desc"}})
            }
            Kind::Number => {
                json!({"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
                                   "colorMode": "none", "graphMode": "none", "textMode": "value", "justifyMode": "auto",
                                   "orientation": "auto", "wideLayout": true, "showPercentChange": false,
                                   "percentChangeColorMode": "standard"})
            }
            Kind::Bars => json!({"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
                                 "orientation": "horizontal", "displayMode": "basic", "valueMode": "text", "namePlacement": "auto",
                                 "showUnfilled": true, "sizing": "auto", "minVizHeight": 16, "minVizWidth": 8,
                                 "maxVizHeight": 300, "legend": {"displayMode": "list", "placement": "bottom",
                                 "showLegend": false, "calcs": []}}),
            Kind::Heat => json!({"calculate": false, "yAxis": {"unit": "short"}, "color": {"mode": "scheme",
                                 "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange",
                                 "reverse": false}, "legend": {"show": true}, "showValue": "never",
                                 "exemplars": {"color": "rgba(255,0,255,0.7)"},
                                 "tooltip": {"mode": "single", "yHistogram": false}}),
        };
        let targets: Vec<Value> = self.queries.iter().enumerate().map(target).collect();
        json!({
            "type": self.kind.name(), "title": self.title, "description": self.about, "datasource": source(),
            "gridPos": {"x": x, "y": y, "w": w, "h": h}, "targets": targets, "options": options,
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0, "custom": custom}, "overrides": []},
        })
    }
}
