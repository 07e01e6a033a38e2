//! Reading audit records of ModSecurity 3, Coraza and ModSecurity 2, as they write them in JSON, and of whatever writes
//! like them.
//!
//! They tell less than ours: of each match one variable at most, in a sentence; no site; no decision that was only
//! suppressed, unless a rule of CRS that judges by the score says so; and the time in a zone that they do not name.

use super::recorded::{
    End, Recorded, RecordedBody, RecordedHit, RecordedRequest, RecordedResponse, RecordedVerdict,
};
use crate::audit::lossless;
use serde_json::Value;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// A record of another engine.
#[derive(Clone, Debug, Default)]
pub struct Foreign {
    /// What is known in terms of our own; texts are escaped as ours are.
    pub record: Recorded,
    /// The anomaly score; none where no rule tells it.
    pub score: Option<i64>,
}

impl Foreign {
    /// Whether a line looks as if it were one of these: they begin with the transaction.
    pub fn is_likely(line: &[u8]) -> bool {
        memchr::memmem::find(line.get(..64).unwrap_or(line), b"\"transaction\"").is_some()
    }

    /// Reads a line of an audit log.
    ///
    /// # Errors
    ///
    /// Why it is no record.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let transaction = &value["transaction"];
        if !transaction.is_object() {
            return Err("it has no transaction".to_owned());
        }
        // ModSecurity 2 has them beside the transaction.
        let owner = if value["request"].is_object() { &value } else { transaction };
        let (request, response) = (&owner["request"], &owner["response"]);
        // What we write in their schemas is escaped already.
        let text = match is_ours(transaction) {
            true => |text: &str| text.to_owned(),
            false => |text: &str| lossless(text.as_bytes()).into_owned(),
        };
        let (method, uri, protocol) = request_line(request)?;
        let status = number(response, &["http_code", "status"]).unwrap_or(0);
        let mut found = Self {
            record: Recorded {
                id: words(transaction, &["unique_id", "id", "transaction_id"]).unwrap_or_default().to_owned(),
                time: time(transaction),
                client: end(transaction, ["client_ip", "remote_address"], ["client_port", "remote_port"]),
                server: end(transaction, ["host_ip", "local_address"], ["host_port", "local_port"]),
                request: RecordedRequest {
                    method: text(&method),
                    uri: text(&uri),
                    protocol: text(&protocol),
                    headers: headers(&request["headers"], text),
                    body: body(request, text),
                    files: None,
                },
                response: RecordedResponse { status, ..RecordedResponse::default() },
                mode: mode(transaction),
                ..Recorded::default()
            },
            score: None,
        };
        found.hits(&value, transaction);
        found.judge(&value, transaction, status);
        // The status of an interrupted one is that of the refusal, and then there was no response.
        if found.record.stopped_by().is_none() && status > 0 {
            found.record.response.upstream_status = Some(status);
            found.record.response.headers = headers(&response["headers"], text);
        }
        Ok(found)
    }

    fn hits(&mut self, value: &Value, transaction: &Value) {
        let all = [&transaction["messages"], &value["messages"]].into_iter().find_map(Value::as_array);
        let sentences = value["audit_data"]["messages"].as_array();
        let hits = all.into_iter().flatten().filter_map(|message| {
            let (facts, id) = match &message["details"] {
                Value::Object(_) => (&message["details"], "ruleId"),
                _ => (&message["data"], "id"),
            };
            Some((hit(facts, &facts[id])?, message["message"].as_str().or(facts["msg"].as_str())))
        });
        let of_sentences =
            sentences.into_iter().flatten().filter_map(|s| Some((sentence(s.as_str()?)?, s.as_str())));
        for (mut hit, said) in hits.chain(of_sentences) {
            let said = said.unwrap_or_default();
            if hit.message.is_empty() {
                hit.message = said.to_owned();
            }
            let digits = said
                .split_once("Total Score: ")
                .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
            self.score = self.score.or_else(|| digits?.parse().ok());
            self.record.rules.push(hit);
        }
    }

    /// What was decided, as far as it can be told.
    fn judge(&mut self, value: &Value, transaction: &Value, status: u16) {
        let record = &mut self.record;
        let judge = record.rules.iter().find(|hit| JUDGES.contains(&hit.id));
        let said = [&transaction["is_interrupted"], &value["audit_data"]["action"]["intercepted"]];
        let said = said.into_iter().find_map(Value::as_bool);
        let is_stopped = said.unwrap_or(judge.is_some() || status == 403 && !record.rules.is_empty());
        let Some(by) = judge.or(record.rules.last()).filter(|_| is_stopped || judge.is_some()) else {
            return;
        };
        let verdict = RecordedVerdict {
            action: "deny".to_owned(),
            status: Some(if is_stopped { status } else { 403 }),
            rule_id: Some(by.id),
            phase: Some(if OUTBOUND.contains(&by.id) { 4 } else { 2 }),
        };
        if is_stopped {
            record.decision = verdict;
        } else {
            record.decision.action = "pass".to_owned();
            record.suppressed = Some(verdict);
        }
    }
}

