//! Counting: what happened becomes series of the rows in [`super::rows`].

use super::costs::{CostTable, OTHER_RULES, SIEVE};
use super::known::Known;
use super::per_site::PerSite;
use super::rows::Series;
use super::words::{AuditLoss, Outcome, ReloadResult, SharedUse, UpstreamFacts};
use crate::audit::mode_name;
use crate::engine::{Costs, Difference};
use crate::ruleset::Mode;
use arc_swap::ArcSwap;
use prometheus::core::Collector;
use prometheus::{Histogram, IntCounter, IntCounterVec, Registry, TextEncoder};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    pub(super) series: Arc<Series>,
    sites: ArcSwap<HashMap<String, Arc<PerSite>>>,
    rules_known: Arc<AtomicUsize>,
    shadow_rules_seen: Mutex<HashSet<u64>>,
    cost_table: Mutex<CostTable>,
    /// One of `inspection_seconds` for each phase.
    phases: [Histogram; 5],
    malformed: Known<&'static str>,
    /// What requests asked the shared store for, in the order of [`SharedUse::ALL`]. They show from when there is one.
    shared: OnceLock<[(Histogram, IntCounter); SharedUse::ALL.len()]>,
    catching_up: Mutex<()>,
}

/// Rule ids with series of their own among the differences that candidates make.
const SHADOW_RULE_IDS: usize = 500;

/// The site's label of requests for no site.
pub const NO_SITE: &str = "-";

