//! Explanations of transactions that are still in memory.

use super::desk::Desk;
use super::reply::{self, Answer};
use crate::audit::Auditor;
use crate::engine::NoWorld;
use crate::explain::{Exchange, Explanation, Recorded, Settings, explain, refused, render};
use crate::reload::{Generation, Workbench};
use crate::telemetry::AuditEntry;
use http::StatusCode;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// `GET /api/explain/ID`: the explanation of one. `as=text` gives it as text, `colour=1` with a terminal's colours;
/// `near=1` adds rules that nearly matched, `no_exclusion=1` leaves out the exclusion.
pub(super) async fn explanation(desk: &Desk, id: &str, query: &str) -> Answer {
    let Some(kept) = desk.subject.traffic.find(id) else {
        return reply::problem(StatusCode::NOT_FOUND, "no such transaction is in memory; see the audit log");
    };
    // Rules are compiled for an exclusion, which takes a processor for a while.
    let Ok(place) = PLACES.try_acquire() else {
        return reply::problem(StatusCode::SERVICE_UNAVAILABLE, "other explanations are being made");
    };
    let (generation, auditor, query) = (desk.generation(), desk.auditor(), query.to_owned());
    let made = move || make(&kept.entry, &generation, &auditor, &query);
    let made = tokio::task::spawn_blocking(made).await;
    drop(place);
    match made {
        Ok(Some(answer)) => answer,
        Ok(None) => reply::problem(StatusCode::NOT_FOUND, "its site is not served any more"),
        Err(_) => reply::problem(StatusCode::INTERNAL_SERVER_ERROR, "the explanation failed"),
    }
}

/// Explanations at a time.
static PLACES: Semaphore = Semaphore::const_new(2);

fn make(entry: &AuditEntry, generation: &Generation, auditor: &Auditor, query: &str) -> Option<Answer> {
    let asked = |what: &str| query.split('&').any(|part| part == what);
    let told = |explanation: &Explanation| {
        if asked("as=text") {
            return Some(reply::text(render(explanation, asked("colour=1"))));
        }
        Some(reply::json(&serde_json::to_value(explanation).ok()?))
    };
    if let Some(explanation) = refusal(entry, auditor) {
        return told(&explanation);
    }
    let site = generation.sites.iter().find(|site| site.config.name == entry.facts.site)?;
    let record = recorded(entry, auditor)?;
    let rules = Workbench::new(site.config.rules.clone(), Arc::clone(&site.ruleset));
    let settings = Settings {
        rules: &rules,
        mode: site.config.mode,
        auditor,
        world: Arc::new(NoWorld),
        generation: generation.hash.clone(),
        near: asked("near=1"),
        propose: !asked("no_exclusion=1"),
    };
    told(&explain(&Exchange::of_report(&entry.report), Some(&record), &settings))
}

/// The explanation of a refusal that no rule decided; none of anything else.
pub(super) fn refusal(entry: &AuditEntry, auditor: &Auditor) -> Option<Explanation> {
    refused(&recorded(entry, auditor)?)
}

fn recorded(entry: &AuditEntry, auditor: &Auditor) -> Option<Recorded> {
    Recorded::read(&auditor.line(&entry.report, &entry.facts)).ok()
}