/// Rules of CRS that block by the score.
const JUDGES: [u64; 4] = [949_110, 949_111, 959_100, 959_101];
/// Those of them that look at responses.
const OUTBOUND: [u64; 2] = [959_100, 959_101];

fn is_ours(transaction: &Value) -> bool {
    let producer = &transaction["producer"];
    ["modsecurity", "connector"].iter().any(|key| {
        producer[*key].as_str().is_some_and(|name| name.to_ascii_lowercase().starts_with("portcullis"))
    })
}

/// Method, target, protocol.
fn request_line(request: &Value) -> Result<(String, String, String), String> {
    if let Some(line) = request["request_line"].as_str() {
        let parts = line.split_once(' ').and_then(|(method, rest)| Some((method, rest.rsplit_once(' ')?)));
        let (method, (uri, protocol)) = parts.ok_or("its request line is none")?;
        return Ok((method.to_owned(), uri.to_owned(), protocol.to_owned()));
    }
    let text = |key: &str| request[key].as_str().unwrap_or_default().to_owned();
    let version = match (&request["http_version"], &request["protocol"]) {
        (Value::Number(version), _) => version.to_string(),
        (Value::String(version), _) | (_, Value::String(version)) => version.clone(),
        _ => "1.1".to_owned(),
    };
    let protocol = if version.starts_with("HTTP/") { version } else { format!("HTTP/{version}") };
    Ok((text("method"), text("uri"), protocol))
}

/// Headers of an object, whose values are texts or lists of them.
fn headers(value: &Value, text: fn(&str) -> String) -> Option<Vec<(String, String)>> {
    let mut out = Vec::new();
    for (name, value) in value.as_object()? {
        let one = std::slice::from_ref(value);
        let values = value.as_array().map_or(one, Vec::as_slice).iter().filter_map(Value::as_str);
        out.extend(values.map(|value| (text(name), text(value))));
    }
    Some(out)
}

fn body(request: &Value, text: fn(&str) -> String) -> Option<RecordedBody> {
    let whole = match &request["body"] {
        Value::String(body) => text(body),
        Value::Array(parts) => text(&parts.iter().filter_map(Value::as_str).collect::<String>()),
        _ => String::new(),
    };
    let inspected = whole.len() as u64;
    (!whole.is_empty()).then_some(RecordedBody { text: whole, inspected, truncated: false })
}

fn mode(transaction: &Value) -> String {
    match transaction["producer"]["secrules_engine"].as_str().unwrap_or_default() {
        "Enabled" => "On".to_owned(),
        "Disabled" => "Off".to_owned(),
        other => other.to_owned(),
    }
}

fn words<'v>(value: &'v Value, keys: &[&str]) -> Option<&'v str> {
    keys.iter().find_map(|key| value[*key].as_str()).filter(|text| !text.is_empty())
}

fn number<T: TryFrom<u64>>(value: &Value, keys: &[&str]) -> Option<T> {
    keys.iter().find_map(|key| value[*key].as_u64()).and_then(|n| T::try_from(n).ok())
}

fn end(value: &Value, ip: [&str; 2], port: [&str; 2]) -> Option<End> {
    let ip = words(value, &ip)?.to_owned();
    Some(End { ip, port: number(value, &port).unwrap_or(0) })
}