impl Metrics {
    /// Registers every metric with a registry of its own.
    ///
    /// # Errors
    ///
    /// Never for the rows as they stand, of which a test registers all; the registry's own word otherwise.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let series = Series::register(&registry)?;
        process(&registry)?;
        let phases =
            ["1", "2", "3", "4", "5"].map(|name| series.inspection_seconds.with_label_values(&[name]));
        Ok(Self {
            registry,
            series: Arc::new(series),
            sites: ArcSwap::default(),
            rules_known: Arc::default(),
            shadow_rules_seen: Mutex::default(),
            cost_table: Mutex::default(),
            phases,
            malformed: Known::default(),
            shared: OnceLock::new(),
            catching_up: Mutex::default(),
        })
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        let families = self.registry.gather();
        let mut text = String::new();
        // Fails only for families without a name or metric, which a registry does not hold.
        let _ = TextEncoder::new().encode_utf8(&families, &mut text);
        text
    }

    /// Finished requests by site and outcome, in the order of [`Outcome::ALL`].
    pub fn outcomes(&self) -> BTreeMap<String, [u64; Outcome::ALL.len()]> {
        let mut all = BTreeMap::<String, [u64; Outcome::ALL.len()]>::new();
        let families = self.series.requests.collect();
        for metric in families.iter().flat_map(prometheus::proto::MetricFamily::get_metric) {
            let label = |name| metric.get_label().iter().find(|pair| pair.name() == name);
            let (Some(site), Some(outcome)) = (label("site"), label("outcome")) else { continue };
            let place = Outcome::ALL.iter().position(|one| one.name() == outcome.value());
            let counts = all.entry(site.value().to_owned()).or_default();
            if let Some(count) = place.and_then(|at| counts.get_mut(at)) {
                // Counted as whole numbers; a float shows them exactly up to 2^53.
                *count += metric.get_counter().get_value() as u64;
            }
        }
        all
    }

    /// The series of a site.
    pub fn of(&self, site: &str) -> Arc<PerSite> {
        if let Some(found) = self.sites.load().get(site) {
            return Arc::clone(found);
        }
        let new = Arc::new(PerSite::new(site, &self.series, &self.rules_known));
        self.sites.rcu(|sites| {
            let mut sites = HashMap::clone(sites);
            // Somebody else may have been quicker; theirs counts on.
            sites.entry(site.to_owned()).or_insert_with(|| Arc::clone(&new));
            sites
        });
        self.sites.load().get(site).map_or(new, Arc::clone)
    }

    /// Time in the engine by phase; phases that did not run are zero.
    pub fn inspection(&self, phases: &[Duration; 5]) {
        for (histogram, time) in self.phases.iter().zip(phases) {
            if !time.is_zero() {
                histogram.observe(time.as_secs_f64());
            }
        }
    }

    /// The state of bans and rate limits.
    pub fn admission(&self, banned: usize, evictions: u64) {
        self.series.banned.with_label_values::<&str>(&[]).set(gauge(banned));
        self.counted_elsewhere(&self.series.limit_evictions, evictions);
    }

    /// A request that was refused before any rule.
    pub fn malformed(&self, reason: &'static str) {
        self.malformed
            .count(|known| *known == reason, || (reason, self.series.malformed.with_label_values(&[reason])));
    }

    /// A change through the admin listener, or an attempt at one; both are fixed names.
    pub fn admin_change(&self, action: &'static str, result: &'static str) {
        self.series.admin_changes.with_label_values(&[action, result]).inc();
    }

    /// Such changes, of which there has been none, show.
    pub fn admin_change_shows(&self, action: &'static str, result: &'static str) {
        let _ = self.series.admin_changes.with_label_values(&[action, result]);
    }

    /// Long inspections that wait.
    pub fn inspections_wait(&self, number: usize) {
        self.series.inspections_waiting.with_label_values::<&str>(&[]).set(gauge(number));
    }

    /// How late worker threads are.
    pub fn workers_late(&self, lag: Duration) {
        self.series.lag.with_label_values::<&str>(&[]).set(lag.as_secs_f64());
    }

    /// Forgets all upstreams; [`Self::upstream`] then tells those of the generation at work.
    pub fn forget_upstreams(&self) {
        self.series.upstream_up.reset();
        self.series.upstream_active.reset();
        self.series.upstream_requests.reset();
        self.series.upstream_failures.reset();
        self.series.upstream_checks.reset();
    }

    /// What an upstream is like.
    pub fn upstream(&self, site: &str, url: &str, facts: &UpstreamFacts) {
        let labels = [site, url];
        self.series.upstream_up.with_label_values(&labels).set(facts.is_up.into());
        self.series.upstream_active.with_label_values(&labels).set(facts.active.into());
        self.series.upstream_requests.with_label_values(&labels).inc_by(facts.requests);
        self.series.upstream_failures.with_label_values(&labels).inc_by(facts.failures);
        self.series.upstream_checks.with_label_values(&[site, url, "passed"]).inc_by(facts.checks_passed);
        self.series.upstream_checks.with_label_values(&[site, url, "failed"]).inc_by(facts.checks_failed);
    }

    /// `more` client connections on a listener.
    pub fn connections(&self, listener: &str, more: i64) {
        self.series.connections_open.with_label_values(&[listener]).add(more);
    }

    /// A connection failed before it brought a request.
    pub fn connection_failed(&self, reason: &'static str) {
        self.series.connections_failed.with_label_values(&[reason]).inc();
    }

    /// An attempt to load a generation.
    pub fn reload(&self, result: ReloadResult) {
        let name = match result {
            ReloadResult::Success => "success",
            ReloadResult::Refused => "refused",
            ReloadResult::Unchanged => "unchanged",
        };
        self.series.reloads.with_label_values(&[name]).inc();
        self.series.reload_ok.with_label_values::<&str>(&[]).set(i64::from(result != ReloadResult::Refused));
    }

    /// The generation at work: its number, hash, and time of loading in seconds since 1970.
    pub fn generation(&self, number: u64, hash: &str, loaded: i64) {
        self.series.generation.reset();
        // From the start, so that a rate can be taken of the first of each.
        for result in ["success", "refused", "unchanged"] {
            let _ = self.series.reloads.with_label_values(&[result]);
        }
        let _ = self.series.connections_failed.with_label_values(&["listener_full"]);
        let _ = self.series.inspections_waiting.with_label_values::<&str>(&[]);
        self.series.generation.with_label_values(&[number.to_string().as_str(), hash]).set(1);
        self.series.reload_time.with_label_values::<&str>(&[]).set(loaded);
        self.series.reload_ok.with_label_values::<&str>(&[]).set(1);
        self.series.rules.reset();
        self.series.alarms.reset();
        self.series.shadow_ruleset.reset();
        self.series.mode.reset();
        self.series.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    }

    /// A site of the generation at work.
    pub fn site(&self, site: &str, rules: usize, alarms: usize, mode: Mode) {
        self.series.rules.with_label_values(&[site]).set(gauge(rules));
        self.series.alarms.with_label_values(&[site]).set(gauge(alarms));
        for one in [Mode::On, Mode::DetectionOnly, Mode::Off] {
            self.series.mode.with_label_values(&[site, mode_name(one)]).set(i64::from(one == mode));
        }
        self.of(site).show();
    }

    /// Virtual patches of a site, and how many of them should have been looked at again.
    pub fn site_patches<'n>(
        &self,
        site: &str,
        names: impl ExactSizeIterator<Item = &'n str>,
        past_review: usize,
    ) {
        self.series.patches.with_label_values(&[site]).set(gauge(names.len()));
        self.series.patches_past_review.with_label_values(&[site]).set(gauge(past_review));
        self.of(site).set_patches(names);
    }

    /// A sink has been opened: its series show from now on.
    pub fn audit_sink(&self, sink: &str) {
        let _ = self.series.audit_written.with_label_values(&[sink]);
        let _ = self.series.audit_retries.with_label_values(&[sink]);
        let _ = self.series.audit_queue.with_label_values(&[sink]);
        for loss in AuditLoss::ALL {
            let _ = self.series.audit_dropped.with_label_values(&[sink, loss.name()]);
        }
    }

    /// `n` audit records were delivered.
    pub fn audit_written(&self, sink: &str, n: u64) {
        self.series.audit_written.with_label_values(&[sink]).inc_by(n);
    }

    /// `n` audit records were lost.
    pub fn audit_dropped(&self, sink: &str, loss: AuditLoss, n: u64) {
        self.series.audit_dropped.with_label_values(&[sink, loss.name()]).inc_by(n);
    }

    /// An attempt failed and will be made again.
    pub fn audit_retried(&self, sink: &str) {
        self.series.audit_retries.with_label_values(&[sink]).inc();
    }

    /// Audit records that wait.
    pub fn audit_queue(&self, sink: &str, waiting: usize) {
        self.series.audit_queue.with_label_values(&[sink]).set(gauge(waiting));
    }

    /// A candidate ruleset's word on a request, which took it `time`.
    pub fn shadow(&self, site: &str, difference: Difference, time: Duration) {
        self.series.shadow_requests.with_label_values(&[site, difference.name()]).inc();
        self.series.shadow_seconds.with_label_values(&[site]).observe(time.as_secs_f64());
    }

    /// A rule matched under one of both rulesets only; `added` when under the candidate.
    pub fn shadow_rule(&self, id: u64, added: bool) {
        let label = rule_label(&self.shadow_rules_seen, SHADOW_RULE_IDS, id);
        let change = if added { "added" } else { "removed" };
        self.series.shadow_rules.with_label_values(&[label.as_str(), change]).inc();
    }

    /// A candidate ruleset asked for a part of a request that is not there.
    pub fn shadow_incomplete(&self, site: &str, part: &'static str) {
        self.series.shadow_incomplete.with_label_values(&[site, part]).inc();
    }

    /// A request was not shown to the candidate ruleset.
    pub fn shadow_dropped(&self, site: &str, reason: &'static str) {
        self.series.shadow_dropped.with_label_values(&[site, reason]).inc();
    }

    /// A site of the generation at work has a candidate of so many rules.
    pub fn site_shadow(&self, site: &str, rules: usize) {
        self.series.shadow_ruleset.with_label_values(&[site]).set(gauge(rules));
        // All four from the start, so that a rate can be taken of the first of them.
        for difference in Difference::ALL {
            self.series.shadow_requests.with_label_values(&[site, difference.name()]);
        }
        for reason in ["queue_full", "bytes", "failed"] {
            let _ = self.series.shadow_dropped.with_label_values(&[site, reason]);
        }
        for part in ["request_body", "response_body"] {
            let _ = self.series.shadow_incomplete.with_label_values(&[site, part]);
        }
    }

    /// The cost of rules in one request.
    pub fn rule_costs(&self, costs: &Costs) {
        self.series.rule_cost_requests.with_label_values::<&str>(&[]).inc();
        let add = |label: &str, nanoseconds: u64| {
            let seconds = Duration::from_nanos(nanoseconds).as_secs_f64();
            self.series.rule_cost.with_label_values(&[label]).inc_by(seconds);
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
        self.series.shared_up.with_label_values::<&str>(&[]).set(i64::from(up));
        self.shared();
    }

    fn shared(&self) -> &[(Histogram, IntCounter); SharedUse::ALL.len()] {
        self.shared.get_or_init(|| {
            SharedUse::ALL.map(|r#use| {
                let labels = [r#use.name()];
                (
                    self.series.shared_wait.with_label_values(&labels),
                    self.series.shared_fallbacks.with_label_values(&labels),
                )
            })
        })
    }

    /// A request waited for the shared store.
    pub fn shared_store_wait(&self, r#use: SharedUse, time: Duration) {
        let [limits, collections] = self.shared();
        let (wait, _) = if r#use == SharedUse::RateLimits { limits } else { collections };
        wait.observe(time.as_secs_f64());
    }

    /// The shared store failed to do something.
    pub fn shared_store_error(&self, cause: &'static str) {
        self.series.shared_errors.with_label_values(&[cause]).inc();
    }

    /// A request was decided without the shared store.
    pub fn shared_store_fallback(&self, r#use: SharedUse) {
        let [limits, collections] = self.shared();
        let (_, fallbacks) = if r#use == SharedUse::RateLimits { limits } else { collections };
        fallbacks.inc();
    }

    /// The state of the persistent collections.
    pub fn store(&self, collections: usize, bytes: usize, evictions: u64) {
        self.series.store_collections.with_label_values::<&str>(&[]).set(gauge(collections));
        self.series.store_bytes.with_label_values::<&str>(&[]).set(gauge(bytes));
        self.counted_elsewhere(&self.series.store_evictions, evictions);
    }

    /// Lets a counter without labels catch up with what has been counted since the start.
    fn counted_elsewhere(&self, row: &IntCounterVec, total: u64) {
        // Two scrapes at once must not add the same.
        let _one = self.catching_up.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = row.with_label_values::<&str>(&[]);
        counter.inc_by(total.saturating_sub(counter.get()));
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
    use super::super::per_site::{Fate, RULES};
    use super::super::rows::ROWS;
    use super::*;
    use crate::engine::{EventKind, RuleCost, Scores};

    fn metrics() -> Metrics {
        Metrics::new().expect("all rows register")
    }

    #[test]
    fn every_metric_can_be_moved() {
        let m = metrics();
        m.generation(3, "abc", 17);
        m.site("shop", 10, 1, Mode::DetectionOnly);
        m.site_patches("shop", ["log4shell"].into_iter(), 1);
        m.of("shop").patch_hit("log4shell", Fate::Blocked);
        m.of("shop").patch_hit("<script>", Fate::Blocked);
        m.of("shop").request(Outcome::Blocked, 403, Duration::from_millis(3), (5, 7));
        m.of("shop").scores(&Scores { inbound: 7, inbound_threshold: 5, ..Scores::default() });
        m.of("shop").detection(["attack-lfi"].into_iter());
        m.of("shop").false_alarm_candidate();
        m.of("shop").block(["attack-xss", "attack-sqli", "attack-sqli", "x"].into_iter());
        m.of("shop").rule_hit(942_100, Fate::Blocked);
        m.inspection(&[
            Duration::from_micros(30),
            Duration::ZERO,
            Duration::ZERO,
            Duration::ZERO,
            Duration::ZERO,
        ]);
        m.of("shop").event(EventKind::RequestBodyTruncated);
        m.of("shop").failure("internal", true);
        m.of("shop").overload("processors", false);
        m.inspections_wait(3);
        m.admin_change("reload", "success");
        m.workers_late(Duration::from_millis(250));
        m.malformed("smuggling");
        m.of("shop").turned_away("rate_limited", "login", true);
        m.admission(1, 2);
        m.admission(1, 2);
        m.of("shop").upstream_error("refused");
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
        m.shared_store_wait(SharedUse::RateLimits, Duration::from_micros(300));
        m.shared_store_fallback(SharedUse::Collections);
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
            "portcullis_overload_total{cause=\"processors\",outcome=\"shed\",site=\"shop\"} 1",
            "portcullis_worker_lag_seconds 0.25",
            "portcullis_rate_limit_evictions_total 2",
            "portcullis_store_evictions_total 3",
            "portcullis_shared_store_fallbacks_total{use=\"collections\"} 1",
            "portcullis_shared_store_fallbacks_total{use=\"rate_limits\"} 0",
            "portcullis_shared_store_wait_seconds_bucket{use=\"rate_limits\",le=\"0.0005\"} 1",
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
            m.of("a").rule_hit(id, Fate::Passed);
            m.of("a").rule_hit(id, Fate::Passed);
            m.of("b").rule_hit(id, Fate::Passed);
        }
        let text = m.render();
        assert_eq!(text.matches("portcullis_rule_hits_total{").count(), RULES + 2);
        let other = "portcullis_rule_hits_total{outcome=\"passed\",rule_id=\"other\",site=\"a\"} 20";
        assert!(text.contains(other));
    }
}
