//! The Elastic Common Schema. Rules stand in `rule.*` as lists; what the schema has no field for is below
//! `portcullis`.

use super::derived::{Outcome, each_once};
use super::record::Record;
use serde_json::{Map, Value, json};

/// The schema's version that these documents satisfy.
const VERSION: &str = "8.17.0";

/// The record as a document.
pub(super) fn document(record: &Record<'_>) -> Value {
    let mut d = Map::new();
    let mut put = |name: &str, value: Value| d.insert(name.into(), value);
    put("@timestamp", record.time.clone().into());
    put("ecs", json!({ "version": VERSION }));
    put("event", event(record));
    if let Some(lead) = record.lead() {
        put("message", lead.message.clone().into());
    }
    let observer = json!({
        "vendor": "Portcullis", "product": "Portcullis", "type": "waf", "version": env!("CARGO_PKG_VERSION"),
    });
    put("observer", observer);
    put("service", json!({ "name": record.site, "type": "portcullis" }));
    if let Some(client) = &record.client {
        put("source", json!({ "address": client.ip, "ip": client.ip, "port": client.port }));
        put("client", json!({ "address": client.ip, "ip": client.ip, "port": client.port }));
    }
    if let Some(server) = &record.server {
        put("destination", json!({ "address": server.ip, "ip": server.ip, "port": server.port }));
    }
    put("related", related(record));
    put("url", record.url(["original", "path", "query", "domain"]).into());
    put("http", http(record));
    if let Some(agent) = record.header("user-agent") {
        put("user_agent", json!({ "original": agent }));
    }
    if !record.rules.is_empty() {
        put("rule", rule(record));
        put("tags", each_once(record.rules.iter().flat_map(|hit| &hit.tags).map(|tag| &**tag)).into());
    }
    put("portcullis", own(record));
    d.into()
}

fn event(record: &Record<'_>) -> Value {
    let (kind, action, kinds, outcome) = match record.outcome() {
        Outcome::Blocked => ("alert", "blocked", json!(["access", "denied"]), "failure"),
        Outcome::Detected => ("alert", "detected", json!(["access", "allowed"]), "success"),
        Outcome::Rest if record.response.status == 0 || record.response.status >= 400 => {
            ("event", "answered", json!(["access", "error"]), "failure")
        }
        Outcome::Rest => ("event", "passed", json!(["access", "allowed"]), "success"),
    };
    let category = if kind == "alert" { json!(["web", "intrusion_detection"]) } else { json!(["web"]) };
    let nanos = (record.duration_ms * 1e6).round();
    let mut e = Map::new();
    e.insert("id".into(), record.id.clone().into());
    e.insert("module".into(), "portcullis".into());
    e.insert("dataset".into(), "portcullis.audit".into());
    e.insert("kind".into(), kind.into());
    e.insert("category".into(), category);
    e.insert("type".into(), kinds);
    e.insert("action".into(), action.into());
    e.insert("outcome".into(), outcome.into());
    e.insert("start".into(), record.time.clone().into());
    e.insert(
        "duration".into(),
        json!(std::time::Duration::try_from_secs_f64(nanos / 1e9).map_or(0, |d| d.as_nanos())),
    );
    e.insert("risk_score".into(), record.score.inbound.max(record.score.outbound).into());
    if let Some(severity) = record.lead().and_then(|hit| hit.severity_number) {
        e.insert("severity".into(), severity.into());
    }
    e.into()
}

fn related(record: &Record<'_>) -> Value {
    let mut r = Map::new();
    let ips = record.client.iter().chain(&record.server).map(|e| e.ip.as_str());
    r.insert("ip".into(), each_once(ips).into());
    r.insert("hosts".into(), record.host().into_iter().collect::<Vec<_>>().into());
    r.into()
}

fn http(record: &Record<'_>) -> Value {
    let mut request = Map::new();
    request.insert("id".into(), record.id.clone().into());
    request.insert("method".into(), record.request.method.clone().into());
    if let Some(referrer) = record.header("referer") {
        request.insert("referrer".into(), referrer.into());
    }
    if let Some(kind) = record.header("content-type") {
        request.insert("mime_type".into(), kind.into());
    }
    if let Some(body) = &record.request.body {
        request.insert("body".into(), json!({ "bytes": body.inspected, "content": body.text }));
    }
    let mut response = Map::new();
    response.insert("status_code".into(), record.response.status.into());
    if let Some(body) = &record.response.body {
        response.insert("body".into(), json!({ "bytes": body.inspected, "content": body.text }));
    }
    json!({ "version": record.http_version(), "request": request, "response": response })
}

fn rule(record: &Record<'_>) -> Value {
    let ids: Vec<String> = record.rules.iter().map(|hit| hit.id.to_string()).collect();
    json!({
        "id": each_once(ids.iter().map(String::as_str)),
        "name": each_once(record.rules.iter().map(|hit| &*hit.message).filter(|m| !m.is_empty())),
        "category": record.attacks(),
        "ruleset": record.rulesets(),
    })
}

/// What the schema has no field for.
fn own(record: &Record<'_>) -> Value {
    let mut own = record.own();
    own["request_headers"] = json!(record.request.headers);
    own["response_headers"] = json!(record.response.headers);
    own
}