/// RFC 3339 in UTC; what names no zone is taken for UTC. Empty when it cannot be read.
fn time(transaction: &Value) -> String {
    let nanoseconds = transaction["unix_timestamp"].as_i64().map(i128::from);
    let by_number = || OffsetDateTime::from_unix_timestamp_nanos(nanoseconds?).ok();
    let text = words(transaction, &["time_stamp", "time", "timestamp"]).unwrap_or_default();
    // `Tue Nov  3 …`: days and hours are padded with blanks.
    let squeezed = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let with_zone = || OffsetDateTime::parse(&squeezed, APACHE).ok();
    let without = || {
        let plain = |format| PrimitiveDateTime::parse(&squeezed, format).ok();
        plain(ASCTIME).or_else(|| plain(SLASHES)).map(PrimitiveDateTime::assume_utc)
    };
    let time = by_number().or_else(with_zone).or_else(without);
    let utc = time.map(|time| time.to_offset(time::UtcOffset::UTC));
    utc.and_then(|time| time.format(STAMP).ok()).unwrap_or_default()
}

const ASCTIME: &[BorrowedFormatItem<'static>] = format_description!(
    "[weekday repr:short] [month repr:short] [day padding:none] [hour]:[minute]:[second] [year]"
);
const APACHE: &[BorrowedFormatItem<'static>] = format_description!(
    "[day]/[month repr:short]/[year]:[hour]:[minute]:[second][optional [.[subsecond]]] [offset_hour sign:mandatory][offset_minute]"
);
const SLASHES: &[BorrowedFormatItem<'static>] =
    format_description!("[year]/[month]/[day] [hour]:[minute]:[second]");
const STAMP: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// A rule of ModSecurity 3's or Coraza's list.
fn hit(facts: &Value, id: &Value) -> Option<RecordedHit> {
    let id = match id {
        Value::String(id) => id.parse().ok()?,
        id => id.as_u64()?,
    };
    let text = |key: &str| facts[key].as_str().unwrap_or_default();
    let (variable, value) = matched(text("match"), text("data"));
    Some(RecordedHit {
        id,
        message: text("msg").to_owned(),
        tags: facts["tags"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        variable,
        value,
        file: text("file").to_owned(),
        ..RecordedHit::default()
    })
}

/// A rule of a sentence such as ModSecurity 2 writes: `Warning. … at ARGS:q. [file "…"] [id "…"] [msg "…"]`.
fn sentence(text: &str) -> Option<RecordedHit> {
    let all = |name: &str| -> Vec<String> {
        let start = format!("[{name} \"");
        let pieces = text.split(start.as_str()).skip(1);
        pieces.filter_map(|piece| Some(piece.split_once("\"]")?.0.replace("\\\"", "\""))).collect()
    };
    let first = |name: &str| all(name).into_iter().next().unwrap_or_default();
    let before = text.split(" [file \"").next().unwrap_or_default();
    let at = before.rsplit_once(" at ").map(|(_, name)| name.trim_end_matches('.').to_owned());
    let (variable, value) = matched("", &first("data"));
    Some(RecordedHit {
        id: first("id").parse().ok()?,
        message: first("msg"),
        tags: all("tag"),
        variable: variable.or(at.filter(|name| is_variable(name))),
        value,
        file: first("file"),
        ..RecordedHit::default()
    })
}

/// Variable and value of what libmodsecurity says of a match, or else of what CRS's `logdata` says.
fn matched(said: &str, data: &str) -> (Option<String>, Option<String>) {
    let of_match = said.split_once("against variable `").and_then(|(_, rest)| {
        let (variable, rest) = rest.split_once("' (Value: `")?;
        Some((variable, rest.rsplit_once("' )").map_or(rest, |(value, _)| value)))
    });
    let of_data = || {
        let (_, rest) = data.split_once("found within ")?;
        // A name may hold a colon; a blank behind one ends it.
        rest.split_once(": ")
    };
    match of_match.or_else(of_data).filter(|(variable, _)| is_variable(variable)) {
        Some((variable, value)) => (Some(variable.to_owned()), Some(value.to_owned())),
        None => (None, None),
    }
}

fn is_variable(text: &str) -> bool {
    let name = text.split(':').next().unwrap_or_default().trim_start_matches('&');
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_' || b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(value: &Value) -> Foreign {
        Foreign::read(value.to_string().as_bytes()).expect("it is read")
    }

    #[test]
    fn the_three_schemas_are_read() {
        let line = json!({"transaction": {"client_ip": "192.0.2.1", "client_port": 7, "unique_id": "u",
            "time_stamp": "Tue Nov  3 11:26:34 2026",
            "request": {"method": "POST", "http_version": 1.1, "uri": "/a?b=\\x41", "body": "c=d",
                        "headers": {"Host": "h", "Content-Length": "3"}},
            "response": {"http_code": 403, "headers": {}},
            "messages": [{"message": "SQLi", "details": {"ruleId": "942100", "tags": ["attack-sqli"],
                            "match": "Matched \"Operator `Rx' with parameter `a' against variable `ARGS:q:r' (Value: `1' or '1' )"}},
                         {"message": "Inbound Anomaly Score Exceeded (Total Score: 8)", "details": {"ruleId": "949110"}}]}});
        assert!(Foreign::is_likely(line.to_string().as_bytes()));
        let v3 = found(&line);
        let record = &v3.record;
        assert_eq!((record.id.as_str(), record.time.as_str()), ("u", "2026-11-03T11:26:34.000000Z"));
        assert_eq!((record.request.method.as_str(), record.request.uri.as_str()), ("POST", "/a?b=\\x5cx41"));
        assert_eq!((v3.score, record.rules.len()), (Some(8), 2));
        let hit = &record.rules[0];
        assert_eq!((hit.variable.as_deref(), hit.value.as_deref()), (Some("ARGS:q:r"), Some("1' or '1")));
        assert_eq!((hit.message.as_str(), hit.tags.as_slice()), ("SQLi", &["attack-sqli".to_owned()][..]));
        assert_eq!(record.stopped_by().and_then(|stop| stop.rule_id), Some(949_110));
        assert_eq!(record.response.upstream_status, None);

        let coraza = found(&json!({"transaction": {"id": "c", "client_ip": "::1", "is_interrupted": false,
            "unix_timestamp": 1_795_346_794_000_000_000_i64,
            "request": {"method": "GET", "protocol": "HTTP/2.0", "uri": "/", "headers": {"host": ["h"], "x": ["1", "2"]}},
            "response": {"status": 200, "headers": {"a": ["b"]}}},
            "messages": [{"message": "m", "data": {"id": 942_100, "msg": "m", "tags": ["t"],
                            "data": "Matched Data: 1' found within ARGS:q: 1' or"}},
                         {"message": "Inbound", "data": {"id": 949_110, "msg": "Inbound"}}]}));
        let record = &coraza.record;
        assert_eq!(record.request.headers.as_ref().map(Vec::len), Some(3));
        assert_eq!(record.rules[0].variable.as_deref(), Some("ARGS:q"));
        assert!(record.decision.passes() && record.suppressed.is_some(), "it was let through");
        assert_eq!(record.time, "2026-11-22T11:26:34.000000Z");

        let v2 = found(&json!({
            "transaction": {"transaction_id": "t", "remote_address": "192.0.2.1", "remote_port": 1,
                            "time": "22/Nov/2026:12:26:34.123456 +0100"},
            "request": {"request_line": "POST /x HTTP/1.0", "headers": {"Content-Length": "9"}, "body": ["a=", "b"]},
            "response": {"status": 200}, "audit_data": {"action": {"intercepted": true}, "messages": [
                "Warning. Pattern match \"x\" at ARGS:a. [file \"f.conf\"] [line \"1\"] [id \"941100\"] [msg \"XSS\"] [tag \"attack-xss\"] [tag \"b\"]"]},
        }));
        let record = &v2.record;
        assert_eq!(record.request.body.as_ref().map(|body| body.text.as_str()), Some("a=b"));
        assert_eq!(record.time, "2026-11-22T11:26:34.123456Z");
        let hit = &record.rules[0];
        assert_eq!((hit.id, hit.message.as_str(), hit.variable.as_deref()), (941_100, "XSS", Some("ARGS:a")));
        assert_eq!(hit.tags, ["attack-xss", "b"]);
        assert_eq!(record.decision.rule_id, Some(941_100));
    }

    #[test]
    fn a_status_alone_judges_only_with_rules() {
        let line = |messages: Value| {
            json!({"transaction": {"unique_id": "u", "request": {"method": "GET", "uri": "/"},
                                   "response": {"http_code": 403}, "messages": messages}})
        };
        assert!(found(&line(json!([]))).record.stopped_by().is_none());
        let blocked = found(&line(json!([{"message": "m", "details": {"ruleId": "1"}}])));
        assert!(blocked.record.stopped_by().is_some());
    }

    #[test]
    fn what_is_no_record_is_told() {
        for bad in ["", "{}", "[1]", r#"{"transaction": {"request": {"request_line": "x"}}}"#] {
            assert!(Foreign::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
