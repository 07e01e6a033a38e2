//! The Open Cybersecurity Schema Framework: class HTTP Activity (4002) with the profile `security_control`.
//!
//! What the schema has no place for stands in `unmapped`, as it asks.

use super::derived::Outcome;
use super::record::{Hit, Record};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The schema's version that these events satisfy.
const VERSION: &str = "1.3.0";
const CLASS: u32 = 4_002;

/// The record as an event of that class.
pub(super) fn event(record: &Record<'_>) -> Value {
    let activity = activity(&record.request.method);
    let began = millis(record.started.unix_timestamp_nanos());
    let duration = whole_millis(record.duration_ms);
    let (severity, severity_name) = severity(record.lead().and_then(|hit| hit.severity_number));
    let (action, action_name, disposition, disposition_name) =
        match (record.outcome(), record.decision.action) {
            (Outcome::Blocked, "drop") => (2, "Denied", 6, "Dropped"),
            (Outcome::Blocked, _) => (2, "Denied", 2, "Blocked"),
            (Outcome::Detected, _) => (1, "Allowed", 15, "Detected"),
            (Outcome::Rest, _) => (1, "Allowed", 1, "Allowed"),
        };
    let failed = record.response.status == 0 || record.response.status >= 400;
    let mut event = Map::new();
    let mut put = |name: &str, value: Value| event.insert(name.into(), value);
    put("metadata", metadata(record));
    put("category_uid", 4.into());
    put("category_name", "Network Activity".into());
    put("class_uid", CLASS.into());
    put("class_name", "HTTP Activity".into());
    put("activity_id", activity.0.into());
    put("activity_name", activity.1.into());
    put("type_uid", (CLASS * 100 + activity.0).into());
    put("type_name", format!("HTTP Activity: {}", activity.1).into());
    put("time", began.into());
    put("start_time", began.into());
    put("end_time", began.saturating_add(duration).into());
    put("duration", duration.into());
    put("severity_id", severity.into());
    put("severity", severity_name.into());
    put("status_id", if failed { 2 } else { 1 }.into());
    put("status", if failed { "Failure" } else { "Success" }.into());
    put("action_id", action.into());
    put("action", action_name.into());
    put("disposition_id", disposition.into());
    put("disposition", disposition_name.into());
    if let Some(client) = &record.client {
        put("src_endpoint", json!({ "ip": client.ip, "port": client.port }));
        put(
            "observables",
            json!([{ "name": "src_endpoint.ip", "type_id": 2, "type": "IP Address", "value": client.ip }]),
        );
    }
    put("dst_endpoint", destination(record));
    put("http_request", request(record));
    put("http_response", response(record, duration));
    if let Some(lead) = record.lead() {
        put("message", lead.message.clone().into());
        put("firewall_rule", rule(lead));
    }
    put("unmapped", unmapped(record));
    event.into()
}

fn metadata(record: &Record<'_>) -> Value {
    json!({
        "version": VERSION,
        "uid": record.id,
        "log_name": "audit",
        "original_time": record.time,
        "profiles": ["security_control"],
        "product": { "name": "Portcullis", "vendor_name": "Portcullis", "version": env!("CARGO_PKG_VERSION") },
    })
}

fn activity(method: &str) -> (u32, &'static str) {
    match method {
        "CONNECT" => (1, "Connect"),
        "DELETE" => (2, "Delete"),
        "GET" => (3, "Get"),
        "HEAD" => (4, "Head"),
        "OPTIONS" => (5, "Options"),
        "POST" => (6, "Post"),
        "PUT" => (7, "Put"),
        "TRACE" => (8, "Trace"),
        // 9 came with a later version.
        _ => (99, "Other"),
    }
}

fn severity(of_rule: Option<u8>) -> (u8, &'static str) {
    match of_rule {
        None | Some(6..) => (1, "Informational"),
        Some(5) => (2, "Low"),
        Some(4) => (3, "Medium"),
        Some(3) => (4, "High"),
        Some(2) => (5, "Critical"),
        Some(0 | 1) => (6, "Fatal"),
    }
}

fn destination(record: &Record<'_>) -> Value {
    let mut d = Map::new();
    if let Some(server) = &record.server {
        d.insert("ip".into(), server.ip.clone().into());
        d.insert("port".into(), server.port.into());
    }
    if let Some(host) = record.host() {
        d.insert("hostname".into(), host.into());
    }
    d.insert("svc_name".into(), record.site.clone().into());
    d.into()
}

fn request(record: &Record<'_>) -> Value {
    let url = record.url(["url_string", "path", "query_string", "hostname"]);
    let mut r = Map::new();
    r.insert("uid".into(), record.id.clone().into());
    r.insert("http_method".into(), record.request.method.clone().into());
    r.insert("version".into(), record.http_version().into());
    r.insert("url".into(), url.into());
    for (member, header) in [("user_agent", "user-agent"), ("referrer", "referer")] {
        if let Some(value) = record.header(header) {
            r.insert(member.into(), value.into());
        }
    }
    if let Some(headers) = &record.request.headers {
        r.insert("http_headers".into(), pairs(headers));
    }
    if let Some(body) = &record.request.body {
        r.insert("body_length".into(), body.inspected.into());
    }
    r.into()
}

fn response(record: &Record<'_>, latency: i64) -> Value {
    let mut r = Map::new();
    r.insert("code".into(), record.response.status.into());
    r.insert("latency".into(), latency.into());
    if let Some(headers) = &record.response.headers {
        r.insert("http_headers".into(), pairs(headers));
    }
    r.into()
}

fn pairs(headers: &[(Cow<'_, str>, Cow<'_, str>)]) -> Value {
    headers.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

fn rule(hit: &Hit<'_>) -> Value {
    let mut r = Map::new();
    r.insert("uid".into(), hit.id.to_string().into());
    r.insert("name".into(), hit.message.clone().into());
    r.insert("condition".into(), hit.operator.clone().into());
    if let Some(attack) = hit.tags.iter().find_map(|tag| tag.strip_prefix("attack-")) {
        r.insert("category".into(), attack.into());
    }
    if !hit.version.is_empty() {
        r.insert("version".into(), hit.version.clone().into());
    }
    if let Some(variable) = &hit.variable {
        r.insert("match_location".into(), variable.clone().into());
    }
    if !hit.data.is_empty() {
        r.insert("match_details".into(), json!([hit.data]));
    }
    r.into()
}

/// Everything else.
fn unmapped(record: &Record<'_>) -> Value {
    let mut own = record.own();
    own["site"] = record.site.clone().into();
    own["request_body"] = json!(record.request.body);
    own["response_body"] = json!(record.response.body);
    own
}

fn millis(nanos: i128) -> i64 {
    i64::try_from(nanos.div_euclid(1_000_000)).unwrap_or(i64::MAX)
}

/// Rounded; durations are far from where a float ends.
fn whole_millis(ms: f64) -> i64 {
    millis(
        std::time::Duration::try_from_secs_f64(ms / 1e3 + 0.000_5)
            .map_or(i128::MAX, |d| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX)),
    )
}
