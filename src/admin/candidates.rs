//! Candidate rulesets and the cost of rules, over HTTP.

use crate::config::Shadow;
use crate::reload::{Generation, Promoted, Promotion, Reloader, Seen};
use crate::ruleset::{Piece, Rule, Template};
use crate::telemetry::{Metrics, RuleTime};
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What has been seen of each site's candidate.
pub(super) fn shadows(generation: &Generation) -> Value {
    let sites: Vec<Value> = generation
        .sites
        .iter()
        .filter_map(|site| {
            let candidate = site.candidate.as_ref()?;
            Some(json!({
                "site": site.config.name,
                "rules": candidate.posture.rules,
                "sample": f64::from(candidate.sample) / f64::from(Shadow::ALL),
                "seen": seen(&candidate.evidence.seen()),
                "alarms": crate::config::posture::alarms(&candidate.posture, Some(candidate.mode)),
            }))
        })
        .collect();
    json!({ "sites": sites })
}

fn seen(seen: &Seen) -> Value {
    json!({
        "since": stamp(seen.since),
        "decided": seen.decided(),
        "same": seen.same,
        "newly_blocked": seen.newly_blocked,
        "newly_passed": seen.newly_passed,
        "undecided": seen.undecided,
        "dropped": seen.dropped,
        "new_blocks": seen.new_blocks(),
    })
}

fn stamp(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default()
}

/// Promotes as the query says: `site`, and `max_new_blocks`, `min_requests`, `force`. Takes up to seconds.
pub(super) fn promote(reloader: &Reloader, query: &str) -> (StatusCode, Value) {
    let promotion = match asked(query) {
        Ok(promotion) => promotion,
        Err(error) => return (StatusCode::BAD_REQUEST, json!({"result": "invalid", "error": error})),
    };
    match reloader.promote(promotion) {
        Some(Promoted::Done { generation, file, backup, seen: of }) => (
            StatusCode::OK,
            json!({
                "result": "promoted", "generation": generation, "seen": seen(&of),
                "file": file.display().to_string(), "backup": backup.display().to_string(),
            }),
        ),
        Some(Promoted::Refused { reason, forcible, seen: of }) => (
            StatusCode::CONFLICT,
            json!({"result": "refused", "error": reason, "forcible": forcible, "seen": of.as_ref().map(seen)}),
        ),
        Some(Promoted::Unwritten { reason, file, change }) => (
            StatusCode::CONFLICT,
            json!({
                "result": "unwritten", "error": reason, "file": file.display().to_string(), "change": change,
            }),
        ),
        None => (StatusCode::SERVICE_UNAVAILABLE, json!({"error": "the server is ending"})),
    }
}

fn asked(query: &str) -> Result<Promotion, String> {
    let mut promotion = Promotion {
        site: String::new(),
        max_new_blocks: Promotion::MAX_NEW_BLOCKS,
        min_requests: Promotion::MIN_REQUESTS,
        force: false,
    };
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let bad = || format!("`{name}` cannot be read");
        match name {
            // A site's name has nothing that would need an escape.
            "site" => value.clone_into(&mut promotion.site),
            "max_new_blocks" => promotion.max_new_blocks = value.parse().map_err(|_| bad())?,
            "min_requests" => promotion.min_requests = value.parse().map_err(|_| bad())?,
            "force" => promotion.force = value.parse().map_err(|_| bad())?,
            _ => return Err(format!("there is no `{name}`")),
        }
    }
    if promotion.site.is_empty() {
        return Err("`site` is missing".to_owned());
    }
    if !(0.0..=1.0).contains(&promotion.max_new_blocks) {
        return Err("`max_new_blocks` is a share from 0 to 1".to_owned());
    }
    Ok(promotion)
}

/// What was measured of rules: the dearest, as many as the query's `most` says (10 without it).
pub(super) fn costs(generation: &Arc<Generation>, metrics: &Metrics, query: &str) -> Value {
    let most = query.split('&').find_map(|pair| pair.strip_prefix("most=")).and_then(|n| n.parse().ok());
    let table = metrics.cost_table();
    let known: HashMap<u64, &Rule> = generation
        .sites
        .iter()
        .rev()
        .flat_map(|site| site.ruleset.rules.iter().rev())
        .map(|rule| (rule.id, rule))
        .collect();
    let seconds = |nanoseconds: u64| Duration::from_nanos(nanoseconds).as_secs_f64();
    let rule = |(id, time): (u64, RuleTime)| {
        let meta = known.get(&id).map(|rule| &rule.meta);
        json!({
            "id": id,
            "seconds": seconds(time.nanoseconds),
            "evaluations": time.evaluations,
            "longest_seconds": seconds(time.longest),
            "message": meta.map(|meta| plain(&meta.message)),
            "file": meta.map(|meta| &*meta.file),
            "line": meta.map(|meta| meta.line),
        })
    };
    json!({
        "sample": generation.config.metrics.rule_costs,
        "requests": table.requests,
        "rule_seconds": seconds(table.nanoseconds()),
        "sieve_seconds": seconds(table.sieve),
        "rules": table.dearest(most.unwrap_or(10)).into_iter().map(rule).collect::<Vec<_>>(),
    })
}

/// Text without what its macros would say.
fn plain(template: &Template) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Piece::Slot(_) | Piece::Target(_) => "…".to_owned(),
    };
    template.pieces.iter().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_said_or_refused() {
        let asked_for = |query| asked(query).map(|p| (p.site, p.max_new_blocks, p.min_requests, p.force));
        assert_eq!(asked_for("site=shop"), Ok(("shop".to_owned(), 0.001, 1_000, false)));
        let all = "site=shop&max_new_blocks=0.5&min_requests=0&force=true";
        assert_eq!(asked_for(all), Ok(("shop".to_owned(), 0.5, 0, true)));
        for bad in [
            "",
            "site=",
            "site=a&force=yes",
            "site=a&max_new_blocks=2",
            "site=a&max_new_blocks=NaN",
            "site=a&x=1",
        ] {
            assert!(asked(bad).is_err(), "{bad}");
        }
    }
}
