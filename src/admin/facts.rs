//! What the API tells, as JSON. Whatever quotes a client comes from an audit record, which is redacted and bounded.

use super::desk::{Desk, Subject};
use crate::audit::Record;
use crate::config::posture;
use crate::http::{Pairs, parse_query};
use crate::reload::{Generation, today};
use crate::ruleset::Rule;
use crate::syntax::ast::Patch;
use crate::telemetry::{Finding, Kept, Outcome, Range, Totals, Traffic};
use serde_json::{Map, Value, json};
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(super) fn stamp(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default()
}

pub(super) fn postures(subject: &Subject) -> Value {
    let status = subject.reloader.status();
    let sites: Vec<Value> = status
        .postures
        .iter()
        .map(|site| json!({"site": site.site, "posture": posture::to_json(&site.posture, site.mode)}))
        .collect();
    json!({ "sites": sites })
}

pub(super) fn generation(subject: &Subject) -> Value {
    let generation = subject.reloader.current().load_full();
    let status = subject.reloader.status();
    json!({
        "number": generation.number,
        "hash": generation.hash,
        "loaded_at": stamp(generation.loaded_at),
        "sites": generation.sites.iter().map(|s| s.config.name.as_str()).collect::<Vec<_>>(),
        "last_attempt": {"at": stamp(status.attempted_at), "refusal": status.refusal},
        "version": env!("CARGO_PKG_VERSION"),
    })
}

/// Every upstream with how it is.
pub(super) fn upstreams(generation: &Generation) -> Value {
    let mut all = Vec::new();
    for site in &generation.sites {
        for (index, backend) in site.upstreams.all().iter().enumerate() {
            let condition = site.upstreams.condition(index);
            all.push(json!({
                "site": site.config.name,
                "url": backend.config.url,
                "up": condition.is_up,
                "active": condition.active,
                "requests": condition.requests,
                "failures": condition.failures,
            }));
        }
    }
    json!({ "upstreams": all })
}

/// Virtual patches of all sites, those past their review first.
pub(super) fn patches(subject: &Subject) -> Value {
    let today = today();
    let status = subject.reloader.status();
    let mut all: Vec<(i64, Value)> = Vec::new();
    for site in &status.postures {
        for patch in &site.posture.patches {
            let left = (patch.review_by.node - today).whole_days();
            all.push((left, patch_facts(patch, &site.site, left)));
        }
    }
    all.sort_by_key(|(left, _)| *left);
    json!({ "patches": all.into_iter().map(|(_, patch)| patch).collect::<Vec<_>>() })
}

fn patch_facts(patch: &Patch, site: &str, left: i64) -> Value {
    json!({
        "site": site,
        "name": patch.name,
        "title": patch.title,
        "cve": patch.cve,
        "product": patch.product,
        "affected": patch.affected,
        "blocks": patch.blocks,
        "misses": patch.misses,
        "references": patch.references,
        "severity": patch.severity,
        "owner": patch.owner,
        "created": patch.created.to_string(),
        "review_by": patch.review_by.node.to_string(),
        "days_to_review": left,
        "mode": if patch.detection_only { "DetectionOnly" } else { "On" },
    })
}

/// Everything the console's first page shows but the chart.
pub(super) fn overview(desk: &Desk) -> Value {
    let traffic = &desk.subject.traffic;
    let now = SystemTime::now();
    traffic.sample(&desk.subject.metrics, now);
    let current = desk.generation();
    let picture = traffic.picture(TOP);
    let alarms: Vec<Value> = desk
        .subject
        .reloader
        .status()
        .postures
        .iter()
        .flat_map(|s| {
            posture::alarms(&s.posture, s.mode).into_iter().map(|a| json!({"site": s.site, "alarm": a}))
        })
        .collect();
    let rules = picture.rules.iter().map(|(id, count)| rule_facts(&current, *id, *count));
    json!({
        "now": stamp(now),
        "started": stamp(desk.started),
        "generation": generation(&desk.subject),
        "sites": sites(desk),
        "alarms": alarms,
        "totals": totals(&traffic.totals()),
        "last": traffic.last(),
        "top": {
            "rules": rules.collect::<Vec<_>>(),
            "paths": picture.paths.iter().map(|((site, path), n)| json!({"site": site, "path": path, "count": n})).collect::<Vec<_>>(),
            "clients": picture.clients.iter().map(|(ip, n)| json!({"client": ip.to_string(), "count": n})).collect::<Vec<_>>(),
        },
    })
}

/// Rows of each list of what occurs most.
const TOP: usize = 8;

fn sites(desk: &Desk) -> Vec<Value> {
    let status = desk.subject.reloader.status();
    let site = |s: &crate::reload::SitePosture| {
        let mode = s.mode.or(s.posture.mode).map_or("On", crate::audit::mode_name);
        json!({"site": s.site, "mode": mode, "rules": s.posture.rules, "patches": s.posture.patches.len()})
    };
    status.postures.iter().map(site).collect()
}

