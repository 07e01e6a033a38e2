//! What was changed through the admin listener, by whom, and what became of it.
//!
//! Each change and each refused attempt is a record of the audit log (event `admin_change`), a line of the server's log with
//! the target `portcullis::admin`, and counted; the last ones are kept for the console. Those that are refused for coming too
//! fast are counted only: whoever floods the listener is not to flood the audit log as well.

use super::facts::stamp;
use super::gate;
use super::guard::{Refusal, Visit};
use crate::audit::Facts;
use crate::engine::{
    AuditEngine, AuditParts, AuditSettings, Decision, Event, EventKind, Report, RequestRecord, Sanitised,
    Scores,
};
use crate::ruleset::Mode;
use crate::telemetry::{AuditEntry, AuditSink, Metrics, NO_SITE};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The last changes.
pub(super) struct Changes {
    kept: Mutex<VecDeque<(SystemTime, Change)>>,
    audit: Arc<dyn AuditSink>,
    metrics: Arc<Metrics>,
}

/// One, or an attempt at one.
pub(super) struct Change {
    /// A fixed name.
    pub(super) action: &'static str,
    /// A fixed name.
    pub(super) result: &'static str,
    /// What of: a generation, clients, a site. Bounded by the request that named it.
    pub(super) what: String,
    /// Who: `token`, a session by its beginning, or what was brought instead.
    pub(super) by: String,
    /// From where.
    pub(super) client: IpAddr,
    /// Method and target.
    pub(super) request: (String, String),
    /// What was answered.
    pub(super) status: u16,
}

/// What is counted from the start, so that a rate can be taken of the first of each.
const SHOWN: [(&str, &[&str]); 6] = [
    ("sign in", &["success", "refused"]),
    ("sign out", &["success"]),
    ("reload", &["success", "unchanged", "failed", "refused"]),
    ("promote", &["success", "failed", "refused"]),
    ("lift bans", &["success", "refused"]),
    ("access", &["refused", "limited"]),
];
/// Changes kept.
const KEPT: usize = 50;

impl Changes {
    pub(super) fn new(audit: Arc<dyn AuditSink>, metrics: Arc<Metrics>) -> Self {
        for (action, results) in SHOWN {
            results.iter().for_each(|result| metrics.admin_change_shows(action, result));
        }
        Self { kept: Mutex::default(), audit, metrics }
    }

    /// Records one.
    pub(super) fn note(&self, mut change: Change) {
        change.client = change.client.to_canonical();
        let Change { action, result, what, by, client, .. } = &change;
        self.metrics.admin_change(action, result);
        match *result {
            "limited" => return,
            "refused" | "failed" => {
                tracing::warn!(target: "portcullis::admin", action, what, by, %client, result, "admin");
            }
            _ => tracing::info!(target: "portcullis::admin", action, what, by, %client, result, "admin"),
        }
        let at = SystemTime::now();
        self.audit.submit(Arc::new(entry(&change, at)));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front((at, change));
        kept.truncate(KEPT);
    }

    /// The last ones, the newest first.
    pub(super) fn list(&self) -> Value {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let each = |(at, change): &(SystemTime, Change)| {
            json!({
                "at": stamp(*at),
                "action": change.action,
                "what": change.what,
                "by": change.by,
                "client": change.client.to_string(),
                "result": change.result,
            })
        };
        kept.iter().map(each).collect()
    }
}

/// The result of an attempt that was refused.
pub(super) fn refused(refusal: Refusal) -> &'static str {
    if matches!(refusal, Refusal::Rate(_)) { "limited" } else { "refused" }
}

/// Who somebody says he is. Of a session its beginning, which no one can use; of a token nothing.
pub(super) fn who(visit: &Visit<'_>, is_known: bool) -> String {
    match gate::nickname(visit.bearer()) {
        Some(session) => session,
        None if is_known => "token".to_owned(),
        None if visit.bearer().is_empty() => "nobody".to_owned(),
        None => "wrong token".to_owned(),
    }
}

/// A change as a record: no site's, and stopped by no rule.
fn entry(change: &Change, at: SystemTime) -> AuditEntry {
    let Change { action, result, what, by, .. } = change;
    let of = if what.is_empty() { String::new() } else { format!(" ({what})") };
    let event =
        Event { kind: EventKind::AdminChange, phase: 0, detail: format!("{action}{of} by {by}, {result}") };
    let report = Report {
        id: ulid::Ulid::generate().to_string(),
        started: at,
        client: Some(SocketAddr::new(change.client, 0)),
        server: None,
        request: RequestRecord {
            method: change.request.0.clone().into_bytes(),
            uri: change.request.1.clone().into_bytes(),
            protocol: b"HTTP/1.1".to_vec(),
            ..RequestRecord::default()
        },
        response: None,
        mode: Mode::On,
        decision: Decision::Pass,
        suppressed: None,
        scores: Scores::default(),
        rules: Vec::new(),
        events: vec![event],
        audit: AuditSettings { engine: AuditEngine::On, parts: AuditParts::DEFAULT, relevant_status: true },
        sanitised: Sanitised::default(),
        costs: None,
        shadow: None,
    };
    let facts = Facts {
        site: NO_SITE.to_owned(),
        status: change.status,
        duration: Duration::ZERO,
        upstream: None,
        generation: String::new(),
    };
    AuditEntry { report, facts }
}
