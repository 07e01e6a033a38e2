//! ModSecurity v3's JSON audit log (`SecAuditLogFormat JSON`), field by field as libmodsecurity 3.0 writes it, so
//! that what reads its logs reads these. Numbers that it writes as strings are strings here too.

use super::record::{Hit, Record};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use time::macros::format_description;

/// The record in that schema. `server` identifies the machine (`server_id`).
pub(super) fn transaction(record: &Record<'_>, server: &str) -> Value {
    let mut t = Map::new();
    let [client, host] = [&record.client, &record.server].map(|end| end.clone().unwrap_or_default());
    t.insert("client_ip".into(), client.ip.into());
    t.insert("time_stamp".into(), stamp(record).into());
    t.insert("server_id".into(), server.into());
    t.insert("client_port".into(), client.port.into());
    t.insert("host_ip".into(), host.ip.into());
    t.insert("host_port".into(), host.port.into());
    t.insert("unique_id".into(), record.id.clone().into());
    t.insert("is_interrupted".into(), (record.decision.action != "pass").into());
    t.insert("request".into(), request(record));
    t.insert("response".into(), response(record));
    if record.parts.has(b'H') {
        let engine = match record.mode {
            "On" => "Enabled",
            "Off" => "Disabled",
            other => other,
        };
        let producer = json!({
            "modsecurity": format!("Portcullis {}", env!("CARGO_PKG_VERSION")),
            "connector": "Portcullis",
            "secrules_engine": engine,
            "components": record.rulesets(),
        });
        t.insert("producer".into(), producer);
        let audited = record.rules.iter().filter(|hit| hit.auditlog);
        t.insert("messages".into(), audited.map(message).collect());
    }
    json!({ "transaction": t })
}

/// `Tue Nov 22 11:26:34 2026`, in UTC.
fn stamp(record: &Record<'_>) -> String {
    const STAMP: &[time::format_description::BorrowedFormatItem<'static>] = format_description!(
        "[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]"
    );
    record.started.format(STAMP).unwrap_or_default()
}

fn request(record: &Record<'_>) -> Value {
    let mut r = Map::new();
    let number = record.request.protocol.strip_prefix("HTTP/").and_then(|v| v.parse::<f64>().ok());
    let host = record.request.headers.iter().flatten().find(|(n, _)| n.eq_ignore_ascii_case("host"));
    r.insert("method".into(), record.request.method.clone().into());
    r.insert("http_version".into(), number.unwrap_or(0.0).into());
    if let Some((_, host)) = host {
        r.insert("hostname".into(), host.clone().into());
    }
    r.insert("uri".into(), record.request.uri.clone().into());
    if let Some(body) = &record.request.body {
        r.insert("body".into(), body.text.clone().into());
    }
    if let Some(headers) = &record.request.headers {
        r.insert("headers".into(), header_map(headers));
    }
    r.into()
}

fn response(record: &Record<'_>) -> Value {
    let mut r = Map::new();
    if let Some(body) = &record.response.body {
        r.insert("body".into(), body.text.clone().into());
    }
    r.insert("http_code".into(), record.response.status.into());
    if let Some(headers) = &record.response.headers {
        r.insert("headers".into(), header_map(headers));
    }
    r.into()
}

/// Headers by name. A name that occurs twice has its values joined, as RFC 9110 section 5.3 allows: two members
/// of one name would be lost in most readers.
fn header_map(headers: &[(Cow<'_, str>, Cow<'_, str>)]) -> Value {
    let mut map: Map<String, Value> = Map::new();
    for (name, value) in headers {
        match map.get_mut(&**name) {
            Some(Value::String(first)) => {
                first.push_str(", ");
                first.push_str(value);
            }
            _ => {
                map.insert(name.to_string(), value.clone().into());
            }
        }
    }
    map.into()
}

fn message(hit: &Hit<'_>) -> Value {
    let (variable, value) = (hit.variable.as_deref().unwrap_or(""), hit.value.as_deref().unwrap_or(""));
    let (name, argument) = hit.operator.split_once(' ').unwrap_or((&hit.operator, ""));
    let name = name.trim_start_matches(['!', '@']);
    let mut letters = name.chars();
    let name: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    let found = if name.is_empty() || hit.variable.is_none() {
        String::new()
    } else {
        format!(
            "Matched \"Operator `{name}' with parameter `{argument}' against variable `{variable}' (Value: `{value}' )"
        )
    };
    let reference =
        hit.range.map_or(String::new(), |(start, end)| format!("o{start},{}", end.saturating_sub(start)));
    json!({
        "message": hit.message,
        "details": {
            "match": found,
            "reference": reference,
            "ruleId": hit.id.to_string(),
            "file": hit.file,
            "lineNumber": hit.line.to_string(),
            "data": hit.data,
            "severity": hit.severity_number.unwrap_or(0).to_string(),
            "ver": hit.version,
            "rev": hit.revision,
            "tags": hit.tags,
            "maturity": hit.maturity.unwrap_or(0).to_string(),
            "accuracy": hit.accuracy.unwrap_or(0).to_string(),
        }
    })
}