fn rule_facts(generation: &Generation, id: u64, count: u64) -> Value {
    let rule = generation.sites.iter().find_map(|site| site.ruleset.rules.iter().find(|rule| rule.id == id));
    let message =
        |rule: &Rule| rule.meta.message.as_text().map(|text| String::from_utf8_lossy(text).into_owned());
    json!({
        "id": id,
        "count": count,
        "message": rule.and_then(message),
        "category": rule.map(|rule| Traffic::category(&rule.meta.tags)),
        "severity": rule.and_then(|rule| rule.meta.severity),
    })
}

/// Counts over time, of all sites or of the one in `site`. `range` is one of `15m`, `1h` (if it is none) and `24h`.
pub(super) fn history(desk: &Desk, query: &Query) -> Value {
    let traffic = &desk.subject.traffic;
    let now = SystemTime::now();
    traffic.sample(&desk.subject.metrics, now);
    let asked = query.text("range").unwrap_or_default();
    let (name, range) =
        Range::ALL.into_iter().find(|(name, _)| *name == asked).unwrap_or(("1h", Range::Hour));
    let site = query.text("site");
    let buckets = traffic.history(site.as_deref(), range, now);
    let bucket = |b: &crate::telemetry::Bucket| {
        let mut facts = totals(&b.counts);
        facts["at"] = b.at.into();
        facts
    };
    json!({
        "range": name,
        "site": site,
        "seconds": range.shape().0,
        "buckets": buckets.iter().map(bucket).collect::<Vec<_>>(),
    })
}

/// Counts by name, zeros left out.
pub(super) fn totals(totals: &Totals) -> Value {
    let named = |names: &[&str], counts: &[u64]| -> Map<String, Value> {
        let pairs = names.iter().zip(counts).filter(|(_, n)| **n > 0);
        pairs.map(|(name, n)| ((*name).to_owned(), (*n).into())).collect()
    };
    let outcomes = Outcome::ALL.map(Outcome::name);
    json!({
        "outcomes": named(&outcomes, &totals.outcomes),
        "blocked": named(&Traffic::CATEGORIES, &totals.blocked),
        "detected": named(&Traffic::CATEGORIES, &totals.detected),
    })
}

/// The list of kept transactions, the newest first.
pub(super) fn transactions(desk: &Desk, query: &Query) -> Value {
    let outcome = query.text("outcome");
    let finding = Finding {
        site: query.text("site"),
        outcome: outcome.and_then(|name| Outcome::ALL.into_iter().find(|o| o.name() == name)),
        rule: query.parsed("rule"),
        client: query.parsed("client"),
        path: query.text("path"),
        before: query.parsed("before"),
    };
    let most = query.parsed("limit").unwrap_or(PAGE).clamp(1, PAGE);
    let found = desk.subject.traffic.list(&finding, most);
    json!({ "transactions": headlines(desk, &found) })
}

/// Transactions in a list at most.
const PAGE: usize = 100;

/// A row for each.
pub(super) fn headlines(desk: &Desk, kept: &[std::sync::Arc<Kept>]) -> Vec<Value> {
    let auditor = desk.auditor();
    kept.iter().map(|kept| headline(kept, &auditor.record(&kept.entry.report, &kept.entry.facts))).collect()
}

/// One transaction: its row, its record, and whether it can be explained.
pub(super) fn transaction(desk: &Desk, id: &str) -> Option<Value> {
    let kept = desk.subject.traffic.find(id)?;
    let auditor = desk.auditor();
    let record = auditor.record(&kept.entry.report, &kept.entry.facts);
    let generation = desk.generation();
    let is_served = generation.sites.iter().any(|site| site.config.name == kept.entry.facts.site);
    Some(json!({
        "summary": headline(&kept, &record),
        "record": record,
        "is_cut": kept.is_cut,
        "explained": is_served && !kept.is_cut || super::explain::refusal(&kept.entry, &auditor).is_some(),
    }))
}

fn headline(kept: &Kept, record: &Record<'_>) -> Value {
    let telling = record.rules.iter().filter(|rule| !rule.message.is_empty() && rule.severity.is_some());
    let first = telling.clone().next().or(record.rules.first());
    let verdict = record.suppressed.as_ref().unwrap_or(&record.decision);
    json!({
        "number": kept.number,
        "id": record.id,
        "time": record.time,
        "site": record.site,
        "client": record.client.as_ref().map(|client| client.ip.as_str()),
        "method": record.request.method,
        "uri": record.request.uri,
        "status": record.response.status,
        "duration_ms": record.duration_ms,
        "outcome": kept.outcome.name(),
        "category": kept.category,
        "score": record.score.inbound.max(record.score.outbound),
        "threshold": record.score.threshold,
        "rule": first.map(|rule| json!({"id": rule.id, "message": rule.message})),
        "rules": record.rules.len(),
        "decided_by": verdict.rule_id,
    })
}

/// A query string.
pub(super) struct Query(Pairs);

impl Query {
    pub(super) fn new(text: &str) -> Self {
        let mut pairs = Pairs::new();
        parse_query(text.as_bytes(), b'&', 16, &mut pairs);
        Self(pairs)
    }

    /// The first value called `name`, unless it is empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = self.0.values(name.as_bytes()).next()?;
        (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned())
    }

    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }
}
