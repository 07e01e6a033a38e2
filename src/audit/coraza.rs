//! Coraza v3's JSON audit log (`SecAuditLogFormat JSON` there): one object with `transaction` and `messages`.

use super::record::{Hit, Record};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use time::macros::format_description;

/// The record in that schema. `server` identifies the machine (`server_id`).
pub(super) fn log(record: &Record<'_>, server: &str) -> Value {
    let mut t = Map::new();
    let [client, host] = [&record.client, &record.server].map(|end| end.clone().unwrap_or_default());
    t.insert("timestamp".into(), stamp(record).into());
    let nanos = i64::try_from(record.started.unix_timestamp_nanos()).unwrap_or(i64::MAX);
    t.insert("unix_timestamp".into(), nanos.into());
    t.insert("id".into(), record.id.clone().into());
    t.insert("client_ip".into(), client.ip.into());
    t.insert("client_port".into(), client.port.into());
    t.insert("host_ip".into(), host.ip.into());
    t.insert("host_port".into(), host.port.into());
    t.insert("server_id".into(), server.into());
    t.insert("request".into(), request(record));
    t.insert("response".into(), response(record));
    let audited: Vec<&Hit<'_>> = record.rules.iter().filter(|hit| hit.auditlog).collect();
    if record.parts.has(b'H') {
        let producer = json!({
            "connector": "portcullis",
            "version": env!("CARGO_PKG_VERSION"),
            "server": record.site,
            "rule_engine": record.mode,
            "stopwatch": "",
            "rulesets": record.rulesets(),
        });
        t.insert("producer".into(), producer);
    }
    let gravest = audited.iter().filter_map(|hit| hit.severity_number.zip(hit.severity)).min();
    let gravest = gravest.map_or(String::new(), |(_, name)| name.to_ascii_lowercase());
    t.insert("highest_severity".into(), gravest.into());
    t.insert("is_interrupted".into(), (record.decision.action != "pass").into());
    let mut log = Map::new();
    log.insert("transaction".into(), t.into());
    if record.parts.has(b'H') && !audited.is_empty() {
        let actions = record.rulesets().join(" ");
        log.insert("messages".into(), audited.iter().map(|hit| message(hit, &actions)).collect());
    }
    log.into()
}

/// `2026/11/22 11:26:34`, in UTC.
fn stamp(record: &Record<'_>) -> String {
    const STAMP: &[time::format_description::BorrowedFormatItem<'static>] =
        format_description!("[year]/[month]/[day] [hour]:[minute]:[second]");
    record.started.format(STAMP).unwrap_or_default()
}

fn request(record: &Record<'_>) -> Value {
    let request = &record.request;
    let file =
        |f: &super::record::File<'_>| json!({ "name": f.name, "size": f.size, "mime": f.content_type });
    let files: Option<Vec<Value>> = request.files.as_ref().map(|all| all.iter().map(file).collect());
    json!({
        "method": request.method,
        "protocol": request.protocol,
        "uri": request.uri,
        "http_version": record.http_version(),
        "headers": request.headers.as_deref().map(header_lists),
        "body": request.body.as_ref().map_or("", |body| &body.text),
        "files": files,
        "args": null,
        "length": request.body.as_ref().map_or(0, |body| body.inspected),
    })
}

fn response(record: &Record<'_>) -> Value {
    let response = &record.response;
    json!({
        "protocol": response.protocol.as_deref().unwrap_or(""),
        "status": response.status,
        "headers": response.headers.as_deref().map(header_lists),
        "body": response.body.as_ref().map_or("", |body| &body.text),
    })
}

/// Header names in lower case, each with all its values.
fn header_lists(headers: &[(Cow<'_, str>, Cow<'_, str>)]) -> Value {
    let mut map: Map<String, Value> = Map::new();
    for (name, value) in headers {
        let list = map.entry(name.to_ascii_lowercase()).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.push(value.clone().into());
        }
    }
    map.into()
}

fn message(hit: &Hit<'_>, actions: &str) -> Value {
    json!({
        "actionset": actions,
        "message": hit.message,
        "error_message": "",
        "data": {
            "file": hit.file,
            "line": hit.line,
            "id": hit.id,
            "rev": hit.revision,
            "msg": hit.message,
            "data": hit.data,
            "severity": hit.severity_number.unwrap_or(0),
            "ver": hit.version,
            "maturity": hit.maturity.unwrap_or(0),
            "accuracy": hit.accuracy.unwrap_or(0),
            "tags": hit.tags,
            "raw": "",
        },
    })
}
